// The augmentation of the papers, line by line as their trainers build it, and variants of it. What differs between two of them is
// what differs between two lists.

import { register } from '../base/registry.js';
import { blur } from './blur.js';
import { multiply, shift } from './brightness.js';
import { binaryOperator, removeComponent } from './cascade.js';
import { contrast } from './contrast.js';
import { gamma } from './gamma.js';
import { lowResolution } from './lowResolution.js';
import { mirror } from './mirror.js';
import { noise } from './noise.js';
import { spatial } from './spatial.js';
import type { Entry } from './transform.js';

for (const transform of [
  spatial,
  noise,
  blur,
  multiply,
  contrast,
  lowResolution,
  gamma,
  shift,
  mirror,
  binaryOperator,
  removeComponent,
])
  register('transforms', transform);

/** The previous stage's labels are roughened, so that a cascade does not trust them blindly. Only where there is one. */
const cascade: Entry[] = [
  { transform: 'binaryOperator', probability: 0.4, perLabel: 0.5, radius: [1, 8] },
  { transform: 'removeComponent', probability: 0.2, perLabel: 0.5 },
];

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
} satisfies Record<string, Entry[]>;

/** Name of a built-in pipeline, as `recipe.augmentation` says it. */
export type PipelineName = keyof typeof pipelines;
