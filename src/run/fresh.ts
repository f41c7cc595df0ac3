// Whether a finished run is still the result of its inputs: data set, splits, plan, weights and runs it starts from.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { gate, open, tell } from '../dataset/index.js';
import { fingerprintOf, readPlan } from '../plan/index.js';
import { dependenciesOf } from '../train/dependencies.js';
import { runFolderOf } from '../train/identity.js';
import { changedText, changes, drawsOf, inputsOf, planOf, readInputs, supersede } from '../train/index.js';
import { type RunOrder, readScores } from './folder.js';
import { testChanges } from './tested.js';

/**
 * What changed since a run was computed, in sentences; empty when it still holds. Costs a look at the files; a fingerprint is made again only
 * where their content changed.
 * @throws VoxelbookError when the data set as it is now could not be trained on
 */
export async function changesOf(
  { experiment, fold, seed }: RunOrder,
  folder = runFolderOf(experiment, fold, seed),
  options: WorkOptions = {},
): Promise<string[]> {
  const before = readInputs(folder);
  if (!before) return ['nothing says what it was made from'];
  const found: string[] = [];
  for (const d of dependenciesOf(experiment, fold, seed)) {
    const own = runFolderOf(d.experiment, d.fold, d.seed);
    // What it started from may have been removed since: then it cannot have changed.
    if (!readScores(own)) continue;
    for (const text of await changesOf(d, own, options)) found.push(`"${d.experiment.name}", which it starts from: ${text}`);
  }
  const dataset = open(experiment.dataset, options);
  await gate(dataset, { ...options, onWarning: () => {} });
  const print = await fingerprintOf(dataset, { ...options, draws: drawsOf(experiment) });
  const plan = planOf(dataset, print, experiment);
  return [...found, ...changes(before, inputsOf(experiment, fold, seed, { dataset, plan }))];
}

/**
 * What changed of a run's cases, splits, test set and `dataset.json` since it was computed, by a look at the files; its plan is taken as it was.
 * For lists: a data set that is not here, or cannot be used now, says nothing.
 */
export function dataChangesOf({ experiment, fold, seed }: RunOrder, folder: string): string[] {
  const before = readInputs(folder);
  if (!before) return ['nothing says what it was made from'];
  try {
    const plan = readPlan(path.join(folder, 'plan.json'));
    const found = changes(before, inputsOf(experiment, fold, seed, { dataset: open(experiment.dataset), plan }));
    const scores = readScores(folder);
    return [...found, ...(scores ? testChanges({ experiment, fold, seed }, scores) : [])];
  } catch {
    return [];
  }
}

/**
 * Whether a run folder holds a result that still holds. One that does not is moved aside, with a word about what changed; of one whose test set
 * alone changed only the scores go.
 * @param say told what changed
 */
export async function settled(
  order: RunOrder,
  folder: string,
  { say = tell, ...options }: WorkOptions & { say?: (text: string) => void } = {},
): Promise<boolean> {
  if (!readScores(folder)) return false;
  let why: string[];
  try {
    why = await changesOf(order, folder, options);
  } catch (error) {
    if (!(error instanceof VoxelbookError && error.code === 'no-dataset')) throw error;
    say(
      `${path.basename(folder)}: its data set ${order.experiment.dataset} is not here, so nothing says whether it changed since`,
    );
    return true;
  }
  if (why.length === 0) return scoresHold(order, folder, say);
  say(changedText(folder, why));
  if (fs.existsSync(folder)) supersede(folder, why);
  return false;
}

/** Whether a run is scored on the test set as it is now; scores that are not are removed, and the run's next start makes them again. */
function scoresHold(order: RunOrder, folder: string, say: (text: string) => void): boolean {
  const scores = readScores(folder);
  if (!scores) return false;
  const why = testChanges(order, scores);
  if (why.length === 0) return true;
  say(`${path.basename(folder)}: ${why.join('; ')} since it was scored; it is scored again, its training stays`);
  fs.rmSync(path.join(folder, 'scores.json'), { force: true });
  return false;
}
