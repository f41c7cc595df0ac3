// Scalar fields on a voxel grid: smooth noise, Gaussian blur, distances. What the simulated data sets are made of.
import type { Random } from '../base/random.js';
import { blurAxis, gaussianTaps } from '../volume/gaussian.js';

/** A scalar on a `[depth, height, width]` grid with isotropic voxels of `mm` (2-D: depth 1). */
export interface Field {
  data: Float32Array;
  shape: [number, number, number];
  mm: number;
}

export const field = (shape: Field['shape'], mm: number): Field => ({
  data: new Float32Array(shape[0] * shape[1] * shape[2]),
  shape,
  mm,
});

/** Gaussian blur, separable, kernel cut at 3 sigma and renormalised at the border. */
export function blur(source: Field, sigmaMm: number): Field {
  const sigma = sigmaMm / source.mm;
  if (sigma <= 0) return source;
  const taps = gaussianTaps(sigma, Math.max(1, Math.ceil(3 * sigma)));
  const data = source.data.slice();
  for (const axis of [2, 1, 0]) if (source.shape[axis] > 1) blurAxis(data, source.shape, axis, taps, 'renormalise');
  return { ...source, data };
}

/** White noise blurred with `sigmaMm` and scaled to mean 0, standard deviation 1. */
export function smoothNoise(shape: Field['shape'], mm: number, sigmaMm: number, random: Random): Field {
  const white = field(shape, mm);
  for (let i = 0; i < white.data.length; i++) white.data[i] = random.normal();
  const smooth = blur(white, sigmaMm);
  let sum = 0;
  let squares = 0;
  for (const v of smooth.data) {
    sum += v;
    squares += v * v;
  }
  const mean = sum / smooth.data.length;
  const sd = Math.sqrt(Math.max(squares / smooth.data.length - mean * mean, 1e-20));
  return { ...smooth, data: smooth.data.map((v) => (v - mean) / sd) };
}

/** Value at a fractional position (voxels, slowest axis first), trilinear; 0 outside the grid. */
export function sample({ data, shape: [d, h, w] }: Field, z: number, y: number, x: number): number {
  if (z < 0 || y < 0 || x < 0 || z > d - 1 || y > h - 1 || x > w - 1) return 0;
  const z0 = Math.min(Math.floor(z), Math.max(d - 2, 0));
  const y0 = Math.min(Math.floor(y), Math.max(h - 2, 0));
  const x0 = Math.min(Math.floor(x), Math.max(w - 2, 0));
  const [fz, fy, fx] = [z - z0, y - y0, x - x0];
  const i = (z0 * h + y0) * w + x0;
  const dz = d > 1 ? h * w : 0;
  const dy = h > 1 ? w : 0;
  const dx = w > 1 ? 1 : 0;
  const at = (o: number) => data[i + o] * (1 - fx) + data[i + o + dx] * fx;
  return (at(0) * (1 - fy) + at(dy) * fy) * (1 - fz) + (at(dz) * (1 - fy) + at(dz + dy) * fy) * fz;
}

/** Distance in mm from each voxel inside `mask` (> 0.5) to its outside, by the (3, 4, 5) chamfer: within 6 % of the Euclidean. */
export function depthInside({ data, shape, mm }: Field): Field {
  const [d, h, w] = shape;
  const out = Float32Array.from(data, (v) => (v > 0.5 ? 1e6 : 0));
  const steps: [number, number, number, number][] = [];
  for (let z = -1; z <= 1; z++)
    for (let y = -1; y <= 1; y++)
      for (let x = -1; x <= 1; x++) {
        const order = Math.abs(z) + Math.abs(y) + Math.abs(x);
        if (order > 0 && (z < 0 || (z === 0 && (y < 0 || (y === 0 && x < 0))))) steps.push([z, y, x, 2 + order]);
      }
  const pass = (sign: 1 | -1) => {
    const n = out.length;
    for (let k = 0; k < n; k++) {
      const i = sign === 1 ? k : n - 1 - k;
      if (out[i] === 0) continue;
      const x = i % w;
      const y = Math.floor(i / w) % h;
      const z = Math.floor(i / (w * h));
      for (const [dz, dy, dx, cost] of steps) {
        const [zz, yy, xx] = [z + sign * dz, y + sign * dy, x + sign * dx];
        const outside = zz < 0 || yy < 0 || xx < 0 || zz >= d || yy >= h || xx >= w;
        const value = (outside ? 0 : out[(zz * h + yy) * w + xx]) + cost;
        if (value < out[i]) out[i] = value;
      }
    }
  };
  pass(1);
  pass(-1);
  return { data: out.map((v) => (v * mm) / 3), shape, mm };
}
