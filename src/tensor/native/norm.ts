// Group, instance and batch norm, with an optional leaky ReLU, on our own kernel; used by `spatialNorm`.
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

/**
 * @param x `[batch, …spatial, channel]`
 * @param batch rows with statistics of their own: `x.shape[0]`, or 1 to take the whole batch together
 * @param slope of a leaky ReLU behind the norm; 1 = none
 * Memory: keeps `x` and `[batch, 2, channel]` statistics.
 */
export function nativeNorm(
  x: tf.Tensor,
  batch: number,
  groups: number,
  gamma: tf.Tensor | undefined,
  beta: tf.Tensor | undefined,
  epsilon: number,
  slope = 1,
): tf.Tensor {
  const channels = x.shape.at(-1)!;
  const inputs = [x, gamma, beta].filter((t) => t !== undefined);
  /** The kernel takes scale and shift together or not at all. */
  const both = (gamma: tf.Tensor | undefined, beta: tf.Tensor | undefined) =>
    gamma || beta ? [gamma ?? tf.ones([channels]), beta ?? tf.zeros([channels])] : [tf.zeros([0]), tf.zeros([0])];
  const settings = [
    [batch, groups],
    [epsilon, slope],
  ] as const;
  return customOp(
    inputs,
    () => {
      const [value, statistics] = execute('VoxelbookNorm', [x, ...both(gamma, beta)], 2, ...settings);
      return { value, keep: [...inputs, statistics] };
    },
    (dy, kept) => {
      const [x, ...rest] = kept;
      const statistics = rest.at(-1)!;
      const affine = both(gamma && rest[0], beta && rest[gamma ? 1 : 0]);
      const [dx, dGamma, dBeta] = execute('VoxelbookNormGradient', [x, ...affine, statistics, dy], 3, ...settings);
      return [dx, ...(gamma ? [dGamma] : []), ...(beta ? [dBeta] : [])];
    },
  );
}
