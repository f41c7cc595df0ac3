// Cubic spline interpolation at arbitrary coordinates, as nnU-Net v1's augmentation takes it from scipy
// (`map_coordinates(order=3, mode='constant', cval=0)`): samples become B-spline coefficients first, mirrored at the borders.

import type { Functions } from '../base/native/load.js';
import { cubicWeights, pole, splineFilter } from '../volume/spline.js';

/**
 * Reads planes at coordinates.
 * @param at z, y, x one after the other, in voxels; outside of the volume the result is 0
 * @param axes along which to interpolate; along the others coordinates must be whole
 * @returns one value a point for each plane
 */
export function sampleCubic(
  planes: readonly Float32Array[],
  shape: readonly number[],
  at: ArrayLike<number>,
  axes: readonly number[],
): Float32Array[] {
  const used = axes.filter((axis) => shape[axis] > 1);
  const coefficients = planes.map((plane) => splineCoefficients(plane, shape, used));
  const n = at.length / 3;
  const out = planes.map(() => new Float32Array(n));
  const strides = [shape[1] * shape[2], shape[2], 1];
  const index = [0, 1, 2].map(() => new Int32Array(4));
  const weight = [0, 1, 2].map(() => new Float64Array(4));
  const [iz, iy, ix] = index;
  const [wz, wy, wx] = weight;
  const last = [0, 1, 2].map((axis) => (used.includes(axis) ? 4 : 1));
  for (let o = 0; o < n; o++) {
    let outside = false;
    for (let axis = 0; axis < 3; axis++) {
      const c = at[3 * o + axis];
      if (c < 0 || c > shape[axis] - 1) outside = true;
      else taps(c, shape[axis], strides[axis], last[axis] === 4, index[axis], weight[axis]);
    }
    if (outside) continue;
    const whole = last[2] === 4;
    const [x0, x1, x2, x3] = [ix[0], ix[1], ix[2], ix[3]];
    const [w0, w1, w2, w3] = [wx[0], wx[1], wx[2], wx[3]];
    for (let p = 0; p < planes.length; p++) {
      const values = coefficients[p];
      let sum = 0;
      for (let z = 0; z < last[0]; z++) {
        let slab = 0;
        for (let y = 0; y < last[1]; y++) {
          const row = iz[z] + iy[y];
          const line = whole
            ? values[row + x0] * w0 + values[row + x1] * w1 + values[row + x2] * w2 + values[row + x3] * w3
            : values[row + x0];
          slab += line * wy[y];
        }
        sum += slab * wz[z];
      }
      out[p][o] = sum;
    }
  }
  return out;
}

/** Array offsets and weights of the four samples around `c`; only the sample itself along an axis not interpolated. */
function taps(c: number, length: number, stride: number, interpolated: boolean, index: Int32Array, weight: Float64Array): void {
  if (!interpolated) {
    index[0] = Math.round(c) * stride;
    weight[0] = 1;
    return;
  }
  const low = Math.floor(c);
  cubicWeights(c - low, weight);
  const period = 2 * (length - 1);
  for (let t = 0; t < 4; t++) {
    const i = (((low - 1 + t) % period) + period) % period;
    index[t] = (i < length ? i : period - i) * stride;
  }
}

/** Coefficients whose B-spline goes through the samples: a recursive filter forth and back along each axis. */
function splineCoefficients(plane: Float32Array, shape: readonly number[], axes: readonly number[]): Float32Array {
  const out = plane.slice();
  for (const axis of axes) {
    const length = shape[axis];
    const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const line = new Float64Array(length);
    for (let block = 0; block < out.length; block += length * stride)
      for (let start = block; start < block + stride; start++) {
        for (let i = 0, k = start; i < length; i++, k += stride) line[i] = out[k];
        splineFilter(line, length, 1, 'mirror');
        for (let i = 0, k = start; i < length; i++, k += stride) out[k] = line[i];
      }
  }
  return out;
}

/** The same coefficients of an image whose channels lie together, along the axes to be interpolated; a new array. */
export function splineImage(
  native: Functions,
  image: Float32Array,
  shape: readonly number[],
  channels: number,
  inPlane: boolean,
): Float32Array {
  const out = image.slice();
  for (const axis of inPlane ? [1, 2] : [0, 1, 2]) {
    const length = shape[axis];
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, channels);
    if (length > 1 && out.length > 0) native.splineAxis(out, length, inner, pole ** (length - 1));
  }
  return out;
}
