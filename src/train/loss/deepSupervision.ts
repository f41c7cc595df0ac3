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

/**
 * Labels at a lower resolution by nearest-exact sampling: output i reads input ⌊(i + 0.5)·n/N⌋.
 * @param labels `[depth, height, width]`, row-major
 */
export function downsampleLabels(labels: Int16Array, shape: readonly number[], target: readonly number[]): Int16Array {
  if (shape.every((n, i) => n === target[i])) return labels;
  const [, height, width] = shape;
  const index = target.map((n, axis) => Int32Array.from({ length: n }, (_, i) => Math.floor(((i + 0.5) * shape[axis]) / n)));
  const out = new Int16Array(target[0] * target[1] * target[2]);
  let at = 0;
  for (const z of index[0]) for (const y of index[1]) for (const x of index[2]) out[at++] = labels[(z * height + y) * width + x];
  return out;
}
