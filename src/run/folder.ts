// A run folder as others see it: what was asked for, how far it is, what came out.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson, readSealedJson } from '../base/atomicWrite.js';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { canonicalJson } from '../base/json.js';
import { runsFolder } from '../base/paths.js';
import { faultShape, hasShape, storedJson, tableShape } from '../base/storedJson.js';
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

const number = z.number();
const text = z.string();
const experimentShape: z.ZodType = z.looseObject({
  ...{ name: text, dataset: text, configuration: text, scale: text },
  ...{ model: z.looseObject({ network: text }), recipe: z.looseObject({}), prediction: z.looseObject({}) },
  seeds: z.array(number),
  folds: z.union([z.literal('all'), z.array(z.union([number, z.literal('all')]))]),
  get init() {
    const before = experimentShape.optional();
    return z.looseObject({ weights: text.optional(), from: before, upkernFrom: before }).optional();
  },
  get previousStage() {
    return experimentShape.optional();
  },
});
const orderShape = z.looseObject({ experiment: experimentShape, fold: z.union([z.literal('all'), number]), seed: number });
const scoresShape = z.looseObject({
  experiment: text.optional(),
  // Scores may come without it.
  nsd: z.looseObject({ toleranceMm: number.nullable() }).optional(),
  cases: z.array(z.looseObject({ id: text, classes: tableShape(tableShape(z.union([number, text, z.null()]))) })),
});
const failureShape = z.looseObject({ code: text, message: text, stage: text, step: number });
const lineShape = z.looseObject({
  ...{ epoch: number, epochs: number, step: number, steps: number, loss: number, lr: number },
  ...{ seconds: number, waitingShare: number, rssBytes: number, etaSeconds: number },
  ...{ validationLoss: number.nullable(), pseudoDsc: number.nullable() },
  pseudoDscPerClass: z.array(number.nullable()).nullable(),
});

const readWhole = <T extends object>(file: string, shape: z.ZodType): T | undefined => {
  try {
    const value = readSealedJson<T>(file);
    return hasShape<T>(shape, value) ? value : undefined;
  } catch {
    return undefined;
  }
};

export const readOrder = (folder: string) => storedJson<RunOrder>(path.join(folder, 'experiment.json'), orderShape);
/** Scores of a finished run; a damaged file is none, and is made again of the cases' own. JSON has no NaN and no infinity: `state` says which of them a null was. */
export function readScores(folder: string): RunScores | undefined {
  const scores = readWhole<RunScores>(path.join(folder, 'scores.json'), scoresShape);
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
export const readWarnings = (folder: string) =>
  storedJson<Fault[]>(path.join(folder, 'warnings.json'), z.array(faultShape)) ?? [];
export const readFailure = (folder: string) => storedJson<RunFailure>(path.join(folder, 'error.json'), failureShape);

/** All complete lines of progress.jsonl; a damaged one is left out. */
export function readProgress(folder: string): ProgressLine[] {
  const file = path.join(folder, 'progress.jsonl');
  if (!fs.existsSync(file)) return [];
  return fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => progressLine(line) ?? []);
}

function progressLine(line: string): ProgressLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return hasShape<ProgressLine>(lineShape, value) ? value : undefined;
  } catch {
    return undefined;
  }
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

/** What the folder of a run is called while it is taken away. */
export const removing = '.removing';
export const isBeingRemoved = (name: string): boolean => name.endsWith(removing);

/** Folders of all runs, newest first. */
export function runFolders(): string[] {
  const root = runsFolder();
  if (!fs.existsSync(root)) return [];
  const time = (folder: string) => fs.statSync(path.join(folder, 'experiment.json')).mtimeMs;
  return fs
    .readdirSync(root)
    .filter((name) => !isBeingRemoved(name))
    .map((name) => path.join(root, name))
    .filter((folder) => fs.existsSync(path.join(folder, 'experiment.json')))
    .sort((a, b) => time(b) - time(a));
}
