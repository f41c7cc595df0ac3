// Leaky ReLU.
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/** `x` where positive, `slope · x` elsewhere. Any shape; keeps only `x`. The slope at 0 is `slope`, as PyTorch has it. */
export function leakyRelu(x: tf.Tensor, slope = 0.01): tf.Tensor {
  if (isSymbolic()) return symbolicOp('leakyRelu', [x], x.shape);
  return customOp(
    [x],
    () => ({ value: tf.leakyRelu(x, slope), keep: [x] }),
    (dy, [x]) => [tf.mul(dy, tf.step(x, slope))],
  );
}
