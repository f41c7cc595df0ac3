// The focal loss (Lin et al. 2017, https://arxiv.org/abs/1708.02002): cross entropy in which what is sure already counts little.
import { tf } from '../../tensor/tf.js';
import { binaryCrossEntropy } from './crossEntropy.js';
import { foreground, type Reduction, reduced } from './reduction.js';

/** Settings of the focal loss. */
export interface FocalOptions {
  activation: 'softmax' | 'sigmoid';
  /** Exponent of the factor (1 − p)^γ; 0 is cross entropy. Default 2. */
  gamma?: number;
  /** Weight of the foreground, 1 − α that of the background; default none. Without background, softmax takes none either. */
  alpha?: number;
  includeBackground?: boolean;
  /** One factor a counted channel. */
  weight?: readonly number[];
  /** `[batch, …spatial, 1]`, 1 where a voxel counts. MONAI divides by the number of these voxels, whatever the number of channels. */
  mask?: tf.Tensor;
  /** `none` gives the shape of the counted channels; `sum` sums over batch and channels the mean over space, as MONAI does. */
  reduction?: Reduction;
}

/**
 * −(1 − p)^γ · log p of the right answer, voxel by voxel (MONAI `FocalLoss`).
 * @param logits `[batch, …spatial, channel]`
 * @param target one-hot labels or regions, same shape, float32
 * @returns a scalar unless `reduction` is `none`; the caller owns it
 */
export function focal(logits: tf.Tensor, target: tf.Tensor, options: FocalOptions & { reduction: 'none' }): tf.Tensor;
export function focal(logits: tf.Tensor, target: tf.Tensor, options: FocalOptions & { reduction?: 'mean' | 'sum' }): tf.Scalar;
export function focal(logits: tf.Tensor, target: tf.Tensor, options: FocalOptions): tf.Tensor {
  return tf.tidy(() => {
    const { gamma = 2, alpha, includeBackground = true, weight, mask, reduction } = options;
    const [x, y] = includeBackground ? [logits, target] : [foreground(logits), foreground(target)];
    const channels = x.shape.at(-1)!;
    let loss: tf.Tensor;
    if (options.activation === 'softmax') {
      const logP = tf.logSoftmax(x);
      loss = tf.mul(tf.neg(tf.mul(tf.pow(tf.sub(1, tf.exp(logP)), gamma), logP)), y);
      if (alpha !== undefined && includeBackground)
        loss = tf.mul(loss, tf.tensor1d([1 - alpha, ...Array(channels - 1).fill(alpha)]));
    } else {
      // log(1 − p) of the right answer, in a form that does not overflow.
      const logWrong = tf.neg(tf.softplus(tf.mul(x, tf.sub(tf.mul(y, 2), 1))));
      loss = tf.mul(tf.exp(tf.mul(logWrong, gamma)), binaryCrossEntropy(x, y));
      if (alpha !== undefined) loss = tf.mul(loss, tf.add(tf.mul(y, alpha), tf.mul(tf.sub(1, y), 1 - alpha)));
    }
    if (weight && channels > 1) loss = tf.mul(loss, tf.tensor1d([...weight]));
    const space = loss.shape.slice(1, -1).map((_, i) => i + 1);
    if (!mask) return reduced(reduction === 'sum' ? tf.mean(loss, space) : loss, reduction);
    loss = tf.mul(loss, mask);
    const voxels = (axes?: number[]) => tf.maximum(tf.sum(mask, axes), 1e-7);
    if (reduction === 'sum') return tf.sum(tf.div(tf.sum(loss, space), voxels(space)));
    return reduction === 'none' ? loss : tf.div(tf.sum(loss), voxels());
  });
}
