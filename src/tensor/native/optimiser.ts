// One optimiser step for all parameters on our own kernel; used by `applyGradients`.
import { tf } from '../tf.js';
import { execute, executeOnList } from './load.js';

/** A number as two floats, so that no digit of it is lost on the way. */
const twoFloats = (x: number) => (Number.isFinite(x) ? [Math.fround(x), x - Math.fround(x)] : [x, 0]);

/**
 * Clips the gradients' global norm, checks it, and writes the step into parameters and slots.
 * @param tensors parameters, gradients, first slots, with AdamW second slots, and averages where there are any, in one order; all
 *   but the gradients must lie in memory of their own (`freshCopy`, `freshZeros`)
 * @param settings as optimiser.cc lists them, without the limit
 * @returns the norm before clipping; `taken` is false where it is not finite, and nothing was written
 */
export function nativeOptimiserStep(kind: 'sgd' | 'adamw', tensors: readonly tf.Tensor[][], limit: number, settings: number[]) {
  return tf.tidy(() => {
    const numbers = tf.tensor1d([...twoFloats(limit), ...settings]);
    const averaged = tensors.length > (kind === 'sgd' ? 3 : 4);
    const ints = [kind === 'sgd' ? 0 : 1, tensors[0].length, averaged ? 1 : 0];
    const [high, low, taken] = executeOnList('VoxelbookOptimiserStep', [...tensors.flat(), numbers], 1, ints)[0].dataSync();
    return { norm: high + low, taken: taken === 1 };
  });
}

/** Norm of all tensors together, summed in double precision. */
export const nativeGlobalNorm = (tensors: tf.Tensor[]): number =>
  tf.tidy(() => {
    const [high, low] = executeOnList('VoxelbookGlobalNorm', tensors, 1)[0].dataSync();
    return high + low;
  });

/** The same values in memory that no JavaScript array and no other tensor shares; the caller owns it. */
export const freshCopy = (x: tf.Tensor): tf.Tensor => execute('VoxelbookFresh', [x], 1, [1])[0];

/** Zeros of the same shape in such memory; the caller owns them. */
export const freshZeros = (x: tf.Tensor): tf.Tensor => execute('VoxelbookFresh', [x], 1, [0])[0];
