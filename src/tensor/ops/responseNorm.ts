// Global response normalisation (ConvNeXt V2, Woo et al. 2023).
import { tf } from '../tf.js';

/**
 * Each channel's L2 norm over space, relative to the mean over channels, scales the channel, which is added to itself.
 * @param x `[batch, …spatial, channel]`
 * @param gamma as many values as channels, any shape: scale
 * @param beta the same: shift
 * @returns the shape of `x`; the caller owns it
 */
export function responseNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor): tf.Tensor {
  const space = x.shape.slice(1, -1).map((_, i) => i + 1);
  return tf.tidy(() => {
    const strength = tf.sqrt(tf.sum(tf.square(x), space, true));
    const relative = tf.div(strength, tf.add(tf.mean(strength, -1, true), 1e-6));
    const scale = tf.add(tf.mul(relative, tf.reshape(gamma, [-1])), 1);
    return tf.add(tf.mul(x, scale), tf.reshape(beta, [-1]));
  });
}
