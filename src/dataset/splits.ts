// Cross-validation splits as nnU-Net v2 makes them: sklearn's KFold(5, shuffle, seed 12345) on the sorted case ids.
import { VoxelbookError } from '../base/errors.js';
import { NumpyRandom } from '../base/numpy/mt19937.js';
import { type Groups, idsOf } from './groups.js';

/** Ids of the cases of one fold: trained on, and held out. */
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
  const sorted = idsOf(ids);
  const n = sorted.length;
  if (n < folds) throw tooFew(n === 1 ? '1 case' : `${n} cases`, folds);
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

const tooFew = (given: string, folds: number) =>
  new VoxelbookError(`${given} cannot be split into ${folds} folds`, {
    code: 'too-few-cases',
    path: 'cases',
    given,
    expected: `at least ${folds}`,
    fix: 'Train on every case: fold "all" (--fold all, or "folds": ["all"] in the experiment), or write a splits_final.json by hand.',
  });

/**
 * Splits that keep groups together.
 * Source: sklearn's GroupKFold: groups by falling size, each into the fold with the fewest cases so far.
 * @throws VoxelbookError for fewer groups than folds
 */
export function groupedSplits(ids: readonly string[], groups: Groups, folds = 5): Split[] {
  const sorted = idsOf(ids);
  const members = new Map<string, string[]>();
  for (const id of sorted) members.set(groups[id], [...(members.get(groups[id]) ?? []), id]);
  if (members.size < folds) throw tooFew(`${sorted.length} cases of ${members.size} groups`, folds);
  const bySize = [...members].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  const held = Array.from({ length: folds }, () => new Set<string>());
  for (const [, cases] of bySize) {
    const lightest = held.reduce((best, fold) => (fold.size < best.size ? fold : best));
    for (const id of cases) lightest.add(id);
  }
  return held.map((val) => ({ train: sorted.filter((id) => !val.has(id)), val: sorted.filter((id) => val.has(id)) }));
}
