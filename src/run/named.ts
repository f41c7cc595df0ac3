// Which runs a person means: a run folder or its name, a folder of runs, or the file of an experiment or study.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { runsFolder } from '../base/paths.js';
import { foldsOf } from '../train/experiment.js';
import { runFolderOf, runHash } from '../train/identity.js';
import { type CompleteOptions, readExperiments } from './complete.js';
import { readOrder } from './folder.js';

/** A run folder with what it was asked to compute. */
export interface NamedRun {
  folder: string;
  order: NonNullable<ReturnType<typeof readOrder>>;
}

/**
 * The trained runs of one or several names.
 * @returns run folders with final weights, in the order named; of a folder of runs in the order of their names
 * @throws VoxelbookError naming what is no run or not yet trained
 */
export async function namedRuns(names: readonly string[], options: CompleteOptions = {}): Promise<NamedRun[]> {
  const runs = (await namedFolders(names, options)).map((folder) => ({ folder, order: readOrder(folder) }));
  const trained = runs.filter(
    ({ folder, order }) => order && fs.existsSync(path.join(folder, 'checkpoints', 'final.safetensors')),
  );
  if (trained.length === 0)
    throw new VoxelbookError('there is no trained run', {
      code: 'run-untrained',
      path: names.join(', '),
      given: runs.length === 0 ? 'no run' : `${runs.length} runs without final weights`,
      expected: 'a run folder, a folder of runs, or the file of an experiment that has been run',
      fix: 'npx voxelbook list names the runs; npx voxelbook run <experiment.json> finishes one.',
    });
  return trained as NamedRun[];
}

/** The run folders of one or several names, trained or not. */
export const namedFolders = async (names: readonly string[], options: CompleteOptions = {}): Promise<string[]> => [
  ...new Set((await Promise.all(names.map((name) => foldersOf(name, options)))).flat()),
];

async function foldersOf(name: string, options: CompleteOptions): Promise<string[]> {
  const place = [name, path.join(runsFolder(), name)].find((p) => fs.existsSync(p));
  const found = place && fs.statSync(place);
  if (!found || !(found.isFile() || found.isDirectory())) throw notThere(name);
  if (found.isFile()) {
    const experiments = await readExperiments(place, options);
    return experiments.flatMap((e) => foldsOf(e).flatMap((fold) => e.seeds.map((seed) => runFolderOf(e, fold, seed))));
  }
  const folder = path.resolve(place);
  if (fs.existsSync(path.join(folder, 'experiment.json'))) return [folder];
  const inside = fs.readdirSync(folder).sort();
  return inside.map((n) => path.join(folder, n)).filter((f) => fs.existsSync(path.join(f, 'experiment.json')));
}

const notThere = (name: string) =>
  new VoxelbookError('there is no such run', {
    code: 'no-run',
    path: name,
    given: 'neither a file nor a folder',
    expected: 'a run folder or its name, a folder of runs, or the file of an experiment',
    fix: 'npx voxelbook list names the runs.',
  });

/** Runs that differ in fold or seed only, together; by the name of their experiment. */
export function byExperiment(runs: readonly NamedRun[]): { name: string; runs: NamedRun[] }[] {
  const groups = new Map<string, { name: string; runs: NamedRun[] }>();
  for (const run of runs) {
    const { experiment } = run.order;
    const key = runHash(experiment, 0, 0);
    const group = groups.get(key) ?? { name: experiment.name, runs: [] };
    group.runs.push(run);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/**
 * The runs of one experiment: several are averaged only where they belong together.
 * @throws VoxelbookError naming the experiments
 */
export function ofOneExperiment(runs: readonly NamedRun[]): NamedRun[] {
  const groups = byExperiment(runs);
  if (groups.length > 1)
    throw new VoxelbookError('these runs belong to different experiments', {
      code: 'different-experiments',
      path: 'runs',
      given: groups.map(({ name, runs: own }) => `"${name}" (${path.basename(own[0].folder)})`).join(', '),
      expected: 'folds and seeds of one experiment',
      fix: 'Name the runs of one experiment; npx voxelbook ensemble averages predictions of several.',
    });
  return [...runs];
}
