// Instance normalisation: every channel of every batch entry has its own mean and variance over space.
import type { tf } from '../tf.js';
import { type Behind, spatialNorm } from './groupNorm.js';

/**
 * Instance norm as PyTorch's `InstanceNorm2d`/`3d` without running statistics.
 *
 * @param x `[batch, …spatial, channel]`
 * @param gamma `[channel]`, scale
 * @param beta `[channel]`, shift
 * @param behind a sum and a leaky ReLU in the same pass
 * @returns the shape of `x`; the caller owns it
 */
export function instanceNorm(x: tf.Tensor, gamma?: tf.Tensor, beta?: tf.Tensor, epsilon = 1e-5, behind: Behind = {}): tf.Tensor {
  return spatialNorm('instanceNorm', x, x.shape[0], x.shape.at(-1)!, gamma, beta, epsilon, behind);
}
