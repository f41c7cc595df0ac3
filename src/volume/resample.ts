// Resampling to another voxel size as nnU-Net v2 does (`resample_data_or_seg_to_shape`): anisotropic volumes slice by slice.
import { argmaxLabels, nearestIndices, resizeLabels, resizeValues } from './resize.js';

type Shape = readonly [number, number, number] | readonly number[];

/** One channel, C order `[depth, height, width]`. */
export interface Grid<A> {
  data: A;
  shape: Shape;
}

/** How a volume is resampled: order of the splines, and whether one axis goes by itself. */
export interface ResampleRule {
  kind: 'values' | 'labels';
  /** Data 3, labels 1, probabilities and logits 1. */
  order: 0 | 1 | 3;
  /** Along a separate axis; nnU-Net's plans say 0. */
  orderZ?: 0 | 1 | 3;
  /** From `separateAxis`; null resamples all axes together. */
  axis: number | null;
  /** Labels of order 1: any label above one half (default), or the one with the most weight (nnU-Net's torch function). */
  labels?: 'threshold' | 'argmax';
}

const anisotropy = 3;

/**
 * The axis to resample apart from the others, or null.
 * Source: nnU-Net v2 `determine_do_sep_z_and_axis`: voxels more than three times longer than wide, in the old spacing, else in the new.
 * @param force true: the coarsest axis of the old spacing; false: never; null: decide
 */
export function separateAxis(current: readonly number[], wanted: readonly number[], force: boolean | null = null): number | null {
  const anisotropic = (mm: readonly number[]) => Math.max(...mm) / Math.min(...mm) > anisotropy;
  const coarsest = (mm: readonly number[]) => mm.flatMap((s, i) => (Math.max(...mm) / s === 1 ? [i] : []));
  if (force === false) return null;
  const axes = force || anisotropic(current) ? coarsest(current) : anisotropic(wanted) ? coarsest(wanted) : [];
  return axes.length === 1 ? axes[0] : null;
}

/**
 * Resamples one channel.
 * @param grid values (any number type) or int16 labels, `[depth, height, width]`
 * @returns float32 values, or int16 labels, of `newShape`; the input itself when the shape does not change
 */
export function resample(grid: Grid<Int16Array>, newShape: Shape, rule: ResampleRule & { kind: 'labels' }): Int16Array;
export function resample(grid: Grid<Float32Array>, newShape: Shape, rule: ResampleRule & { kind: 'values' }): Float32Array;
export function resample(
  grid: Grid<Float32Array> | Grid<Int16Array>,
  newShape: Shape,
  rule: ResampleRule,
): Float32Array | Int16Array;
export function resample(
  grid: Grid<Float32Array> | Grid<Int16Array>,
  newShape: Shape,
  rule: ResampleRule,
): Float32Array | Int16Array {
  const { data, shape } = grid;
  if (shape.every((n, i) => n === newShape[i])) return data;
  if (rule.axis !== null) return bySlices(grid, newShape, rule, rule.axis);
  if (rule.kind === 'labels') return labelsTo(Int16Array.from(data), shape, newShape, rule);
  return Float32Array.from(resizeValues(data, shape, newShape, rule.order));
}

const labelsTo = (data: Int16Array, from: readonly number[], to: readonly number[], { order, labels }: ResampleRule) =>
  labels === 'argmax' ? argmaxLabels(data, from, to) : resizeLabels(data, from, to, order);

/** 2-d resize of every slice along `axis`, then along the axis. */
function bySlices(
  { data, shape }: Grid<Float32Array> | Grid<Int16Array>,
  newShape: Shape,
  rule: ResampleRule,
  axis: number,
): Float32Array | Int16Array {
  const labels = rule.kind === 'labels';
  const plane = [0, 1, 2].filter((a) => a !== axis);
  const flat = plane.map((a) => shape[a]);
  const newFlat = plane.map((a) => newShape[a]);
  const orderZ = rule.orderZ ?? 0;
  const direct = orderZ === 0 || shape[axis] === newShape[axis];
  const depth = direct ? newShape[axis] : shape[axis];
  const middle = [...newShape];
  middle[axis] = depth;
  const out = labels ? new Int16Array(middle[0] * middle[1] * middle[2]) : new Float32Array(middle[0] * middle[1] * middle[2]);
  const sources = shape[axis] === depth ? Int32Array.from({ length: depth }, (_, i) => i) : nearestIndices(shape[axis], depth);
  const targets = new Map<number, number[]>();
  sources.forEach((source, target) => {
    const list = targets.get(source);
    if (list) list.push(target);
    else targets.set(source, [target]);
  });
  const buffer = labels ? new Int16Array(flat[0] * flat[1]) : new Float32Array(flat[0] * flat[1]);
  for (const [source, wanted] of targets) {
    const slice = takeSlice(data, shape, axis, source, buffer);
    const resized = labels ? labelsTo(slice as Int16Array, flat, newFlat, rule) : resizeValues(slice, flat, newFlat, rule.order);
    for (const target of wanted) putSlice(out, middle, axis, target, resized);
  }
  if (direct) return out;
  return labels
    ? labelsAlong(out as Int16Array, middle, newShape, orderZ)
    : Float32Array.from(resizeValues(out, middle, newShape, orderZ, false));
}

/** Labels along one axis with order above 0: nnU-Net writes every label whose mask rises above one half. */
function labelsAlong(data: Int16Array, shape: Shape, newShape: Shape, order: 1 | 3): Int16Array {
  const out = new Int16Array(newShape[0] * newShape[1] * newShape[2]);
  const mask = new Uint8Array(data.length);
  for (const label of [...new Set(data)].sort((a, b) => a - b)) {
    for (let i = 0; i < data.length; i++) mask[i] = data[i] === label ? 1 : 0;
    const score = resizeValues(mask, shape, newShape, order);
    for (let i = 0; i < out.length; i++) if (score[i] > 0.5) out[i] = label;
  }
  return out;
}

type Voxels = Float32Array | Int16Array;

function takeSlice(data: Voxels, [d, h, w]: Shape, axis: number, i: number, buffer: Voxels): Voxels {
  if (axis === 0) return data.subarray(i * h * w, (i + 1) * h * w);
  let at = 0;
  if (axis === 1) for (let z = 0; z < d; z++) for (let x = 0; x < w; x++) buffer[at++] = data[(z * h + i) * w + x];
  else for (let z = 0; z < d; z++) for (let y = 0; y < h; y++) buffer[at++] = data[(z * h + y) * w + i];
  return buffer;
}

function putSlice(out: Voxels, [d, h, w]: Shape, axis: number, i: number, slice: ArrayLike<number>): void {
  if (axis === 0) {
    out.set(slice, i * h * w);
    return;
  }
  let at = 0;
  if (axis === 1) for (let z = 0; z < d; z++) for (let x = 0; x < w; x++) out[(z * h + i) * w + x] = slice[at++];
  else for (let z = 0; z < d; z++) for (let y = 0; y < h; y++) out[(z * h + y) * w + i] = slice[at++];
}
