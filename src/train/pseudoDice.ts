// nnU-Net's running quality measure: Dice over validation patches, hard predictions, counts summed over the whole epoch.
import { tf } from '../tensor/tf.js';

/** Hard true positives, false positives and false negatives per foreground class or region. */
export interface Counts {
  tp: number[];
  fp: number[];
  fn: number[];
}

/**
 * Counts of one batch.
 * @param logits `[batch, …spatial, channel]`, full resolution
 * @param target `labels`: `[batch, …spatial]` int32; `regions`: `[batch, …spatial, region (+ ignore)]` float32
 * @param ignore the ignore label's number (labels), or whether the target's last channel marks ignored voxels (regions)
 */
export function hardCounts(logits: tf.Tensor, target: tf.Tensor, kind: 'labels' | 'regions', ignore?: number | boolean): Counts {
  return tf.tidy(() => {
    const channels = logits.shape[logits.rank - 1];
    let prediction: tf.Tensor;
    let truth: tf.Tensor;
    let mask: tf.Tensor | undefined;
    if (kind === 'labels') {
      if (typeof ignore === 'number') mask = tf.expandDims(tf.cast(tf.notEqual(target, ignore), 'float32'), -1);
      const foreground = (labels: tf.Tensor) =>
        tf.stack(
          Array.from({ length: channels - 1 }, (_, i) => tf.cast(tf.equal(labels, i + 1), 'float32')),
          -1,
        );
      prediction = foreground(tf.argMax(logits, -1));
      truth = foreground(target);
    } else {
      const parts = ignore ? tf.split(target, [channels, 1], -1) : [target];
      prediction = tf.cast(tf.greater(logits, 0), 'float32');
      truth = parts[0];
      if (ignore) mask = tf.sub(1, parts[1]);
    }
    const axes = Array.from({ length: logits.rank - 1 }, (_, i) => i);
    const sum = (x: tf.Tensor) => Array.from(tf.sum(mask ? tf.mul(x, mask) : x, axes).dataSync());
    return {
      tp: sum(tf.mul(prediction, truth)),
      fp: sum(tf.mul(prediction, tf.sub(1, truth))),
      fn: sum(tf.mul(tf.sub(1, prediction), truth)),
    };
  });
}

/** The sum of two counts, class by class. */
export const addCounts = (a: Counts, b: Counts): Counts => ({
  tp: a.tp.map((x, i) => x + b.tp[i]),
  fp: a.fp.map((x, i) => x + b.fp[i]),
  fn: a.fn.map((x, i) => x + b.fn[i]),
});

/** Dice per class, NaN where class and prediction are both absent; the mean leaves NaN out. */
export function pseudoDice({ tp, fp, fn }: Counts): { perClass: number[]; mean: number } {
  const perClass = tp.map((t, i) => (2 * t) / (2 * t + fp[i] + fn[i]));
  const known = perClass.filter((d) => !Number.isNaN(d));
  return { perClass, mean: known.reduce((a, b) => a + b, 0) / known.length };
}

/** Exponential moving average with nnU-Net's 0.9; the first value starts it. */
export const ema = (previous: number | null, value: number): number => (previous === null ? value : previous * 0.9 + 0.1 * value);
