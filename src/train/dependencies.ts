// The runs that must be finished before a run can start.
import { type Fold, open } from '../dataset/index.js';
import type { Experiment } from './experiment.js';
import { heldOutBy } from './previousStage.js';

/** One run: an experiment with its fold and seed. */
export interface Dependency {
  experiment: Experiment;
  fold: Fold;
  seed: number;
}

/**
 * The run of the same fold and seed that `init` takes weights from, and in a cascade every fold of the previous stage that holds one of
 * the run's training or validation cases out. Opens the data set of a cascade.
 * @throws VoxelbookError naming cases of a cascade that no fold holds out
 */
export function dependenciesOf(experiment: Experiment, fold: Fold, seed: number): Dependency[] {
  const start = initOf(experiment);
  const { previousStage } = experiment;
  const folds = previousStage ? [...new Set(heldOutBy(experiment, open(experiment.dataset), fold).values())].sort() : [];
  return [
    ...(start ? [{ experiment: start, fold, seed }] : []),
    ...folds.map((k) => ({ experiment: previousStage!, fold: k, seed })),
  ];
}

/** The experiment whose weights this one starts from. */
export function initOf({ init }: Experiment): Experiment | undefined {
  if (!init) return undefined;
  if ('upkernFrom' in init) return init.upkernFrom;
  return 'from' in init ? init.from : undefined;
}
