// Trained runs as a predictor: their final weights with the plan they were trained by, several averaged.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { casesIn, type DatasetJson, labels } from '../dataset/index.js';
import { network as networkOf, type Params } from '../model/index.js';
import { configuration, inputChannels, type Plan } from '../plan/index.js';
import { forwardOf, type PredictionModel, run as predict } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import { readCheckpoint, toParams } from '../weights/index.js';
import { readOrder } from './folder.js';

/**
 * The networks of trained run folders, ready for `predict.run` and `predict.predictCase`.
 * @param folders folds or seeds of one experiment
 * @returns the model, and `dispose` for its tensors
 */
export function trainedModel(folders: readonly string[]): { model: PredictionModel; dispose(): void } {
  const orders = folders.map((folder) => {
    const order = readOrder(folder);
    const file = path.join(folder, 'checkpoints', 'final.safetensors');
    if (order && fs.existsSync(file)) return order;
    throw new VoxelbookError('this run cannot predict', {
      code: 'run-untrained',
      path: folder,
      given: order ? 'no final weights' : 'no experiment.json',
      expected: 'a run folder whose training is finished',
      fix: 'Finish it: npx voxelbook run <experiment.json>.',
    });
  });
  const read = <T>(name: string): T => JSON.parse(fs.readFileSync(path.join(folders[0], name), 'utf8'));
  const [{ experiment }] = orders;
  const plan = read<Plan>('plan.json');
  const dataset = read<DatasetJson>('dataset.json');
  const config = configuration(plan, experiment.configuration);
  const params: Params[] = [];
  const forwards = folders.map((folder, i) => {
    const { network } = networkOf(orders[i].experiment.model, config, {
      inputChannels: inputChannels(dataset, config),
      classes: labels(dataset).heads,
      deepSupervision: orders[i].experiment.recipe.deepSupervision !== 'none',
    });
    params.push(toParams(network, readCheckpoint(path.join(folder, 'checkpoints', 'final.safetensors')).tensors));
    return forwardOf(network, params[i]);
  });
  const mirrorAxes = experiment.prediction.mirrorAxes.filter((axis) => axis < config.patch_size.length);
  const settings = { ...experiment.prediction, mirrorAxes };
  return {
    model: { forwards, plan, configuration: experiment.configuration, dataset, settings },
    dispose: () => tf.dispose(params),
  };
}

/**
 * Predicts every case of an image folder with trained runs.
 * @param options.previous cascade: folder of the labels that the previous stage predicted for the same cases
 * @returns how many cases were written
 */
export async function predictFolder(
  input: string,
  output: string,
  runs: readonly string[],
  { probabilities = false, previous, ...work }: WorkOptions & { probabilities?: boolean; previous?: string } = {},
): Promise<number> {
  const { model, dispose } = trainedModel(runs);
  try {
    const cases = casesIn(input, model.dataset.file_ending);
    return (await predict(model, cases, output, { keepProbabilities: probabilities, previousFolder: previous, ...work })).length;
  } finally {
    dispose();
  }
}
