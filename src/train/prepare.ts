// From an experiment's names to what training needs: data set, fingerprint, plan, preprocessed cases, split.
import fs from 'node:fs';
import path from 'node:path';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { withLock } from '../base/lock.js';
import type { WorkOptions } from '../base/progress.js';
import { type Dataset, type DatasetJson, type Fold, gate, labels, open, tell, warningText } from '../dataset/index.js';
import {
  type Configuration,
  configuration,
  type Fingerprint,
  fixed,
  knownFingerprint,
  nnunetDraws,
  override,
  type Plan,
  plan,
  plansNameBy,
  readPlan,
  storePlan,
} from '../plan/index.js';
import { preprocessedFolder } from '../preprocess/index.js';
import { runChecked as preprocess } from '../preprocess/run.js';
import type { Experiment, OwnFile } from './experiment.js';
import { objectiveOf } from './objective.js';
import { fittedPatch } from './patch.js';
import type { Prepared } from './prepared.js';
import { checkStages } from './previousStage.js';
import { recipeFaults } from './recipeFaults.js';
import { splitOf } from './split.js';

/**
 * Asks before anything is computed whether the data set, its splits and its labels allow a run.
 * @throws VoxelbookError with all faults
 */
export async function admit(experiment: Experiment, fold: Fold, options: WorkOptions = {}): Promise<void> {
  refuseRecipe(experiment);
  const dataset = open(experiment.dataset, options);
  await gate(dataset, options);
  refuseFold(experiment, dataset, fold);
}

function refuseRecipe({ recipe, prediction }: Experiment): void {
  const excluded = recipeFaults(recipe, prediction);
  if (excluded.length > 0) throw new VoxelbookError('this experiment cannot be run', excluded);
}

/** @throws VoxelbookError where splits or labels do not allow the run */
function refuseFold(experiment: Experiment, dataset: Dataset, fold: Fold): void {
  splitOf(experiment, dataset, fold);
  objectiveOf(experiment.recipe, labels(dataset.json));
}

/** Foreground draws of the fingerprint: nnU-Net's own number, or few, which hardly changes the statistics. */
export const drawsOf = ({ scale }: Pick<Experiment, 'scale'>): number => (scale === 'demo' ? 1e6 : nnunetDraws);

/**
 * Prepares an experiment's data; everything is kept on disk and made once, also when several processes ask at the same time.
 * @param options.onStage told what is being done
 * @param options.fold that is to be run: refused, as `admit` does, before anything is computed
 */
export async function prepare(
  experiment: Experiment,
  options: WorkOptions & { onStage?: (stage: string) => void; fold?: Fold } = {},
): Promise<Prepared> {
  const { onStage = () => {}, fold: wanted } = options;
  if (wanted !== undefined) refuseRecipe(experiment);
  onStage('open data set');
  const dataset = open(experiment.dataset, options);
  const base = preprocessedFolder(dataset);
  fs.mkdirSync(base, { recursive: true });
  return withLock(path.join(base, 'prepare.lock'), options, async () => {
    onStage('check');
    const warnings = await gate(dataset, options);
    if (wanted !== undefined) refuseFold(experiment, dataset, wanted);
    onStage('fingerprint');
    const print = await knownFingerprint(dataset, base, { ...options, draws: drawsOf(experiment) });
    onStage('plan');
    // The recipe's own patch and batch are this run's alone: the data set's plan stays as it was planned.
    const base_ = basePlanOf(dataset, print, experiment);
    if (!isOwn(experiment.plan)) storePlan(base, base_);
    const planned = forTraining(base_, dataset.json, experiment, (note) => warnings.push(note));
    checkStages(experiment, planned);
    onStage('preprocess');
    const { folder } = await preprocess(dataset, base_, experiment.configuration, options);
    return {
      dataset,
      labels: labels(dataset.json),
      plan: planned,
      configuration: configuration(planned, experiment.configuration),
      folder,
      fingerprint: print,
      warnings,
      split: (fold) => splitOf(experiment, dataset, fold),
    };
  });
}

/**
 * The plan of an experiment: a person's own, the one its paper fixes or the planner's, with the recipe's patch and batch size in the
 * configuration it trains. Planned for a GPU memory of its own it has a name, and so preprocessed data, of its own. A planned patch that
 * the network cannot take is rounded.
 * @param onNote told what was rounded; it is said besides
 * @throws VoxelbookError for a patch of the recipe or of a person's plan that the network cannot take
 */
export const planOf = (
  dataset: Planable,
  print: Fingerprint,
  experiment: Experiment,
  onNote: (note: Fault) => void = () => {},
): Plan => forTraining(basePlanOf(dataset, print, experiment), dataset.json, experiment, onNote);

function forTraining(planned: Plan, json: DatasetJson, experiment: Experiment, onNote: (note: Fault) => void): Plan {
  const { patchSize, batchSize } = experiment.recipe;
  const chosen = patchSize || batchSize ? override(planned, experiment.configuration, { patchSize, batchSize }) : planned;
  return fittedPatch(chosen, experiment, json, !patchSize && !experiment.plan, (note) => {
    tell(warningText(note));
    onNote(note);
  });
}

type Planable = Pick<Dataset, 'name' | 'json'> & Partial<Pick<Dataset, 'cases'>>;

/** Whether a plan is a person's own file. */
export const isOwn = (plan: Experiment['plan']): plan is OwnFile => typeof plan === 'object';

function basePlanOf(dataset: Planable, print: Fingerprint, experiment: Experiment): Plan {
  const { plan: given, planner, gpuMemoryGb } = experiment;
  if (isOwn(given)) return ownPlanOf(given, preprocessedFolder(dataset));
  if (given) return fixed(given, dataset, print);
  const plansName = gpuMemoryGb === undefined ? undefined : plansNameOf(experiment);
  return plan(dataset, print, { planner, gpuMemoryGb, plansName });
}

/** A plan from elsewhere has preprocessed data of its own: one data set may have several plans of one name. */
function ownPlanOf({ file, sha256 }: OwnFile, base: string): Plan {
  const own = readPlan(file, sha256);
  if (path.dirname(path.resolve(file)) === path.resolve(base)) return own;
  const configurations = Object.entries(own.configurations).map(([name, c]): [string, Configuration] => [
    name,
    c.data_identifier ? { ...c, data_identifier: `${c.data_identifier}_${sha256.slice(0, 12)}` } : c,
  ]);
  return { ...own, configurations: Object.fromEntries(configurations) };
}

/** `plans_name` of the plan that an experiment takes from a planner or a paper. */
export function plansNameOf({ plan: given, planner, gpuMemoryGb }: Pick<Experiment, 'plan' | 'planner' | 'gpuMemoryGb'>): string {
  if (typeof given === 'string') return `nnUNetPlans_${given}`;
  const name = plansNameBy(planner);
  return gpuMemoryGb === undefined ? name : `${name}_${gpuMemoryGb}GB`;
}
