// The two losses the five recipes use: Dice + cross entropy over labels, Dice + binary cross entropy over regions.
import { nativeLoss, nativeLossAvailable } from '../../tensor/native/segmentationLoss.js';
import { tf } from '../../tensor/tf.js';
import { binaryCrossEntropy, crossEntropy } from './crossEntropy.js';
import { type DiceOptions, diceLoss } from './dice.js';

/** Settings of Dice + cross entropy over labels. */
export interface DcAndCeOptions extends DiceOptions {
  ceWeight?: number;
  diceWeight?: number;
  /** Voxels of this label are left out of both terms. */
  ignoreLabel?: number;
  classWeights?: readonly number[];
  labelSmoothing?: number;
}

/**
 * Dice + cross entropy (nnU-Net `DC_and_CE_loss`).
 * @param logits `[batch, …spatial, class]`
 * @param labels `[batch, …spatial]`, int32
 * @returns scalar; the caller owns it
 */
export function dcAndCe(logits: tf.Tensor, labels: tf.Tensor, options: DcAndCeOptions): tf.Scalar {
  if (nativeLossAvailable()) return nativeLoss([logits], [labels], [1], { ...options, target: 'labels' });
  return tf.tidy(() => {
    const { ceWeight = 1, diceWeight = 1, ignoreLabel } = options;
    const classes = logits.shape[logits.rank - 1];
    let kept = labels;
    let mask: tf.Tensor | undefined;
    if (ignoreLabel !== undefined) {
      const keep = tf.notEqual(labels, ignoreLabel);
      kept = tf.mul(labels, tf.cast(keep, 'int32'));
      mask = tf.expandDims(tf.cast(keep, 'float32'), -1);
    }
    const target = tf.oneHot(tf.cast(kept, 'int32') as tf.Tensor1D, classes, 1, 0, 'float32');
    const ce = crossEntropy(logits, target, { mask, weight: options.classWeights, labelSmoothing: options.labelSmoothing });
    const dice = diceLoss(tf.softmax(logits), target, options, mask);
    return tf.add(tf.mul(ce, ceWeight), tf.mul(dice, diceWeight)) as tf.Scalar;
  });
}

/** Settings of Dice + binary cross entropy over regions. */
export interface DcAndBceOptions extends DiceOptions {
  ceWeight?: number;
  diceWeight?: number;
  /** The target's last channel marks voxels to leave out. */
  ignore?: boolean;
}

/**
 * Dice + binary cross entropy over regions that may overlap (nnU-Net `DC_and_BCE_loss`).
 * With `ignore` the cross entropy is summed over the regions and divided by the number of kept voxels, as nnU-Net does:
 * as many times larger as there are regions, compared with the plain mean.
 * @param logits `[batch, …spatial, region]`
 * @param target `[batch, …spatial, region (+ ignore)]`, 0 or 1, float32
 * @returns scalar; the caller owns it
 */
export function dcAndBce(logits: tf.Tensor, target: tf.Tensor, options: DcAndBceOptions): tf.Scalar {
  if (nativeLossAvailable()) return nativeLoss([logits], [target], [1], { ...options, target: 'regions' });
  return tf.tidy(() => {
    const { ceWeight = 1, diceWeight = 1, ignore = false } = options;
    let regions = target;
    let mask: tf.Tensor | undefined;
    if (ignore) {
      const parts = tf.split(target, [logits.shape[logits.rank - 1], 1], -1);
      regions = parts[0];
      mask = tf.sub(1, parts[1]);
    }
    const voxelwise = binaryCrossEntropy(logits, regions);
    const ce = mask ? tf.div(tf.sum(tf.mul(voxelwise, mask)), tf.maximum(tf.sum(mask), 1e-8)) : tf.mean(voxelwise);
    const dice = diceLoss(tf.sigmoid(logits), regions, options, mask);
    return tf.add(tf.mul(ce, ceWeight), tf.mul(dice, diceWeight)) as tf.Scalar;
  });
}
