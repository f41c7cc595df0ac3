// What a run is called: a readable name and the hash of everything that can change its numbers.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../base/json.js';
import { runsFolder } from '../base/paths.js';
import { withoutDefaults } from '../base/schema.js';
import type { Fold } from '../dataset/index.js';
import { settingsOf } from '../model/settings.js';
import type { Experiment } from './experiment.js';

export { canonicalJson };

const anything = z.looseObject({});

/** The experiment without what does not change its numbers: its name, and which folds and seeds are run besides. */
function essence(experiment: Experiment): unknown {
  const {
    name: _name,
    folds: _folds,
    seeds: _seeds,
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
  createHash('sha256')
    .update(canonicalJson([essence(experiment), fold, seed]))
    .digest('hex')
    .slice(0, 12);

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
  const existing = fs.existsSync(root) ? fs.readdirSync(root).find((name) => name.endsWith(`-${hash}`)) : undefined;
  return path.join(root, existing ?? runName(experiment, fold, seed));
}
