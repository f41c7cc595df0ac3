// A run folder as others see it: what was asked for, how far it is, what came out.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson, readSealedJson } from '../base/atomicWrite.js';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { canonicalJson } from '../base/json.js';
import { runsFolder } from '../base/paths.js';
import type { Fold } from '../dataset/index.js';
import { runFolderOf, runHash } from '../train/identity.js';
import type { Experiment, ProgressLine, RunScores } from '../train/index.js';

/** What `experiment.json` of a run folder holds. */
export interface RunOrder {
  experiment: Experiment;
  fold: Fold;
  seed: number;
}

/** One run of a study and the runs it needs. */
export interface PlannedRun extends RunOrder {
  hash: string;
  folder: string;
  /** Hashes of the runs that must be finished first. */
  needs: string[];
  /** 0 needs nothing, 1 needs something of level 0, and so on. */
  level: number;
  finished: boolean;
}

/** A run of a study that ended without a result. */
export interface FailedRun {
  run: PlannedRun;
  error: Error;
}

/** Why a run ended without a result; `error.json`. */
export interface RunFailure {
  code: string;
  message: string;
  stage: string;
  step: number;
  at: string;
}

/** `trained`: final weights stand, nothing is predicted and scored yet. */
export type RunState = 'finished' | 'trained' | 'running' | 'stopped' | 'failed' | 'new';

const read = <T>(file: string): T | undefined => {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
};

const readWhole = <T extends object>(file: string): T | undefined => {
  try {
    return readSealedJson<T>(file);
  } catch {
    return undefined;
  }
};

export const readOrder = (folder: string) => read<RunOrder>(path.join(folder, 'experiment.json'));
/** Scores of a finished run; a damaged file is none, and is made again of the cases' own. JSON has no NaN and no infinity: `state` says which of them a null was. */
export function readScores(folder: string): RunScores | undefined {
  const scores = readWhole<RunScores>(path.join(folder, 'scores.json'));
  if (scores?.nsd) scores.nsd.toleranceMm ??= Number.NaN;
  for (const { classes } of scores?.cases ?? []) restoreNonFinite(classes);
  return scores;
}

/** Gives stored scores their NaN and infinity back, which JSON does not have: `state` says which of them a null was. */
export function restoreNonFinite(classes: RunScores['cases'][number]['classes']): void {
  for (const score of Object.values(classes))
    for (const [key, value] of Object.entries(score)) {
      const far = /^(hd|hd95|assd|masd)$/.test(key) && (score.state === 'missed' || score.state === 'false-alarm');
      if (value === null) score[key] = far ? Number.POSITIVE_INFINITY : Number.NaN;
    }
}

/** What a person should know of the data set and plan a run was made from. */
export const readWarnings = (folder: string) => read<Fault[]>(path.join(folder, 'warnings.json')) ?? [];
export const readFailure = (folder: string) => read<RunFailure>(path.join(folder, 'error.json'));

/** All complete lines of progress.jsonl. */
export function readProgress(folder: string): ProgressLine[] {
  const file = path.join(folder, 'progress.jsonl');
  if (!fs.existsSync(file)) return [];
  return fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** Makes the folder of a run, or finds it; refuses one whose experiment is not this one. */
export function prepareFolder(order: RunOrder): string {
  const folder = runFolderOf(order.experiment, order.fold, order.seed);
  fs.mkdirSync(folder, { recursive: true });
  const known = readOrder(folder);
  if (!known) atomicWriteJson(path.join(folder, 'experiment.json'), order);
  else if (runHash(known.experiment, known.fold, known.seed) !== runHash(order.experiment, order.fold, order.seed))
    throw new VoxelbookError('this run folder belongs to another experiment', {
      code: 'run-folder',
      path: path.join(folder, 'experiment.json'),
      given: canonicalJson(known).slice(0, 200),
      expected: 'the experiment its name is the hash of',
      fix: 'Remove the folder; somebody changed its experiment.json by hand.',
    });
  return folder;
}

/** Folders of all runs, newest first. */
export function runFolders(): string[] {
  const root = runsFolder();
  if (!fs.existsSync(root)) return [];
  const time = (folder: string) => fs.statSync(path.join(folder, 'experiment.json')).mtimeMs;
  return fs
    .readdirSync(root)
    .map((name) => path.join(root, name))
    .filter((folder) => fs.existsSync(path.join(folder, 'experiment.json')))
    .sort((a, b) => time(b) - time(a));
}
