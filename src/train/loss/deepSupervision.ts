// Deep supervision: the same loss at several resolutions, weighted.
import { tf } from '../../tensor/tf.js';
import type { Recipe } from '../experiment.js';

/**
 * Weights of `outputs` losses, full resolution first, summing to 1.
 * `nnunet`: 1/2^i with the last set to 0 (a single output keeps weight 1); `all`: 1/2^i; `none`: only the first.
 */
export function deepSupervisionWeights(kind: Recipe['deepSupervision'], outputs: number): number[] {
  let weights = Array.from({ length: outputs }, (_, i) => 2 ** -i);
  if (kind === 'none') weights = weights.map((_, i) => (i === 0 ? 1 : 0));
  if (kind === 'nnunet' && outputs > 1) weights[outputs - 1] = 0;
  if (Array.isArray(kind)) weights = weights.map((_, i) => kind[i] ?? 0);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

/** Scale of each supervised output relative to the input: cumulative strides without the deepest stage (nnU-Net v2). */
export function deepSupervisionScales(strides: readonly (readonly number[])[]): number[][] {
  const scales: number[][] = [];
  let product = strides[0].map(() => 1);
  for (const stride of strides.slice(0, -1)) {
    product = product.map((p, axis) => p * stride[axis]);
    scales.push(product.map((p) => 1 / p));
  }
  return scales;
}

/**
 * Weighted sum of `loss` over the outputs; an output of weight 0 is not evaluated.
 * @param outputs logits, full resolution first
 * @param targets one a resolution, in whatever form `loss` takes
 * @returns scalar; the caller owns it
 */
export function deepSupervision<T>(
  loss: (logits: tf.Tensor, target: T) => tf.Scalar,
  outputs: readonly tf.Tensor[],
  targets: readonly T[],
  weights: readonly number[],
): tf.Scalar {
  return tf.tidy(() => {
    const terms = outputs.flatMap((output, i) => (weights[i] ? [tf.mul(loss(output, targets[i]), weights[i])] : []));
    return tf.addN(terms) as tf.Scalar;
  });
}
