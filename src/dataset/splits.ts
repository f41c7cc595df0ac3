// Cross-validation splits as nnU-Net v2 makes them: sklearn's KFold(5, shuffle, seed 12345) on the sorted case ids.
import { VoxelbookError } from '../base/errors.js';
import { NumpyRandom } from '../base/numpy/mt19937.js';
import type { CaseFiles } from './dataset.js';
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

/** How cases are kept together, and into how many folds they are dealt (default 5). */
export interface SplitOptions {
  /** The patient or site of a case; cases of one group are never on both sides. */
  group: (id: string) => string;
  folds?: number;
}

type Cases = readonly string[] | { cases: readonly CaseFiles[] };

/**
 * Train and validation cases of one fold, or all folds with groups kept together.
 * @param cases ids, or an opened data set
 * @param fold beyond the given splits: a random 80:20 split seeded by the fold, in nnU-Net's order; `all`: every case in both
 * @param given splits read from `splits_final.json`; default `splits(ids)`
 * @example dataset.split(d, { group: (id) => id.slice(0, 10) })
 */
export function split(cases: Cases, fold: Fold, given?: readonly Split[]): Split;
export function split(cases: Cases, options: SplitOptions): Split[];
export function split(cases: Cases, how: Fold | SplitOptions, given?: readonly Split[]): Split | Split[] {
  const sorted = idsOf('cases' in cases ? cases.cases : cases);
  if (typeof how === 'object')
    return groupedSplits(sorted, Object.fromEntries(sorted.map((id) => [id, String(how.group(id))])), how.folds);
  if (how === 'all') return { train: sorted, val: sorted };
  const known = given ?? splits(sorted);
  if (!(Number.isInteger(how) && how >= 0))
    throw new VoxelbookError('there is no such fold', {
      code: 'fold',
      path: 'fold',
      given: String(how),
      expected: `a whole number from 0 to ${known.length - 1}, or "all"`,
      fix: 'Folds count from 0.',
    });
  if (how < known.length) return known[how];
  const order = new NumpyRandom(12345 + how).permutation(sorted.length);
  const train = [...order.subarray(0, Math.floor(0.8 * sorted.length))].map((i) => sorted[i]);
  const kept = new Set(train);
  return { train, val: sorted.filter((id) => !kept.has(id)) };
}
