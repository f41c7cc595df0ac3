// Means over cases and classes as peers take them, and the confusion matrix.
import type { LabelMap } from '../volume/volume.js';
import { census } from './masks.js';

/** Mean of what is a number; NaN when nothing is (numpy's nanmean). */
export function nanMean(values: ArrayLike<number>): number {
  let [sum, n] = [0, 0];
  for (let i = 0; i < values.length; i++)
    if (!Number.isNaN(values[i])) {
      sum += values[i];
      n++;
    }
  return sum / n;
}

/** MONAI's reductions over cases and classes. */
export type MonaiReduction = 'none' | 'mean' | 'sum' | 'mean_batch' | 'sum_batch' | 'mean_channel' | 'sum_channel';

/**
 * MONAI's reductions of a table `[case][class]`; NaN is left out, and what has no number at all becomes 0.
 * @returns the value, and how many numbers went into it
 */
export function monaiReduce(
  table: readonly (readonly number[])[],
  reduction: MonaiReduction,
): { value: number | number[] | number[][]; count: number | number[] | number[][] } {
  const numbers = (list: readonly number[]) => list.filter((v) => !Number.isNaN(v));
  const sum = (list: readonly number[]) => numbers(list).reduce((a, b) => a + b, 0);
  const average = (list: readonly number[]) => (numbers(list).length === 0 ? 0 : sum(list) / numbers(list).length);
  const columns = table[0].map((_, k) => table.map((row) => row[k]));
  const count = (list: readonly number[]) => numbers(list).length;
  switch (reduction) {
    case 'none':
      return { value: table.map((row) => [...row]), count: table.map((row) => row.map((v) => (Number.isNaN(v) ? 0 : 1))) };
    case 'mean': {
      const rows = table.filter((row) => count(row) > 0).map(average);
      return { value: average(rows), count: rows.length };
    }
    case 'sum':
      return { value: sum(table.flat()), count: count(table.flat()) };
    case 'mean_batch':
      return { value: columns.map(average), count: columns.map(count) };
    case 'sum_batch':
      return { value: columns.map(sum), count: columns.map(count) };
    case 'mean_channel':
      return { value: table.map(average), count: table.map(count) };
    case 'sum_channel':
      return { value: table.map(sum), count: table.map(count) };
  }
}

/** How often label r of the reference (row) met label p of the prediction (column), for labels 0 … size - 1. */
export function confusion(reference: LabelMap, prediction: LabelMap, size: number): number[][] {
  const { counts } = census(reference.data, prediction.data, reference.shape);
  return Array.from({ length: size }, (_, r) => Array.from({ length: size }, (_, p) => counts.get(r * 65536 + p) ?? 0));
}
