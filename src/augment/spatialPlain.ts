// The resampling of spatial.ts voxel by voxel: what runs where the compiled functions do not, and what they are tested against.
import { toHalf } from '../base/float16.js';
import { roundHalfEven } from '../base/numpy/round.js';
import { settled, winner } from '../volume/vote.js';
import { sampleCubic } from './cubic.js';
import { type Planes, voxels } from './sample.js';

type Offsets = readonly Float32Array[] | null;

/** What of a draw says how places are read. */
export interface Reading {
  /** `[depth, height, width]` of what is read. */
  patchSize: readonly [number, number, number];
  inPlane: boolean;
  interpolation: 'nearest' | 'linear' | 'cubic';
  /** Default `linear`. */
  labels?: 'linear' | 'nearest';
}

/**
 * The patch of a sample; new arrays.
 * @param matrix row-major 3×3
 * @param offsets displacement of every voxel along each axis
 */
export function resample(draw: Reading, sample: Planes, matrix: readonly number[], offsets: Offsets): Planes {
  const shape: [number, number, number] = [...draw.patchSize];
  const places = sampleCoordinates(shape, sample.shape, matrix, offsets, draw);
  const labels = (map: Int16Array) =>
    draw.labels === 'nearest'
      ? sampleNearest(map, new Int16Array(voxels(shape)), outsideLabel, sample.shape, places)
      : sampleLabels(map, sample.shape, places, draw.inPlane);
  return {
    shape,
    channels: sampleImage(draw, sample, places),
    seg: labels(sample.seg),
    previous: sample.previous && labels(sample.previous),
  };
}

interface Places {
  /** z, y and x one after the other, in input voxels. */
  at: Float32Array | Float64Array;
  /** Some place may lie where neighbours are missing. */
  reachesOutside: boolean;
}

/** Where every output voxel reads the input. */
function sampleCoordinates(
  shape: readonly number[],
  input: readonly number[],
  matrix: readonly number[],
  offsets: Offsets,
  { inPlane, interpolation }: Pick<Reading, 'inPlane' | 'interpolation'>,
): Places {
  if (interpolation === 'cubic') return { at: exactPlaces(shape, input, matrix, offsets), reachesOutside: true };
  const at = singlePlaces(shape, matrix, offsets, inPlane);
  // In plane every slice is read from the slice of the same number, counted from the middle.
  const slice = inPlane ? Math.floor(input[0] / 2) - Math.floor(shape[0] / 2) : null;
  return { at, reachesOutside: toVoxels(at, shape, input, slice) };
}

function exactPlaces(
  shape: readonly number[],
  input: readonly number[],
  [a, b, c, d, e, f, g, h, i]: readonly number[],
  offsets: Offsets,
): Float64Array {
  const out = new Float64Array(3 * voxels(shape));
  const [cz, cy, cx] = input.map((n) => (n - 1) / 2);
  const [oz, oy, ox] = shape.map((n) => (n - 1) / 2);
  let o = 0;
  for (let z = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++)
      for (let x = 0; x < shape[2]; x++, o += 3) {
        const n = o / 3;
        const p = z - oz + (offsets ? offsets[0][n] : 0);
        const q = y - oy + (offsets ? offsets[1][n] : 0);
        const r = x - ox + (offsets ? offsets[2][n] : 0);
        out[o] = a * p + b * q + c * r + cz;
        out[o + 1] = d * p + e * q + f * r + cy;
        out[o + 2] = g * p + h * q + i * r + cx;
      }
  return out;
}

/**
 * A·g for every output voxel g from the middle, in float32, step by step as PyTorch computes it:
 * labels at ties, and values where the image is steep, show the last bit.
 */
function singlePlaces(shape: readonly number[], matrix: readonly number[], offsets: Offsets, inPlane: boolean): Float32Array {
  const at = new Float32Array(3 * voxels(shape));
  const [oz, oy, ox] = shape.map((n) => (n - 1) / 2);
  for (let row = inPlane ? 1 : 0; row < 3; row++) {
    const [a, b, c] = matrix.slice(3 * row, 3 * row + 3).map(Math.fround);
    let o = row;
    let n = 0;
    for (let z = 0; z < shape[0]; z++)
      for (let y = 0; y < shape[1]; y++) {
        const p = z - oz;
        const q = y - oy;
        const plane = Math.fround(Math.fround(a * p) + Math.fround(b * q));
        for (let x = 0; x < shape[2]; x++, o += 3, n++) {
          if (!offsets) at[o] = plane + Math.fround(c * (x - ox));
          else {
            const first = Math.fround(a * Math.fround(p + offsets[0][n]));
            const second = Math.fround(b * Math.fround(q + offsets[1][n]));
            at[o] = Math.fround(first + second) + Math.fround(c * Math.fround(x - ox + offsets[2][n]));
          }
        }
      }
  }
  return at;
}

/**
 * From the middle to voxels in place: p is p/(n/2) on PyTorch's grid, then (grid + 1)·n/2 − ½; in plane it multiplies and adds in one rounding.
 * @param slice in plane: input slice of the first output slice
 * @returns whether neighbours may be missing, as PyTorch's caller judges it: by the largest coordinate of all axes
 */
function toVoxels(at: Float32Array, shape: readonly number[], input: readonly number[], slice: number | null): boolean {
  const [hz, hy, hx] = input.map((n) => Math.fround(n / 2));
  const [depth, height, width] = input;
  const plane = 3 * shape[1] * shape[2];
  let furthest = 0;
  for (let o = 0; o < at.length; o += 3) {
    const gy = Math.fround(at[o + 1] / hy);
    const gx = Math.fround(at[o + 2] / hx);
    furthest = Math.max(furthest, Math.abs(gy), Math.abs(gx));
    if (slice !== null) {
      at[o] = Math.floor(o / plane) + slice;
      at[o + 1] = Math.fround(gy + 1) * hy - 0.5;
      at[o + 2] = Math.fround(gx + 1) * hx - 0.5;
      continue;
    }
    const gz = Math.fround(at[o] / hz);
    furthest = Math.max(furthest, Math.abs(gz));
    at[o] = Math.fround(Math.fround(Math.fround(gz + 1) * depth) - 1) / 2;
    at[o + 1] = Math.fround(Math.fround(Math.fround(gy + 1) * height) - 1) / 2;
    at[o + 2] = Math.fround(Math.fround(Math.fround(gx + 1) * width) - 1) / 2;
  }
  return furthest > Math.min(...input.slice(slice === null ? 0 : 1).map((n) => 1 - 1 / n));
}

/** The neighbours of a place, 4 in plane and 8 else: array index (−1 outside) and float32 weight, in the order PyTorch adds them. */
const tapIndex = new Int32Array(8);
const tapWeight = new Float32Array(8);

function fillIndices([depth, height, width]: readonly number[], z0: number, y0: number, x0: number, count: number): void {
  for (let t = 0; t < count; t++) {
    const [z, y, x] = [z0 + (t >> 2), y0 + ((t >> 1) & 1), x0 + (t & 1)];
    tapIndex[t] = z < 0 || z >= depth || y < 0 || y >= height || x < 0 || x >= width ? -1 : (z * height + y) * width + x;
  }
}

/** Fractions of a place beyond the lower neighbour (`f`) and below the upper (`g`), by axis, to weights. */
function fillWeights(fz: number, gz: number, fy: number, gy: number, fx: number, gx: number, count: number): void {
  const w0 = Math.fround(gx * gy);
  const w1 = Math.fround(fx * gy);
  const w2 = Math.fround(gx * fy);
  const w3 = Math.fround(fx * fy);
  tapWeight[0] = w0 * gz;
  tapWeight[1] = w1 * gz;
  tapWeight[2] = w2 * gz;
  tapWeight[3] = w3 * gz;
  if (count === 4) return;
  tapWeight[4] = w0 * fz;
  tapWeight[5] = w1 * fz;
  tapWeight[6] = w2 * fz;
  tapWeight[7] = w3 * fz;
}

function sampleImage({ interpolation, inPlane, patchSize }: Reading, sample: Planes, places: Places): Float32Array[] {
  const { channels, shape } = sample;
  if (interpolation === 'cubic') return sampleCubic(channels, shape, places.at, inPlane ? [1, 2] : [0, 1, 2]);
  if (interpolation === 'linear') return sampleLinear(channels, shape, places, inPlane);
  return channels.map((plane) => sampleNearest(plane, new Float32Array(voxels(patchSize)), 0, shape, places));
}

/** The nearest voxel of every place, halves to the even one; `outside` where there is none. */
function sampleNearest<A extends Float32Array | Int16Array>(
  source: A,
  out: A,
  outside: number,
  [depth, height, width]: readonly number[],
  { at }: Places,
): A {
  for (let o = 0, k = 0; o < out.length; o++, k += 3) {
    const [z, y, x] = [roundHalfEven(at[k]), roundHalfEven(at[k + 1]), roundHalfEven(at[k + 2])];
    const inside = z >= 0 && z < depth && y >= 0 && y < height && x >= 0 && x < width;
    out[o] = inside ? source[(z * height + y) * width + x] : outside;
  }
  return out;
}

/** Linear interpolation of every plane, 0 outside; in float32. */
function sampleLinear(
  planes: readonly Float32Array[],
  shape: readonly number[],
  { at }: Places,
  inPlane: boolean,
): Float32Array[] {
  const [depth, height, width] = shape;
  const slice = height * width;
  const n = at.length / 3;
  const count = inPlane ? 4 : 8;
  const out = planes.map(() => new Float32Array(n));
  for (let o = 0, k = 0; o < n; o++, k += 3) {
    const z = at[k];
    const y = at[k + 1];
    const x = at[k + 2];
    const z0 = Math.floor(z);
    const y0 = Math.floor(y);
    const x0 = Math.floor(x);
    if (z0 < -1 || z0 >= depth || y0 < -1 || y0 >= height || x0 < -1 || x0 >= width) continue;
    const fz = Math.fround(z - z0);
    const fy = Math.fround(y - y0);
    const fx = Math.fround(x - x0);
    const gz = Math.fround(z0 + 1 - z);
    const gy = Math.fround(inPlane ? 1 - fy : y0 + 1 - y);
    const gx = Math.fround(inPlane ? 1 - fx : x0 + 1 - x);
    if (z0 >= 0 && y0 >= 0 && x0 >= 0 && y0 < height - 1 && x0 < width - 1 && (inPlane || z0 < depth - 1)) {
      const base = z0 * slice + y0 * width + x0;
      const w0 = Math.fround(gx * gy);
      const w1 = Math.fround(fx * gy);
      const w2 = Math.fround(gx * fy);
      const w3 = Math.fround(fx * fy);
      for (let c = 0; c < planes.length; c++) {
        const p = planes[c];
        if (inPlane) {
          let sum = Math.fround(p[base] * w0);
          sum = Math.fround(sum + p[base + 1] * w1);
          sum = Math.fround(sum + p[base + width] * w2);
          out[c][o] = sum + p[base + width + 1] * w3;
          continue;
        }
        const b = base + slice;
        let sum = Math.fround(p[base] * Math.fround(w0 * gz));
        sum = Math.fround(sum + Math.fround(p[base + 1] * Math.fround(w1 * gz)));
        sum = Math.fround(sum + Math.fround(p[base + width] * Math.fround(w2 * gz)));
        sum = Math.fround(sum + Math.fround(p[base + width + 1] * Math.fround(w3 * gz)));
        sum = Math.fround(sum + Math.fround(p[b] * Math.fround(w0 * fz)));
        sum = Math.fround(sum + Math.fround(p[b + 1] * Math.fround(w1 * fz)));
        sum = Math.fround(sum + Math.fround(p[b + width] * Math.fround(w2 * fz)));
        out[c][o] = Math.fround(sum + Math.fround(p[b + width + 1] * Math.fround(w3 * fz)));
      }
      continue;
    }
    fillIndices(shape, z0, y0, x0, count);
    fillWeights(fz, gz, fy, gy, fx, gx, count);
    for (let c = 0; c < planes.length; c++) {
      let sum = 0;
      for (let t = 0; t < count; t++) {
        if (tapIndex[t] < 0) continue;
        const term = planes[c][tapIndex[t]] * tapWeight[t];
        sum = Math.fround(sum + (inPlane ? term : Math.fround(term)));
      }
      out[c][o] = sum;
    }
  }
  return out;
}

/** Label of what lies outside. */
const outsideLabel = -1;
const tapLabel = new Int16Array(8);
const known = new Int16Array(9);
const score = new Float64Array(9);

/**
 * The label with the largest linear weight. Weights ×1000 are rounded to half precision as nnU-Net's are, so ties occur:
 * the nearest voxel's label wins if it is among the tied, else the smallest.
 */
function sampleLabels(labels: Int16Array, shape: readonly number[], places: Places, inPlane: boolean): Int16Array {
  const { at, reachesOutside } = places;
  const [depth, height, width] = shape;
  const slice = height * width;
  const n = at.length / 3;
  const count = inPlane ? 4 : 8;
  const out = new Int16Array(n);
  const pair = pairs(labels, inPlane ? slice : labels.length, reachesOutside);
  for (let o = 0, k = 0; o < n; o++, k += 3) {
    const z = at[k];
    const y = at[k + 1];
    const x = at[k + 2];
    const z0 = Math.floor(z);
    const y0 = Math.floor(y);
    const x0 = Math.floor(x);
    if (z0 >= 0 && y0 >= 0 && x0 >= 0 && y0 < height - 1 && x0 < width - 1 && (inPlane || z0 < depth - 1)) {
      const i = z0 * slice + y0 * width + x0;
      const j = inPlane ? i : i + slice;
      const l = labels[i];
      if (
        labels[i + 1] === l &&
        labels[i + width] === l &&
        labels[i + width + 1] === l &&
        labels[j] === l &&
        labels[j + 1] === l &&
        labels[j + width] === l &&
        labels[j + width + 1] === l
      ) {
        out[o] = l;
        continue;
      }
    }
    if (z0 < -1 || z0 >= depth || y0 < -1 || y0 >= height || x0 < -1 || x0 >= width) {
      out[o] = outsideLabel;
      continue;
    }
    fillIndices(shape, z0, y0, x0, count);
    const fy = Math.fround(y - y0);
    const fx = Math.fround(x - x0);
    if (inPlane) fillWeights(0, 1, fy, Math.fround(1 - fy), fx, Math.fround(1 - fx), count);
    else {
      const fz = Math.fround(z - z0);
      fillWeights(fz, Math.fround(z0 + 1 - z), fy, Math.fround(y0 + 1 - y), fx, Math.fround(x0 + 1 - x), count);
    }
    for (let t = 0; t < count; t++) tapLabel[t] = tapIndex[t] < 0 ? outsideLabel : labels[tapIndex[t]];
    const found = fillScores(inPlane, reachesOutside);
    const two = pair[inPlane ? z0 : 0];
    const label = two ? larger(two, found) : winner(known, score, found);
    // Of two labels the nearest one is always among the tied.
    const tie = () => nearestLabel(labels, shape, z, y, x);
    out[o] = label ?? (two ? tie() : settled(known, score, found, tie()));
  }
  return out;
}

/** Scores of the labels around a place, ×1000, summed in float32 and rounded to half precision; returns their number. */
function fillScores(inPlane: boolean, reachesOutside: boolean): number {
  const f = Math.fround;
  const count = inPlane ? 4 : 8;
  let found = 0;
  if (reachesOutside) known[found++] = outsideLabel;
  for (let t = 0; t < count; t++) {
    let j = 0;
    while (j < found && known[j] !== tapLabel[t]) j++;
    if (j === found) known[found++] = tapLabel[t];
  }
  for (let j = 0; j < found; j++) {
    // What is missing outside counts for the outside's label: its score is 1000 less what the others take.
    const rest = reachesOutside && known[j] === outsideLabel;
    let sum = 0;
    for (let t = 0; t < count; t++)
      if (tapIndex[t] >= 0 && (tapLabel[t] === known[j]) !== rest) {
        const term = (rest ? -1000 : 1000) * tapWeight[t];
        sum = f(sum + (inPlane ? term : f(term)));
      }
    score[j] = toHalf(rest ? f(sum + 1000) : sum);
  }
  return found;
}

/** Of two labels in all, the larger one's score decides alone; null at one half. */
function larger([low, high]: readonly [number, number], found: number): number | null {
  let own = 0;
  for (let j = 0; j < found; j++) if (known[j] === high) own = score[j];
  if (own === 500) return null;
  return own > 500 ? high : low;
}

/** The two labels of every piece of the map (a slice, or all of it) that has exactly two, the outside counted where it is reached. */
function pairs(labels: Int16Array, piece: number, reachesOutside: boolean): (readonly [number, number] | null)[] {
  const found: (readonly [number, number] | null)[] = [];
  for (let start = 0; start < labels.length; start += piece) {
    const distinct = new Set<number>(reachesOutside ? [outsideLabel] : []);
    for (let i = start; i < start + piece && distinct.size < 3; i++)
      if (i === start || labels[i] !== labels[i - 1]) distinct.add(labels[i]);
    const [a, b] = distinct;
    found.push(distinct.size === 2 ? [Math.min(a, b), Math.max(a, b)] : null);
  }
  return found;
}

function nearestLabel(labels: Int16Array, [depth, height, width]: readonly number[], z: number, y: number, x: number): number {
  const [iz, iy, ix] = [roundHalfEven(z), roundHalfEven(y), roundHalfEven(x)];
  if (iz < 0 || iz >= depth || iy < 0 || iy >= height || ix < 0 || ix >= width) return outsideLabel;
  return labels[(iz * height + iy) * width + ix];
}
