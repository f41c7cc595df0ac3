// Leaky ReLU.
import { nativeActivation } from '../native/activation.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/**
 * `x` where positive, `slope · x` elsewhere. Any shape. The slope at 0 is `slope`, as PyTorch has it.
 * Memory: keeps its output, whose sign tells the gradient (for a slope not above 0: its input).
 */
export function leakyRelu(x: tf.Tensor, slope = 0.01): tf.Tensor {
  if (isSymbolic()) return symbolicOp('leakyRelu', [x], x.shape, { keepOutput: slope > 0, attributes: { slope } });
  if (native() && slope > 0) return nativeActivation(x, 'leakyRelu', slope);
  return customOp(
    [x],
    () => {
      const value = tf.leakyRelu(x, slope);
      return { value, keep: [slope > 0 ? value : x] };
    },
    (dy, [kept]) => [tf.mul(dy, tf.step(kept, slope))],
  );
}
