// Dense convolutions on our own kernels; used by `conv` and `convTranspose`.
import { isAsked } from '../gradients.js';
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

/** One that keeps the size.
 *
 * @param x `[batch, (depth,) height, width, in]`
 * @param kernel `[(1 or 3,) 3, 3, in, out]`; stride 1, as many zeros around as keep the size
 * Memory: keeps `x` and `kernel`.
 */
export function nativeConv(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor {
  return customOp(
    bias ? [x, kernel, bias] : [x, kernel],
    () => ({ value: execute('VoxelbookConv', [x, kernel, bias ?? tf.zeros([0])], 1, [0])[0], keep: [x, kernel] }),
    (dy, [x, kernel]) => {
      const dx = isAsked(0) ? execute('VoxelbookConv', [dy, kernel, tf.zeros([0])], 1, [1])[0] : undefined;
      const [dKernel, dBias] = execute('VoxelbookConvFilterGradient', [x, dy], 2, [x.rank === 4 ? 0 : kernel.shape[0]]);
      return bias ? [dx, dKernel, dBias] : [dx, dKernel];
    },
  );
}

/** 2-D is depth 1. */
const three = (values: readonly number[], standard: number) => (values.length === 2 ? [standard, ...values] : values);

/**
 * One that walks in steps; also without.
 *
 * @param x `[batch, (depth,) height, width, in]`
 * @param kernel `[…k, in, out]`
 * Memory: keeps `x` and `kernel`.
 */
export function nativeStridedConv(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
  stride: readonly number[],
  padding: readonly number[],
): tf.Tensor {
  const ints = [...three(stride, 1), ...three(padding, 0)];
  return customOp(
    bias ? [x, kernel, bias] : [x, kernel],
    () => ({ value: execute('VoxelbookStridedConv', [x, kernel, bias ?? tf.zeros([0])], 1, ints)[0], keep: [x, kernel] }),
    (dy, [x, kernel]) => {
      const grid = three(x.shape.slice(1, -1), 1);
      const back = () => execute('VoxelbookStridedConvTransposed', [dy, kernel, tf.zeros([0])], 1, [...ints, ...grid])[0];
      const dx = isAsked(0) ? back() : undefined;
      const window = three(kernel.shape.slice(0, -2), 1);
      const [dKernel, dBias] = execute('VoxelbookStridedConvFilterGradient', [x, dy], 2, [...ints, ...window, 0]);
      return bias ? [dx, dKernel, dBias] : [dx, dKernel];
    },
  );
}

/**
 * The transposed one.
 *
 * @param x `[batch, (depth,) height, width, in]`
 * @param kernel `[…k, out, in]`
 * @param grid the result's `[(depth,) height, width]`
 * Memory: keeps `x` and `kernel`.
 */
export function nativeConvTranspose(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
  stride: readonly number[],
  padding: readonly number[],
  grid: readonly number[],
): tf.Tensor {
  const ints = [...three(stride, 1), ...three(padding, 0)];
  return customOp(
    bias ? [x, kernel, bias] : [x, kernel],
    () => {
      const inputs = [x, kernel, bias ?? tf.zeros([0])];
      return { value: execute('VoxelbookStridedConvTransposed', inputs, 1, [...ints, ...three(grid, 1)])[0], keep: [x, kernel] };
    },
    (dy, [x, kernel]) => {
      const [dx] = execute('VoxelbookStridedConv', [dy, kernel, tf.zeros([0])], 1, ints);
      const window = three(kernel.shape.slice(0, -2), 1);
      const [dKernel, dBias] = execute('VoxelbookStridedConvFilterGradient', [dy, x], 2, [...ints, ...window, 1]);
      return bias ? [dx, dKernel, dBias] : [dx, dKernel];
    },
  );
}
