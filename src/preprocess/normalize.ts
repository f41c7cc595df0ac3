// The five intensity normalisations of nnU-Net v2, in place, one channel at a time.
import { VoxelbookError } from '../base/errors.js';
import { boxSum, pairwiseSum } from '../base/numpy/float32Sum.js';
import type { IntensityStatistics } from '../plan/plan.js';
import { transposeAxes } from '../volume/index.js';

export const schemes = [
  'CTNormalization',
  'ZScoreNormalization',
  'RescaleTo01Normalization',
  'RGBTo01Normalization',
  'NoNormalization',
] as const;
export type Scheme = (typeof schemes)[number];

const smallest = 1e-8;

/** How the channel lies in the file: a mean in float32 depends on the order of its sum. */
export interface FileOrder {
  /** Axis of the file for each axis of the channel (the plan's `transpose_forward`). */
  order: readonly number[];
  /** Of the channel, cropped. */
  shape: readonly number[];
  /** Before cropping, the channel's order of axes. */
  shapeBeforeCropping: readonly number[];
}

/**
 * Normalises one channel in place.
 * Source: nnU-Net v2 `default_normalization_schemes`; arithmetic in float32 as there, sums included.
 * @param data one channel
 * @param about `statistics` from the plan (CT only); `useMask` with `seg`: only voxels with seg ≥ 0 count and change (z-score);
 *   `fileOrder` when the channel was cropped or its axes exchanged
 * @throws VoxelbookError for an unknown scheme, and for RGB values outside 0…255
 */
export function normalize(
  data: Float32Array,
  scheme: Scheme,
  about: {
    statistics?: Pick<IntensityStatistics, 'mean' | 'std' | 'percentile_00_5' | 'percentile_99_5'>;
    useMask?: boolean;
    seg?: ArrayLike<number>;
    fileOrder?: FileOrder;
  } = {},
): void {
  switch (scheme) {
    case 'CTNormalization':
      ct(data, about.statistics!);
      return;
    case 'ZScoreNormalization':
      zScore(data, about.useMask ? about.seg : undefined, about.fileOrder);
      return;
    case 'RescaleTo01Normalization':
      rescale(data);
      return;
    case 'RGBTo01Normalization':
      rgb(data);
      return;
    case 'NoNormalization':
      return;
    default:
      throw new VoxelbookError('this channel cannot be normalised', {
        code: 'normalization',
        path: 'normalization_schemes',
        given: String(scheme),
        expected: `one of ${schemes.join(', ')}`,
        fix: 'Correct the plan.',
      });
  }
}

function ct(
  data: Float32Array,
  statistics: { mean: number; std: number; percentile_00_5: number; percentile_99_5: number },
): void {
  const low = Math.fround(statistics.percentile_00_5);
  const high = Math.fround(statistics.percentile_99_5);
  const mean = Math.fround(statistics.mean);
  const sd = Math.fround(Math.max(statistics.std, smallest));
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    data[i] = Math.fround((v < low ? low : Math.min(v, high)) - mean) / sd;
  }
}

function zScore(data: Float32Array, seg: ArrayLike<number> | undefined, fileOrder: FileOrder | undefined): void {
  const counted = seg ? within(data, seg) : fileOrder ? inFileOrder(data, fileOrder) : data.slice();
  const n = counted.length;
  if (n === 0) return;
  const sum = seg || !fileOrder ? pairwiseSum(counted) : boxSum(counted, ...shapesInFile(fileOrder));
  const mean = Math.fround(sum / n);
  for (let i = 0; i < n; i++) {
    const away = Math.fround(counted[i] - mean);
    counted[i] = away * away;
  }
  const sd = Math.fround(Math.max(Math.fround(Math.sqrt(Math.fround(pairwiseSum(counted) / n))), smallest));
  for (let i = 0; i < data.length; i++) if (!seg || seg[i] >= 0) data[i] = Math.fround(data[i] - mean) / sd;
}

/** The values of voxels inside the mask, in order. */
function within(data: Float32Array, seg: ArrayLike<number>): Float32Array {
  const out = new Float32Array(data.length);
  let n = 0;
  for (let i = 0; i < data.length; i++) if (seg[i] >= 0) out[n++] = data[i];
  return out.subarray(0, n);
}

/** Shapes of the cropped and of the whole channel in the file's order of axes. */
function shapesInFile({ order, shape, shapeBeforeCropping }: FileOrder): [number[], number[]] {
  const places = order.map((_, axis) => order.indexOf(axis));
  return [places.map((i) => shape[i]), places.map((i) => shapeBeforeCropping[i])];
}

function inFileOrder(data: Float32Array, { order, shape }: FileOrder): Float32Array {
  return transposeAxes(
    data,
    shape as [number, number, number],
    1,
    order.map((_, axis) => order.indexOf(axis)),
  ).slice();
}

function rescale(data: Float32Array): void {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < low) low = data[i];
    if (data[i] > high) high = data[i];
  }
  const range = Math.fround(Math.max(Math.fround(high - low), smallest));
  for (let i = 0; i < data.length; i++) data[i] = Math.fround(data[i] - low) / range;
}

function rgb(data: Float32Array): void {
  let low = 0;
  let high = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < low) low = data[i];
    if (data[i] > high) high = data[i];
  }
  if (low < 0 || high > 255)
    throw new VoxelbookError('this channel is no RGB picture', {
      code: 'rgb-range',
      path: 'RGBTo01Normalization',
      given: `values from ${low} to ${high}`,
      expected: 'values from 0 to 255',
      fix: 'Use zscore or rescale_to_0_1 as the channel name.',
    });
  for (let i = 0; i < data.length; i++) data[i] /= 255;
}
