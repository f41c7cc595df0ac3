// GELU, the exact one.
import { nativeActivation } from '../native/activation.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/** Exact GELU, `x · Φ(x)` with the normal distribution's Φ (PyTorch's default, not the tanh form). Any shape. */
export function gelu(x: tf.Tensor): tf.Tensor {
  if (isSymbolic()) return symbolicOp('gelu', [x], x.shape);
  if (native()) return nativeActivation(x, 'gelu');
  const phi = (v: tf.Tensor) => tf.mul(tf.add(tf.erf(tf.mul(v, Math.SQRT1_2)), 1), 0.5);
  return customOp(
    [x],
    () => ({ value: tf.mul(x, phi(x)), keep: [x] }),
    (dy, [x]) => {
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [tf.mul(dy, tf.add(phi(x), tf.mul(x, density)))];
    },
  );
}
