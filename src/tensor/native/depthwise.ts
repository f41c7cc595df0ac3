// Depthwise convolutions on our own kernels; used by `depthwiseConv` and `depthwiseConvTranspose`.
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

/** 2-D is depth 1. */
const settings = (stride: number[], padding: number[]) =>
  stride.length === 2 ? [1, ...stride, 0, ...padding] : [...stride, ...padding];
const spatial = (shape: number[]) => (shape.length === 4 ? [1, shape[1], shape[2]] : shape.slice(1, 4));

/**
 * @param shape of the output
 * Memory: keeps `x` and `kernel`.
 */
export function nativeDepthwiseConv(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
  stride: number[],
  padding: number[],
): tf.Tensor {
  const ints = settings(stride, padding);
  return customOp(
    bias ? [x, kernel, bias] : [x, kernel],
    () => ({ value: execute('VoxelbookDepthwise', [x, kernel, bias ?? tf.zeros([0])], 1, ints)[0], keep: [x, kernel] }),
    (dy, [x, kernel]) => {
      const dx = execute('VoxelbookDepthwiseTransposed', [dy, kernel, tf.zeros([0])], 1, [...ints, ...spatial(x.shape)])[0];
      const [dKernel, dBias] = execute('VoxelbookDepthwiseKernelGradient', [x, dy, kernel], 2, ints);
      return bias ? [dx, dKernel, dBias] : [dx, dKernel];
    },
  );
}

/**
 * @param shape of the output
 * Memory: keeps `x` and `kernel`.
 */
export function nativeDepthwiseConvTranspose(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
  stride: number[],
  padding: number[],
  shape: number[],
): tf.Tensor {
  const ints = settings(stride, padding);
  return customOp(
    bias ? [x, kernel, bias] : [x, kernel],
    () => {
      const inputs = [x, kernel, bias ?? tf.zeros([0])];
      return {
        value: execute('VoxelbookDepthwiseTransposed', inputs, 1, [...ints, ...spatial(shape)])[0],
        keep: [x, kernel],
      };
    },
    (dy, [x, kernel]) => {
      // The output may be longer than the last window reaches (output padding); what is beyond has no gradient.
      const dx = execute('VoxelbookDepthwise', [dy, kernel, tf.zeros([0])], 1, ints)[0];
      const [dKernel] = execute('VoxelbookDepthwiseKernelGradient', [dy, x, kernel], 2, ints);
      const back = tf.slice(
        dx,
        dx.shape.map(() => 0),
        x.shape,
      );
      return bias ? [back, dKernel, tf.sum(dy, [...dy.shape.keys()].slice(0, -1))] : [back, dKernel];
    },
  );
}
