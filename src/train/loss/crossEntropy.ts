// Cross entropy over classes and over independent regions, from logits.
import { customOp } from '../../tensor/ops/customOp.js';
import { tf } from '../../tensor/tf.js';

/** Which voxels and classes count, and how the target is smoothed. */
export interface CrossEntropyOptions {
  /** `[batch, …spatial, 1]`, 1 where a voxel counts. */
  mask?: tf.Tensor;
  /** One factor a class; the mean is weighted too. */
  weight?: readonly number[];
  /** Share of the target spread evenly over the classes. */
  labelSmoothing?: number;
}

/**
 * Cross entropy of softmax(logits), averaged over the voxels that count (PyTorch `CrossEntropyLoss`, reduction mean).
 * @param logits `[batch, …spatial, class]`
 * @param target one-hot labels, same shape, float32
 * @returns scalar; 0 when no voxel counts; the caller owns it
 */
export function crossEntropy(logits: tf.Tensor, target: tf.Tensor, options: CrossEntropyOptions = {}): tf.Scalar {
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
 * Cross entropy of every voxel by itself (PyTorch `CrossEntropyLoss`, reduction none): weighted, 0 where the mask is.
 * @param logits `[batch, …spatial, class]`
 * @param target one-hot labels, same shape, float32
 * @returns `[batch, …spatial]`; the caller owns it
 */
function voxelwiseCrossEntropy(logits: tf.Tensor, target: tf.Tensor, options: CrossEntropyOptions): tf.Tensor {
  return tf.tidy(() => {
    const { mask, weight, labelSmoothing = 0 } = options;
    const share = labelSmoothing / logits.shape.at(-1)!;
    let y = labelSmoothing === 0 ? target : tf.add(tf.mul(target, 1 - labelSmoothing), share);
    if (weight) y = tf.mul(y, tf.tensor1d([...weight]));
    if (mask) y = tf.mul(y, mask);
    return tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), y), -1));
  });
}

/** The same, summed (reduction sum). */
export const summedCrossEntropy = (logits: tf.Tensor, target: tf.Tensor, options: CrossEntropyOptions = {}): tf.Scalar =>
  tf.tidy(() => tf.sum(voxelwiseCrossEntropy(logits, target, options)) as tf.Scalar);

/**
 * The k per cent of voxels with the largest cross entropy, averaged (nnU-Net `TopKLoss`). Voxels that do not count have none and are
 * counted among all, as there; at least one voxel is taken, where nnU-Net's mean of none would not be a number.
 * @param logits `[batch, …spatial, class]`
 * @param target one-hot labels, same shape, float32
 */
export function topKCrossEntropy(
  logits: tf.Tensor,
  target: tf.Tensor,
  percent: number,
  options: CrossEntropyOptions = {},
): tf.Scalar {
  return tf.tidy(() => {
    const voxelwise = tf.reshape(voxelwiseCrossEntropy(logits, target, options), [-1]);
    return meanOfLargest(voxelwise, Math.max(1, Math.floor((voxelwise.size * percent) / 100)));
  });
}

/** Mean of the `count` largest values of a list; tfjs has no gradient for choosing them. */
const meanOfLargest = (values: tf.Tensor, count: number): tf.Scalar =>
  customOp(
    [values],
    () => {
      const largest = tf.topk(values, count, false);
      return { value: tf.mean(largest.values), keep: [largest.indices] };
    },
    (dy, [indices]) => {
      const share = tf.mul(tf.ones([count]), tf.div(dy, count));
      return [tf.unsortedSegmentSum(share, indices as tf.Tensor1D, values.size)];
    },
  ) as tf.Scalar;
