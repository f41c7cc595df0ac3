// Trained runs as a predictor: their final weights with the plan they were trained by, several averaged.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { faultsOf } from '../base/schema.js';
import { Contents, casesIn, imageNameFindings, labels, readDatasetJson, readerFor } from '../dataset/index.js';
import { network as networkOf, type Params } from '../model/index.js';
import { configuration, inputChannels, readFingerprint, readPlan } from '../plan/index.js';
import { forwardOf, type PredictionModel, run as predict, type RunOptions } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import { experimentSchema } from '../train/experimentSchema.js';
import { runHash } from '../train/identity.js';
import { type Checkpoints, weightsFile } from '../train/weightsFile.js';
import { readWeights, toParams } from '../weights/index.js';
import { readOrder } from './folder.js';

/**
 * The networks of trained run folders, ready for `predict.run` and `predict.predictCase`.
 * @param folders folds or seeds of one experiment
 * @param options.checkpoint which weights; default those that the experiment predicts with
 * @throws VoxelbookError for runs that are not trained, or of different experiments
 * @returns the model, and `dispose` for its tensors
 */
export function trainedModel(
  folders: readonly string[],
  { checkpoint }: { checkpoint?: Checkpoints } = {},
): { model: PredictionModel; dispose(): void } {
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
  const params: Params[] = [];
  const forwards = folders.map((_, i) => {
    const { network } = networkOf(orders[i].experiment.model, config, {
      inputChannels: inputChannels(dataset, config),
      classes: labels(dataset).heads,
      deepSupervision: orders[i].experiment.recipe.deepSupervision !== 'none',
    });
    params.push(toParams(network, readWeights(files[i]).tensors));
    return forwardOf(network, params[i]);
  });
  const mirrorAxes = experiment.prediction.mirrorAxes.filter((axis) => axis < config.patch_size.length);
  const settings = { ...experiment.prediction, mirrorAxes };
  const identity = folders.map((folder, i) => new Contents(folder).sha256(files[i])).join();
  return {
    model: { forwards, plan, configuration: experiment.configuration, dataset, settings, identity, fingerprint },
    dispose: () => tf.dispose(params),
  };
}

export interface PredictFolderOptions extends Omit<RunOptions, 'keepProbabilities' | 'previousFolder'> {
  probabilities?: boolean;
  /** Which weights predict; default those that the experiment predicts with. */
  checkpoint?: Checkpoints;
  /** Cascade: folder of the labels that the previous stage predicted for the same cases. */
  previous?: string;
}

/**
 * Predicts every case of an image folder with trained runs.
 * @returns how many cases were written; those that stood already and stay are told to `onKept`
 * @throws VoxelbookError for a folder without cases, or with names that are none, before anything is computed
 */
export async function predictFolder(
  input: string,
  output: string,
  runs: readonly string[],
  { probabilities = false, previous, checkpoint, ...options }: PredictFolderOptions = {},
): Promise<number> {
  const { model, dispose } = trainedModel(runs, { checkpoint });
  try {
    const { file_ending: ending } = model.dataset;
    const cases = casesIn(input, ending, readerFor(model.plan.image_reader_writer));
    const { faults } = imageNameFindings(input, cases, ending, input);
    if (faults.length > 0) throw new VoxelbookError('this folder cannot be predicted', faults);
    let kept = 0;
    const files = await predict(model, cases, output, {
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
