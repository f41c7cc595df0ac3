// MONAI's reductions: the mean, the sum, or every value by itself.
import { tf } from '../../tensor/tf.js';

export type Reduction = 'mean' | 'sum' | 'none';

/** @returns a scalar, or with `none` the values themselves */
export function reduced(values: tf.Tensor, reduction: Reduction = 'mean'): tf.Tensor {
  return reduction === 'none' ? values : reduction === 'sum' ? tf.sum(values) : tf.mean(values);
}

/** Without channel 0, where there are others. */
export const foreground = (x: tf.Tensor): tf.Tensor =>
  x.shape.at(-1) === 1
    ? x
    : tf.slice(
        x,
        x.shape.map((_, i) => (i === x.rank - 1 ? 1 : 0)),
      );

export interface Activated {
  activation: 'softmax' | 'sigmoid' | 'none';
  /** `[batch, …spatial, 1]`, 1 where a voxel counts. */
  mask?: tf.Tensor;
}

/** Logits as probabilities; a single channel has no softmax. */
export function activated(logits: tf.Tensor, { activation }: Activated): tf.Tensor {
  if (activation === 'sigmoid') return tf.sigmoid(logits);
  return activation === 'softmax' && logits.shape.at(-1)! > 1 ? tf.softmax(logits) : logits;
}

/** The counted channels of a tensor, 0 where the mask is. */
export const counted = (x: tf.Tensor, { includeBackground = true, mask }: { includeBackground?: boolean; mask?: tf.Tensor }) => {
  const channels = includeBackground ? x : foreground(x);
  return mask ? tf.mul(channels, mask) : channels;
};
