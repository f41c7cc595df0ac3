// The previous stage of a cascade: which of its folds a run needs, and the labels they left for it.
//
// As in nnU-Net v2, each fold of the first stage leaves the labels of its validation cases at the second stage's preprocessed shape, in
// `predicted_next_stage/<configuration>/`. The second stage takes them for its training and its validation cases, so that it learns from
// labels with the faults that labels of unseen cases have.
import path from 'node:path';
import { FaultList } from '../base/errors.js';
import { type Dataset, type Fold, knownSplits } from '../dataset/index.js';
import { configuration, type Plan } from '../plan/index.js';
import { hasStageLabels, loadStageLabels, loadStored, type PreprocessedCase, withPreviousStage } from '../preprocess/index.js';
import type { Experiment } from './experiment.js';
import type { runFolderOf } from './identity.js';
import type { Prepared } from './prepared.js';
import { splitOf } from './split.js';

/** Where the previous stage's labels lie: plain data. */
export interface PreviousStage {
  /** Case → folder of its labels. */
  folders: Record<string, string>;
  /** Labels that become input channels, in this order. */
  foreground: number[];
}

/** Where a run leaves its labels for the next stage. */
export const nextStageFolder = (runFolder: string, nextStage: string) => path.join(runFolder, 'predicted_next_stage', nextStage);

/**
 * For each training and validation case of a run the fold of the previous stage that holds it out; the run's own fold where it does.
 * @throws VoxelbookError naming the cases that no fold holds out
 */
export function heldOutBy(experiment: Experiment, dataset: Dataset, fold: Fold): Map<string, Fold> {
  if (fold === 'all') return new Map(dataset.cases.map(({ id }) => [id, fold]));
  const known = knownSplits(dataset).splits;
  const order = [...known.keys()].sort((a, b) => Number(b === fold) - Number(a === fold));
  const { train, val } = splitOf(experiment, dataset, fold);
  const found = new Map<string, Fold>();
  const never: string[] = [];
  for (const id of [...train, ...val]) {
    const by = order.find((k) => known[k].val.includes(id));
    if (by === undefined) never.push(id);
    else found.set(id, by);
  }
  const faults = new FaultList();
  if (never.length > 0)
    faults.add(
      'never-held-out',
      'splits_final.json',
      `no fold validates ${never.join(', ')}`,
      'every case in the validation set of a fold, whose first stage predicts it',
      'Split the cases into folds that together validate all of them.',
    );
  faults.throwIfAny(`"${experiment.name}" cannot be the second stage of a cascade`);
  return found;
}

/**
 * The labels that the previous stage left for a run.
 * @param folderOf where the previous stage's runs have their folders
 * @returns undefined when the experiment is no second stage
 * @throws VoxelbookError naming every fold whose labels are missing, with the cases
 */
export function previousStageOf(
  experiment: Experiment,
  { dataset, labels }: Pick<Prepared, 'dataset' | 'labels'>,
  fold: Fold,
  seed: number,
  folderOf: typeof runFolderOf,
): PreviousStage | undefined {
  const { previousStage: before, configuration: name } = experiment;
  if (!before) return undefined;
  const folders: Record<string, string> = {};
  const missing = new Map<Fold, string[]>();
  for (const [id, by] of heldOutBy(experiment, dataset, fold)) {
    folders[id] = nextStageFolder(folderOf(before, by, seed), name);
    if (!hasStageLabels(folders[id], id)) missing.set(by, [...(missing.get(by) ?? []), id]);
  }
  const faults = new FaultList();
  for (const [by, ids] of [...missing].sort(([a], [b]) => (a < b ? -1 : 1)))
    faults.add(
      'previous-stage-missing',
      `fold ${by} of "${before.name}", seed ${seed}`,
      `no labels of ${ids.join(', ')} in ${folders[ids[0]]}`,
      'the labels of every case that the fold holds out',
      'Finish that run first, or start both as a study; if it has scores.json already, remove that file and start it again.',
    );
  faults.throwIfAny(`"${experiment.name}" cannot start: labels of its previous stage are missing`);
  return { folders, foreground: labels.foreground };
}

/**
 * Whether an experiment's previous stage is the one its plan wants.
 * @throws VoxelbookError with every difference
 */
export function checkStages(experiment: Experiment, plan: Plan): void {
  const { configuration: name, previousStage: before } = experiment;
  const wanted = configuration(plan, name).previous_stage ?? undefined;
  const faults = new FaultList();
  if (wanted && !before)
    faults.add(
      'no-previous-stage',
      'previousStage',
      'missing',
      `an experiment of ${wanted}`,
      `${name} sees the labels it predicts.`,
    );
  if (before && !wanted)
    faults.add(
      'previous-stage',
      'previousStage',
      `"${before.name}"`,
      `none: ${name} is no second stage`,
      'Remove it, or change the configuration.',
    );
  if (before && wanted) {
    const same = (key: string, given: unknown, expected: unknown) => {
      if (given === expected) return;
      const path = `previousStage.${key}`;
      faults.add('previous-stage', path, String(given), String(expected), 'Both stages belong to one plan of one data set.');
    };
    same('configuration', before.configuration, wanted);
    same('dataset', before.dataset, experiment.dataset);
    same('plan', before.plan, experiment.plan);
    same('planner', before.planner, experiment.planner);
    same('gpuMemoryGb', before.gpuMemoryGb, experiment.gpuMemoryGb);
  }
  faults.throwIfAny(`"${experiment.name}" is no possible stage of a cascade`);
}

/** A preprocessed case as the experiment's network takes it: in a cascade with the previous stage's labels as channels. */
export function networkInput(
  { folder }: Pick<Prepared, 'folder'>,
  previous: PreviousStage | undefined,
  id: string,
): PreprocessedCase {
  const done = loadStored(folder, id);
  if (!previous) return done;
  return withPreviousStage(done, loadStageLabels(previous.folders[id], id, done.shape), previous.foreground);
}
