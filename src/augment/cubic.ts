// Cubic spline interpolation at arbitrary places, as nnU-Net v1's augmentation takes it from scipy
// (`map_coordinates(order=3, mode='constant', cval=0)`): samples become B-spline coefficients first, mirrored at the borders.

/**
 * Reads planes at places.
 * @param at z, y, x one after the other, in voxels; outside of the volume the result is 0
 * @param axes along which to interpolate; along the others places must be whole
 * @returns one value a place for each plane
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
  const x = c - low;
  const z = 1 - x;
  weight[0] = (z * z * z) / 6;
  weight[1] = (x * x * (x - 2) * 3 + 4) / 6;
  weight[2] = (z * z * (z - 2) * 3 + 4) / 6;
  weight[3] = 1 - weight[0] - weight[1] - weight[2];
  const period = 2 * (length - 1);
  for (let t = 0; t < 4; t++) {
    const i = (((low - 1 + t) % period) + period) % period;
    index[t] = (i < length ? i : period - i) * stride;
  }
}

const pole = Math.sqrt(3) - 2;

/** Coefficients whose B-spline goes through the samples: a recursive filter forth and back along each axis. */
function splineCoefficients(plane: Float32Array, shape: readonly number[], axes: readonly number[]): Float32Array {
  const out = plane.slice();
  for (const axis of axes) {
    const length = shape[axis];
    const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const line = new Float64Array(length);
    for (let block = 0; block < out.length; block += length * stride)
      for (let start = block; start < block + stride; start++) {
        for (let i = 0, k = start; i < length; i++, k += stride) line[i] = out[k] * 6;
        filter(line);
        for (let i = 0, k = start; i < length; i++, k += stride) out[k] = line[i];
      }
  }
  return out;
}

/** In place; the line is continued by its mirror image, the ends not repeated. */
function filter(line: Float64Array): void {
  const n = line.length;
  // The sum over the mirrored line; its terms fall below any rounding after 40 samples.
  let sum = line[0];
  let power = pole;
  for (let i = 1; i < Math.min(n - 1, 40); i++, power *= pole) sum += power * line[i];
  if (n <= 40) {
    const whole = pole ** (n - 1);
    sum += whole * line[n - 1];
    for (let i = n - 2, p = whole * pole; i > 0; i--, p *= pole) sum += p * line[i];
    sum /= 1 - whole * whole;
  }
  line[0] = sum;
  for (let i = 1; i < n; i++) line[i] += pole * line[i - 1];
  line[n - 1] = (pole / (pole * pole - 1)) * (line[n - 1] + pole * line[n - 2]);
  for (let i = n - 2; i >= 0; i--) line[i] = pole * (line[i + 1] - line[i]);
}
