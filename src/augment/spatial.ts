// Rotation, scaling and elastic deformation in one resampling, cut to the network's patch (batchgeneratorsv2 `SpatialTransform`).
//
// An output voxel at g (from the middle of the patch) reads the input at A·(g + offset), from the middle of the input.
// Image: linear (nnU-Net v2) or cubic (v1), 0 outside. Labels: the label with the largest linear weight, outside counts as label -1.

import { toHalf } from '../base/float16.js';
import type { Random } from '../base/random.js';
import { sampleCubic } from './cubic.js';
import { elasticOffsets } from './elastic.js';
import { type Planes, voxels } from './sample.js';

export interface SpatialSettings {
  /** Three sides, 1 first for 2-D. */
  patchSize: readonly [number, number, number];
  /** 2-D patches, and slices of anisotropic ones, turn about the first axis only and scale in their plane. */
  inPlane: boolean;
  rotation: { probability: number; limit: number };
  scale: {
    probability: number;
    range: readonly [number, number];
    /** Below and above 1 with probability one half each (nnU-Net v1); plain uniform otherwise. */
    balanced: boolean;
    /** With this probability each axis has a factor of its own. */
    perAxis: number;
  };
  /** Of the image; nnU-Net v2 linear, v1 cubic. Labels are linear in both. */
  interpolation: 'linear' | 'cubic';
  /** `range`: smoothness as a fraction of the patch. */
  elastic?: { probability: number; range: readonly [number, number] };
}

/** Angles in radians about axes 0, 1, 2 (in plane: only the last is used, as nnU-Net does); null = not drawn. */
export interface SpatialDraw {
  transform: 'spatial';
  patchSize: readonly [number, number, number];
  inPlane: boolean;
  angles: number[] | null;
  interpolation: 'linear' | 'cubic';
  /** One factor an axis; above 1 shows more of the image. */
  scale: number[] | null;
  elastic: { sigmas: number[]; magnitudes: number[]; seed: number } | null;
}

export function drawSpatial(
  random: Random,
  { patchSize, inPlane, interpolation, rotation, scale, elastic }: SpatialSettings,
): SpatialDraw {
  const axes = inPlane ? [1, 2] : [0, 1, 2];
  const draw: SpatialDraw = { transform: 'spatial', patchSize, inPlane, interpolation, angles: null, scale: null, elastic: null };
  if (elastic && random.chance(elastic.probability)) {
    const smoothness = random.uniform(...elastic.range);
    const sigmas = patchSize.map((side) => smoothness * side);
    // Magnitude follows the smoothness: a small one does not show, a larger one folds the image over itself.
    const magnitudes = sigmas.map((sigma, axis) => (axes.includes(axis) ? random.uniform(sigma / 8, sigma / 2) : 0));
    draw.elastic = { sigmas, magnitudes, seed: random.bits() };
  }
  if (random.chance(rotation.probability)) draw.angles = axes.map(() => random.uniform(-rotation.limit, rotation.limit));
  if (random.chance(scale.probability)) {
    const factor = () => (scale.balanced ? balanced(random, scale.range) : random.uniform(...scale.range));
    const own = random.chance(scale.perAxis);
    const one = factor();
    draw.scale = axes.map(() => (own ? factor() : one));
  }
  return draw;
}

/** Half of the draws below 1, half above (batchgenerators' contrast, gamma and v1 scale ranges; `BGContrast` in v2). */
export function balanced(random: Random, [low, high]: readonly [number, number]): number {
  return random.chance(0.5) && low < 1 ? random.uniform(low, 1) : random.uniform(Math.max(low, 1), high);
}

/** Row-major 3×3 matrix of a draw: Rz·Ry·Rx·scale; in plane a turn by the last angle. */
export function affineMatrix({ angles, scale, inPlane }: Pick<SpatialDraw, 'angles' | 'scale' | 'inPlane'>): number[] {
  if (inPlane) {
    const angle = angles?.at(-1) ?? 0;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = scale ?? [1, 1];
    return [1, 0, 0, 0, c * a, -s * b, 0, s * a, c * b];
  }
  const [x, y, z] = angles ?? [0, 0, 0];
  const [a, b, c] = scale ?? [1, 1, 1];
  const rx = [1, 0, 0, 0, Math.cos(x), -Math.sin(x), 0, Math.sin(x), Math.cos(x)];
  const ry = [Math.cos(y), 0, Math.sin(y), 0, 1, 0, -Math.sin(y), 0, Math.cos(y)];
  const rz = [Math.cos(z), -Math.sin(z), 0, Math.sin(z), Math.cos(z), 0, 0, 0, 1];
  return product(product(product(rz, ry), rx), [a, 0, 0, 0, b, 0, 0, 0, c]);
}

const product = (a: readonly number[], b: readonly number[]) =>
  Array.from({ length: 9 }, (_, i) => {
    const [row, column] = [Math.floor(i / 3) * 3, i % 3];
    return a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6];
  });

/** The patch of a draw; new arrays. Without rotation, scaling and deformation the middle is cut out as it is. */
export function applySpatial(draw: SpatialDraw, sample: Planes): Planes {
  const shape: [number, number, number] = [...draw.patchSize];
  if (!draw.angles && !draw.scale && !draw.elastic) return centreCrop(sample, shape);
  const matrix = affineMatrix(draw);
  const coordinates = sampleCoordinates(shape, sample.shape, matrix, draw.elastic);
  return {
    shape,
    channels:
      draw.interpolation === 'cubic'
        ? sampleCubic(sample.channels, sample.shape, coordinates, draw.inPlane ? [1, 2] : [0, 1, 2])
        : sampleLinear(sample.channels, sample.shape, coordinates),
    seg: sampleLabels(sample.seg, sample.shape, coordinates),
    previous: sample.previous && sampleLabels(sample.previous, sample.shape, coordinates),
  };
}

function centreCrop(sample: Planes, shape: [number, number, number]): Planes {
  const start = shape.map((side, axis) => Math.floor(sample.shape[axis] / 2) - Math.floor(side / 2));
  const crop = <A extends Float32Array | Int16Array>(source: A, out: A): A => {
    const [depth, height, width] = sample.shape;
    const from = Math.max(start[2], 0);
    const to = Math.min(start[2] + shape[2], width);
    for (let z = 0; z < shape[0]; z++)
      for (let y = 0; y < shape[1]; y++) {
        const [sz, sy] = [z + start[0], y + start[1]];
        if (sz < 0 || sz >= depth || sy < 0 || sy >= height || to <= from) continue;
        const row = (sz * height + sy) * width;
        out.set(source.subarray(row + from, row + to) as never, (z * shape[1] + y) * shape[2] + from - start[2]);
      }
    return out;
  };
  const n = voxels(shape);
  return {
    shape,
    channels: sample.channels.map((plane) => crop(plane, new Float32Array(n))),
    seg: crop(sample.seg, new Int16Array(n).fill(-1)),
    previous: sample.previous && crop(sample.previous, new Int16Array(n).fill(-1)),
  };
}

/** Where every output voxel reads the input: z, y and x one after the other, in input voxels. */
function sampleCoordinates(
  shape: readonly number[],
  input: readonly number[],
  [a, b, c, d, e, f, g, h, i]: readonly number[],
  elastic: SpatialDraw['elastic'],
): Float64Array {
  const out = new Float64Array(3 * voxels(shape));
  const offsets = elastic && elasticOffsets(shape, elastic.sigmas, elastic.magnitudes, elastic.seed);
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

/** Linear interpolation of every plane, 0 outside. */
function sampleLinear(planes: readonly Float32Array[], shape: readonly number[], at: Float64Array): Float32Array[] {
  const [depth, height, width] = shape;
  const n = at.length / 3;
  const slice = height * width;
  const out = planes.map(() => new Float32Array(n));
  for (let o = 0, k = 0; o < n; o++, k += 3) {
    const [z, y, x] = [at[k], at[k + 1], at[k + 2]];
    if (z <= -1 || z >= depth || y <= -1 || y >= height || x <= -1 || x >= width) continue;
    const [z0, y0, x0] = [Math.floor(z), Math.floor(y), Math.floor(x)];
    const [fz, fy, fx] = [z - z0, y - y0, x - x0];
    const [gz, gy, gx] = [1 - fz, 1 - fy, 1 - fx];
    const base = z0 * slice + y0 * width + x0;
    if (z0 >= 0 && y0 >= 0 && x0 >= 0 && y0 < height - 1 && x0 < width - 1 && (z0 < depth - 1 || fz === 0)) {
      const [w0, w1, w2, w3] = [gy * gx, gy * fx, fy * gx, fy * fx];
      for (let c = 0; c < planes.length; c++) {
        const p = planes[c];
        const near = p[base] * w0 + p[base + 1] * w1 + p[base + width] * w2 + p[base + width + 1] * w3;
        if (fz === 0) out[c][o] = near;
        else {
          const b = base + slice;
          out[c][o] = near * gz + (p[b] * w0 + p[b + 1] * w1 + p[b + width] * w2 + p[b + width + 1] * w3) * fz;
        }
      }
      continue;
    }
    for (let t = 0; t < 8; t++) {
      const [dz, dy, dx] = [t >> 2, (t >> 1) & 1, t & 1];
      const w = (dz ? fz : gz) * (dy ? fy : gy) * (dx ? fx : gx);
      if (w === 0 || z0 + dz < 0 || z0 + dz >= depth || y0 + dy < 0 || y0 + dy >= height || x0 + dx < 0 || x0 + dx >= width)
        continue;
      const i = base + dz * slice + dy * width + dx;
      for (let c = 0; c < planes.length; c++) out[c][o] += planes[c][i] * w;
    }
  }
  return out;
}

const tapLabel = new Int16Array(8);
const tapWeight = new Float64Array(8);

/**
 * The label with the largest linear weight. Weights ×1000 are rounded to half precision as nnU-Net's are, so ties occur:
 * the nearest voxel's label wins if it is among the tied, else the smallest.
 */
function sampleLabels(labels: Int16Array, shape: readonly number[], at: Float64Array): Int16Array {
  const [depth, height, width] = shape;
  const slice = height * width;
  const n = at.length / 3;
  const out = new Int16Array(n).fill(-1);
  for (let o = 0, k = 0; o < n; o++, k += 3) {
    const [z, y, x] = [at[k], at[k + 1], at[k + 2]];
    if (z <= -1 || z >= depth || y <= -1 || y >= height || x <= -1 || x >= width) continue;
    const [z0, y0, x0] = [Math.floor(z), Math.floor(y), Math.floor(x)];
    const base = z0 * slice + y0 * width + x0;
    const inner = z0 >= 0 && y0 >= 0 && x0 >= 0 && y0 < height - 1 && x0 < width - 1;
    if (inner && z0 < depth - 1) {
      const l = labels[base];
      if (
        labels[base + 1] === l &&
        labels[base + width] === l &&
        labels[base + width + 1] === l &&
        labels[base + slice] === l &&
        labels[base + slice + 1] === l &&
        labels[base + slice + width] === l &&
        labels[base + slice + width + 1] === l
      ) {
        out[o] = l;
        continue;
      }
    }
    const [fz, fy, fx] = [z - z0, y - y0, x - x0];
    let found = 0;
    for (let t = 0; t < 8; t++) {
      const [dz, dy, dx] = [t >> 2, (t >> 1) & 1, t & 1];
      const w = (dz ? fz : 1 - fz) * (dy ? fy : 1 - fy) * (dx ? fx : 1 - fx);
      if (w === 0) continue;
      const outside = z0 + dz < 0 || z0 + dz >= depth || y0 + dy < 0 || y0 + dy >= height || x0 + dx < 0 || x0 + dx >= width;
      const label = outside ? -1 : labels[base + dz * slice + dy * width + dx];
      let j = 0;
      while (j < found && tapLabel[j] !== label) j++;
      if (j === found) {
        tapLabel[found] = label;
        tapWeight[found++] = 0;
      }
      tapWeight[j] += w;
    }
    let best = Number.NEGATIVE_INFINITY;
    for (let j = 0; j < found; j++) {
      tapWeight[j] = toHalf(Math.fround(tapWeight[j] * 1000));
      best = Math.max(best, tapWeight[j]);
    }
    const nearest = nearestLabel(labels, shape, z, y, x);
    let label = Number.POSITIVE_INFINITY;
    for (let j = 0; j < found; j++)
      if (tapWeight[j] === best) {
        if (tapLabel[j] === nearest) {
          label = nearest;
          break;
        }
        label = Math.min(label, tapLabel[j]);
      }
    out[o] = label;
  }
  return out;
}

function nearestLabel(labels: Int16Array, [depth, height, width]: readonly number[], z: number, y: number, x: number): number {
  const [iz, iy, ix] = [Math.round(z), Math.round(y), Math.round(x)];
  if (iz < 0 || iz >= depth || iy < 0 || iy >= height || ix < 0 || ix >= width) return -1;
  return labels[(iz * height + iy) * width + ix];
}
