// SiLU (Swish).
import { nativeActivation } from '../native/activation.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/** `x · sigmoid(x)`. Any shape; keeps only `x` for the backward pass. */
export function silu(x: tf.Tensor): tf.Tensor {
  if (isSymbolic()) return symbolicOp('silu', [x], x.shape);
  if (native()) return nativeActivation(x, 'silu');
  return customOp(
    [x],
    () => ({ value: tf.mul(x, tf.sigmoid(x)), keep: [x] }),
    (dy, [x]) => {
      const s = tf.sigmoid(x);
      return [tf.mul(dy, tf.add(s, tf.mul(tf.mul(x, s), tf.sub(1, s))))];
    },
  );
}
