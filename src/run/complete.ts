// From what a person writes to an experiment: checked, with everything filled in that was left out, paths made absolute.
//
// `{ "dataset": "Dataset027_ACDC", "model": { "network": "mednext", "size": "S", "kernel": 3 } }` is a complete experiment: the planner's
// plan, the recipe of the network's paper, fold 0, seed 0. Spelled out it is the same run.
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { atomicWrite } from '../base/atomicWrite.js';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { codeNote, extensionFile, loadExtensions } from '../base/extensions.js';
import { isDeeperThan, readJsonFile } from '../base/json.js';
import { preprocessedRoot } from '../base/paths.js';
import { faultsOf, withDefaults } from '../base/schema.js';
import { placeOf } from '../dataset/index.js';
import type { ModelSpec } from '../model/index.js';
import * as recipes from '../paper/recipes.js';
import { demoSettings } from '../paper/shared/demoExperiment.js';
import { type FixedPlanName, fixedPlans, ownDifferences, ownPlan, planFile } from '../plan/index.js';
import { experimentSchema, predictionSchema, recipeSchema } from '../train/experimentSchema.js';
import {
  type Experiment,
  type OwnFile,
  type PredictionSettings,
  plansNameOf,
  type Recipe,
  recipeFaults,
  type Scale,
  type Start,
} from '../train/index.js';

/** An experiment as a person may write it: everything but the data set and the network may be left out. */
export interface ShortExperiment
  extends Partial<
    Omit<Experiment, 'dataset' | 'model' | 'plan' | 'extensions' | 'recipe' | 'prediction' | 'init' | 'previousStage'>
  > {
  dataset: string;
  model: ModelSpec;
  plan?: FixedPlanName | (string & {}) | OwnFile;
  extensions?: (string | OwnFile)[];
  recipe?: Partial<Recipe>;
  prediction?: Partial<PredictionSettings>;
  init?: Start | { upkernFrom: ShortExperiment } | { from: ShortExperiment; only?: string[] };
  previousStage?: ShortExperiment;
}

/** How an experiment that a person wrote is read. */
export interface CompleteOptions {
  /** Folder that relative paths start from: that of the experiment's file; default the current one. */
  folder?: string;
  /** False refuses experiments that name modules of code. */
  extensions?: boolean;
  /** Told what a person should know before the run; default prints it. */
  onNote?: (text: string) => void;
  /** What stands in front of each path of a fault. */
  at?: string;
}

type Json = Record<string, unknown>;

/**
 * A complete experiment. Loads the modules it names.
 * @returns the very object that was given when nothing was missing
 * @throws VoxelbookError with every fault, each with its path
 */
export async function complete(given: ShortExperiment | Experiment, options: CompleteOptions = {}): Promise<Experiment> {
  const { folder = process.cwd(), at = '', onNote = console.log } = options;
  if (!isDeeperThan(given)) await loadNamed(given, folder, options.extensions !== false, onNote);
  const faults = faultsOf(experimentSchema(), given, at);
  if (faults.length > 0) throw new VoxelbookError('this experiment cannot be run', faults);
  const found: Fault[] = [];
  const whole = fill(given as ShortExperiment, folder, at, found, onNote);
  if (found.length > 0) throw new VoxelbookError('this experiment cannot be run', found);
  return isDeepStrictEqual(withoutUndefined(whole), withoutUndefined(given)) ? (given as Experiment) : whole;
}

/** Experiments of a list, each complete. */
export const completeAll = (
  given: readonly (ShortExperiment | Experiment)[],
  options: CompleteOptions = {},
): Promise<Experiment[]> =>
  Promise.all(given.map((e, i) => complete(e, { ...options, at: options.at ?? (given.length > 1 ? `experiments[${i}].` : '') })));

/** One experiment, or a list of them, from a JSON file; paths in it are relative to the file. */
export async function readExperiments(file: string, options: CompleteOptions = {}): Promise<Experiment[]> {
  const value = readJsonFile(file, 'this experiment');
  return completeAll([value].flat() as ShortExperiment[], { ...options, folder: path.dirname(path.resolve(file)) });
}

const withoutUndefined = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Loads the modules of an experiment and of those it starts from; says which before. */
async function loadNamed(given: unknown, folder: string, allowed: boolean, onNote: (text: string) => void): Promise<void> {
  if (typeof given !== 'object' || given === null) return;
  const { extensions, init, previousStage } = given as Json;
  for (const before of [(init as Json)?.upkernFrom, (init as Json)?.from, previousStage])
    await loadNamed(before, folder, allowed, onNote);
  const names = Array.isArray(extensions) ? extensions.filter((e) => typeof e === 'string' || typeof e?.file === 'string') : [];
  if (names.length === 0) return;
  const files = names.map((e) => ownFile(e, folder));
  if (!allowed)
    throw new VoxelbookError('this experiment would run code of its own', {
      code: 'extensions-refused',
      path: 'extensions',
      given: files.map((f) => f.file).join(', '),
      expected: 'no extensions, as --no-extensions asks',
      fix: 'Read these modules; leave --no-extensions out to let them run.',
    });
  for (const file of files)
    if (!noted.has(file.sha256)) {
      noted.add(file.sha256);
      onNote(codeNote(file));
    }
  await loadExtensions(files);
}

const noted = new Set<string>();

const ownFile = (given: string | OwnFile, folder: string): OwnFile =>
  typeof given === 'string' ? extensionFile(path.resolve(folder, given)) : given;

function fill(given: ShortExperiment, folder: string, at: string, faults: Fault[], onNote: (text: string) => void): Experiment {
  const {
    $schema: _,
    name,
    init,
    previousStage,
    extensions,
    plan,
    recipe,
    prediction,
    ...rest
  } = given as ShortExperiment & Json;
  const { model } = given;
  const dataset = datasetOf(given.dataset, folder);
  const configuration = given.configuration ?? (isPlanar(model, dataset) ? '2d' : '3d_fullres');
  const scale = given.scale ?? 'paper';
  const axes = configuration === '2d' ? [0, 1] : [0, 1, 2];
  const own = defaultsOf(model, dataset, scale, axes);
  const mergedRecipe = { ...own.recipe, ...recipe } as Json & Recipe;
  for (const part of ['optimiser', 'schedule', 'loss'] as const)
    if (recipe?.[part]?.kind === own.recipe[part].kind) (mergedRecipe as Json)[part] = { ...own.recipe[part], ...recipe[part] };
  const mergedPrediction = { ...own.prediction, ...prediction };
  const wrong = [
    ...faultsOf(recipeSchema(), mergedRecipe, `${at}recipe.`),
    ...faultsOf(predictionSchema(), mergedPrediction, `${at}prediction.`),
  ];
  faults.push(...(wrong.length > 0 ? wrong : recipeFaults(mergedRecipe, mergedPrediction, at)));
  const within = (value: ShortExperiment, key: string) => fill(value, folder, `${at}${key}.`, faults, onNote);
  const whole: Experiment = {
    name: name ?? nameOf(model),
    ...(rest as Pick<Experiment, 'folds'>),
    dataset,
    configuration,
    plan: undefined,
    model,
    recipe: withDefaults(recipeSchema(), mergedRecipe),
    prediction: withDefaults(predictionSchema(), mergedPrediction),
    folds: given.folds ?? [0],
    seeds: given.seeds ?? [0],
    scale,
  };
  if (!given.scoring && own.scoring) whole.scoring = own.scoring;
  whole.plan = planOf(plan, whole, folder, at, faults, onNote);
  if (!whole.plan) delete whole.plan;
  if (init) whole.init = startOf(init, folder, within);
  if (previousStage) whole.previousStage = within(previousStage, 'previousStage');
  if (extensions && extensions.length > 0) whole.extensions = extensions.map((e) => ownFile(e, folder));
  return whole;
}

function startOf(
  init: NonNullable<ShortExperiment['init']>,
  folder: string,
  within: (e: ShortExperiment, key: string) => Experiment,
): Start {
  if ('weights' in init) {
    const file = path.resolve(folder, init.weights);
    return { ...init, weights: fs.existsSync(file) ? file : init.weights };
  }
  if ('upkernFrom' in init) return { ...init, upkernFrom: within(init.upkernFrom, 'init.upkernFrom') };
  return { ...init, from: within(init.from, 'init.from') };
}

/** A folder beside the experiment's file, made absolute; a name as it is. */
function datasetOf(given: string, folder: string): string {
  const beside = path.resolve(folder, given);
  return fs.existsSync(path.join(beside, 'dataset.json')) ? beside : given;
}

/** The plan of one's own that an experiment names, or that lies edited where the planner would write it. */
function planOf(
  given: ShortExperiment['plan'],
  whole: Experiment,
  folder: string,
  at: string,
  faults: Fault[],
  onNote: (text: string) => void,
): Experiment['plan'] {
  if (typeof given === 'object') return given;
  const isFixed = given !== undefined && Object.hasOwn(fixedPlans, given);
  try {
    if (given !== undefined && !isFixed) return planFile(path.resolve(folder, given));
    const known = given as FixedPlanName | undefined;
    const base = preprocessedOf(whole.dataset);
    const plansName = plansNameOf({ ...whole, plan: known });
    const edited = base && ownPlan(base, plansName);
    if (!edited) return known;
    sayOnce(base, plansName, edited, onNote);
    return edited;
  } catch (error) {
    if (!(error instanceof VoxelbookError)) throw error;
    const names = Object.keys(fixedPlans).join(', ');
    const fix = given !== undefined && !isFixed ? ` Plans of papers: ${names}.` : '';
    faults.push(...error.faults.map((f) => ({ ...f, path: `${at}plan, ${f.path}`, fix: f.fix + fix })));
    return undefined;
  }
}

/** The preprocessed folder of a data set, as far as there is one. */
function preprocessedOf(dataset: string): string | undefined {
  const root = preprocessedRoot();
  const place = placeOf(dataset);
  if (!place || !fs.existsSync(root)) return undefined;
  if ('folder' in place) return path.join(root, path.basename(path.resolve(place.folder)));
  const name = fs.readdirSync(root).find((n) => /^Dataset9\d\d_(.+)$/.exec(n)?.[1] === place.embedded);
  return name && path.join(root, name);
}

/** What a person's plan says otherwise than the planner, once for each state of it. */
function sayOnce(base: string, plansName: string, { file, sha256 }: OwnFile, onNote: (text: string) => void): void {
  const marker = path.join(base, `${plansName}.shown`);
  if (fs.existsSync(marker) && fs.readFileSync(marker, 'utf8').trim() === sha256) return;
  atomicWrite(marker, `${sha256}\n`);
  const lines = ownDifferences(base, plansName);
  onNote([`uses the plan ${file}, which is not as it was planned`, ...lines.slice(0, 20).map((l) => `  ${l}`)].join('\n'));
}

const planar = new Set(['swin-umamba', 'swin-umamba-d', 'transunet']);
const pictures = new Set(['.png', '.bmp', '.jpg', '.jpeg']);

function isPlanar(model: ModelSpec, dataset: string): boolean {
  const dimensions = (model as { dimensions?: number }).dimensions;
  if (dimensions) return dimensions === 2;
  if (planar.has(model.network)) return true;
  if (demoSettings[dataset]) return demoSettings[dataset].configuration === '2d';
  const place = placeOf(dataset);
  if (!place || !('folder' in place)) return false;
  const json = readJsonFile(path.join(place.folder, 'dataset.json'), 'dataset.json') as Json | null;
  return pictures.has(String(json?.file_ending));
}

/** The recipe and prediction of each network's paper; nnU-Net's for what a person brings. */
const paperOf: Record<string, { recipe: Recipe; prediction: PredictionSettings }> = {
  mednext: { recipe: recipes.mednext, prediction: recipes.predictions.mednext },
  'kaist-unet': { recipe: recipes.kaist, prediction: recipes.predictions.kaist },
  stunet: { recipe: recipes.stuNetPretraining, prediction: recipes.predictions.stuNet },
  'swin-umamba': { recipe: recipes.swinUmamba, prediction: recipes.predictions.swinUmamba },
  'swin-umamba-d': { recipe: recipes.swinUmamba, prediction: recipes.predictions.swinUmamba },
};

/** Networks without heads at lower resolutions. */
const oneOutput = new Set(['segresnet', 'ux-net', 'transbts', 'transunet', 'unetr', 'swin-unetr']);

function defaultsOf(model: ModelSpec, dataset: string, scale: Scale, axes: number[]) {
  const { recipe, prediction } = paperOf[model.network] ?? { recipe: recipes.nnunetv2, prediction: recipes.predictions.nnunetv2 };
  // The paper's patch and batch belong to its plan (`"plan": "mednext"`); the planner's plan has its own.
  const { batchSize: _, patchSize: __, ...budget } = scale === 'demo' ? recipes.demo(recipe, { epochs: 6 }) : recipe;
  const deep = model.deepSupervision === false || oneOutput.has(model.network) ? { deepSupervision: 'none' as const } : {};
  const demo =
    scale === 'demo'
      ? (demoSettings[dataset] ?? { patchSize: axes.length === 2 ? [64, 64] : [32, 32, 32], batchSize: 2 })
      : undefined;
  const patch = demo ? { patchSize: demo.patchSize, batchSize: demo.batchSize } : {};
  return {
    recipe: { ...budget, ...deep, ...patch, mirrorAxes: budget.mirrorAxes.filter((a) => axes.includes(a)) } as Recipe,
    prediction: { ...prediction, mirrorAxes: demo ? [] : prediction.mirrorAxes.filter((a) => axes.includes(a)) },
    scoring: demoSettings[dataset] && scale === 'demo' ? demoSettings[dataset].scoring : undefined,
  };
}

/** `mednext S k3`. */
function nameOf(model: ModelSpec): string {
  const { network, size, variant, kernel } = model as { network: string; size?: string; variant?: string; kernel?: number };
  return [network, size ?? variant, kernel && `k${kernel}`].filter(Boolean).join(' ');
}
