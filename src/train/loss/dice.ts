// The soft Dice term, as nnU-Net v2 and v1 compute it.
import { tf } from '../../tensor/tf.js';

/** Whose Dice it is, and over what it is averaged. */
export interface DiceOptions {
  /** Sum over the batch before dividing, instead of averaging the samples' Dice. */
  batchDice: boolean;
  /** Count channel 0. Regions: yes; labels: no. */
  background: boolean;
  smooth: number;
  /** `nnunetv2`: (2I+s)/max(P+Y+s, 1e-8); `nnunetv1`: (2I+s)/(P+Y+s+1e-8). */
  variant: 'nnunetv1' | 'nnunetv2';
}

/**
 * Minus the mean soft Dice over channels (and samples), nnU-Net `loss/dice.py`.
 * @param probabilities `[batch, …spatial, channel]`, after softmax or sigmoid
 * @param target one-hot labels or regions, same shape, float32
 * @param mask `[batch, …spatial, 1]`, 1 where a voxel counts; absent = everywhere
 * @returns scalar in [-1, 0]; the caller owns it
 */
export function diceLoss(probabilities: tf.Tensor, target: tf.Tensor, options: DiceOptions, mask?: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    let p = options.background ? probabilities : dropChannel0(probabilities);
    let y = options.background ? target : dropChannel0(target);
    if (mask) {
      p = tf.mul(p, mask);
      y = tf.mul(y, mask);
    }
    const axes = Array.from({ length: p.rank - 1 }, (_, i) => i).slice(options.batchDice ? 0 : 1);
    const intersection = tf.sum(tf.mul(p, y), axes);
    const total = tf.add(tf.add(tf.sum(p, axes), tf.sum(y, axes)), options.smooth);
    const denominator = options.variant === 'nnunetv2' ? tf.maximum(total, 1e-8) : tf.add(total, 1e-8);
    const dice = tf.div(tf.add(tf.mul(intersection, 2), options.smooth), denominator);
    return tf.neg(tf.mean(dice)) as tf.Scalar;
  });
}

function dropChannel0(x: tf.Tensor): tf.Tensor {
  const begin = x.shape.map((_, i) => (i === x.rank - 1 ? 1 : 0));
  return tf.slice(x, begin);
}
