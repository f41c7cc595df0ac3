// Trained runs as a predictor: their final weights with the plan they were trained by, several averaged.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { StoredTensor } from '../base/safetensors.js';
import { faultsOf } from '../base/schema.js';
import { Contents, casesIn, type Fold, imageNameFindings, labels, readDatasetJson, readerFor } from '../dataset/index.js';
import { type Network, network as networkOf, type Params } from '../model/index.js';
import { configuration, inputChannels, readFingerprint, readPlan } from '../plan/index.js';
import { type ForeignModel, forwardOf, type PredictionModel, run as predict, type RunOptions } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import type { Experiment, PredictionSettings } from '../train/experiment.js';
import { experimentSchema } from '../train/experimentSchema.js';
import { runHash } from '../train/identity.js';
import { type Checkpoints, weightsFile } from '../train/weightsFile.js';
import { openWeights, toParams } from '../weights/index.js';
import { readOrder } from './folder.js';

/**
 * What trained run folders predict with.
 * @param folders folds or seeds of one experiment
 * @param options.checkpoint which weights; default those that the experiment predicts with
 * @throws VoxelbookError for runs that are not trained, or of different experiments
 */
export function trainedRuns(folders: readonly string[], { checkpoint }: { checkpoint?: Checkpoints } = {}): TrainedRuns {
  const orders = folders.map((folder) => {
    const order = readOrder(folder);
    const file = path.join(folder, 'checkpoints', 'final.safetensors');
    if (order && fs.existsSync(file)) return order;
    throw new VoxelbookError('this run cannot predict', {
      code: 'run-untrained',
      path: folder,
      given: order ? 'no final weights' : 'no experiment.json that can be read',
      expected: 'a run folder whose training is finished',
      fix: 'Finish it: npx voxelbook run <experiment.json>.',
    });
  });
  const [{ experiment }] = orders;
  const faults = orders.flatMap((order, i) =>
    faultsOf(experimentSchema(), order.experiment, `${path.join(folders[i], 'experiment.json')} experiment.`),
  );
  if (faults.length > 0) throw new VoxelbookError('this run cannot predict', faults);
  const stranger = orders.findIndex((order) => runHash(order.experiment, 0, 0) !== runHash(experiment, 0, 0));
  if (stranger >= 0)
    throw new VoxelbookError('these runs are no folds of one experiment', {
      code: 'predict-experiments',
      path: folders[stranger],
      given: `"${orders[stranger].experiment.name}", another experiment than "${experiment.name}" of ${folders[0]}`,
      expected: 'folds or seeds of one experiment',
      fix: 'Predict with each alone, with --probabilities, and average with npx voxelbook ensemble.',
    });
  const plan = readPlan(path.join(folders[0], 'plan.json'));
  const dataset = readDatasetJson(path.join(folders[0], 'dataset.json'));
  const print = path.join(folders[0], 'dataset_fingerprint.json');
  const fingerprint = fs.existsSync(print) ? readFingerprint(print) : undefined;
  const config = configuration(plan, experiment.configuration);
  const files = folders.map((folder, i) => weightsFile(folder, checkpoint ?? orders[i].experiment.prediction.checkpoint));
  const mirrorAxes = experiment.prediction.mirrorAxes.filter((axis) => axis < config.patch_size.length);
  return {
    experiment,
    plan,
    configuration: experiment.configuration,
    dataset,
    settings: { ...experiment.prediction, mirrorAxes },
    fingerprint,
    members: orders.map(({ experiment: own, fold, seed }, i) => ({
      fold,
      seed,
      file: files[i],
      load() {
        const { network } = networkOf(own.model, config, {
          inputChannels: inputChannels(dataset, config),
          classes: labels(dataset).heads,
          deepSupervision: own.recipe.deepSupervision !== 'none',
        });
        return { network, tensors: openWeights(files[i]).tensors };
      },
    })),
  };
}

/** Trained runs of one experiment: what predicts, not yet in memory. */
export interface TrainedRuns extends Omit<PredictionModel, 'forwards' | 'identity' | 'patchSize' | 'precision' | 'batchTiles'> {
  experiment: Experiment;
  members: readonly {
    fold: Fold;
    seed: number;
    /** Of the weights. */
    file: string;
    load(): { network: Network; tensors: Record<string, StoredTensor> };
  }[];
}

/**
 * The networks of trained run folders, ready for `predict.run` and `predict.predictCase`.
 * @returns the model, and `dispose` for its tensors
 * @throws VoxelbookError as `trainedRuns`
 */
export function trainedModel(folders: readonly string[], options: { checkpoint?: Checkpoints } = {}): Loaded {
  const { experiment: _, members, ...rest } = trainedRuns(folders, options);
  const params: Params[] = [];
  const forwards = members.map(({ load }, i) => {
    const { network, tensors } = load();
    params.push(toParams(network, tensors));
    return forwardOf(network, params[i]);
  });
  const identity = members.map(({ file }, i) => new Contents(folders[i]).sha256(file)).join();
  return { model: { forwards, ...rest, identity }, dispose: () => tf.dispose(params) };
}

export interface PredictFolderOptions extends Omit<RunOptions, 'keepProbabilities' | 'previousFolder'> {
  probabilities?: boolean;
  /** Which weights predict; default those that the experiment predicts with. */
  checkpoint?: Checkpoints;
  /** Cascade: folder of the labels that the previous stage predicted for the same cases. */
  previous?: string;
  /** Instead of the model's own: no mirroring is faster, a larger step too. */
  settings?: Partial<PredictionSettings>;
}

/** Networks ready to predict, with their tensors. */
export interface Loaded {
  model: PredictionModel | ForeignModel;
  dispose(): void;
}

/**
 * Predicts every case of an image folder with trained runs, or with a model that is loaded already (and disposed of here).
 * @returns how many cases were written; those that stood already and stay are told to `onKept`
 * @throws VoxelbookError for a folder without cases, or with names that are none, before anything is computed
 */
export async function predictFolder(
  input: string,
  output: string,
  runs: readonly string[] | Loaded,
  { probabilities = false, previous, settings, checkpoint, ...options }: PredictFolderOptions = {},
): Promise<number> {
  const { model, dispose } = 'model' in runs ? runs : trainedModel(runs, { checkpoint });
  try {
    const { file_ending: ending } = model.dataset;
    const cases = casesIn(input, ending, readerFor(model.plan.image_reader_writer));
    const { faults } = imageNameFindings(input, cases, ending, input);
    if (faults.length > 0) throw new VoxelbookError('this folder cannot be predicted', faults);
    let kept = 0;
    const acting = { ...model, settings: { ...model.settings, ...settings } };
    const files = await predict(acting, cases, output, {
      ...options,
      keepProbabilities: probabilities,
      previousFolder: previous,
      onKept: (ids) => {
        kept = ids.length;
        options.onKept?.(ids);
      },
    });
    return files.length - kept;
  } finally {
    dispose();
  }
}
