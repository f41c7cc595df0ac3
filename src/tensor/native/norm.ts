// Group, instance and batch norm, with an optional sum and leaky ReLU behind them, on our own kernel; used by `spatialNorm`.
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

/**
 * @param x `[batch, …spatial, channel]`
 * @param batch rows with statistics of their own: `x.shape[0]`, or 1 to take the whole batch together
 * @param slope of a leaky ReLU behind the norm, above 0; 1 = none
 * @param added is added before the leaky ReLU, `[batch, …spatial, channel]`
 * @param usedUp `x` and its memory are nobody else's: where no gradient is recorded it is written over and is the result
 * Memory: keeps `x` and `[batch, 2, channel]` statistics; with a sum the output too, and not what was added.
 */
export function nativeNorm(
  x: tf.Tensor,
  batch: number,
  groups: number,
  gamma: tf.Tensor | undefined,
  beta: tf.Tensor | undefined,
  epsilon: number,
  slope = 1,
  added?: tf.Tensor,
  usedUp = false,
): tf.Tensor {
  const channels = x.shape.at(-1)!;
  const own = [x, gamma, beta].filter((t) => t !== undefined);
  /** The kernel takes scale and shift together or not at all. */
  const both = (gamma: tf.Tensor | undefined, beta: tf.Tensor | undefined) =>
    gamma || beta ? [gamma ?? tf.ones([channels]), beta ?? tf.zeros([channels])] : [tf.zeros([0]), tf.zeros([0])];
  const settings = [
    [batch, groups],
    [epsilon, slope],
  ] as const;
  if (usedUp && !tf.engine().isTapeOn()) {
    tf.tidy(() => {
      execute('VoxelbookNormInPlace', [x, ...both(gamma, beta), added ?? tf.zeros([0])], 1, ...settings);
    });
    return x;
  }
  return customOp(
    added ? [...own, added] : own,
    () => {
      const inputs = [x, ...both(gamma, beta), added ?? tf.zeros([0])];
      const [value, statistics] = execute('VoxelbookNorm', inputs, 2, ...settings);
      return { value, keep: [...own, statistics, ...(added ? [value] : [])] };
    },
    (dy, kept) => {
      const [x, ...rest] = kept.slice(0, own.length);
      const [statistics, value] = kept.slice(own.length);
      const affine = both(gamma && rest[0], beta && rest[gamma ? 1 : 0]);
      const inputs = [x, ...affine, statistics, dy, value ?? tf.zeros([0])];
      const [dx, dGamma, dBeta, dAdded] = execute('VoxelbookNormGradient', inputs, 4, ...settings);
      return [dx, ...(gamma ? [dGamma] : []), ...(beta ? [dBeta] : []), ...(added ? [dAdded] : [])];
    },
  );
}
