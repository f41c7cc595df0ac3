// The best configuration or pair of configurations by cross-validation (nnU-Net v2 `find_best_configuration`).
import fs from 'node:fs';
import path from 'node:path';
import { FaultList, VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { type Labels, labels } from '../dataset/labels.js';
import { copyDescriptions, ensembleFolders, ensembleLabels, probabilityFile } from '../predict/ensemble.js';
import { writeNnunetJson } from './json.js';
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

/** The commands that predict with what was chosen, in nnU-Net's order. */
export function inferenceInstructions(information: ReturnType<typeof inferenceInformation>): string {
  const { selected_model_or_models: chosen, postprocessing_file: file } = information.best_model_or_ensemble;
  const ensemble = chosen.length > 1;
  const outputs = chosen.map((_, i) => (ensemble ? `OUTPUT_FOLDER_MODEL_${i + 1}` : 'OUTPUT_FOLDER'));
  const runs = (m: (typeof chosen)[number]) =>
    information.folds.map((fold) => `--run ${m.trainer}__${m.plans_identifier}__${m.configuration}/fold_${fold}`).join(' ');
  const commands = chosen.map(
    (m, i) => `npx voxelbook predict INPUT_FOLDER ${outputs[i]} ${runs(m)}${ensemble ? ' --probabilities' : ''}`,
  );
  return [
    '***Run inference like this:***\n',
    ...(ensemble ? ['An ensemble of two won; predict with each member:\n'] : []),
    ...commands,
    ...(ensemble ? ['\nThen average them:\n', `npx voxelbook ensemble ${outputs.join(' ')} --out OUTPUT_FOLDER`] : []),
    '\n***Once inference is completed, run postprocessing like this:***\n',
    `npx voxelbook postprocess -i OUTPUT_FOLDER -o OUTPUT_FOLDER_PP --steps ${file}`,
    '',
  ].join('\n');
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
  const first = path.join(results, modelIdentifier(models[0]), 'dataset.json');
  const json = JSON.parse(fs.readFileSync(first, 'utf8')) as DatasetJson;
  const ending = json.file_ending;
  const heads = labels(json);
  const folderOf = new Map<string, { folder: string; models: TrainedModel[] }>();
  for (const model of models)
    folderOf.set(modelIdentifier(model), {
      folder: mergeFolds(path.join(results, modelIdentifier(model)), folds, ending),
      models: [model],
    });
  if (ensembles)
    for (const [i, a] of models.entries())
      for (const b of models.slice(i + 1)) {
        const name = ensembleIdentifier(a, b, folds);
        const members = [a, b].map((m) => folderOf.get(modelIdentifier(m))!.folder);
        const folder = path.join(results, 'ensembles', name);
        fs.rmSync(folder, { recursive: true, force: true });
        ensembleFolders(members, folder, json, work);
        folderOf.set(name, { folder, models: [a, b] });
      }
  const options = [...folderOf].map(([name, entry]) => ({ name, ...entry }));
  // Folds that were not trained leave references without a prediction.
  const chill = { chill: true, onWarning: () => {} };
  const summaries = Object.fromEntries(
    options.map((o) => [o.name, evaluateFolder(o.folder, references, heads, { ending, ...chill, ...work })]),
  );
  const scores = Object.fromEntries(options.map((o) => [o.name, summaries[o.name].foreground_mean.Dice]));
  const best = firstHighest(options, scores);
  const postprocessing = determinePostprocessing(best.folder, references, heads, { ending, ...chill, ...work });
  const found = { results: scores, summaries, best: best.name, models: best.models, postprocessing };
  const information = inferenceInformation(dataset, models, folds, ensembles, found);
  writeNnunetJson(path.join(results, 'inference_information.json'), information);
  fs.writeFileSync(path.join(results, 'inference_instructions.txt'), inferenceInstructions(information));
  return information;
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
      fs.copyFileSync(path.join(folder, name), target);
      const id = name.slice(0, -ending.length);
      const stored = probabilityFile(folder, id);
      if (fs.existsSync(stored)) fs.copyFileSync(stored, probabilityFile(output, id));
    }
  }
  return output;
}
