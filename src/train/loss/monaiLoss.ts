// MONAI's Dice and Dice + cross entropy losses, with its own smoothing and its own habits.
import { tf } from '../../tensor/tf.js';
import { binaryCrossEntropy, crossEntropy } from './crossEntropy.js';
import { type Activated, activated, foreground, type Reduction, reduced } from './reduction.js';

export interface MonaiDiceOptions extends Activated {
  includeBackground?: boolean;
  /** Squares in the denominator. */
  squaredPrediction?: boolean;
  jaccard?: boolean;
  /** Sum over the batch before dividing. */
  batch?: boolean;
  smoothNumerator?: number;
  smoothDenominator?: number;
  /** One factor a counted channel. */
  weight?: readonly number[];
  /** `none` gives `[batch, channel]`, with `batch` `[channel]`. Default the mean. */
  reduction?: Reduction;
}

/**
 * 1 − soft Dice (MONAI `DiceLoss`).
 * @param logits `[batch, …spatial, channel]`
 * @param target one-hot labels or regions, same shape, float32
 * @returns a scalar unless `reduction` is `none`; the caller owns it
 */
export function monaiDice(logits: tf.Tensor, target: tf.Tensor, options: MonaiDiceOptions & { reduction: 'none' }): tf.Tensor;
export function monaiDice(
  logits: tf.Tensor,
  target: tf.Tensor,
  options: MonaiDiceOptions & { reduction?: 'mean' | 'sum' },
): tf.Scalar;
export function monaiDice(logits: tf.Tensor, target: tf.Tensor, options: MonaiDiceOptions): tf.Tensor {
  return tf.tidy(() => {
    const { smoothNumerator = 1e-5, smoothDenominator = 1e-5 } = options;
    const counts = (x: tf.Tensor) => (options.includeBackground === false ? foreground(x) : x);
    const p = counts(activated(logits, options));
    const y = counts(target);
    const axes = Array.from({ length: p.rank - 1 }, (_, i) => i).slice(options.batch ? 0 : 1);
    const size = (x: tf.Tensor) => tf.sum(options.squaredPrediction ? tf.square(x) : x, axes);
    const tp = tf.sum(tf.mul(p, y), axes);
    const wrong = tf.sub(tf.add(size(p), size(y)), tf.mul(tp, 2));
    const counted = options.jaccard ? wrong : tf.div(wrong, 2);
    const numerator = tf.add(tf.mul(tp, 2), smoothNumerator);
    const denominator = tf.add(tf.mul(tf.add(tp, counted), 2), smoothDenominator);
    let loss = tf.sub(1, tf.div(numerator, denominator));
    if (options.weight && y.shape[y.rank - 1] !== 1) loss = tf.mul(loss, tf.tensor1d([...options.weight]));
    return reduced(loss, options.reduction);
  });
}

export interface MonaiDiceCeOptions extends Omit<MonaiDiceOptions, 'reduction'> {
  diceFactor?: number;
  ceFactor?: number;
  labelSmoothing?: number;
  /** The target came as class numbers: the cross entropy's mean is weighted by `weight` as well. */
  targetIsLabels?: boolean;
}

/**
 * Dice + cross entropy (MONAI `DiceCELoss`). With more than one channel the second term is softmax cross entropy,
 * also beside a sigmoid Dice; a single channel gets binary cross entropy.
 * @param logits `[batch, …spatial, channel]`
 * @param target one-hot labels or regions, same shape, float32
 */
export function monaiDiceCe(logits: tf.Tensor, target: tf.Tensor, options: MonaiDiceCeOptions): tf.Scalar {
  return tf.tidy(() => {
    const { diceFactor = 1, ceFactor = 1, weight, labelSmoothing = 0 } = options;
    const channels = logits.shape[logits.rank - 1];
    const diceWeight = options.includeBackground === false ? weight?.slice(1) : weight;
    const dice = monaiDice(logits, target, { ...options, weight: diceWeight, reduction: 'mean' });
    let ce: tf.Tensor;
    if (channels === 1) ce = tf.mean(binaryCrossEntropy(logits, target));
    else if (options.targetIsLabels) ce = crossEntropy(logits, target, { weight, labelSmoothing });
    else {
      // Channel targets need not sum to one, and PyTorch divides by the number of voxels whatever the weights are.
      const smoothed = tf.add(tf.mul(target, 1 - labelSmoothing), labelSmoothing / channels);
      const weighted = weight ? tf.mul(smoothed, tf.tensor1d([...weight])) : smoothed;
      ce = tf.div(tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), weighted))), logits.size / channels);
    }
    return tf.add(tf.mul(dice, diceFactor), tf.mul(ce, ceFactor)) as tf.Scalar;
  });
}
