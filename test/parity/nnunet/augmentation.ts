// Every deterministic part of nnU-Net's augmentation with fixed parameters, and the loader's patch.
import fs from 'node:fs';
import path from 'node:path';
import type { BlurDraw } from '../../../src/augment/blur.js';
import type { BrightnessDraw } from '../../../src/augment/brightness.js';
import type { ContrastDraw } from '../../../src/augment/contrast.js';
import type { GammaDraw } from '../../../src/augment/gamma.js';
import type { LowResolutionDraw } from '../../../src/augment/lowResolution.js';
import { maskOutside } from '../../../src/augment/mask.js';
import type { MirrorDraw } from '../../../src/augment/mirror.js';
import { applyOperator, ball } from '../../../src/augment/morphology.js';
import { patchRules } from '../../../src/augment/patchSize.js';
import { toRegions } from '../../../src/augment/regions.js';
import type { Planes } from '../../../src/augment/sample.js';
import { affineMatrix, type SpatialDraw } from '../../../src/augment/spatial.js';
import { applyStep } from '../../../src/augment/transform.js';
import { roundHalfEven } from '../../../src/base/numpy/round.js';
import { readSafetensors, type StoredTensor } from '../../../src/base/safetensors.js';
import { downsampleLabels } from '../../../src/train/loss/downsampleLabels.js';
import { close, equal, type GoldenCase, type Row, readJson } from '../case.js';
import { channelsFirst } from './layout.js';

export const owns: string[] = ['ops/initial_patch_size', 'training/augmentation'];

type Tensors = Record<string, StoredTensor>;
type Shape = [number, number, number];
type Step = SpatialDraw | BlurDraw | BrightnessDraw | ContrastDraw | LowResolutionDraw | GammaDraw | MirrorDraw;

export function cases(root: string): GoldenCase[] {
  const file = (name: string) => path.join(root, 'nnunet', name);
  const one = (name: string, run: () => Row[]): GoldenCase[] =>
    fs.existsSync(file(`${name}.json`)) ? [{ name: `nnunet/${name}`, run }] : [];
  return [
    ...one('ops/initial_patch_size', () =>
      readJson<any[]>(file('ops/initial_patch_size.json')).flatMap((c, i) => {
        const rules = patchRules(c.patch_size);
        return [
          equal(`${i} dummy 2d`, rules.dummy2d, c.do_dummy_2d_data_aug),
          close(`${i} rotation`, [-rules.rotation, rules.rotation], c.rotation_for_DA, { abs: 1e-12 }),
          equal(`${i} initial patch`, rules.initialPatchSize, c.initial_patch_size),
          equal(`${i} mirror axes`, rules.mirrorAxes, c.mirror_axes),
        ];
      }),
    ),
    ...one('training/augmentation', () => {
      const { tensors } = readSafetensors(file('training/augmentation.safetensors'));
      return readJson<any[]>(file('training/augmentation.json')).flatMap((c) => check(c, tensors));
    }),
  ];
}

/** A stored sample (`img3`, `seg3`) as planes. */
function source(name: string, tensors: Tensors): Planes {
  const image = tensors[`img${name}`];
  const [count, ...spatial] = image.shape;
  const shape = (spatial.length === 2 ? [1, ...spatial] : spatial) as Shape;
  const n = shape[0] * shape[1] * shape[2];
  const channels = Array.from({ length: count }, (_, c) => (image.data as Float32Array).slice(c * n, (c + 1) * n));
  return { channels, seg: Int16Array.from(tensors[`seg${name}`].data as Int8Array), shape };
}

function check(c: any, tensors: Tensors): Row[] {
  const sample = source(c.source, tensors);
  const flat = tensors[`img${c.source}`].shape.length === 3;
  const name = `${c.id} ${c.transform}`;
  const operator = /^binary_(dilation|erosion|closing|opening)$/.exec(c.transform)?.[1];
  if (operator) return morphology(c, name, operator as 'dilation', sample, tensors);
  if (c.transform === 'MaskImage') {
    const mask = sample.channels.map((_, i) => c.apply_to_channels.includes(i));
    return compare(c.id, name, sample, maskOutside(copy(sample), mask), tensors);
  }
  if (c.transform === 'DownsampleSegForDS')
    return c.scales.map((scale: number[], i: number) => {
      const scales = flat ? [1, ...scale] : scale;
      const target = sample.shape.map((side, axis) => roundHalfEven(side * scales[axis]));
      return equal(
        `${name} ${i}`,
        list(downsampleLabels(sample.seg, sample.shape, target)),
        list(tensors[`${c.id}.segmentation.${i}`].data),
      );
    });
  if (c.transform === 'ConvertSegmentationToRegions')
    return [
      equal(
        name,
        list(channelsFirst(toRegions(sample.seg, c.regions), c.regions.length)),
        list(tensors[`${c.id}.segmentation`].data),
      ),
    ];
  const step = stepOf(c, sample, flat);
  if (!step)
    return [{ what: `${name}: no such transform`, maxAbs: Number.NaN, relative: Number.NaN, tolerance: '-', pass: false }];
  const rows = compare(c.id, name, sample, applyStep(step, copy(sample)), tensors);
  if (step.transform === 'spatial' && c.affine) {
    const matrix = affineMatrix(step);
    const ours = flat ? [matrix[4], matrix[5], matrix[7], matrix[8]] : matrix;
    rows.push(close(`${name} affine`, ours, c.affine.flat(), { abs: 1e-12 }));
  }
  return rows;
}

/** The golden entry as one of our draws. */
function stepOf(c: any, sample: Planes, flat: boolean): Step | null {
  const each = <T>(value: T): T[] => sample.channels.map(() => value);
  switch (c.transform.startsWith('dummy2d') ? 'dummy2d' : c.transform) {
    case 'SpatialTransform':
    case 'dummy2d':
      return spatialStep(c, sample, flat);
    case 'GaussianBlur':
      return { transform: 'blur', sigmas: each(flat ? [0, ...c.sigmas_per_axis] : c.sigmas_per_axis) };
    case 'MultiplicativeBrightness':
      return { transform: 'multiply', values: each(c.multiplier) };
    case 'Contrast':
      return { transform: 'contrast', factors: each(c.factor), preserveRange: c.preserve_range };
    case 'SimulateLowResolution':
      return {
        transform: 'lowResolution',
        scales: each(c.scale),
        keepAxes: c.ignore_axes ?? (flat ? [0] : []),
        interpolation: 'linear',
      };
    case 'Gamma':
      return { transform: 'gamma', inverted: c.invert_image, retainStatistics: c.retain_stats, gammas: each(c.gamma) };
    case 'Mirror':
      return { transform: 'mirror', axes: flat ? c.axes.map((a: number) => a + 1) : c.axes };
    default:
      return null;
  }
}

function spatialStep(c: any, sample: Planes, flat: boolean): SpatialDraw {
  const inPlane = flat || c.transform.startsWith('dummy2d');
  const patch = c.patch_size_2d ? [sample.shape[0], ...c.patch_size_2d] : flat ? [1, ...c.patch_size] : c.patch_size;
  const angles = c.angles_rad ?? (c.angle_rad === null || c.angle_rad === undefined ? null : [c.angle_rad]);
  const axes = inPlane ? 2 : 3;
  const scale = c.scale === null || c.scale === undefined ? null : Array.from({ length: axes }, () => c.scale as number);
  return { transform: 'spatial', patchSize: patch, inPlane, interpolation: 'linear', angles, scale, elastic: null };
}

/** An output equal to its source is not stored. */
function compare(id: number, name: string, before: Planes, after: Planes, tensors: Tensors): Row[] {
  const flatten = (planes: Planes) => planes.channels.flatMap((p) => [...p]);
  const image = tensors[`${id}.image`]?.data as Float32Array | undefined;
  const seg = tensors[`${id}.segmentation`]?.data ?? before.seg;
  return [
    close(`${name} image`, flatten(after), image ?? flatten(before), { abs: image ? 5e-6 : 0 }),
    equal(`${name} labels`, list(after.seg), list(seg)),
  ];
}

function morphology(
  c: any,
  name: string,
  operator: 'dilation' | 'erosion' | 'closing' | 'opening',
  sample: Planes,
  tensors: Tensors,
): Row[] {
  const label = Number(/== ?(\d+)/.exec(c.input)![1]);
  const mask = Uint8Array.from(sample.seg, (v) => (v === label ? 1 : 0));
  const out = applyOperator(operator, mask, sample.shape, c.ball_radius);
  return [
    equal(`${name} ball`, list(ball(c.ball_radius, sample.shape[0] === 1 ? 2 : 3).inside), list(tensors[`${c.id}.strel`].data)),
    equal(name, list(out), list(tensors[`${c.id}.out`].data)),
  ];
}

const list = (values: ArrayLike<unknown>) => Array.from(values as ArrayLike<number>);
const copy = (p: Planes): Planes => ({ ...p, channels: p.channels.map((plane) => plane.slice()), seg: p.seg.slice() });
