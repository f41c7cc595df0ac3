// The runs of a list of experiments, in an order in which whatever a run starts from comes first.
import { FaultList } from '../base/errors.js';
import type { Fold } from '../dataset/index.js';
import { dependenciesOf } from '../train/dependencies.js';
import { runFolderOf, runHash } from '../train/identity.js';
import { type Experiment, foldsOf } from '../train/index.js';
import { type PlannedRun, readScores } from './folder.js';

/** The runs of a list of experiments with everything they depend on, dependencies first, each run once. */
export function graph(experiments: readonly Experiment[]): PlannedRun[] {
  const faults = new FaultList();
  for (const [i, e] of experiments.entries()) {
    if (e.folds.length === 0)
      faults.add('no-folds', `experiments[${i}].folds`, '[]', 'at least one fold', 'List the folds to run.');
    if (e.seeds.length === 0)
      faults.add('no-seeds', `experiments[${i}].seeds`, '[]', 'at least one seed', 'List the seeds to run.');
  }
  faults.throwIfAny('this study cannot be planned');
  const planned = new Map<string, PlannedRun>();
  const add = (experiment: Experiment, fold: Fold, seed: number): PlannedRun => {
    const hash = runHash(experiment, fold, seed);
    const known = planned.get(hash);
    if (known) return known;
    const needed = dependenciesOf(experiment, fold, seed).map((d) => add(d.experiment, d.fold, d.seed));
    const folder = runFolderOf(experiment, fold, seed);
    const run: PlannedRun = {
      experiment,
      fold,
      seed,
      hash,
      folder,
      needs: needed.map((run) => run.hash),
      level: Math.max(0, ...needed.map((run) => run.level + 1)),
      finished: readScores(folder) !== undefined,
    };
    planned.set(hash, run);
    return run;
  };
  for (const experiment of experiments)
    for (const fold of foldsOf(experiment)) for (const seed of experiment.seeds) add(experiment, fold, seed);
  return [...planned.values()];
}
