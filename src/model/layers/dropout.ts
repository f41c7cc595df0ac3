// Dropout of values, of channels and of whole paths. All act only while training and with a generator.
import { product } from '../../base/shape.js';
import { tf } from '../../tensor/tf.js';
import type { Context } from '../network.js';
import type { Layer } from './layers.js';

/** Dropout of single values with probability `rate`. */
export const dropout =
  (rate: number): Layer =>
  (c, x) =>
    times(x, dropoutMask(c, x.shape, rate));

/** Stochastic depth (`DropPath`): drops whole batch entries with probability `rate` and scales the others up. */
export const dropPath =
  (rate: number): Layer =>
  (c, x) =>
    times(x, dropoutMask(c, [x.shape[0], ...x.shape.slice(1).map(() => 1)], rate));

/** `Dropout2d`/`3d`: drops whole channels of a batch entry. */
export const channelDropout =
  (rate: number): Layer =>
  (c, x) =>
    times(x, dropoutMask(c, [x.shape[0], ...x.shape.slice(1, -1).map(() => 1), x.shape.at(-1)!], rate));

const times = (x: tf.Tensor, mask: tf.Tensor | undefined) => (mask ? tf.mul(x, mask) : x);

/** 0 with probability `rate`, else 1/(1 − rate); nothing when dropout does not act. */
export function dropoutMask({ training, random }: Context, shape: readonly number[], rate: number): tf.Tensor | undefined {
  if (!training || !random || rate <= 0) return undefined;
  return tf.tensor(random.mask(product(shape), rate, 1 / (1 - rate)), [...shape]);
}

/** Drop-path rates of every block, growing linearly from 0 to `last` over all stages. */
export function dropPathRates(depths: readonly number[], last: number): number[][] {
  const total = depths.reduce((a, b) => a + b, 0);
  let block = 0;
  return depths.map((depth) => Array.from({ length: depth }, () => (total > 1 ? (last * block++) / (total - 1) : 0)));
}
