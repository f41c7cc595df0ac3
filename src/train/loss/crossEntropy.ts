// Cross entropy over classes and over independent regions, from logits.
import { tf } from '../../tensor/tf.js';

/**
 * Cross entropy of softmax(logits), averaged over the voxels that count (PyTorch `CrossEntropyLoss`, reduction mean).
 * @param logits `[batch, …spatial, class]`
 * @param target one-hot labels, same shape, float32
 * @param options.mask `[batch, …spatial, 1]`, 1 where a voxel counts
 * @param options.weight one factor a class; the mean is weighted too
 * @param options.labelSmoothing share of the target spread evenly over the classes
 * @returns scalar; 0 when no voxel counts; the caller owns it
 */
export function crossEntropy(
  logits: tf.Tensor,
  target: tf.Tensor,
  options: { mask?: tf.Tensor; weight?: readonly number[]; labelSmoothing?: number } = {},
): tf.Scalar {
  return tf.tidy(() => {
    const { mask, weight, labelSmoothing = 0 } = options;
    const logP = tf.logSoftmax(logits);
    let y = target;
    if (weight) y = tf.mul(y, tf.tensor1d([...weight]));
    if (mask) y = tf.mul(y, mask);
    const voxels = logits.size / logits.shape[logits.rank - 1];
    const count = weight || mask ? tf.maximum(tf.sum(y), 1e-30) : tf.scalar(voxels);
    const nll = tf.div(tf.neg(tf.sum(tf.mul(logP, y))), count);
    if (labelSmoothing === 0) return nll as tf.Scalar;
    let all: tf.Tensor = weight ? tf.mul(logP, tf.tensor1d([...weight])) : logP;
    if (mask) all = tf.mul(all, mask);
    const spread = tf.div(tf.neg(tf.sum(all)), count);
    const classes = logits.shape[logits.rank - 1];
    return tf.add(tf.mul(nll, 1 - labelSmoothing), tf.mul(spread, labelSmoothing / classes)) as tf.Scalar;
  });
}

/** Binary cross entropy of every value with its logit, in the form that does not overflow: softplus(x) − x·y. */
export const binaryCrossEntropy = (logits: tf.Tensor, target: tf.Tensor): tf.Tensor =>
  tf.tidy(() => tf.sub(tf.softplus(logits), tf.mul(logits, target)));

/**
 * The k per cent of voxels with the largest cross entropy, averaged (nnU-Net `TopKLoss`).
 * @param logits `[batch, …spatial, class]`
 * @param target one-hot labels, same shape, float32
 */
export function topKCrossEntropy(logits: tf.Tensor, target: tf.Tensor, percent: number): tf.Scalar {
  return tf.tidy(() => {
    const voxelwise = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), target), -1)).flatten();
    const count = Math.floor((voxelwise.size * percent) / 100);
    return tf.mean(tf.topk(voxelwise, count, false).values) as tf.Scalar;
  });
}
