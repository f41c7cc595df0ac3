// The augmentation of the papers, line by line as their trainers build it, and variants of it. What differs between two of them is
// what differs between two lists.

import { register } from '../base/registry.js';
import { blankRectangles } from './blankRectangles.js';
import { blur } from './blur.js';
import { multiply, shift } from './brightness.js';
import { brightnessGradient } from './brightnessGradient.js';
import { binaryOperator, removeComponent } from './cascade.js';
import { contrast } from './contrast.js';
import { gamma } from './gamma.js';
import { localGamma } from './localGamma.js';
import { lowResolution } from './lowResolution.js';
import { median } from './median.js';
import { mirror } from './mirror.js';
import { noise } from './noise.js';
import { oneOf } from './oneOf.js';
import { sharpen } from './sharpen.js';
import { spatial } from './spatial.js';
import type { Entry } from './transform.js';
import { exchangeAxes, quarterTurns } from './turns.js';

for (const transform of [
  ...[spatial, noise, blur, multiply, contrast, lowResolution, gamma, shift, mirror],
  ...[quarterTurns, exchangeAxes, oneOf, median, sharpen, blankRectangles, brightnessGradient, localGamma],
  ...[binaryOperator, removeComponent],
])
  register('transforms', transform);

/** The previous stage's labels are roughened, so that a cascade does not trust them blindly. Only where there is one. */
const roughened = (perLabel: number): Entry[] => [
  { transform: 'binaryOperator', probability: 0.4, perLabel, radius: [1, 8] },
  { transform: 'removeComponent', probability: 0.2, perLabel },
];
const cascade = roughened(0.5);

/** nnU-Net v2 2.8.1's trainer. */
const nnunetv2: Entry[] = [
  {
    transform: 'spatial',
    rotation: { probability: 0.2 },
    scale: { probability: 0.2, range: [0.7, 1.4], balanced: false, perAxis: 0 },
    interpolation: 'linear',
  },
  { transform: 'noise', probability: 0.1, sd: [0, 0.1] },
  { transform: 'blur', probability: 0.2, perChannel: 0.5, sigma: [0.5, 1], ownAxes: true },
  { transform: 'multiply', probability: 0.15, range: [0.75, 1.25], balanced: true },
  { transform: 'contrast', probability: 0.15, range: [0.75, 1.25] },
  { transform: 'lowResolution', probability: 0.25, perChannel: 0.5, scale: [0.5, 1], interpolation: 'linear' },
  { transform: 'gamma', probability: 0.1, range: [0.7, 1.5], inverted: true },
  { transform: 'gamma', probability: 0.3, range: [0.7, 1.5], inverted: false },
  { transform: 'mirror', perAxis: 0.5 },
  ...cascade,
];

/** nnU-Net v1's `moreDA` (MedNeXt, STU-Net). */
const moreDA: Entry[] = [
  {
    transform: 'spatial',
    rotation: { probability: 0.2 },
    scale: { probability: 0.2, range: [0.7, 1.4], balanced: true, perAxis: 0 },
    interpolation: 'cubic',
  },
  { transform: 'noise', probability: 0.1, sd: [0, 0.1] },
  { transform: 'blur', probability: 0.2, perChannel: 0.5, sigma: [0.5, 1], ownAxes: false },
  { transform: 'multiply', probability: 0.15, range: [0.75, 1.25], balanced: false },
  { transform: 'contrast', probability: 0.15, range: [0.75, 1.25] },
  { transform: 'lowResolution', probability: 0.25, perChannel: 0.5, scale: [0.5, 1], interpolation: 'cubic' },
  { transform: 'gamma', probability: 0.1, range: [0.7, 1.5], inverted: true },
  { transform: 'gamma', probability: 0.3, range: [0.7, 1.5], inverted: false },
  { transform: 'mirror', perAxis: 0.5 },
  ...cascade,
];

/** KAIST's BraTS 2021 entry: nnU-Net v1 with `DA4`. */
const DA4: Entry[] = [
  {
    transform: 'spatial',
    elastic: { probability: 0.3, range: [0, 0.25] },
    rotation: { probability: 0.3, limit: Math.PI / 2 },
    scale: { probability: 0.3, range: [0.65, 1.6], balanced: true, perAxis: 0.3, smallest: 0.7 },
    interpolation: 'cubic',
  },
  { transform: 'noise', probability: 0.15, sd: [0, 0.1] },
  { transform: 'blur', probability: 0.2, perChannel: 0.5, sigma: [0.5, 1.5], ownAxes: false },
  { transform: 'multiply', probability: 0.15, range: [0.7, 1.3], balanced: false },
  { transform: 'contrast', probability: 0.15, range: [0.65, 1.5] },
  { transform: 'lowResolution', probability: 0.25, perChannel: 0.5, scale: [0.5, 1], interpolation: 'cubic' },
  { transform: 'gamma', probability: 0.15, range: [0.5, 1.6], inverted: true },
  { transform: 'shift', probability: 0.3, perChannel: 0.5, sd: 0.2 },
  { transform: 'gamma', probability: 0.3, range: [0.5, 1.6], inverted: false },
  { transform: 'mirror', perAxis: 0.5 },
  ...cascade,
];

/** A smooth field of nnU-Net's `DA5`. */
const field = { perChannel: 0.5, spread: [1 / 6, 1], centre: [-0.5, 1.5] } as const;

/** nnU-Net v2 2.8.1's `nnUNetTrainerDA5`. */
const DA5: Entry[] = [
  {
    transform: 'spatial',
    rotation: { probability: 0.4, perAxis: 0.5 },
    scale: { probability: 0.2, range: [0.7, 1.43], balanced: false, perAxis: 1, smallest: 0.7 },
    interpolation: 'linear',
  },
  { transform: 'quarterTurns', probability: 0.5 },
  { transform: 'exchangeAxes', probability: 0.5 },
  {
    transform: 'oneOf',
    of: [
      { transform: 'median', probability: 0.2, perChannel: 0.5, size: [2, 7] },
      { transform: 'blur', probability: 0.2, perChannel: 0.5, sigma: [0.3, 1.5], ownAxes: false },
    ],
  },
  { transform: 'noise', probability: 0.1, sd: [0, 0.1] },
  { transform: 'shift', probability: 0.1, perChannel: 0.5, sd: 0.5 },
  {
    transform: 'oneOf',
    of: [
      { transform: 'contrast', probability: 0.2, perChannel: 0.5, range: [0.5, 2], preserveRange: true },
      { transform: 'contrast', probability: 0.2, perChannel: 0.5, range: [0.5, 2], preserveRange: false },
    ],
  },
  { transform: 'lowResolution', probability: 0.15, perChannel: 0.5, scale: [0.25, 1], interpolation: 'linear' },
  { transform: 'gamma', probability: 0.1, range: [0.7, 1.5], inverted: true },
  { transform: 'gamma', probability: 0.1, range: [0.7, 1.5], inverted: true },
  { transform: 'mirror', perAxis: 0.5 },
  { transform: 'blankRectangles', probability: 0.4, perChannel: 0.5, count: [1, 4], edge: [1 / 10, 1 / 3] },
  {
    ...{ transform: 'brightnessGradient', probability: 0.3, ...field },
    strength: [
      [-5, -1],
      [1, 5],
    ],
  },
  {
    ...{ transform: 'localGamma', probability: 0.3, ...field },
    gamma: [
      [0.01, 0.8],
      [1.5, 4],
    ],
  },
  { transform: 'sharpen', probability: 0.2, perChannel: 0.5, strength: [0.1, 1] },
  ...roughened(1),
];

/** The same list with other settings of its spatial transform. */
const turned = (list: Entry[], change: Partial<Extract<Entry, { transform: 'spatial' }>>): Entry[] =>
  list.map((entry) => (entry.transform === 'spatial' ? { ...entry, ...change } : entry));

/** Pipelines by name; `none` is the middle of the patch as it is. */
export const pipelines = {
  nnunetv2,
  moreDA,
  DA4,
  none: [],
  /** nnU-Net's `nnUNetTrainerNoMirroring`. */
  noMirroring: nnunetv2.filter(({ transform }) => transform !== 'mirror'),
  /** nnU-Net's `nnUNetTrainerDAOrd0`: image and labels from the nearest voxel. */
  DAOrd0: turned(nnunetv2, { interpolation: 'nearest', labels: 'nearest' }),
  /** nnU-Net's `nnUNetTrainer_DASegOrd0`: the labels alone. */
  DASegOrd0: turned(nnunetv2, { labels: 'nearest' }),
  DA5,
  /** nnU-Net's `nnUNetTrainerDA5ord0` and `nnUNetTrainerDA5Segord0`. */
  DA5ord0: turned(DA5, { interpolation: 'nearest', labels: 'nearest' }),
  DA5Segord0: turned(DA5, { labels: 'nearest' }),
} satisfies Record<string, Entry[]>;

/** Name of a built-in pipeline, as `recipe.augmentation` says it. */
export type PipelineName = keyof typeof pipelines;
