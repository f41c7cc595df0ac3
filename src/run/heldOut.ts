// Which cases a run is judged by.
import type { Dataset, Fold, Split } from '../dataset/index.js';
import type { RunScores } from '../train/index.js';

/**
 * The cases a run predicts: its fold's validation cases; trained on all, the test set, and where there is none the training cases
 * themselves, as nnU-Net's fold `all` does.
 */
export function heldOut(dataset: Dataset, { val }: Split, fold: Fold): { ids: string[]; on: NonNullable<RunScores['on']> } {
  if (fold !== 'all') return { ids: val, on: 'validation' };
  if (dataset.testCases.length === 0) return { ids: val, on: 'training' };
  return { ids: dataset.testCases.map((c) => c.id), on: 'test' };
}
