// From an experiment's names to what training needs: data set, fingerprint, plan, preprocessed cases, split.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import type { WorkOptions } from '../base/progress.js';
import { type Dataset, type Labels, labels, open, type Split } from '../dataset/index.js';
import {
  type Configuration,
  configuration,
  type Fingerprint,
  fingerprint,
  override,
  type Plan,
  type PlannerName,
  plan,
  planners,
} from '../plan/index.js';
import { run as preprocess, preprocessedFolder } from '../preprocess/index.js';
import type { Experiment } from './experiment.js';
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
  split(fold: number): Split;
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
 * The plan of an experiment: the planner's, with the recipe's patch and batch size in the configuration it trains. Planned for a GPU
 * memory of its own it has a name, and so preprocessed data, of its own.
 */
export function planOf(dataset: Dataset, print: Fingerprint, experiment: Experiment): Plan {
  const { patchSize, batchSize } = experiment.recipe;
  const { planner = 'ExperimentPlanner', gpuMemoryGb } = experiment;
  const plansName = gpuMemoryGb === undefined ? undefined : `${planners[planner as PlannerName]?.plansName}_${gpuMemoryGb}GB`;
  const planned = plan(dataset, print, { planner: planner as PlannerName, gpuMemoryGb, plansName });
  return patchSize || batchSize ? override(planned, experiment.configuration, { patchSize, batchSize }) : planned;
}

/** The stored fingerprint while the data set's files are the same, else a new one. */
async function knownFingerprint(
  dataset: Dataset,
  base: string,
  { scale }: Experiment,
  options: WorkOptions,
): Promise<Fingerprint> {
  const file = path.join(base, 'dataset_fingerprint.json');
  const sourceFile = path.join(base, 'dataset_fingerprint.source');
  const source = createHash('sha256').update(canonicalJson([draws[scale], dataset.json]));
  for (const { images, label } of dataset.cases)
    for (const name of [...images, ...(label ? [label] : [])]) {
      const { size, mtimeMs } = fs.statSync(name);
      source.update(`${path.relative(dataset.folder, name)} ${size} ${mtimeMs}\n`);
    }
  const hash = source.digest('hex');
  if (fs.existsSync(file) && fs.existsSync(sourceFile) && fs.readFileSync(sourceFile, 'utf8').trim() === JSON.stringify(hash))
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  const print = await fingerprint(dataset, { draws: draws[scale], signal: options.signal, onProgress: options.onProgress });
  atomicWriteJson(file, print);
  atomicWriteJson(sourceFile, hash);
  return print;
}
