// MONAI's Dice and Dice + cross entropy losses, with its own smoothing and its own habits.
import { tf } from '../../tensor/tf.js';
import { binaryCrossEntropy, crossEntropy, summedCrossEntropy } from './crossEntropy.js';
import { focal } from './focal.js';
import { type Activated, activated, counted, type Reduction, reduced } from './reduction.js';

/** Settings of MONAI's `DiceLoss`. */
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
    const p = counted(activated(logits, options), options);
    const y = counted(target, options);
    const axes = Array.from({ length: p.rank - 1 }, (_, i) => i).slice(options.batch ? 0 : 1);
    const size = (x: tf.Tensor) => tf.sum(options.squaredPrediction ? tf.square(x) : x, axes);
    const tp = tf.sum(tf.mul(p, y), axes);
    const wrong = tf.sub(tf.add(size(p), size(y)), tf.mul(tp, 2));
    const missed = options.jaccard ? wrong : tf.div(wrong, 2);
    const numerator = tf.add(tf.mul(tp, 2), smoothNumerator);
    const denominator = tf.add(tf.mul(tf.add(tp, missed), 2), smoothDenominator);
    let loss = tf.sub(1, tf.div(numerator, denominator));
    if (options.weight && y.shape[y.rank - 1] !== 1) loss = tf.mul(loss, tf.tensor1d([...options.weight]));
    return reduced(loss, options.reduction);
  });
}

/** Settings of MONAI's `DiceCELoss`. */
export interface MonaiDiceCeOptions extends Omit<MonaiDiceOptions, 'reduction'> {
  reduction?: Exclude<Reduction, 'none'>;
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
    const { diceFactor = 1, ceFactor = 1, weight, labelSmoothing = 0, mask, reduction = 'mean' } = options;
    const channels = logits.shape[logits.rank - 1];
    const diceWeight = options.includeBackground === false ? weight?.slice(1) : weight;
    const dice = monaiDice(logits, target, { ...options, weight: diceWeight, reduction });
    let ce: tf.Tensor;
    if (channels === 1) ce = reduced(binaryCrossEntropy(logits, target), reduction);
    else if (reduction === 'sum') ce = summedCrossEntropy(logits, target, { mask, weight, labelSmoothing });
    else if (options.targetIsLabels) ce = crossEntropy(logits, target, { mask, weight, labelSmoothing });
    // Channel targets need not sum to one, and PyTorch divides by the number of voxels whatever the weights are.
    else ce = tf.div(summedCrossEntropy(logits, target, { weight, labelSmoothing }), logits.size / channels);
    return tf.add(tf.mul(dice, diceFactor), tf.mul(ce, ceFactor)) as tf.Scalar;
  });
}

/** Settings of MONAI's `DiceFocalLoss`. */
export interface DiceFocalOptions extends Omit<MonaiDiceOptions, 'reduction'> {
  reduction?: Exclude<Reduction, 'none'>;
  activation: 'softmax' | 'sigmoid';
  gamma?: number;
  alpha?: number;
  diceFactor?: number;
  focalFactor?: number;
}

/**
 * Dice + focal loss (MONAI `DiceFocalLoss`). MONAI's own always takes the focal loss over independent channels, also beside a softmax
 * Dice; here both have the same activation.
 * @param logits `[batch, …spatial, channel]`
 * @param target one-hot labels or regions, same shape, float32
 */
export function diceFocal(logits: tf.Tensor, target: tf.Tensor, options: DiceFocalOptions): tf.Scalar {
  return tf.tidy(() => {
    const { diceFactor = 1, focalFactor = 1 } = options;
    const dice = tf.mul(monaiDice(logits, target, options), diceFactor);
    return tf.add(dice, tf.mul(focal(logits, target, options), focalFactor)) as tf.Scalar;
  });
}
