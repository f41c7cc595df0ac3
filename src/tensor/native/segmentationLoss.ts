// Dice + cross entropy of all supervised outputs together, on our own kernel; used by `dcAndCe` and `dcAndBce`.
import { customOp } from '../ops/customOp.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { executeOnList, native, nativeAvailable } from './load.js';

export interface NativeLossSettings {
  /** Labels with softmax, or regions with sigmoid. */
  target: 'labels' | 'regions';
  batchDice: boolean;
  background: boolean;
  variant: 'nnunetv1' | 'nnunetv2';
  smooth: number;
  ceWeight?: number;
  diceWeight?: number;
  /** Labels: this one is left out. */
  ignoreLabel?: number;
  /** Regions: the target's last channel marks what is left out. */
  ignore?: boolean;
  classWeights?: readonly number[];
  labelSmoothing?: number;
}

/** True where `nativeLoss` can run (on shapes alone: would be used). */
export const nativeLossAvailable = () => (isSymbolic() ? nativeAvailable() : native());

/**
 * Weighted sum of the losses of several outputs.
 * @param logits `[batch, …spatial, channel]` each, float32
 * @param targets labels `[batch, …spatial]`, or regions `[batch, …spatial, region (+ ignore)]`, one an output
 * @returns scalar; the caller owns it
 * Memory: keeps the gradient of each output's logits, where one is wanted; the logits themselves are not kept.
 */
export function nativeLoss(
  logits: readonly tf.Tensor[],
  targets: readonly tf.Tensor[],
  weights: readonly number[],
  settings: NativeLossSettings,
): tf.Scalar {
  // The gradients are made in the forward pass, of which the loss is the end: on shapes alone there is no difference.
  if (isSymbolic()) return symbolicOp('segmentationLoss', [...logits], [], { keepInputs: 0 });
  const { target, batchDice, background, variant, smooth, ceWeight = 1, diceWeight = 1, labelSmoothing = 0 } = settings;
  const wanted = (tf.engine() as unknown as { isTapeOn(): boolean }).isTapeOn();
  const ignore = target === 'labels' ? settings.ignoreLabel !== undefined : settings.ignore === true;
  const flags = [wanted, batchDice, background, variant === 'nnunetv1', ignore].map(Number);
  const floats = [smooth, ceWeight, diceWeight, labelSmoothing, ...weights, ...(settings.classWeights ?? [])];
  return customOp(
    [...logits],
    () => {
      const dtype = target === 'labels' ? 'int32' : 'float32';
      const compared = targets.map((t) => (t.dtype === dtype ? t : tf.cast(t, dtype)));
      const name = target === 'labels' ? 'VoxelbookLabelLoss' : 'VoxelbookRegionLoss';
      const ints = [...flags, settings.ignoreLabel ?? 0];
      const [value, ...gradients] = executeOnList(name, [...logits, ...compared], 1 + logits.length, ints, floats, logits.length);
      return { value, keep: wanted ? gradients : [] };
    },
    (dy, gradients) => {
      // Of the whole loss the slope is 1: nothing of the logits' size is made.
      const slope = dy.dataSync()[0];
      return gradients.map((g) => (slope === 1 ? tf.clone(g) : tf.mul(g, slope)));
    },
  ) as tf.Scalar;
}
