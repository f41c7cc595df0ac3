// VMamba's selective scan of a grid in four orders (Liu et al. 2024, https://arxiv.org/abs/2401.10166): along rows, along columns,
// and both backwards; the four results are added.
import { native } from '../native/load.js';
import { nativeScan } from '../native/selectiveScan.js';
import { tf } from '../tf.js';
import { selectiveScan } from './selectiveScan.js';

export interface CrossScanWeights {
  /** `[4, channel, rank]`: from the low-rank step to every channel's. */
  steps: tf.Tensor;
  /** `[4·channel, state]`: decay rates, negative. */
  A: tf.Tensor;
  /** `[4·channel]`: skip weights. */
  D: tf.Tensor;
  /** `[4·channel]`: added to the step before softplus. */
  deltaBias: tf.Tensor;
}

/**
 * @param u `[batch, height, width, channel]`
 * @param projected `[batch, height, width, 4·(rank + 2·state)]`: for each of the four ways its low-rank step, B and C
 * @returns the shape of `u`; the caller owns it
 * Memory: the native kernel walks the grid itself; the plain version keeps the grid in all four orders.
 */
export function crossScan(u: tf.Tensor, projected: tf.Tensor, weights: CrossScanWeights): tf.Tensor {
  return tf.tidy(() => (native() ? onGrid : inSequences)(u, projected, weights));
}

function onGrid(u: tf.Tensor, projected: tf.Tensor, { steps, A, D, deltaBias }: CrossScanWeights): tf.Tensor {
  const [batch, height, width, channels] = u.shape as [number, number, number, number];
  const [length, rank, states] = [height * width, steps.shape[2]!, A.shape[1]!];
  const ways = tf.reshape(projected, [batch, length, 4, rank + 2 * states]);
  const [step, B, C] = tf.split(ways, [rank, states, states], -1);
  const lifts = tf.unstack(steps);
  const lifted = tf
    .unstack(tf.reshape(step, [batch * length, 4, rank]), 1)
    .map((way, k) => tf.matMul(way, lifts[k], false, true));
  const delta = tf.reshape(tf.concat(lifted, -1), [batch, length, 4 * channels]);
  const inputs = [tf.reshape(u, [batch, length, channels]), delta, A, B, C, D, deltaBias];
  return tf.reshape(nativeScan(inputs, { deltaSoftplus: true, ways: 4, height, width }), u.shape);
}

function inSequences(u: tf.Tensor, projected: tf.Tensor, { steps, A, D, deltaBias }: CrossScanWeights): tf.Tensor {
  const [batch, height, width, channels] = u.shape as [number, number, number, number];
  const [length, rank, states] = [height * width, steps.shape[2]!, A.shape[1]!];
  const toSequences = (grids: tf.Tensor[]) => grids.map((grid, k) => gridToSequence(grid, k));
  const ordered = toSequences(tf.split(projected, 4, -1)).map((way) => tf.split(way, [rank, states, states], -1));
  const lifts = tf.unstack(steps);
  const lifted = ordered.map(([step], k) =>
    tf.reshape(tf.matMul(tf.reshape(step, [-1, rank]), lifts[k], false, true), [batch, length, channels]),
  );
  const perWay = (part: number) =>
    tf.stack(
      ordered.map((way) => way[part]),
      2,
    ); // [batch, length, 4, state]
  const sequences = tf.concat(toSequences([u, u, u, u]), -1); // [batch, length, 4·channel]
  const y = selectiveScan(sequences, tf.concat(lifted, -1), A, perWay(1), perWay(2), { D, deltaBias });
  const ways = tf.split(y, 4, -1).map((way, k) => sequenceToGrid(way, k, height, width));
  return tf.add(tf.add(ways[0], ways[2]), tf.add(ways[1], ways[3]));
}

/** Order k of a grid: 0 along rows, 1 along columns, 2 and 3 the same backwards. `[batch, height, width, channel]` → `[batch, length, channel]`. */
export function gridToSequence(grid: tf.Tensor, k: number): tf.Tensor {
  const [batch, , , channels] = grid.shape;
  const rows = k % 2 === 0 ? grid : tf.transpose(grid, [0, 2, 1, 3]);
  const sequence = tf.reshape(rows, [batch, -1, channels!]);
  return k < 2 ? sequence : tf.reverse(sequence, 1);
}

function sequenceToGrid(sequence: tf.Tensor, k: number, height: number, width: number): tf.Tensor {
  const [batch, , channels] = sequence.shape;
  const forwards = k < 2 ? sequence : tf.reverse(sequence, 1);
  if (k % 2 === 0) return tf.reshape(forwards, [batch, height, width, channels!]);
  return tf.transpose(tf.reshape(forwards, [batch, width, height, channels!]), [0, 2, 1, 3]);
}
