// Outputs of the network back to the image as it was read: resampled linearly, uncropped, axes in their old order
// (nnU-Net v2 `convert_predicted_logits_to_segmentation_with_correct_shape`).
//
// Works slice by slice as the sliding window finishes them: of all classes only two slices are held at full size.
import { VoxelbookError } from '../base/errors.js';
import { toHalf } from '../base/float16.js';
import { axisFirst, product } from '../base/shape.js';
import type { Configuration, Plan } from '../plan/plan.js';
import { type Resampling, resamplingOf } from '../plan/resampling.js';
import { separateAxis } from '../volume/index.js';
import { linearTaps, nearestIndices } from '../volume/resize.js';
import { type Heads, probabilities, segmentation } from './segmentation.js';
import type { SlabConsumer } from './windows.js';

/** What preprocessing remembers of a case, under nnU-Net's names. `spacing` in the file's axes, all shapes in the plan's. */
export interface CaseGeometry {
  spacing: readonly number[];
  shape_before_cropping: readonly number[];
  bbox_used_for_cropping: readonly (readonly number[])[];
  shape_after_cropping_and_before_resampling: readonly number[];
}

/** A case in its original geometry. */
export interface Restored {
  /** Labels in the file's axes `[depth, height, width]`; Uint8Array for fewer than 255 labels. */
  labels: Uint8Array | Uint16Array;
  shape: [number, number, number];
  /** `[depth, height, width, head]` on request. Outside of the crop head 0 is 1 (labels) or all are 0 (regions). */
  probabilities?: Float32Array;
}

/** What is needed to bring a network's output back to the image as it was read. */
export interface RestoreSettings {
  plan: Pick<Plan, 'transpose_forward' | 'transpose_backward'>;
  configuration: Pick<Configuration, 'spacing'> &
    Partial<Pick<Configuration, 'resampling_fn_probabilities' | 'resampling_fn_probabilities_kwargs'>>;
  heads: Heads;
  /** What the slices hold; `probabilities` for networks averaged so. */
  kind?: 'logits' | 'probabilities';
  /** Round resampled values as nnU-Net's float16 arrays do. */
  precision?: 'float32' | 'float16';
  keepProbabilities?: boolean;
  /** Axis of the prediction along which its slices come; 0 by default. */
  axis?: number;
}

/**
 * Takes the slices of a prediction in order and puts labels (and probabilities) into the original geometry.
 * @param shape of the prediction, `[depth, height, width]`
 * @returns `consume` for `predictSlabs`, and the result after the last slice
 */
export function restorer(
  shape: readonly number[],
  geometry: CaseGeometry,
  settings: RestoreSettings,
): { consume: SlabConsumer; result(): Restored } {
  const { plan, configuration, heads, kind = 'logits', precision = 'float32', keepProbabilities = false, axis = 0 } = settings;
  const target = geometry.shape_after_cropping_and_before_resampling;
  const spacing = plan.transpose_forward.map((axis) => geometry.spacing[axis]);
  const current = spacingOf(configuration, geometry, plan);
  const nearest = separate(current, spacing, resamplingOf(configuration, 'probabilities'));
  const paste = paster(geometry, plan, heads, keepProbabilities, axis);
  const bySlice = sliceResampler(shape, target, heads.heads, nearest, precision, axis, (z, values) => {
    if (!keepProbabilities) return paste.labels(z, segmentation(values, heads, kind, paste.slice));
    if (kind === 'logits') probabilities(values, heads, values);
    paste.probabilities(z, values);
    paste.labels(z, segmentation(values, heads, 'probabilities', paste.slice));
  });
  return {
    consume: bySlice.push,
    result() {
      bySlice.checkComplete();
      return paste.result;
    },
  };
}

/** `restorer` for a prediction held whole. */
export function restore(
  values: Float32Array,
  shape: readonly number[],
  geometry: CaseGeometry,
  settings: RestoreSettings,
): Restored {
  const { consume, result } = restorer(shape, geometry, settings);
  void consume(values, 0, shape[0]);
  return result();
}

/**
 * Takes the slices of a prediction in order and makes labels for the next stage of a cascade: resampled to its preprocessed shape,
 * this configuration's spacing taken for both (nnU-Net v2 `resample_and_save`).
 * @param shape of the prediction, `[depth, height, width]`
 * @param target preprocessed shape of the case in the next stage
 * @returns `consume` for `predictSlabs`, and labels `[depth, height, width]` after the last slice
 */
export function labelsForNextStage(
  shape: readonly number[],
  geometry: Pick<CaseGeometry, 'spacing'>,
  target: readonly number[],
  { plan, configuration, heads, kind = 'logits', precision = 'float32', axis = 0 }: Omit<RestoreSettings, 'keepProbabilities'>,
): { consume: SlabConsumer; result(): Uint8Array | Uint16Array } {
  const labels = labelArray(product(target), heads);
  const spacing = spacingOf(configuration, geometry, plan);
  const nearest = separate(spacing, spacing, resamplingOf(configuration, 'probabilities'));
  const [rolling, rows, columns] = axisFirst(axis);
  const strides = [target[1] * target[2], target[2], 1];
  const slice = new Uint16Array(target[rows] * target[columns]);
  const resampler = sliceResampler(shape, target, heads.heads, nearest, precision, axis, (z, values) => {
    segmentation(values, heads, kind, slice);
    for (let y = 0, i = 0; y < target[rows]; y++) {
      let at = z * strides[rolling] + y * strides[rows];
      for (let x = 0; x < target[columns]; x++, at += strides[columns]) labels[at] = slice[i++];
    }
  });
  return {
    consume: resampler.push,
    result() {
      resampler.checkComplete();
      return labels;
    },
  };
}

/** Voxel size of a prediction in the plan's axes; a 2-D configuration has the case's own distance of slices. */
function spacingOf(
  { spacing }: Pick<Configuration, 'spacing'>,
  geometry: Pick<CaseGeometry, 'spacing'>,
  plan: RestoreSettings['plan'],
): readonly number[] {
  return spacing.length === 3 ? spacing : [geometry.spacing[plan.transpose_forward[0]], ...spacing];
}

/** nnU-Net's type of labels: bytes while there are fewer than 255 of them besides background. */
const labelArray = (length: number, { heads, hasRegions }: Heads) =>
  (hasRegions ? heads : heads - 1) < 255 ? new Uint8Array(length) : new Uint16Array(length);

/** Axis whose slices are resampled on their own, by the plan's arguments. */
function separate(
  current: readonly number[],
  target: readonly number[],
  { order, orderZ, forceSeparateZ }: Resampling,
): number | null {
  if (order !== 1 || orderZ !== 0)
    throw new VoxelbookError('this plan resamples probabilities in a way that is not supported', {
      code: 'resampling-order',
      path: 'resampling_fn_probabilities_kwargs',
      given: `order ${order}, order_z ${orderZ}`,
      expected: 'order 1, order_z 0',
      fix: 'Set them so in plans.json; they are what every nnU-Net planner writes.',
    });
  return separateAxis(current, target, forceSeparateZ);
}

/** Two source indices and their weights, for every target index. */
interface Taps {
  low: Int32Array;
  high: Int32Array;
  lead: Float64Array;
  rest: Float64Array;
}

/** Half-pixel centres; linear, at an edge twice the edge voxel, weights rounded as scipy's (see `linearTaps`); or nearest. */
function taps(from: number, to: number, nearest: boolean): Taps {
  if (nearest) {
    const index = nearestIndices(from, to);
    return { low: index, high: index, lead: new Float64Array(to).fill(1), rest: new Float64Array(to) };
  }
  const { index, weight } = linearTaps(from, to);
  const [low, high] = [new Int32Array(to), new Int32Array(to)];
  const [lead, rest] = [new Float64Array(to), new Float64Array(to)];
  for (let i = 0; i < to; i++) {
    [lead[i], rest[i]] = [weight[2 * i], weight[2 * i + 1]];
    low[i] = index[2 * i];
    high[i] = rest[i] === 0 ? low[i] : index[2 * i + 1];
  }
  return { low, high, lead, rest };
}

/**
 * Linear resampling of slices as they come along `axis`; `emit` gets each target slice `[…the other two axes, channel]`, valid during the
 * call only.
 */
function sliceResampler(
  whole: readonly number[],
  wanted: readonly number[],
  channels: number,
  nearestAxis: number | null,
  precision: 'float32' | 'float16',
  axis: number,
  emit: (z: number, values: Float32Array) => void,
) {
  const order = axisFirst(axis);
  const shape = order.map((a) => whole[a]);
  const target = order.map((a) => wanted[a]);
  const [tz, ty, tx] = order.map((a, i) => taps(shape[i], target[i], a === nearestAxis));
  const [, height, width] = shape;
  const size = height * width * channels;
  const held = new Map<number, Float32Array>();
  const mixed = new Float64Array(size);
  const exact = new Float64Array(target[1] * target[2] * channels);
  const out: Float32Array = new Float32Array(exact.length);
  let next = 0;

  const push: SlabConsumer = (values, from, to) => {
    for (let z = from; z < to; z++) {
      const slice = values.subarray((z - from) * size, (z - from + 1) * size);
      let needed = false;
      while (next < target[0] && tz.high[next] <= z) {
        const first = tz.low[next] === z ? slice : held.get(tz.low[next])!;
        const second = tz.high[next] === z ? slice : held.get(tz.high[next])!;
        if (precision === 'float16') sumOfTaps(first, second, tz.lead[next], tz.rest[next]);
        else separable(first, second, tz.rest[next]);
        if (precision === 'float32') out.set(exact);
        else for (let i = 0; i < out.length; i++) out[i] = toHalf(exact[i]);
        emit(next, out);
        next++;
      }
      for (let o = next; o < target[0] && tz.low[o] <= z; o++) needed = true;
      for (const key of held.keys()) if (next >= target[0] || key < tz.low[next]) held.delete(key);
      if (needed) held.set(z, slice.slice());
    }
  };

  /** One target slice from two source slices: along the depth first, then in the plane. */
  function separable(first: Float32Array, second: Float32Array, rest: number): void {
    let source: Float32Array | Float64Array = first;
    if (rest !== 0) {
      for (let i = 0; i < size; i++) mixed[i] = first[i] * (1 - rest) + second[i] * rest;
      source = mixed;
    }
    let o = 0;
    for (let y = 0; y < target[1]; y++) {
      const upper = ty.low[y] * width;
      const lower = ty.high[y] * width;
      const b = ty.rest[y];
      for (let x = 0; x < target[2]; x++) {
        const a = tx.rest[x];
        const [p, q] = [(upper + tx.low[x]) * channels, (upper + tx.high[x]) * channels];
        if (a === 0 && b === 0) {
          for (let c = 0; c < channels; c++) exact[o++] = source[p + c];
          continue;
        }
        const [r, s] = [(lower + tx.low[x]) * channels, (lower + tx.high[x]) * channels];
        const [w0, w1, w2, w3] = [(1 - b) * (1 - a), (1 - b) * a, b * (1 - a), b * a];
        for (let c = 0; c < channels; c++)
          exact[o++] = source[p + c] * w0 + source[q + c] * w1 + source[r + c] * w2 + source[s + c] * w3;
      }
    }
  }

  /**
   * The same with scipy's order of operations, a product of weights for each of eight neighbours: several times slower, but
   * rounding to half precision meets exact ties, and then the last bit decides.
   */
  function sumOfTaps(first: Float32Array, second: Float32Array, lead: number, rest: number): void {
    exact.fill(0);
    const depths: [Float32Array, number][] =
      rest === 0
        ? [[first, lead]]
        : [
            [first, lead],
            [second, rest],
          ];
    for (const [source, wz] of depths) {
      let o = 0;
      for (let y = 0; y < target[1]; y++)
        for (let x = 0; x < target[2]; x++, o += channels)
          for (let t = 0; t < 4; t++) {
            const wy = t < 2 ? ty.lead[y] : ty.rest[y];
            const wx = t % 2 === 0 ? tx.lead[x] : tx.rest[x];
            if (wy === 0 || wx === 0) continue;
            const row = t < 2 ? ty.low[y] : ty.high[y];
            const i = (row * width + (t % 2 === 0 ? tx.low[x] : tx.high[x])) * channels;
            for (let c = 0; c < channels; c++) exact[o + c] += source[i + c] * wz * wy * wx;
          }
    }
  }

  return {
    push,
    checkComplete() {
      if (next === target[0]) return;
      throw new VoxelbookError('the prediction is not complete', {
        code: 'incomplete',
        path: 'restore',
        given: `${next} of ${target[0]} slices`,
        expected: `all ${shape[0]} slices of the prediction, in order`,
        fix: 'Ask for the result after the last slice.',
      });
    },
  };
}

/** Writes slices of the crop along `axis` into the whole image, axes as in the file. */
function paster(
  geometry: CaseGeometry,
  plan: Pick<Plan, 'transpose_backward'>,
  outputs: Heads,
  keepProbabilities: boolean,
  axis: number,
) {
  const order = axisFirst(axis);
  const before = geometry.shape_before_cropping;
  const [[z0], [y0], [x0]] = order.map((a) => geometry.bbox_used_for_cropping[a]);
  const [, height, width] = order.map((a) => geometry.shape_after_cropping_and_before_resampling[a]);
  const shape = plan.transpose_backward.map((axis) => before[axis]) as [number, number, number];
  // Stride of each of the plan's axes in the file's array.
  const strides = [0, 0, 0];
  let stride = 1;
  for (let k = 2; k >= 0; k--) {
    strides[plan.transpose_backward[k]] = stride;
    stride *= shape[k];
  }
  const [sz, sy, sx] = order.map((a) => strides[a]);
  const { heads, hasRegions } = outputs;
  const labels = labelArray(stride, outputs);
  const all = keepProbabilities ? new Float32Array(stride * heads) : undefined;
  if (all && !hasRegions) for (let i = 0; i < all.length; i += heads) all[i] = 1;
  const each = (z: number, put: (target: number, source: number) => void) => {
    let source = 0;
    for (let y = 0; y < height; y++) {
      let t = (z + z0) * sz + (y + y0) * sy + x0 * sx;
      for (let x = 0; x < width; x++, t += sx) put(t, source++);
    }
  };
  return {
    slice: new Uint16Array(height * width),
    result: { labels, shape, ...(all ? { probabilities: all } : {}) } as Restored,
    labels(z: number, slice: ArrayLike<number>) {
      each(z, (target, source) => {
        labels[target] = slice[source];
      });
    },
    probabilities(z: number, slice: Float32Array) {
      each(z, (target, source) => {
        for (let c = 0; c < heads; c++) all![target * heads + c] = slice[source * heads + c];
      });
    },
  };
}
