// Dense convolutions that keep the size, on our own kernel; used by `conv`.
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

/**
 * @param x `[batch, (depth,) height, width, in]`
 * @param kernel `[(1 or 3,) 3, 3, in, out]`; stride 1, as many zeros around as keep the size
 * Memory: keeps `x` and `kernel`.
 */
export function nativeConv(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor {
  return customOp(
    bias ? [x, kernel, bias] : [x, kernel],
    () => ({ value: execute('VoxelbookConv', [x, kernel, bias ?? tf.zeros([0])], 1, [0])[0], keep: [x, kernel] }),
    (dy, [x, kernel]) => {
      const [dx] = execute('VoxelbookConv', [dy, kernel, tf.zeros([0])], 1, [1]);
      const [dKernel, dBias] = execute('VoxelbookConvFilterGradient', [x, dy], 2, [x.rank === 4 ? 0 : kernel.shape[0]]);
      return bias ? [dx, dKernel, dBias] : [dx, dKernel];
    },
  );
}
