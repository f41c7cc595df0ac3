// Putting zeros between voxels, and taking every n-th voxel: each is the other's gradient.

import { product } from '../../base/shape.js';
import { tf } from '../tf.js';

/**
 * Every `stride`-th voxel from the first on.
 * @param x `[batch, …spatial, channel]` → `[batch, …ceil(n/stride), channel]`
 */
export function subsample(x: tf.Tensor, stride: readonly number[]): tf.Tensor {
  if (stride.every((s) => s === 1)) return x;
  const spatial = x.shape.slice(1, -1);
  const count = spatial.map((n, i) => Math.ceil(n / stride[i]));
  const missing = spatial.map((n, i) => count[i] * stride[i] - n);
  const whole = missing.some((m) => m > 0) ? tf.pad(x, [[0, 0], ...missing.map((m): [number, number] => [0, m]), [0, 0]]) : x;
  const cells = tf.reshape(whole, interleaved(x.shape, count, stride));
  const first = tf.slice(
    cells,
    cells.shape.map(() => 0),
    interleaved(
      x.shape,
      count,
      stride.map(() => 1),
    ),
  );
  return tf.reshape(first, [x.shape[0], ...count, x.shape.at(-1)!]);
}

/**
 * `stride − 1` zeros behind every voxel, the last one excepted.
 * @param x `[batch, …spatial, channel]` → `[batch, …(n − 1)·stride + 1, channel]`
 */
export function spread(x: tf.Tensor, stride: readonly number[]): tf.Tensor {
  if (stride.every((s) => s === 1)) return x;
  const spatial = x.shape.slice(1, -1);
  const ones = stride.map(() => 1);
  const cells = tf.reshape(x, interleaved(x.shape, spatial, ones));
  const full = interleaved(x.shape, spatial, stride);
  const padded = tf.pad(
    cells,
    full.map((n, i): [number, number] => [0, n - cells.shape[i]]),
  );
  const whole = tf.reshape(padded, [x.shape[0], ...spatial.map((n, i) => n * stride[i]), x.shape.at(-1)!]);
  const size = spatial.map((n, i) => (n - 1) * stride[i] + 1);
  return tf.slice(
    whole,
    whole.shape.map(() => 0),
    [x.shape[0], ...size, x.shape.at(-1)!],
  );
}

/**
 * `[batch·n₀, s₀, n₁, s₁, n₂, s₂·channel]`: each axis split into cells, in at most six axes, which is what the binding carries.
 */
export function interleaved(shape: readonly number[], count: readonly number[], stride: readonly number[]): number[] {
  const axes = count.flatMap((n, i) => [n, stride[i]]);
  axes[0] *= shape[0];
  axes[axes.length - 1] *= shape.at(-1)!;
  return axes;
}

/** Zeros around the spatial axes: `before[i]` and `after[i]`; negative numbers cut. */
export function padSpatial(x: tf.Tensor, before: readonly number[], after: readonly number[]): tf.Tensor {
  let y = x;
  if ([...before, ...after].some((n) => n > 0)) {
    const pads = before.map((b, i): [number, number] => [Math.max(b, 0), Math.max(after[i], 0)]);
    y = tf.pad(y, [[0, 0], ...pads, [0, 0]]);
  }
  if ([...before, ...after].some((n) => n < 0)) {
    const begin = before.map((b) => Math.max(-b, 0));
    const size = x.shape.slice(1, -1).map((n, i) => n + before[i] + after[i]);
    y = tf.slice(y, [0, ...begin, 0], [x.shape[0], ...size, x.shape.at(-1)!]);
  }
  return y;
}

/** `[…, channel]` as a matrix `[everything else, channel]`. */
export const asMatrix = (x: tf.Tensor): tf.Tensor2D => tf.reshape(x, [product(x.shape.slice(0, -1)), x.shape.at(-1)!]);
