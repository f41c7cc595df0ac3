// One fold of a data set, or its folds by a rule of one's own.
import { VoxelbookError } from '../base/errors.js';
import { NumpyRandom } from '../base/numpy/mt19937.js';
import type { Dataset } from './dataset.js';
import { idsOf } from './groups.js';
import { type Fold, groupedSplits, type Split, splits } from './splits.js';
import { knownSplits } from './splitsFile.js';

/** How cases are kept together, and into how many folds they are dealt (default 5). */
export interface SplitOptions {
  /** The patient or site of a case; cases of one group are never on both sides. */
  group: (id: string) => string;
  folds?: number;
}

type Cases = readonly string[] | Pick<Dataset, 'cases'> | Pick<Dataset, 'name' | 'folder' | 'cases'>;

/**
 * Train and validation cases of one fold, or all folds with groups kept together.
 * @param cases ids, or an opened data set
 * @param fold beyond the given splits: a random 80:20 split seeded by the fold, in nnU-Net's order; `all`: every case in both
 * @param given default: of an opened data set the splits that training takes (its `splits_final.json`, else five folds with its `groups.json`
 * kept together), of ids the five folds of `splits(ids)`
 * @example dataset.split(d, { group: (id) => id.slice(0, 10) })
 */
export function split(cases: Cases, fold: Fold, given?: readonly Split[]): Split;
export function split(cases: Cases, options: SplitOptions): Split[];
export function split(cases: Cases, how: Fold | SplitOptions, given?: readonly Split[]): Split | Split[] {
  const sorted = idsOf('cases' in cases ? cases.cases : cases);
  if (typeof how === 'object')
    return groupedSplits(sorted, Object.fromEntries(sorted.map((id) => [id, String(how.group(id))])), how.folds);
  if (how === 'all') return { train: sorted, val: sorted };
  const known = given ?? ('folder' in cases ? knownSplits(cases).splits : splits(sorted));
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
