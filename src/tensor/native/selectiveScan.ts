// The selective scan on our own kernel; used by `selectiveScan` and by VMamba's four-way scan of a grid.
import { customOp } from '../ops/customOp.js';
import { tf } from '../tf.js';
import { execute } from './load.js';

export interface NativeScanSettings {
  deltaSoftplus: boolean;
  /** The result is y and the last state, flattened one behind the other, instead of y alone. */
  wantState?: boolean;
  /** Scans of the grid in several orders, added up: 0 along rows, 1 along columns, 2 and 3 the same backwards. Default 1. */
  ways?: number;
  /** Of the grid, where there are several ways. */
  height?: number;
  width?: number;
}

/**
 * @param inputs u `[batch, length, d]`, delta `[batch, length, ways·d]`, A `[ways·d, state]`, B and C
 *   `[batch, length, ways·group, state]`, D and bias `[ways·d]`
 * @returns `[batch, length, d]`
 * Memory: keeps the inputs and one state (batch·ways·d·state values) for every 64 positions.
 */
export function nativeScan(inputs: tf.Tensor[], settings: NativeScanSettings): tf.Tensor {
  const { deltaSoftplus, wantState = false, ways = 1, height = 0, width = 0 } = settings;
  const groups = inputs[3].shape[2]! / ways;
  const ints = [ways, groups, deltaSoftplus ? 1 : 0, height, width];
  return customOp(
    inputs,
    () => {
      const [y, state, starts] = execute('VoxelbookSelectiveScan', inputs, 3, ints);
      const value = wantState ? tf.concat([tf.reshape(y, [-1]), tf.reshape(state, [-1])]) : y;
      return { value, keep: [...inputs, starts] };
    },
    (dValue, kept) => {
      const u = kept[0];
      const flat = wantState ? tf.reshape(dValue, [-1]) : dValue;
      const dy = wantState ? tf.reshape(tf.slice(flat, 0, u.size), u.shape) : dValue;
      const dState = wantState ? tf.slice(flat, u.size) : tf.zeros([0]);
      return execute('VoxelbookSelectiveScanGradient', [...kept, dy, dState], 7, ints);
    },
  );
}
