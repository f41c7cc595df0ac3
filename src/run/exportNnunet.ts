// A finished run as nnU-Net v2 would have left it: `<results>/<data set>/<trainer>__<plans>__<configuration>/fold_k`, which nnU-Net's own
// commands take.
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { atomicWrite } from '../base/atomicWrite.js';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { readJsonFile } from '../base/json.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { datasetJsonText, labels, open, placeOf, readAs, readDatasetJson } from '../dataset/index.js';
import { network as networkOf } from '../model/index.js';
import { modelIdentifier } from '../nnunet/best.js';
import { type EpochLog, writeCheckpoint } from '../nnunet/checkpoint.js';
import { writeNnunetJson } from '../nnunet/json.js';
import { isNnunets, nnunetArchitecture, strangerFault } from '../nnunet/networks.js';
import { writeNnunetProbabilities } from '../nnunet/probabilities.js';
import { type EvaluationCase, evaluated, nnunetSummary } from '../nnunet/summary.js';
import { configuration, inputChannels, type Plan, readPlan } from '../plan/index.js';
import { predictCase } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import { readVolume } from '../volume/index.js';
import { readWeights } from '../weights/index.js';
import { predictor } from './ensemble.js';
import { type RunOrder, readOrder, readProgress, readScores } from './folder.js';
import { caseOf, referenceOf } from './scoring.js';

export interface ExportOptions extends WorkOptions {
  /** Folder of results; default `nnUNet_results` of the environment. */
  results?: string;
  /** Class name of nnU-Net's that the folder and the checkpoint bear; default `nnUNetTrainer`. */
  trainer?: string;
  /** `Dataset042_Balls`; default the data set's own name. */
  dataset?: string;
  /** Also `<case>.npz` and `<case>.pkl` of the validation cases, for nnU-Net's ensembles; they are predicted again. */
  probabilities?: boolean;
  /** Replace folds that stand there. */
  overwrite?: boolean;
  /** Told what nnU-Net will do otherwise than the run did. */
  onNote?: (text: string) => void;
}

interface Exported extends RunOrder {
  run: string;
  target: string;
  trainer: string;
  dataset: string;
  plan: Plan;
}

/** Its five, by name. */
const isNnunetsScheme = (scheme: unknown) =>
  typeof scheme === 'string' && /^(CT|ZScore|RescaleTo01|RGBTo01|No)Normalization$/.test(scheme);

const datasetPattern = /^Dataset\d{3}_[\w.-]+$/;
const trainerPattern = /^[A-Za-z_]\w{0,99}$/;

/**
 * Writes finished runs into nnU-Net's results.
 * @param folders run folders: folds of one or several experiments
 * @returns the fold folders written
 * @throws VoxelbookError with every reason why they cannot be exported, before anything is written
 */
export async function exportNnunet(folders: readonly string[], options: ExportOptions = {}): Promise<string[]> {
  const runs = admitted(folders, options);
  for (const run of runs) await exportRun(run, options);
  return runs.map(({ target }) => target);
}

function admitted(folders: readonly string[], options: ExportOptions): Exported[] {
  const { results = process.env.nnUNet_results, trainer = 'nnUNetTrainer', overwrite = false } = options;
  const faults = new FaultList();
  if (!results)
    faults.add('no-results', 'nnUNet_results', 'not set', 'the folder of nnU-Net’s results', 'Set it, or give --out.');
  if (!trainerPattern.test(trainer))
    faults.add('trainer', 'trainer', JSON.stringify(trainer), 'the name of a Python class', 'Leave it out for nnUNetTrainer.');
  const runs: Exported[] = [];
  for (const folder of folders) {
    const order = readOrder(folder);
    if (!order || !readScores(folder)) {
      const given = order ? 'a run that is not finished' : 'no run folder';
      faults.add('run-unfinished', folder, given, 'a finished run', 'Finish it: npx voxelbook run.');
      continue;
    }
    const { experiment, fold } = order;
    const dataset = options.dataset ?? datasetName(experiment.dataset);
    if (!datasetPattern.test(dataset))
      faults.add('dataset-name', 'dataset', dataset, 'Dataset, three digits, _ and a name', 'Give --dataset Dataset042_Name.');
    if (!isNnunets(experiment.model.network)) faults.faults.push(strangerFault(experiment.model.network, path.basename(folder)));
    const planned = readPlan(path.join(folder, 'plan.json'));
    for (const scheme of configuration(planned, experiment.configuration).normalization_schemes)
      if (!isNnunetsScheme(scheme))
        faults.add(
          'not-nnunets',
          `${path.basename(folder)} normalization_schemes`,
          JSON.stringify(scheme),
          'a normalisation of nnU-Net’s own',
          'Predict with voxelbook: nnU-Net would prepare its images otherwise.',
        );
    const name = modelIdentifier({ trainer, plans: planned.plans_name, configuration: experiment.configuration });
    const target = path.resolve(results ?? '.', dataset, name, `fold_${fold}`);
    const same = runs.find((r) => r.target === target);
    if (same)
      faults.add(
        'same-fold',
        folder,
        `${target}, as ${path.basename(same.run)}`,
        'one run for each fold of a model',
        'Give the runs of one seed of one experiment, others with another --trainer.',
      );
    if (fs.existsSync(target) && !overwrite)
      faults.add(
        'fold-there',
        target,
        'a fold that stands there',
        'no such folder',
        'Give --overwrite, or another --trainer or --out.',
      );
    runs.push({ ...order, run: folder, target, trainer, dataset, plan: planned });
  }
  faults.throwIfAny('these runs cannot be exported to nnU-Net');
  for (const run of runs) checkBeside(run, overwrite);
  return runs;
}

/** `Dataset042_Balls` of a folder, or of an embedded or public set by its short name. */
function datasetName(given: string): string {
  const base = path.basename(given);
  if (datasetPattern.test(base) || !placeOf(given)) return base;
  return open(given).name;
}

/** The folds of a model share its plans: another model's may not stand there. */
function checkBeside({ target, plan: own, ...run }: Exported, overwrite: boolean): void {
  const file = path.join(path.dirname(target), 'plans.json');
  if (overwrite || !fs.existsSync(file)) return;
  if (isDeepStrictEqual(readJsonFile(file, 'these plans'), JSON.parse(JSON.stringify(plansOf({ plan: own, ...run }))))) return;
  throw new VoxelbookError('another model stands there', {
    code: 'model-there',
    path: file,
    given: 'other plans than the run was trained by',
    expected: 'no plans.json, or that of the other folds',
    fix: 'Give another --trainer or --out, or --overwrite.',
  });
}

/** The run's plan as nnU-Net has to read it: of this data set, with the network that was trained. */
function plansOf({ plan: own, experiment, dataset }: Omit<Exported, 'target'>): Plan {
  const { configuration: name, model } = experiment;
  const entry = { ...own.configurations[name], architecture: nnunetArchitecture(model, configuration(own, name)) };
  return { ...own, dataset_name: dataset, configurations: { ...own.configurations, [name]: entry } };
}

async function exportRun(exported: Exported, options: ExportOptions): Promise<void> {
  const { experiment, fold, run, target, trainer, plan: own } = exported;
  const { onNote = () => {} } = options;
  for (const note of notes(experiment)) onNote(note);
  const datasetJson = readDatasetJson(path.join(run, 'dataset.json'));
  const plans = plansOf(exported);
  const config = configuration(own, experiment.configuration);
  const { network } = networkOf(experiment.model, config, {
    inputChannels: inputChannels(datasetJson, config),
    classes: labels(datasetJson).heads,
    deepSupervision: experiment.recipe.deepSupervision !== 'none',
  });
  const { tensors } = readWeights(path.join(run, 'checkpoints', 'final.safetensors'));
  fs.rmSync(target, { recursive: true, force: true });
  fs.mkdirSync(path.join(target, 'validation'), { recursive: true });
  const beside = path.dirname(target);
  atomicWrite(path.join(beside, 'dataset.json'), datasetJsonText(datasetJson));
  atomicWrite(path.join(beside, 'plans.json'), JSON.stringify(plans, null, 4));
  const print = path.join(run, 'dataset_fingerprint.json');
  if (fs.existsSync(print)) atomicWrite(path.join(beside, 'dataset_fingerprint.json'), fs.readFileSync(print));
  await exportValidation(exported, options);
  const { optimiser } = experiment.recipe;
  writeCheckpoint(path.join(target, 'checkpoint_final.pth'), {
    network,
    tensors,
    plans,
    configuration: experiment.configuration,
    fold,
    datasetJson,
    trainer,
    mirrorAxes: experiment.prediction.mirrorAxes.filter((axis) => axis < config.patch_size.length),
    epochs: epochsOf(run),
    optimiser: {
      learningRate: optimiser.learningRate,
      momentum: 'momentum' in optimiser ? optimiser.momentum : 0.99,
      weightDecay: optimiser.weightDecay,
    },
  });
}

/** What nnU-Net's own prediction does otherwise than the run's. */
function notes({ name, prediction, previousStage }: RunOrder['experiment']): string[] {
  const { stepSize, gaussian, average } = prediction;
  const said = [
    ...(stepSize === 0.5 ? [] : [`its tiles move by ${stepSize}: give nnUNetv2_predict -step_size ${stepSize}`]),
    ...(gaussian ? [] : ['its tiles have equal weight, nnU-Net’s a Gaussian one']),
    ...(average === 'logits' ? [] : ['it averages probabilities, nnU-Net logits']),
    ...(previousStage ? [`it needs the labels of ${previousStage.configuration}: export that run too`] : []),
  ];
  return said.map((text) => `"${name}": ${text}`);
}

/** The lines that end an epoch. Only the time of training is known, so clocks start at 0. */
function epochsOf(run: string): EpochLog[] {
  const ends = readProgress(run).filter((line) => line.validationLoss !== null);
  return ends.map((line, i) => ({
    trainLoss: line.loss,
    validationLoss: line.validationLoss ?? Number.NaN,
    meanDice: line.pseudoDsc ?? Number.NaN,
    dicePerClass: (line.pseudoDscPerClass ?? []).map((d) => d ?? Number.NaN),
    learningRate: line.lr,
    start: ends[i - 1]?.seconds ?? 0,
    end: line.seconds,
  }));
}

/** Predictions of the fold's validation cases and their summary. A run on all cases has none but those of its test set. */
async function exportValidation(exported: Exported, options: ExportOptions): Promise<void> {
  const { experiment, run, target } = exported;
  const scores = readScores(run)!;
  if (scores.on === 'test') {
    options.onNote?.(`"${experiment.name}": its predictions are of the test set; nnU-Net’s fold_all has none of them`);
    return;
  }
  const dataset = open(experiment.dataset);
  const { file_ending: ending } = dataset.json;
  const folder = path.join(target, 'validation');
  const ids = scores.cases.map(({ id }) => id);
  for (const id of ids) fs.copyFileSync(path.join(run, 'predictions', id + ending), path.join(folder, id + ending));
  const cases = ids.map((id): EvaluationCase => {
    const { label, reader } = caseOf(dataset, id);
    const prediction_file = path.join(folder, id + ending);
    return {
      prediction_file,
      reference_file: label!,
      load() {
        const [found, truth] = [prediction_file, label!].map((file) => readAs(file, reader, { onWarning: () => {} }));
        return { prediction: found.data, reference: truth.data, shape: truth.shape, spacingMm: truth.spacingMm };
      },
    };
  });
  const heads = labels(dataset.json);
  writeNnunetJson(path.join(folder, 'summary.json'), nnunetSummary(cases, evaluated(heads), heads.ignoreLabel, options));
  if (options.probabilities) await exportProbabilities(exported, ids, folder, options);
}

async function exportProbabilities(exported: Exported, ids: readonly string[], folder: string, work: WorkOptions) {
  const { params, model, prepared, input } = await predictor({ ...exported, folder: exported.run }, work.signal);
  try {
    const report = progressOf(ids.length, work);
    for (const [i, id] of ids.entries()) {
      report(i, `probabilities of ${id}`);
      const { probabilities, shape } = await predictCase(model, input(id), { keepProbabilities: true, signal: work.signal });
      writeNnunetProbabilities(
        folder,
        id,
        { data: probabilities!, shape },
        {
          image: referenceOf(prepared.dataset, id),
          stored: readVolume(caseOf(prepared.dataset, id).images[0], { onWarning: () => {} }),
          reader: exported.plan.image_reader_writer,
        },
      );
    }
    report(ids.length, 'probabilities');
  } finally {
    tf.dispose(params);
  }
}
