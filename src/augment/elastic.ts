// A smooth random displacement of every voxel (batchgenerators `elastic_deform_coordinates_2`).
//
// White noise smoothed with sigma has no detail finer than sigma, so it is drawn and smoothed on a grid of sigma / 2 and read off linearly:
// the same fields in distribution, at a fraction of the work.
import { nativeFunctions } from '../base/native/load.js';
import { Random } from '../base/random.js';
import { blurAxis, gaussianTaps } from '../volume/gaussian.js';
import { voxels } from './sample.js';

/**
 * Displacement along each axis in voxels.
 * @param sigmas smoothness along each axis, voxels
 * @param magnitudes largest displacement along each axis, voxels
 * @returns three fields of `shape`
 */
export function elasticOffsets(
  shape: readonly number[],
  sigmas: readonly number[],
  magnitudes: readonly number[],
  seed: number,
): Float32Array[] {
  const random = new Random(seed);
  return magnitudes.map((magnitude, axis) => field(shape, sigmas, magnitude, random.split(axis)));
}

function field(shape: readonly number[], sigmas: readonly number[], magnitude: number, random: Random): Float32Array {
  const n = voxels(shape);
  if (magnitude === 0) return new Float32Array(n);
  const step = sigmas.map((sigma) => Math.max(1, sigma / 2));
  const coarse = shape.map((side, axis) => Math.ceil((side - 1) / step[axis]) + 1);
  const grid = random.uniforms(voxels(coarse), -1, 1);
  for (let axis = 0; axis < 3; axis++) {
    const sigma = sigmas[axis] / step[axis];
    // Periodic, as the original filters in Fourier space.
    if (coarse[axis] > 1 && sigma > 0) blurAxis(grid, coarse, axis, gaussianTaps(sigma, Math.ceil(4 * sigma)), 'periodic');
  }
  let largest = 0;
  for (const v of grid) largest = Math.max(largest, Math.abs(v));
  const factor = magnitude / (largest + 1e-8);

  const out = new Float32Array(n);
  const taps = shape.map((side, axis) =>
    Array.from({ length: side }, (_, i) => {
      const at = i / step[axis];
      const low = Math.min(Math.floor(at), Math.max(coarse[axis] - 2, 0));
      return { low, high: Math.min(low + 1, coarse[axis] - 1), rest: at - low };
    }),
  );
  const native = nativeFunctions();
  if (native) {
    const lows = taps.map((axis) => Int32Array.from(axis, ({ low }) => low));
    const highs = taps.map((axis) => Int32Array.from(axis, ({ high }) => high));
    const rests = taps.map((axis) => Float64Array.from(axis, ({ rest }) => rest));
    native.elasticField(grid, coarse, lows, highs, rests, factor, out);
    return out;
  }
  const [, height, width] = coarse;
  let o = 0;
  for (const z of taps[0])
    for (const y of taps[1]) {
      const rows = [z.low, z.high].flatMap((iz) => [y.low, y.high].map((iy) => (iz * height + iy) * width));
      const weights = [(1 - z.rest) * (1 - y.rest), (1 - z.rest) * y.rest, z.rest * (1 - y.rest), z.rest * y.rest];
      for (const x of taps[2]) {
        let sum = 0;
        for (let r = 0; r < 4; r++) sum += weights[r] * (grid[rows[r] + x.low] * (1 - x.rest) + grid[rows[r] + x.high] * x.rest);
        out[o++] = sum * factor;
      }
    }
  return out;
}
