// Cross-validation splits as nnU-Net v2 makes them: sklearn's KFold(5, shuffle, seed 12345) on the sorted case ids.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { NumpyRandom } from '../base/numpy/mt19937.js';

export interface Split {
  train: string[];
  val: string[];
}

/** A fold number, or `all`: train and validate on every case. */
export type Fold = number | 'all';

/**
 * The five splits of `splits_final.json`.
 * @throws VoxelbookError for fewer cases than folds
 */
export function splits(ids: readonly string[], folds = 5): Split[] {
  const sorted = [...ids].sort();
  const n = sorted.length;
  if (n < folds)
    throw new VoxelbookError(`${n} cases cannot be split into ${folds} folds`, {
      code: 'too-few-cases',
      path: 'cases',
      given: `${n} cases`,
      expected: `at least ${folds}`,
      fix: 'Train on fold "all", or write a splits_final.json by hand.',
    });
  const order = new NumpyRandom(12345).permutation(n);
  const result: Split[] = [];
  for (let fold = 0, start = 0; fold < folds; fold++) {
    const size = Math.floor(n / folds) + (fold < n % folds ? 1 : 0);
    const held = new Set(order.subarray(start, start + size));
    result.push({ train: sorted.filter((_, i) => !held.has(i)), val: sorted.filter((_, i) => held.has(i)) });
    start += size;
  }
  return result;
}

/**
 * Train and validation cases of one fold.
 * @param fold beyond the given splits: a random 80:20 split seeded by the fold, in nnU-Net's order; `all`: every case in both
 * @param given splits read from `splits_final.json`; default `splits(ids)`
 */
export function split(ids: readonly string[], fold: Fold, given?: readonly Split[]): Split {
  const sorted = [...ids].sort();
  if (fold === 'all') return { train: sorted, val: sorted };
  const known = given ?? splits(sorted);
  if (fold < known.length) return known[fold];
  const order = new NumpyRandom(12345 + fold).permutation(sorted.length);
  const train = [...order.subarray(0, Math.floor(0.8 * sorted.length))].map((i) => sorted[i]);
  const kept = new Set(train);
  return { train, val: sorted.filter((id) => !kept.has(id)) };
}

/** `splits_final.json` of a preprocessed folder, or undefined when there is none. */
export function readSplits(folder: string): Split[] | undefined {
  const file = path.join(folder, 'splits_final.json');
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : undefined;
}
