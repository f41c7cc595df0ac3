// Layer norm on our own kernel; used by `layerNorm`.
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

/**
 * @param x `[…, channel]`
 * Memory: keeps `x` and two numbers per row.
 */
export function nativeLayerNorm(
  x: tf.Tensor,
  gamma: tf.Tensor | undefined,
  beta: tf.Tensor | undefined,
  epsilon: number,
): tf.Tensor {
  const channels = x.shape.at(-1)!;
  const inputs = [x, gamma, beta].filter((t) => t !== undefined);
  /** The kernel takes scale and shift together or not at all. */
  const both = (gamma: tf.Tensor | undefined, beta: tf.Tensor | undefined) =>
    gamma || beta ? [gamma ?? tf.ones([channels]), beta ?? tf.zeros([channels])] : [tf.zeros([0]), tf.zeros([0])];
  return customOp(
    inputs,
    () => {
      const [value, statistics] = execute('VoxelbookLayerNorm', [x, ...both(gamma, beta)], 2, [], [epsilon]);
      return { value, keep: [...inputs, statistics] };
    },
    (dy, [x, ...rest]) => {
      const statistics = rest.at(-1)!;
      const affine = both(gamma && rest[0], beta && rest[gamma ? 1 : 0]);
      const [dx, dGamma, dBeta] = execute('VoxelbookLayerNormGradient', [x, ...affine, statistics, dy], 3, [], [epsilon]);
      return [dx, ...(gamma ? [dGamma] : []), ...(beta ? [dBeta] : [])];
    },
  );
}
