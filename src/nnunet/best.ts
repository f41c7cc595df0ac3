// The best configuration or pair of configurations by cross-validation (nnU-Net v2 `find_best_configuration`).
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { FaultList, VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { sourceOf } from '../base/registry.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { readDatasetJson } from '../dataset/datasetJson.js';
import { type Labels, labels } from '../dataset/labels.js';
import { copyDescriptions, ensembleFolders, ensembleLabels, probabilityFile } from '../predict/ensemble.js';
import type { PostprocessingStep } from '../volume/postprocess.js';
import { writeNnunetJson } from './json.js';
import { modelFolderOf, modelFoldersIn } from './modelFolder.js';
import { choosePostprocessing, determinePostprocessing, type PostprocessingChoice } from './postprocessing.js';
import { type EvaluationCase, evaluated, evaluateFolder, type NnunetSummary, nnunetSummary } from './summary.js';

/** A trained configuration, named as nnU-Net names its results folder. */
export interface TrainedModel {
  configuration: string;
  plans: string;
  trainer: string;
}

/** A model with its cross-validation predictions. */
export interface Candidate {
  model: TrainedModel;
  cases: (EvaluationCase & { id: string; probabilities?(): Float32Array })[];
}

/** Which model or pair is best by cross-validation, and the post-processing that goes with it. */
export interface BestConfiguration {
  /** Foreground mean Dice of every model and pair, in the order considered. */
  results: Record<string, number>;
  summaries: Record<string, NnunetSummary>;
  best: string;
  models: TrainedModel[];
  postprocessing: PostprocessingChoice;
}

/** `nnUNetTrainer__nnUNetPlans__3d_fullres`. */
export const modelIdentifier = ({ trainer, plans, configuration }: TrainedModel) => `${trainer}__${plans}__${configuration}`;

/** `ensemble___<a>___<b>___0_1_2_3_4`. */
export const ensembleIdentifier = (a: TrainedModel, b: TrainedModel, folds: readonly number[]) =>
  `ensemble___${modelIdentifier(a)}___${modelIdentifier(b)}___${folds.join('_')}`;

/**
 * Evaluates every model and every pair, takes the highest foreground mean Dice (the first of equals, single models come first) and
 * decides on post-processing for it.
 */
export function chooseBest(
  candidates: readonly Candidate[],
  heads: Labels,
  { folds = [0, 1, 2, 3, 4], ensembles = true, ...work }: { folds?: readonly number[]; ensembles?: boolean } & WorkOptions = {},
): BestConfiguration {
  const options = candidates.map((c) => ({
    name: modelIdentifier(c.model),
    models: [c.model],
    cases: c.cases as EvaluationCase[],
  }));
  if (ensembles)
    for (const [i, a] of candidates.entries())
      for (const b of candidates.slice(i + 1)) {
        const name = ensembleIdentifier(a.model, b.model, folds);
        options.push({ name, models: [a.model, b.model], cases: pairOf(a, b, name, heads) });
      }
  const summaries = Object.fromEntries(
    options.map((o) => [o.name, nnunetSummary(o.cases, evaluated(heads), heads.ignoreLabel, work)]),
  );
  const results = Object.fromEntries(options.map((o) => [o.name, summaries[o.name].foreground_mean.Dice]));
  const best = firstHighest(options, results);
  return {
    results,
    summaries,
    best: best.name,
    models: best.models,
    postprocessing: choosePostprocessing(best.cases, heads, work),
  };
}

function firstHighest<T extends { name: string }>(options: readonly T[], results: Record<string, number>): T {
  const best = options.reduce<T | undefined>((b, o) => (b && !(results[o.name] > results[b.name]) ? b : o), undefined);
  if (best) return best;
  throw new VoxelbookError('there is nothing to choose from', {
    code: 'no-candidates',
    path: 'models',
    given: 'no trained model',
    expected: 'at least one configuration with predictions of all folds',
    fix: 'Train the configurations first.',
  });
}

/** Ensemble of two models, case by case. */
function pairOf(a: Candidate, b: Candidate, name: string, heads: Labels): EvaluationCase[] {
  return a.cases.map((first) => {
    const second = b.cases.find((c) => c.id === first.id);
    if (!first.probabilities || !second?.probabilities)
      throw new VoxelbookError(`${name} cannot be ensembled`, {
        code: 'no-probabilities',
        path: first.id,
        given: second ? 'a prediction without probabilities' : 'a case only one of the two has',
        expected: 'probabilities of both',
        fix: 'Predict the validation cases with keepProbabilities, or choose without ensembles.',
      });
    return {
      prediction_file: path.join(name, path.basename(first.prediction_file)),
      reference_file: first.reference_file,
      load: () => ({
        ...first.load(),
        prediction: ensembleLabels([first.probabilities!(), second.probabilities!()], heads).labels,
      }),
    };
  });
}

/** nnU-Net's `inference_information.json`; paths are relative to the results folder. */
export function inferenceInformation(
  dataset: string,
  models: readonly TrainedModel[],
  folds: readonly number[],
  ensembles: boolean,
  { results, best, models: chosen, postprocessing }: BestConfiguration,
) {
  const source =
    chosen.length > 1 ? `${dataset}/ensembles/${best}` : `${dataset}/${best}/crossval_results_folds_${folds.join('_')}`;
  return {
    all_results: results,
    best_model_or_ensemble: {
      postprocessing_file: `${source}/postprocessing.json`,
      result_on_crossval_post_pp: postprocessing.after.foreground_mean.Dice,
      result_on_crossval_pre_pp: results[best],
      selected_model_or_models: chosen.map(({ configuration, plans, trainer }) => ({
        configuration,
        plans_identifier: plans,
        trainer,
      })),
      some_plans_file: `${source}/plans.json`,
    },
    considered_models: models.map(({ configuration, plans, trainer }) => ({ configuration, plans, trainer })),
    dataset_name_or_id: dataset,
    ensembling_allowed: ensembles,
    folds: [...folds],
  };
}

/** The commands that predict with what was chosen, each as it can be run. `results` is the folder the information's paths start from. */
export function inferenceInstructions(
  information: ReturnType<typeof inferenceInformation>,
  results = '.',
  steps: readonly PostprocessingStep[] = [],
): string {
  const { selected_model_or_models: chosen, postprocessing_file: file } = information.best_model_or_ensemble;
  const folds = information.folds.join(' ');
  // The weights are nnU-Net's own, so nnU-Net predicts and averages.
  const predict = chosen.map((m) => (output: string) => {
    const model = `-f ${folds} -tr ${m.trainer} -c ${m.configuration} -p ${m.plans_identifier}`;
    const save = chosen.length > 1 ? ' --save_probabilities' : '';
    return `nnUNetv2_predict -d ${information.dataset_name_or_id} -i INPUT_FOLDER -o ${output} ${model}${save}`;
  });
  const average = (outputs: readonly string[]) => `nnUNetv2_ensemble -i ${outputs.join(' ')} -o OUTPUT_FOLDER`;
  return instructions(predict, average, path.resolve(results, '..', file), steps);
}

/**
 * The commands of a choice as text.
 * @param predict the command of each member, given its output folder
 * @param average the command that averages output folders
 * @param postprocessing the file of what was chosen: these steps
 */
export function instructions(
  predict: readonly ((output: string) => string)[],
  average: (outputs: readonly string[]) => string,
  postprocessing: string,
  steps: readonly PostprocessingStep[],
): string {
  // A step of a person's own is known to the command by its module.
  const files = new Set(steps.map(({ kind }) => sourceOf('postprocessing', kind)));
  const modules = [...files].flatMap((file) => (file ? ` --extension ${file}` : []));
  const ensemble = predict.length > 1;
  const outputs = predict.map((_, i) => (ensemble ? `OUTPUT_FOLDER_MODEL_${i + 1}` : 'OUTPUT_FOLDER'));
  return [
    '***Run inference like this:***\n',
    ...(ensemble ? ['An ensemble of two won; predict with each member:\n'] : []),
    ...predict.map((command, i) => command(outputs[i])),
    ...(ensemble ? ['\nThen average them:\n', average(outputs)] : []),
    '\n***Once inference is completed, run postprocessing like this:***\n',
    `npx voxelbook postprocess -i OUTPUT_FOLDER -o OUTPUT_FOLDER_PP --steps ${postprocessing}${modules.join('')}`,
    '',
  ].join('\n');
}

/** A model whose cross-validation predictions lie in one folder. */
export interface MergedModel {
  name: string;
  folder: string;
}

/** What `decide` chose: one model or a pair. */
export interface Decision {
  results: Record<string, number>;
  summaries: Record<string, NnunetSummary>;
  best: { name: string; folder: string; members: number[] };
  postprocessing: PostprocessingChoice;
}

/**
 * Evaluates merged models and their pairs on folders, and decides on the post-processing of the best; writes a `summary.json` beside each
 * and `postprocessing.json` beside the best.
 * @param ensembles folder of the ensemble of two models; without it pairs are not considered
 */
export function decide(
  models: readonly MergedModel[],
  references: string,
  json: DatasetJson,
  ensembles: ((a: number, b: number) => MergedModel) | undefined,
  work: WorkOptions = {},
): Decision {
  const ending = json.file_ending;
  const heads = labels(json);
  const options = models.map((m, i) => ({ ...m, members: [i] }));
  if (ensembles)
    for (const i of models.keys())
      for (let k = i + 1; k < models.length; k++) {
        const pair = ensembles(i, k);
        fs.rmSync(pair.folder, { recursive: true, force: true });
        ensembleFolders([models[i].folder, models[k].folder], pair.folder, json, work);
        options.push({ ...pair, members: [i, k] });
      }
  // Folds that were not trained leave references without a prediction.
  const settings = { ending, chill: true, onWarning: () => {}, ...work };
  const summaries = Object.fromEntries(options.map((o) => [o.name, evaluateFolder(o.folder, references, heads, settings)]));
  const results = Object.fromEntries(options.map((o) => [o.name, summaries[o.name].foreground_mean.Dice]));
  const best = firstHighest(options, results);
  return { results, summaries, best, postprocessing: determinePostprocessing(best.folder, references, heads, settings) };
}

/**
 * `chooseBest` on nnU-Net's results folder. Merges `fold_k/validation` of each model into `crossval_results_folds_…`, ensembles every pair, and
 * writes summaries, `postprocessing.json`, `inference_information.json` and `inference_instructions.txt` where nnU-Net does.
 * @param results `<nnUNet_results>/<dataset>`
 * @param references folder of label files (`labelsTr` or `gt_segmentations`)
 */
export function findBestConfiguration(
  results: string,
  references: string,
  models: readonly TrainedModel[],
  { folds = [0, 1, 2, 3, 4], ensembles = true, ...work }: { folds?: readonly number[]; ensembles?: boolean } & WorkOptions = {},
): ReturnType<typeof inferenceInformation> {
  const dataset = path.basename(path.resolve(results));
  const faults = new FaultList();
  for (const model of models)
    if (!fs.existsSync(path.join(results, modelIdentifier(model), 'dataset.json')))
      faults.add(
        'untrained',
        path.join(results, modelIdentifier(model)),
        'no dataset.json there',
        "a trained model in nnU-Net's results layout",
        'Train it, or leave this configuration out.',
      );
  faults.throwIfAny('the best configuration cannot be chosen');
  const json = readDatasetJson(path.join(results, modelIdentifier(models[0]), 'dataset.json'));
  const merged = models.map((model): MergedModel => {
    const name = modelIdentifier(model);
    return { name, folder: mergeFolds(path.join(results, name), folds, json.file_ending) };
  });
  const pair = (a: number, b: number): MergedModel => {
    const name = ensembleIdentifier(models[a], models[b], folds);
    return { name, folder: path.join(results, 'ensembles', name) };
  };
  const { best, ...found } = decide(merged, references, json, ensembles ? pair : undefined, work);
  const chosen = { ...found, best: best.name, models: best.members.map((i) => models[i]) };
  const information = inferenceInformation(dataset, models, folds, ensembles, chosen);
  writeNnunetJson(path.join(results, 'inference_information.json'), information);
  fs.writeFileSync(
    path.join(results, 'inference_instructions.txt'),
    inferenceInstructions(information, results, found.postprocessing.steps),
  );
  return information;
}

/** The models in the results of a data set. */
export const trainedModelsIn = (results: string): TrainedModel[] =>
  modelFoldersIn(results).map((name) => {
    const [trainer, plans, configuration] = name.split('__');
    return { trainer, plans, configuration };
  });

/** The folds whose validation cases every model has predicted; all five where there is none, for the message to name. */
export function validatedFolds(results: string, models: readonly TrainedModel[]): number[] {
  const five = [0, 1, 2, 3, 4];
  const validated = (model: TrainedModel, fold: number) =>
    fs.existsSync(path.join(results, modelIdentifier(model), `fold_${fold}`, 'validation'));
  const common = five.filter((fold) => models.every((model) => validated(model, fold)));
  return common.length > 0 ? common : five;
}

/** A model's predictions of the validation cases of all folds in one folder; undefined where a name means no model. */
export function validationOf(name: string): string | undefined {
  if (fs.existsSync(path.join(name, 'experiment.json'))) return undefined;
  const folder = modelFolderOf(name)?.folder;
  if (!folder) return undefined;
  const [trainer, plans, configuration] = path.basename(folder).split('__');
  const folds = validatedFolds(path.dirname(folder), [{ trainer, plans, configuration }]);
  return mergeFolds(folder, folds, readDatasetJson(path.join(folder, 'dataset.json')).file_ending);
}

/** Copies the validation predictions of all folds of a model into one folder. */
function mergeFolds(modelFolder: string, folds: readonly number[], ending: string): string {
  const output = path.join(modelFolder, `crossval_results_folds_${folds.join('_')}`);
  fs.rmSync(output, { recursive: true, force: true });
  fs.mkdirSync(output);
  copyDescriptions(modelFolder, output);
  for (const fold of folds) {
    const folder = path.join(modelFolder, `fold_${fold}`, 'validation');
    const refuse = (code: string, given: string, expected: string, fix: string): never => {
      throw new VoxelbookError('the folds cannot be merged', { code, path: folder, given, expected, fix });
    };
    if (!fs.existsSync(folder)) refuse('missing-fold', 'no such folder', `predictions of fold ${fold}`, 'Train this fold first.');
    for (const name of fs.readdirSync(folder).filter((n) => n.endsWith(ending))) {
      const target = path.join(output, name);
      if (fs.existsSync(target)) refuse('case-twice', name, 'each case in one fold only', 'Check splits_final.json.');
      atomicWrite(target, fs.readFileSync(path.join(folder, name)));
      const id = name.slice(0, -ending.length);
      for (const stored of [probabilityFile(folder, id), path.join(folder, `${id}.npz`)])
        if (fs.existsSync(stored)) fs.copyFileSync(stored, path.join(output, path.basename(stored)));
    }
  }
  return output;
}
