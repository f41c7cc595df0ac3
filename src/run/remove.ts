// Taking runs away, with the runs that were started from them and what was made from any of these.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { runsFolder } from '../base/paths.js';
import { initOf } from '../train/dependencies.js';
import { runHash } from '../train/identity.js';
import { isBeingRemoved, type RunOrder, readOrder, removing, runFolders } from './folder.js';
import { isAlive, readLease, takeLease } from './lease.js';
import { madeOf } from './members.js';

/** Whether a run takes weights, or in a cascade the labels of any fold, from another. No data set is opened. */
function isMadeFrom(run: RunOrder, other: RunOrder): boolean {
  const hash = runHash(other.experiment, other.fold, other.seed);
  const init = initOf(run.experiment);
  if (init && runHash(init, run.fold, run.seed) === hash) return true;
  const { previousStage } = run.experiment;
  return previousStage !== undefined && runHash(previousStage, other.fold, run.seed) === hash;
}

/** The runs given and, behind each, those on this disk that need it. */
export function withDependents(folders: readonly string[]): string[] {
  const all = runFolders().flatMap((folder) => {
    const order = readOrder(folder);
    return order ? [{ folder, order }] : [];
  });
  const found = new Set(folders.map((folder) => path.resolve(folder)));
  for (const folder of found) {
    const order = readOrder(folder);
    if (!order) continue;
    for (const other of all) if (isMadeFrom(other.order, order)) found.add(other.folder);
  }
  return [...found];
}

/**
 * Removes runs, with those that need them, and ensembles and choices of the best that were made from them.
 * @returns the folders that are gone
 * @throws VoxelbookError, before anything is removed, where one of them is being worked on or is no run folder
 */
export function remove(folders: readonly string[]): string[] {
  const all = withDependents(folders);
  const faults = all.flatMap((folder) => {
    if (!readOrder(folder))
      return [fault('run-folder', folder, 'no readable experiment.json', 'a run folder', 'npx voxelbook list names the runs.')];
    if (!isAlive(folder)) return [];
    const { pid, host } = readLease(folder)!;
    return [
      fault('run-busy', folder, `process ${pid} on ${host} works on it`, 'no living process', 'npx voxelbook stop ends it.'),
    ];
  });
  if (faults.length > 0) throw new VoxelbookError('these runs cannot be removed', faults);
  sweep();
  const made = madeOf(all);
  for (const folder of made) fs.rmSync(folder, { recursive: true, force: true });
  for (const folder of all) {
    // Nobody starts it while it goes; under its new name it is no run any more, should this process end in the middle.
    const lease = takeLease(folder);
    const gone = `${folder}${removing}`;
    fs.rmSync(gone, { recursive: true, force: true });
    fs.renameSync(folder, gone);
    lease.release();
    fs.rmSync(gone, { recursive: true });
  }
  return [...all, ...made];
}

/** What an earlier removal left. */
function sweep(): void {
  const root = runsFolder();
  for (const name of fs.existsSync(root) ? fs.readdirSync(root) : [])
    if (isBeingRemoved(name)) fs.rmSync(path.join(root, name), { recursive: true, force: true });
}

const fault = (code: string, at: string, given: string, expected: string, fix: string) => ({
  code,
  path: at,
  given,
  expected,
  fix,
});
