// From an experiment's names to what training needs: data set, fingerprint, plan, preprocessed cases, split.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import type { WorkOptions } from '../base/progress.js';
import { type Dataset, type Fold, type Labels, labels, open, type Split } from '../dataset/index.js';
import {
  type Configuration,
  configuration,
  type Fingerprint,
  fingerprint,
  fixed,
  override,
  type Plan,
  type PlannerName,
  plan,
  planners,
} from '../plan/index.js';
import { run as preprocess, preprocessedFolder } from '../preprocess/index.js';
import type { Experiment, Scale } from './experiment.js';
import { canonicalJson } from './identity.js';
import { withLock } from './lock.js';
import { checkStages } from './previousStage.js';
import { splitOf } from './split.js';

export interface Prepared {
  dataset: Dataset;
  labels: Labels;
  plan: Plan;
  /** The configuration, with the recipe's patch and batch size in it. */
  configuration: Configuration;
  /** Folder of the preprocessed cases. */
  folder: string;
  split(fold: Fold): Split;
}

/** Foreground draws of the fingerprint: nnU-Net's own number, or few, which hardly changes the statistics. */
const draws = { demo: 1e6, paper: 1e8 };

/**
 * Prepares an experiment's data; everything is kept on disk and made once, also when several processes ask at the same time.
 * @param options.onStage told what is being done
 */
export async function prepare(
  experiment: Experiment,
  options: WorkOptions & { onStage?: (stage: string) => void } = {},
): Promise<Prepared> {
  const { onStage = () => {} } = options;
  onStage('open data set');
  const dataset = open(experiment.dataset, options);
  const base = preprocessedFolder(dataset);
  fs.mkdirSync(base, { recursive: true });
  return withLock(path.join(base, 'prepare.lock'), options, async () => {
    onStage('fingerprint');
    const print = await knownFingerprint(dataset, base, experiment, options);
    onStage('plan');
    const planned = planOf(dataset, print, experiment);
    checkStages(experiment, planned);
    onStage('preprocess');
    const { folder } = await preprocess(dataset, planned, experiment.configuration, options);
    return {
      dataset,
      labels: labels(dataset.json),
      plan: planned,
      configuration: configuration(planned, experiment.configuration),
      folder,
      split: (fold) => splitOf(experiment, dataset, fold),
    };
  });
}

/**
 * The plan of an experiment: the one its paper fixes or the planner's, with the recipe's patch and batch size in the configuration it
 * trains. Planned for a GPU memory of its own it has a name, and so preprocessed data, of its own.
 */
export function planOf(dataset: Pick<Dataset, 'name' | 'json'>, print: Fingerprint, experiment: Experiment): Plan {
  const { patchSize, batchSize } = experiment.recipe;
  const planned = experiment.plan ? fixed(experiment.plan, dataset, print) : plannersPlan(dataset, print, experiment);
  return patchSize || batchSize ? override(planned, experiment.configuration, { patchSize, batchSize }) : planned;
}

function plannersPlan(dataset: Pick<Dataset, 'name' | 'json'>, print: Fingerprint, experiment: Experiment): Plan {
  const { planner = 'ExperimentPlanner', gpuMemoryGb } = experiment;
  const plansName = gpuMemoryGb === undefined ? undefined : `${planners[planner as PlannerName]?.plansName}_${gpuMemoryGb}GB`;
  return plan(dataset, print, { planner: planner as PlannerName, gpuMemoryGb, plansName });
}

/** The fingerprint of a data set on this machine, made where there is none of its present files; no case is preprocessed. */
export async function fingerprintOf(dataset: Dataset, experiment: Experiment, options: WorkOptions = {}): Promise<Fingerprint> {
  const base = preprocessedFolder(dataset);
  fs.mkdirSync(base, { recursive: true });
  return withLock(path.join(base, 'prepare.lock'), options, () => knownFingerprint(dataset, base, experiment, options));
}

/** The stored fingerprint of a data set if its files are still the same, else undefined. */
export function storedFingerprint(dataset: Dataset, { scale }: Experiment): Fingerprint | undefined {
  const { file, sourceFile, hash } = fingerprintFiles(dataset, preprocessedFolder(dataset), scale);
  const same =
    fs.existsSync(file) && fs.existsSync(sourceFile) && fs.readFileSync(sourceFile, 'utf8').trim() === JSON.stringify(hash);
  return same ? JSON.parse(fs.readFileSync(file, 'utf8')) : undefined;
}

/** The stored fingerprint, else a new one. */
async function knownFingerprint(
  dataset: Dataset,
  base: string,
  experiment: Experiment,
  options: WorkOptions,
): Promise<Fingerprint> {
  const stored = storedFingerprint(dataset, experiment);
  if (stored) return stored;
  const { file, sourceFile, hash } = fingerprintFiles(dataset, base, experiment.scale);
  const { signal, onProgress } = options;
  const print = await fingerprint(dataset, { draws: draws[experiment.scale], signal, onProgress });
  atomicWriteJson(file, print);
  atomicWriteJson(sourceFile, hash);
  return print;
}

/** Where a fingerprint lies, and the hash of what it is made of: names, sizes and times of the files, and the draws. */
function fingerprintFiles(dataset: Dataset, base: string, scale: Scale) {
  const source = createHash('sha256').update(canonicalJson([draws[scale], dataset.json]));
  for (const { images, label } of dataset.cases)
    for (const name of [...images, ...(label ? [label] : [])]) {
      const { size, mtimeMs } = fs.statSync(name);
      source.update(`${path.relative(dataset.folder, name)} ${size} ${mtimeMs}\n`);
    }
  const at = (name: string) => path.join(base, name);
  return {
    file: at('dataset_fingerprint.json'),
    sourceFile: at('dataset_fingerprint.source'),
    hash: source.digest('hex'),
  };
}
