// The importance map of a tile: a Gaussian, so that the middle of a tile counts more than its border (nnU-Net v2 `compute_gaussian`).
import { toHalf } from '../base/float16.js';

/**
 * Weight of every voxel of a tile, C order, largest `scale` at patch // 2; sigma is 1/8 of each side.
 * @param precision `float64`: plain; `float32` / `float16`: rounded so, and what rounds to 0 becomes the smallest weight above 0
 * @returns values in a Float64Array, or in a Float32Array for the two rounded kinds
 */
export function gaussianMap(
  patch: readonly number[],
  { scale = 10, precision = 'float32' }: { scale?: number; precision?: 'float16' | 'float32' | 'float64' } = {},
): Float32Array | Float64Array {
  const size = patch.reduce((a, b) => a * b, 1);
  const map = new Float64Array(size).fill(1);
  let inner = size;
  for (const side of patch) {
    inner /= side;
    const weights = profile(side);
    for (let i = 0; i < size; i++) map[i] *= weights[Math.floor(i / inner) % side];
  }
  let largest = 0;
  for (const v of map) largest = Math.max(largest, v);
  const divisor = largest / scale;
  for (let i = 0; i < size; i++) map[i] /= divisor;
  if (precision === 'float64') return map;

  const rounded = Float32Array.from(map);
  if (precision === 'float16') for (let i = 0; i < size; i++) rounded[i] = toHalf(rounded[i]);
  let smallest = Number.POSITIVE_INFINITY;
  for (const v of rounded) if (v > 0 && v < smallest) smallest = v;
  for (let i = 0; i < size; i++) if (rounded[i] === 0) rounded[i] = smallest;
  return rounded;
}

/** A unit impulse at side // 2 after scipy's `gaussian_filter1d` with sigma side / 8, cut off at 4 sigma, zeros outside. */
function profile(side: number): Float64Array {
  const sigma = side / 8;
  const radius = Math.floor(4 * sigma + 0.5);
  const kernel = Float64Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp((-0.5 / (sigma * sigma)) * (i - radius) ** 2));
  const sum = kernel.reduce((a, b) => a + b, 0);
  const centre = Math.floor(side / 2);
  return Float64Array.from({ length: side }, (_, i) => {
    const distance = Math.abs(i - centre);
    return distance > radius ? 0 : kernel[radius + distance] / sum;
  });
}
