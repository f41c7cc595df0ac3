// Which cases a run trains and validates on.
import { VoxelbookError } from '../base/errors.js';
import { Random } from '../base/random.js';
import { type Dataset, type Fold, readSplits, type Split, split } from '../dataset/index.js';
import { preprocessedFolder } from '../preprocess/index.js';
import type { Experiment } from './experiment.js';

/** Training and validation cases of a fold, by `splits_final.json` where there is one; of the training cases the experiment's share. */
export function splitOf({ trainShare }: Experiment, dataset: Dataset, fold: number): Split {
  const ids = dataset.cases.map((c) => c.id);
  const { train, val } = split(ids, fold, readSplits(preprocessedFolder(dataset)));
  return { train: shareOf(train, trainShare, fold), val };
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
