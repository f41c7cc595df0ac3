// The Tversky loss (Salehi et al. 2017, https://arxiv.org/abs/1706.05721): Dice with weights of its own for voxels too many and too few.
import { tf } from '../../tensor/tf.js';
import { type Activated, activated, counted, type Reduction, reduced } from './reduction.js';

/** Settings of the Tversky loss. */
export interface TverskyOptions extends Activated {
  /** Weight of false positives; default 0.5. */
  alpha?: number;
  /** Of false negatives; default 0.5. Both 0.5 is the Dice loss. */
  beta?: number;
  includeBackground?: boolean;
  /** Sum over the batch before dividing. */
  batch?: boolean;
  smoothNumerator?: number;
  smoothDenominator?: number;
  /** `none` gives `[batch, channel]`, with `batch` `[channel]`. */
  reduction?: Reduction;
}

/**
 * 1 − TP / (TP + α·FP + β·FN) of soft counts (MONAI `TverskyLoss`).
 * @param logits `[batch, …spatial, channel]`
 * @param target one-hot labels or regions, same shape, float32
 * @returns a scalar unless `reduction` is `none`; the caller owns it
 */
export function tversky(logits: tf.Tensor, target: tf.Tensor, options: TverskyOptions & { reduction: 'none' }): tf.Tensor;
export function tversky(
  logits: tf.Tensor,
  target: tf.Tensor,
  options: TverskyOptions & { reduction?: 'mean' | 'sum' },
): tf.Scalar;
export function tversky(logits: tf.Tensor, target: tf.Tensor, options: TverskyOptions): tf.Tensor {
  return tf.tidy(() => {
    const { alpha = 0.5, beta = 0.5, smoothNumerator = 1e-5, smoothDenominator = 1e-5 } = options;
    const p = counted(activated(logits, options), options);
    const y = counted(target, options);
    const axes = Array.from({ length: p.rank - 1 }, (_, i) => i).slice(options.batch ? 0 : 1);
    const tp = tf.sum(tf.mul(p, y), axes);
    const fp = tf.sub(tf.sum(p, axes), tp);
    const fn = tf.sub(tf.sum(y, axes), tp);
    const denominator = tf.add(tf.add(tp, tf.add(tf.mul(fp, alpha), tf.mul(fn, beta))), smoothDenominator);
    return reduced(tf.sub(1, tf.div(tf.add(tp, smoothNumerator), denominator)), options.reduction);
  });
}
