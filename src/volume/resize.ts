// Resizing a 2-D or 3-D grid: nearest (0), linear (1) and cubic B-spline (3), as scikit-image's `resize` (mode edge, no anti-aliasing, clip).
//
// Half-pixel centres. All three are separable, so each axis is one pass over lines; the cubic kernel is a recursive prefilter
// (z = √3 − 2) on the line with 12 edge values on each side, then four taps. Everything in float64.
// An axis that keeps its length is left alone: the spline goes through the samples.

import { toHalf } from '../base/float16.js';
import { cubicWeights, splineFilter } from './spline.js';
import { settled, winner } from './vote.js';

/** Samples a line of length n at N places. `taps` rows of `count` indices and weights per output. */
interface Taps {
  count: number;
  index: Int32Array;
  weight: Float64Array;
  /** Length of the line the indices refer to: n, or n + 24 for cubic. */
  length: number;
}

const pad = 12;

/** Where output o of N samples a line of n: half-pixel centres. */
const centre = (o: number, n: number, N: number) => (o + 0.5) * (n / N) - 0.5;
const clamp = (x: number, low: number, high: number) => (x < low ? low : Math.min(x, high));

/** Input index of every output for order 0. */
export function nearestIndices(n: number, N: number): Int32Array {
  return Int32Array.from({ length: N }, (_, o) => Math.floor(clamp(centre(o, n, N), 0, n - 1) + 0.5));
}

/**
 * Taps of order 1: the two neighbours, at an edge twice the edge voxel.
 * The weights are 1−x and 1−(1−x), also beyond the edge: scipy's roundings, which decide ties between labels.
 */
export function linearTaps(n: number, N: number): Taps {
  const index = new Int32Array(2 * N);
  const weight = new Float64Array(2 * N);
  for (let o = 0; o < N; o++) {
    const c = centre(o, n, N);
    const i = Math.floor(c);
    index[2 * o] = clamp(i, 0, n - 1);
    index[2 * o + 1] = clamp(i + 1, 0, n - 1);
    weight[2 * o] = 1 - (c - i);
    weight[2 * o + 1] = 1 - weight[2 * o];
  }
  return { count: 2, index, weight, length: n };
}

function cubicTaps(n: number, N: number): Taps {
  const length = n + 2 * pad;
  const index = new Int32Array(4 * N);
  const weight = new Float64Array(4 * N);
  for (let o = 0; o < N; o++) {
    const c = clamp(centre(o, n, N) + pad, 0, length - 1);
    const i = Math.floor(c);
    for (let k = 0; k < 4; k++) index[4 * o + k] = clamp(i - 1 + k, 0, length - 1);
    cubicWeights(c - i, weight, 4 * o);
  }
  return { count: 4, index, weight, length };
}

/**
 * Resizes values.
 * @param data any numbers, C order
 * @param clip to the range of the input, as scikit-image does; false lets the cubic overshoot, as scipy's `map_coordinates` does
 * @returns float64, C order
 */
export function resizeValues(
  data: ArrayLike<number>,
  shape: readonly number[],
  newShape: readonly number[],
  order: 0 | 1 | 3,
  clip = true,
): Float64Array {
  if (order === 0) return nearest(data, shape, newShape);
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (v < low) low = v;
    if (v > high) high = v;
  }
  let current = data;
  const size = [...shape];
  // Shrinking axes first: fewer lines for the rest.
  const axes = shape.map((_, a) => a).filter((a) => shape[a] !== newShape[a]);
  axes.sort((a, b) => newShape[a] / shape[a] - newShape[b] / shape[b]);
  for (const axis of axes) {
    current = resizeAxis(current, size, axis, newShape[axis], order);
    size[axis] = newShape[axis];
  }
  if (axes.length === 0) return Float64Array.from(data);
  const out = current as Float64Array;
  if (order === 3 && clip) for (let i = 0; i < out.length; i++) out[i] = clamp(out[i], low, high);
  return out;
}

/** Columns handled together, so that a block of lines stays in the cache. */
const blockColumns = 32;

function resizeAxis(data: ArrayLike<number>, shape: readonly number[], axis: number, N: number, order: 1 | 3): Float64Array {
  const n = shape[axis];
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const taps = order === 3 ? cubicTaps(n, N) : linearTaps(n, N);
  const out = new Float64Array(outer * N * inner);
  const margin = order === 3 ? pad : 0;
  const scratch = new Float64Array(taps.length * blockColumns);
  // Lines are columns of the scratch block: neighbours in memory for inner > 1, neighbouring rows for the innermost axis.
  const columnsOf = inner > 1 ? inner : outer;
  const sheets = inner > 1 ? outer : 1;
  const inColumn = inner > 1 ? 1 : n;
  const outColumn = inner > 1 ? 1 : N;
  for (let sheet = 0; sheet < sheets; sheet++) {
    for (let first = 0; first < columnsOf; first += blockColumns) {
      const width = Math.min(blockColumns, columnsOf - first);
      const from = sheet * n * inner + first * inColumn;
      for (let c = 0; c < width; c++)
        for (let i = 0, at = from + c * inColumn, to = margin * width + c; i < n; i++, at += inner, to += width)
          scratch[to] = data[at];
      if (order === 3) {
        spreadEdges(scratch, n, width);
        splineFilter(scratch, taps.length, width, 'reflect');
      }
      const to = sheet * N * inner + first * outColumn;
      if (order === 3) evaluateCubic(scratch, width, taps, out, to, N, inner, outColumn);
      else evaluateLinear(scratch, width, taps, out, to, N, inner, outColumn);
    }
  }
  return out;
}

/** Fills the 12 rows before and after with the first and last row. */
function spreadEdges(rows: Float64Array, n: number, width: number): void {
  for (let r = 0; r < pad; r++) {
    rows.copyWithin(r * width, pad * width, (pad + 1) * width);
    rows.copyWithin((pad + n + r) * width, (pad + n - 1) * width, (pad + n) * width);
  }
}

function evaluateCubic(
  rows: Float64Array,
  width: number,
  taps: Taps,
  out: Float64Array,
  to: number,
  N: number,
  inner: number,
  outColumn: number,
): void {
  const { index, weight } = taps;
  for (let o = 0; o < N; o++) {
    const k = 4 * o;
    const [a, b, c, d] = [index[k] * width, index[k + 1] * width, index[k + 2] * width, index[k + 3] * width];
    const [wa, wb, wc, wd] = [weight[k], weight[k + 1], weight[k + 2], weight[k + 3]];
    for (let i = 0, at = to + o * inner; i < width; i++, at += outColumn)
      out[at] = rows[a + i] * wa + rows[b + i] * wb + rows[c + i] * wc + rows[d + i] * wd;
  }
}

function evaluateLinear(
  rows: Float64Array,
  width: number,
  taps: Taps,
  out: Float64Array,
  to: number,
  N: number,
  inner: number,
  outColumn: number,
): void {
  const { index, weight } = taps;
  for (let o = 0; o < N; o++) {
    const k = 2 * o;
    const [a, b] = [index[k] * width, index[k + 1] * width];
    const [wa, wb] = [weight[k], weight[k + 1]];
    for (let i = 0, at = to + o * inner; i < width; i++, at += outColumn) out[at] = rows[a + i] * wa + rows[b + i] * wb;
  }
}

/** Grid of any rank up to 3 as `[d, h, w]`. */
const three = (shape: readonly number[]) => [...new Array<number>(3 - shape.length).fill(1), ...shape];

function nearest(data: ArrayLike<number>, shape: readonly number[], newShape: readonly number[]): Float64Array {
  const [from, to] = [three(shape), three(newShape)];
  const [iz, iy, ix] = from.map((n, a) => nearestIndices(n, to[a]));
  const out = new Float64Array(to[0] * to[1] * to[2]);
  let at = 0;
  for (const z of iz)
    for (const y of iy) {
      const row = (z * from[1] + y) * from[2];
      for (let x = 0; x < ix.length; x++) out[at++] = data[row + ix[x]];
    }
  return out;
}

/**
 * Resizes labels: each label's 0/1 mask is resized, the largest score wins; exact ties go to the nearest label if it is among them,
 * else to the smallest.
 * Source: batchgenerators ≥ 0.25.5 `resize_segmentation`. (Before, the last label with a score of at least 0.5 won; published models saw that.)
 */
export function resizeLabels(
  data: Int16Array,
  shape: readonly number[],
  newShape: readonly number[],
  order: 0 | 1 | 3,
): Int16Array {
  if (order === 0) return Int16Array.from(nearest(data, shape, newShape));
  if (order === 3) return cubicLabels(data, shape, newShape);
  return linearLabels(data, three(shape), three(newShape));
}

/** One pass: the up to eight neighbours of an output voxel vote with their weights, summed in scipy's order so that ties are its ties. */
function linearLabels(data: Int16Array, from: number[], to: number[]): Int16Array {
  const [tz, ty, tx] = from.map((n, a) => linearTaps(n, to[a]));
  const [nz, ny, nx] = from.map((n, a) => nearestIndices(n, to[a]));
  const [, h, w] = from;
  const out = new Int16Array(to[0] * to[1] * to[2]);
  const names = new Int16Array(8);
  const scores = new Float64Array(8);
  let at = 0;
  for (let z = 0; z < to[0]; z++)
    for (let y = 0; y < to[1]; y++) {
      const rows = [
        (tz.index[2 * z] * h + ty.index[2 * y]) * w,
        (tz.index[2 * z] * h + ty.index[2 * y + 1]) * w,
        (tz.index[2 * z + 1] * h + ty.index[2 * y]) * w,
        (tz.index[2 * z + 1] * h + ty.index[2 * y + 1]) * w,
      ];
      const [r0, r1, r2, r3] = rows;
      for (let x = 0; x < to[2]; x++) {
        const a = tx.index[2 * x];
        const b = tx.index[2 * x + 1];
        const label = data[r0 + a];
        if (
          label === data[r0 + b] &&
          label === data[r1 + a] &&
          label === data[r1 + b] &&
          label === data[r2 + a] &&
          label === data[r2 + b] &&
          label === data[r3 + a] &&
          label === data[r3 + b]
        ) {
          out[at++] = label;
          continue;
        }
        let known = 0;
        for (let k = 0; k < 8; k++) {
          const value = data[rows[k >> 1] + (k & 1 ? b : a)];
          const score = tz.weight[2 * z + (k >> 2)] * ty.weight[2 * y + ((k >> 1) & 1)] * tx.weight[2 * x + (k & 1)];
          let j = 0;
          while (j < known && names[j] !== value) j++;
          if (j === known) {
            names[known] = value;
            scores[known++] = 0;
          }
          scores[j] += score;
        }
        for (let j = 0; j < known; j++) scores[j] = Math.min(scores[j], 1);
        out[at++] = winner(names, scores, known) ?? settled(names, scores, known, data[(nz[z] * h + ny[y]) * w + nx[x]]);
      }
    }
  return out;
}

function cubicLabels(data: Int16Array, shape: readonly number[], newShape: readonly number[]): Int16Array {
  const labels = [...new Set(data)].sort((a, b) => a - b);
  const nearestLabels = Int16Array.from(nearest(data, shape, newShape));
  const out = new Int16Array(nearestLabels.length).fill(labels[0]);
  const best = new Float64Array(out.length).fill(Number.NEGATIVE_INFINITY);
  const mask = new Uint8Array(data.length);
  for (const label of labels) {
    for (let i = 0; i < data.length; i++) mask[i] = data[i] === label ? 1 : 0;
    const score = cubicScores(mask, shape, newShape);
    for (let i = 0; i < out.length; i++)
      if (score[i] > best[i] || (score[i] === best[i] && label === nearestLabels[i])) {
        best[i] = score[i];
        out[i] = label;
      }
  }
  return out;
}

/** A 0/1 mask by cubic splines, all taps of a voxel in one sum as scipy adds them, so that ties between labels are its ties. */
function cubicScores(mask: Uint8Array, shape: readonly number[], newShape: readonly number[]): Float64Array {
  const from = three(shape).map((n, a) => (a < 3 - shape.length ? n : n + 2 * pad));
  const to = three(newShape);
  const flat = shape.length === 2;
  const [, h, w] = three(shape);
  const [d, H, W] = from;
  const coefficients = new Float64Array(d * H * W);
  const inside = (i: number, n: number) => clamp(i - pad, 0, n - 1);
  let at = 0;
  for (let z = 0; z < d; z++)
    for (let y = 0; y < H; y++) {
      const row = ((flat ? 0 : inside(z, shape[0])) * h + inside(y, h)) * w;
      for (let x = 0; x < W; x++) coefficients[at++] = mask[row + inside(x, w)];
    }
  for (let axis = flat ? 1 : 0; axis < 3; axis++) prefilterAxis(coefficients, from, axis);
  const one: Taps = { count: 1, index: Int32Array.of(0), weight: Float64Array.of(1), length: 1 };
  const [tz, ty, tx] = three(shape).map((n, a) => (flat && a === 0 ? one : cubicTaps(n, to[a])));
  const out = new Float64Array(to[0] * to[1] * to[2]);
  at = 0;
  for (let z = 0; z < to[0]; z++)
    for (let y = 0; y < to[1]; y++)
      for (let x = 0; x < to[2]; x++) {
        let sum = 0;
        for (let i = tz.count * z; i < tz.count * (z + 1); i++)
          for (let j = 4 * y; j < 4 * y + 4; j++) {
            const row = (tz.index[i] * H + ty.index[j]) * W;
            for (let k = 4 * x; k < 4 * x + 4; k++)
              sum += coefficients[row + tx.index[k]] * tz.weight[i] * ty.weight[j] * tx.weight[k];
          }
        out[at++] = clamp(sum, 0, 1);
      }
  return out;
}

/** The prefilter along one axis of a volume that carries its margin. */
function prefilterAxis(data: Float64Array, shape: readonly number[], axis: number): void {
  const n = shape[axis];
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  for (let start = 0; start < data.length; start += n * inner)
    splineFilter(data.subarray(start, start + n * inner), n, inner, 'reflect');
}

/**
 * Labels of order 1 by weight: every label's mask resized linearly, in half precision, and the heaviest taken, the smaller of equals.
 * Source: nnU-Net v2 `resample_torch_simple`.
 */
export function argmaxLabels(data: Int16Array, shape: readonly number[], newShape: readonly number[]): Int16Array {
  const size = newShape.reduce((a, b) => a * b, 1);
  const out = new Int16Array(size);
  const heaviest = new Float32Array(size).fill(-1);
  const mask = new Float32Array(data.length);
  for (const label of [...new Set(data)].sort((a, b) => a - b)) {
    for (let i = 0; i < data.length; i++) mask[i] = data[i] === label ? maskWeight : 0;
    const weight = resizeValues(mask, shape, newShape, 1);
    for (let i = 0; i < size; i++) {
      const half = toHalf(Math.fround(weight[i]));
      if (half > heaviest[i]) [heaviest[i], out[i]] = [half, label];
    }
  }
  return out;
}

/** What a voxel of a mask weighs in nnU-Net. */
const maskWeight = 1000;
