// Resizing of space, nearest or linear, 2-D and 3-D, as PyTorch's `interpolate`.
//
// Both are separable: one sparse matrix per axis, applied as a matrix product; its transpose is the gradient.
import { VoxelbookError } from '../../base/errors.js';
import { product } from '../../base/shape.js';
import { nativeAlongAxis } from '../native/alongAxis.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/**
 * Resizes the spatial axes.
 *
 * @param x `[batch, …spatial, channel]`
 * @param size new length of each spatial axis, in voxels
 * @param mode `nearest`: source index floor(i·n/m). `linear`: bilinear or trilinear, edges clamped, no antialiasing
 * @param options.alignCorners corner voxels keep their place; default false = half-pixel centres
 * @returns `[batch, …size, channel]`; the caller owns it
 */
export function resize(
  x: tf.Tensor,
  size: readonly number[],
  mode: 'nearest' | 'linear',
  { alignCorners = false }: { alignCorners?: boolean } = {},
): tf.Tensor {
  const spatial = x.shape.slice(1, -1);
  if (size.length !== spatial.length || !size.every((n) => Number.isInteger(n) && n > 0))
    throw new VoxelbookError('resize cannot run', {
      code: 'size',
      path: 'size',
      given: `[${size}] for an input [${x.shape}]`,
      expected: `${spatial.length} whole numbers above 0`,
      fix: 'Give one length per spatial axis.',
    });
  const shape = [x.shape[0], ...size, x.shape.at(-1)!];
  if (size.every((n, i) => n === spatial[i])) return tf.clone(x);
  if (isSymbolic()) return symbolicOp('resize', [x], shape, { attributes: { mode, alignCorners } });
  const factors = size.map((n, i) => n / spatial[i]);
  if (mode === 'nearest' && factors.every(Number.isInteger)) return repeat(x, factors, shape);
  return customOp(
    [x],
    () => ({ value: alongAxes(x, size, mode, alignCorners, false), keep: [] }),
    (dy) => [alongAxes(dy, spatial, mode, alignCorners, true)],
  );
}

/** Every voxel `factors` times along each axis; the gradient is the sum of the copies. */
function repeat(x: tf.Tensor, factors: number[], shape: number[]): tf.Tensor {
  const spatial = x.shape.slice(1, -1);
  return customOp(
    [x],
    () => {
      let y = x;
      // Along the last axes first, while the volume is small; one axis at a time keeps the rank low.
      for (let i = spatial.length - 1; i >= 0; i--) {
        if (factors[i] === 1) continue;
        const outer = product(y.shape.slice(0, i + 2));
        const rest = product(y.shape.slice(i + 2));
        const copies = tf.tile(tf.reshape(y, [outer, 1, rest]), [1, factors[i], 1]);
        y = tf.reshape(
          copies,
          y.shape.map((n, axis) => (axis === i + 1 ? n * factors[i] : n)),
        );
      }
      return { value: y === x ? tf.clone(x) : y, keep: [] };
    },
    (dy) => {
      let g: tf.Tensor = tf.reshape(dy, shape);
      for (let i = 0; i < spatial.length; i++) {
        if (factors[i] === 1) continue;
        const outer = product(g.shape.slice(0, i + 1)) * spatial[i];
        const rest = product(g.shape.slice(i + 2));
        const next = g.shape.map((n, axis) => (axis === i + 1 ? spatial[i] : n));
        g = tf.reshape(tf.sum(tf.reshape(g, [outer, factors[i], rest]), 1), next);
      }
      return [g];
    },
  );
}

function alongAxes(
  x: tf.Tensor,
  size: readonly number[],
  mode: 'nearest' | 'linear',
  alignCorners: boolean,
  transpose: boolean,
): tf.Tensor {
  let y = x;
  for (const [i, m] of size.entries()) {
    const n = y.shape[i + 1]!;
    if (n === m) continue;
    const weights = transpose ? matrix(m, n, mode, alignCorners) : matrix(n, m, mode, alignCorners);
    const outer = product(y.shape.slice(0, i + 1));
    const inner = product(y.shape.slice(i + 2));
    const next = y.shape.map((length, axis) => (axis === i + 1 ? m : length));
    if (native()) {
      y = tf.reshape(nativeAlongAxis(tf.reshape(y, [outer, n, inner]), weights, m, transpose), next);
      continue;
    }
    const w = tf.tensor3d(weights, transpose ? [1, n, m] : [1, m, n]);
    y = tf.reshape(tf.matMul(w, tf.reshape(y, [outer, n, inner]), transpose, false), next);
  }
  return y;
}

/** Weights `[to, from]` of one axis, row by row. */
export function matrix(from: number, to: number, mode: 'nearest' | 'linear', alignCorners: boolean): Float32Array {
  const weights = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    if (mode === 'nearest') {
      weights[i * from + Math.min(Math.floor(Math.fround(i * Math.fround(from / to))), from - 1)] = 1;
      continue;
    }
    const position = alignCorners ? (to > 1 ? (i * (from - 1)) / (to - 1) : 0) : Math.max(((i + 0.5) * from) / to - 0.5, 0);
    const low = Math.min(Math.floor(position), from - 1);
    const high = Math.min(low + 1, from - 1);
    weights[i * from + low] += 1 - (position - low);
    weights[i * from + high] += position - low;
  }
  return weights;
}
