// What a run is called: a readable name and the hash of everything that can change its numbers.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { sha256 } from '../base/checksum.js';
import { canonicalJson } from '../base/json.js';
import { runsFolder } from '../base/paths.js';
import { withoutDefaults } from '../base/schema.js';
import type { Fold } from '../dataset/index.js';
import { settingsOf } from '../model/settings.js';
import type { Experiment } from './experiment.js';

export { canonicalJson };

const anything = z.looseObject({});

/** The experiment without what does not change its predictions: its name, which folds and seeds are run besides, how it is scored and labelled. */
function essence(experiment: Experiment): unknown {
  const {
    name: _name,
    folds: _folds,
    seeds: _seeds,
    scoring: _scoring,
    labels: _labels,
    init,
    previousStage,
    model,
    plan,
    extensions,
    trainShare,
    ...own
  } = experiment;
  const rest = {
    ...own,
    model: withoutDefaults(settingsOf(model.network) ?? anything, model),
    // Of a person's own files what they hold counts, not where they lie.
    plan: typeof plan === 'object' ? { sha256: plan.sha256 } : plan,
    extensions: extensions?.map(({ sha256 }) => sha256),
    trainShare: trainShare === 1 ? undefined : trainShare,
    previousStage: previousStage && essence(previousStage),
  };
  if (!init) return rest;
  if ('upkernFrom' in init) return { ...rest, init: { upkernFrom: essence(init.upkernFrom) } };
  if ('from' in init) return { ...rest, init: { ...init, from: essence(init.from) } };
  return { ...rest, init };
}

/** Twelve hexadecimal digits that change with any setting of the experiment, its fold or its seed. */
export const runHash = (experiment: Experiment, fold: Fold, seed: number): string =>
  sha256(canonicalJson([essence(experiment), fold, seed])).slice(0, 12);

/** `MedNeXt-S-k3_fold0_seed1-0123456789ab`. */
export function runName(experiment: Experiment, fold: Fold, seed: number): string {
  const readable = experiment.name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9.]+/g, '-')
    .replace(/^[-.]+|-+$/g, '')
    .slice(0, 60);
  return `${readable || 'run'}_fold${fold}_seed${seed}-${runHash(experiment, fold, seed)}`;
}

/** Where a run's folder is or will be. Experiments that differ in name only share the folder that came first. */
export function runFolderOf(experiment: Experiment, fold: Fold, seed: number): string {
  const hash = runHash(experiment, fold, seed);
  const root = runsFolder();
  const names = fs.existsSync(root) ? fs.readdirSync(root) : [];
  const existing = names.find((name) => name.endsWith(`-${hash}`)) ?? names.find((name) => earlierHash(root, name) === hash);
  return path.join(root, existing ?? runName(experiment, fold, seed));
}

const earlierHashes = new Map<string, string | undefined>();

/**
 * The present hash of a folder named when scoring was part of a run's name; the order in a run folder never changes, so it is read once.
 */
function earlierHash(root: string, name: string): string | undefined {
  const file = path.join(root, name, 'experiment.json');
  if (earlierHashes.has(file)) return earlierHashes.get(file);
  if (!/-[0-9a-f]{12}$/.test(name) || !fs.existsSync(file)) return undefined;
  const read = (): string | undefined => {
    try {
      const { experiment, fold, seed } = JSON.parse(fs.readFileSync(file, 'utf8'));
      return scored(experiment) ? runHash(experiment, fold, seed) : undefined;
    } catch {
      return undefined;
    }
  };
  earlierHashes.set(file, read());
  return earlierHashes.get(file);
}

/** Whether an experiment or one it starts from says how it is scored and labelled. */
function scored({ scoring, init, previousStage }: Experiment): boolean {
  const before = init && ('from' in init ? init.from : 'upkernFrom' in init ? init.upkernFrom : undefined);
  return Boolean(scoring || (before && scored(before)) || (previousStage && scored(previousStage)));
}
