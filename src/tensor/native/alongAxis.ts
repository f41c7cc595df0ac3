// A sparse matrix along one axis, on our own kernel; used by `resize`. Outside the tape.
import { tf } from '../tf.js';
import { execute } from './load.js';

/**
 * @param x `[outer, n, inner]`
 * @param weights mostly zeros, `[m, n]` row by row, or `[n, m]` with `transpose`
 * @returns `[outer, m, inner]`
 */
export function nativeAlongAxis(x: tf.Tensor, weights: Float32Array, m: number, transpose: boolean): tf.Tensor {
  const n = x.shape[1]!;
  const [start, index, weight]: number[][] = [[0], [], []];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const w = transpose ? weights[j * m + i] : weights[i * n + j];
      if (w === 0) continue;
      index.push(j);
      weight.push(w);
    }
    start.push(index.length);
  }
  return tf.tidy(() => execute('VoxelbookAlongAxis', [x, tf.tensor1d(start), tf.tensor1d(index), tf.tensor1d(weight)], 1)[0]);
}
