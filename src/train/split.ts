// Which cases a run trains and validates on.
import { FaultList, VoxelbookError } from '../base/errors.js';
import { Random } from '../base/random.js';
import { type Dataset, type Fold, knownSplits, type Split, split, tell, warningText } from '../dataset/index.js';
import type { Experiment } from './experiment.js';

/**
 * Training and validation cases of a fold, by `splits_final.json` where there is one; of the training cases the experiment's share.
 * A fold beyond the file is nnU-Net's random split of 80:20, with a warning.
 * @throws VoxelbookError with every fault of a `splits_final.json` written by hand
 */
export function splitOf({ trainShare, split: published }: Experiment, dataset: Dataset, fold: Fold): Split {
  if (published)
    return publishedSplit(
      published,
      dataset.cases.map((c) => c.id),
      fold,
    );
  const chosen = chosenSplit(dataset, fold);
  return { train: shareOf(chosen.train, trainShare, fold), val: chosen.val };
}

function chosenSplit(dataset: Dataset, fold: Fold): Split {
  if (fold === 'all') return split(dataset, fold);
  const { splits, warnings } = knownSplits(dataset);
  if (fold >= splits.length)
    warnings.push({
      code: 'splits-beyond',
      path: `fold ${fold}`,
      given: `splits_final.json has ${splits.length} folds (0 to ${splits.length - 1})`,
      expected: 'one of them',
      fix: 'As nnU-Net does, a random but seeded split of 80:20 of all cases is used.',
    });
  for (const warning of warnings) tell(warningText(warning));
  return split(dataset, fold, splits);
}

/** A paper's own split, every fault of it at once. */
function publishedSplit({ train, val }: Split, ids: readonly string[], fold: Fold): Split {
  const faults = new FaultList();
  const at = (path: string, given: string, expected: string, fix: string) => faults.add('split', path, given, expected, fix);
  if (fold !== 0) at('folds', String(fold), '0', 'A published split is one split: fold 0.');
  const unknown = [...train, ...val].filter((id) => !ids.includes(id));
  if (unknown.length > 0) at('split', unknown.join(', '), 'cases of the data set', 'Name cases as the data set does.');
  const both = val.filter((id) => train.includes(id));
  if (both.length > 0)
    at('split', `${both.join(', ')} in both parts`, 'two parts without a common case', 'Take them out of one.');
  for (const [name, list] of Object.entries({ train, val }))
    if (list.length === 0) at(`split.${name}`, 'no case', 'at least one', 'List the cases.');
  faults.throwIfAny('this split cannot be used');
  return { train: [...train], val: [...val] };
}

/**
 * A share of a fold's training cases: the first ones of an order drawn for the fold, so that a smaller share is part of a larger one.
 * @returns at least one case, in the order given
 */
export function shareOf(train: readonly string[], share = 1, fold: Fold = 0): string[] {
  if (!(share > 0 && share <= 1))
    throw new VoxelbookError('this share of the training cases cannot be taken', {
      code: 'train-share',
      path: 'trainShare',
      given: String(share),
      expected: 'a number above 0, at most 1',
      fix: 'Give 0.5 for half of the training cases.',
    });
  const count = Math.max(1, Math.round(share * train.length));
  if (count === train.length) return [...train];
  const chosen = new Set(new Random(`train-share/${fold}`).shuffled(train).slice(0, count));
  return train.filter((id) => chosen.has(id));
}
