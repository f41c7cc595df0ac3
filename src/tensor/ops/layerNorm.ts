// Layer normalisation over the last axis.
import { nativeLayerNorm } from '../native/layerNorm.js';
import { native } from '../native/load.js';
import { countNorm, isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';
import { asMatrix } from './spread.js';

/**
 * Layer norm as PyTorch's `LayerNorm` over the channels.
 *
 * @param x `[…, channel]`
 * @param gamma `[channel]`, scale
 * @param beta `[channel]`, shift
 * @returns the shape of `x`; the caller owns it
 *
 * Memory: keeps `x` and two numbers per voxel.
 */
export function layerNorm(x: tf.Tensor, gamma?: tf.Tensor, beta?: tf.Tensor, epsilon = 1e-5): tf.Tensor {
  const inputs = [x, gamma, beta].filter((t) => t !== undefined);
  if (isSymbolic()) {
    countNorm(x.size, gamma ? 'affine' : 'plain');
    return symbolicOp('layerNorm', inputs, x.shape, { attributes: { scale: !!gamma, shift: !!beta, epsilon } });
  }
  if (native()) return nativeLayerNorm(x, gamma, beta, epsilon);
  return customOp(
    inputs,
    () => {
      const rows = asMatrix(x);
      const mean = tf.mean(rows, 1, true);
      const centred = tf.sub(rows, mean);
      const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), epsilon));
      let y: tf.Tensor = tf.mul(centred, inverse);
      if (gamma) y = tf.mul(y, gamma);
      if (beta) y = tf.add(y, beta);
      return { value: tf.reshape(y, x.shape), keep: [x, mean, inverse, ...(gamma ? [gamma] : [])] };
    },
    (dy, [x, mean, inverse, gamma]) => {
      const slope = asMatrix(dy);
      const normal = tf.mul(tf.sub(asMatrix(x), mean), inverse);
      const inner = gamma ? tf.mul(slope, gamma) : slope;
      const along = tf.mean(tf.mul(inner, normal), 1, true);
      const dx = tf.mul(inverse, tf.sub(tf.sub(inner, tf.mean(inner, 1, true)), tf.mul(normal, along)));
      const gradients: tf.Tensor[] = [tf.reshape(dx, x.shape)];
      if (gamma) gradients.push(tf.sum(tf.mul(slope, normal), 0));
      if (beta) gradients.push(tf.sum(slope, 0));
      return gradients;
    },
  );
}
