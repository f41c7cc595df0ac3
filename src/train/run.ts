// `train.run`: one fold of an experiment, from its names to trained parameters in a run folder.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import type { DatasetJson, Fold } from '../dataset/index.js';
import { build, type Model, type Network, network as networkOf, type Params } from '../model/index.js';
import { inputChannels } from '../plan/index.js';
import { annotatedKey, listCases } from '../preprocess/index.js';
import { tf } from '../tensor/tf.js';
import { allButHeads, readCheckpoint, toParams, transfer } from '../weights/index.js';
import { upkern } from '../weights/upkern.js';
import type { Position } from './checkpoint.js';
import { initOf } from './dependencies.js';
import type { Experiment } from './experiment.js';
import { startFeed } from './feed/feed.js';
import type { Phase, SampleSource } from './feed/sample.js';
import { type Forecast, type ForecastInput, forecast, refuseIfTooLarge } from './forecast.js';
import { runFolderOf, runHash } from './identity.js';
import { type LoopOptions, loop } from './loop.js';
import { type Prepared, prepare } from './prepare.js';
import { type PreviousStage, previousStageOf } from './previousStage.js';
import { objectiveOf } from './step.js';

export interface RunOptions extends WorkOptions, Omit<LoopOptions, keyof WorkOptions> {
  onStage?: (stage: string) => void;
  /** Augmentation threads; default one fewer than the cores, at least 1, at most 4. 0: in the training thread. The results are the same. */
  workers?: number;
  /** Seconds after which an augmentation worker that gives no answer is given up. */
  hangSeconds?: number;
  /** Recompute activations in the backward pass. */
  checkpointing?: boolean;
  /** Bytes the run may use; default what the machine has free. */
  memoryBytes?: number;
  /** Where the runs this one starts from have their folders. */
  folderOf?: typeof runFolderOf;
}

export interface Trained {
  network: Network;
  /** Final parameters; the caller owns them. */
  params: Params;
  prepared: Prepared;
  /** Cascade: the previous stage's labels of its cases. */
  previous?: PreviousStage;
  forecast: Forecast;
  position: Position;
}

/** What a network and its forecast take from a data set: its `dataset.json`, labels and planned configuration. */
export type Planned = Pick<Prepared, 'labels' | 'configuration'> & { dataset: { json: DatasetJson } };

/** A model of an experiment for a prepared data set: channels, classes and heads filled in. */
export function modelOf(experiment: Experiment, prepared: Prepared, seed: number | string): Model {
  return build(experiment.model, prepared.configuration, { seed, ...endsOf(experiment, prepared) });
}

const endsOf = (experiment: Experiment, prepared: Planned) => ({
  inputChannels: inputChannels(prepared.dataset.json, prepared.configuration),
  classes: prepared.labels.heads,
  deepSupervision: experiment.recipe.deepSupervision !== 'none',
});

/**
 * Trains one fold and seed of an experiment in this process, going on from the run folder's newest checkpoint.
 * @param folder the run folder; gets progress.jsonl, checkpoints and forecast.json
 * @throws Stopped after an abort; VoxelbookError when it will not fit, a checkpoint is damaged, or a number is not finite
 */
export async function run(
  experiment: Experiment,
  fold: Fold,
  seed: number,
  folder: string,
  options: RunOptions = {},
): Promise<Trained> {
  const { onStage = () => {}, workers = 1 } = options;
  fs.mkdirSync(folder, { recursive: true });
  const prepared = await prepare(experiment, { signal: options.signal, onStage });
  const { configuration, labels, dataset } = prepared;
  const { recipe } = experiment;
  const previous = previousStageOf(experiment, prepared, fold, seed, options.folderOf ?? runFolderOf);
  const dimensions = configuration.patch_size.length as 2 | 3;
  // What prediction needs besides the weights, so that the run folder can be taken elsewhere.
  atomicWriteJson(path.join(folder, 'plan.json'), prepared.plan);
  atomicWriteJson(path.join(folder, 'dataset.json'), dataset.json);

  onStage('forecast');
  const input = forecastInput(experiment, prepared, workers, options.checkpointing);
  const { network, objective } = input;
  const found = forecast(input);
  atomicWriteJson(path.join(folder, 'forecast.json'), found);
  const disk = fs.statfsSync(folder);
  refuseIfTooLarge(input, found, options.memoryBytes, disk.bavail * disk.bsize);

  onStage('train');
  const { train, val } = prepared.split(fold);
  const outputShapes = found.outputShapes.map((s) => (dimensions === 2 ? [1, ...s] : s) as [number, number, number]);
  const source: SampleSource = {
    folder: prepared.folder,
    train,
    validation: val,
    seed,
    batchSize: configuration.batch_size,
    patch: outputShapes[0],
    dimensions,
    oversampleForeground: recipe.oversampleForeground,
    augmentation: recipe.augmentation,
    augmentationSettings: {
      mirrorAxes: recipe.mirrorAxes.filter((axis) => axis < dimensions),
      useMaskForNorm: configuration.use_mask_for_norm,
    },
    outputShapes,
    annotatedKey: annotatedKey(labels),
    previous,
    cacheBytes,
  };
  const feed = startFeed(source, { workers, hangSeconds: options.hangSeconds, turn: turnOf(experiment) });
  try {
    const { params, position } = await loop(
      {
        run: runHash(experiment, fold, seed),
        folder,
        recipe,
        network,
        initial: () => initial(experiment, fold, seed, prepared, options.folderOf ?? runFolderOf),
        objective,
        feed,
        outputShapes,
        dimensions,
        seed,
        checkpointing: options.checkpointing,
      },
      options,
    );
    return { network, params, prepared, previous, forecast: found, position };
  } finally {
    await feed.close();
  }
}

/** What the forecast asks of an experiment, its plan and its cases. */
export function forecastInputOf(
  experiment: Experiment,
  planned: Planned,
  cases: Pick<ForecastInput, 'caseBytes' | 'largestCase' | 'processBytes' | 'workers' | 'checkpointing'>,
): ForecastInput {
  const { configuration, labels } = planned;
  const ends = endsOf(experiment, planned);
  return {
    network: networkOf(experiment.model, configuration, ends).network,
    recipe: experiment.recipe,
    objective: objectiveOf(experiment.recipe, labels),
    patch: configuration.patch_size,
    batchSize: configuration.batch_size,
    inputChannels: ends.inputChannels,
    ...cases,
  };
}

function forecastInput(experiment: Experiment, prepared: Prepared, workers: number, checkpointing?: boolean): ForecastInput {
  const { configuration, folder } = prepared;
  const shapes = caseShapes(folder);
  const stageBytes = configuration.previous_stage ? shapes.reduce((sum, shape) => sum + voxels(shape), 0) : 0;
  return forecastInputOf(experiment, prepared, {
    caseBytes: Math.min(cacheBytes, bytesOnDisk(folder) + stageBytes),
    largestCase: shapes.reduce((a, b) => (voxels(b) > voxels(a) ? b : a), [1, 1, 1]),
    processBytes: process.memoryUsage.rss(),
    workers,
    checkpointing,
  });
}

/** Memory, disk and arithmetic of an experiment before anything is trained; prepares its data. */
export async function forecastOf(experiment: Experiment, options: WorkOptions = {}): Promise<Forecast> {
  return forecast(forecastInput(experiment, await prepare(experiment, options), 1));
}

/** Preprocessed cases an augmentation worker keeps in memory at most. */
export const cacheBytes = 1e9;

const voxels = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Shapes of the preprocessed cases. */
const caseShapes = (folder: string): number[][] =>
  listCases(folder).map((id) => JSON.parse(fs.readFileSync(path.join(folder, `${id}.json`), 'utf8')).shape);

function bytesOnDisk(folder: string): number {
  return listCases(folder).reduce((sum, id) => sum + fs.statSync(path.join(folder, `${id}.safetensors`)).size, 0);
}

/** The batch after a batch: epochs alternate between training and validation iterations. */
function turnOf({ recipe }: Experiment) {
  const { epochs, iterationsPerEpoch, validationIterationsPerEpoch } = recipe;
  return (phase: Phase, index: number): { phase: Phase; index: number } | undefined => {
    const per = phase === 'train' ? iterationsPerEpoch : validationIterationsPerEpoch;
    const epoch = Math.floor(index / per);
    if ((index + 1) % per !== 0) return { phase, index: index + 1 };
    if (phase === 'train' && validationIterationsPerEpoch > 0)
      return { phase: 'validation', index: epoch * validationIterationsPerEpoch };
    return epoch + 1 < epochs ? { phase: 'train', index: (epoch + 1) * iterationsPerEpoch } : undefined;
  };
}

/** Parameters a run begins with: freshly drawn, then whatever its `init` puts in their place. The caller owns them. */
function initial(experiment: Experiment, fold: Fold, seed: number, prepared: Prepared, folderOf: typeof runFolderOf): Params {
  const own = modelOf(experiment, prepared, seed);
  const { init } = experiment;
  if (!init) return own.params;
  try {
    if ('weights' in init) return transfer(own.network, own.params, readCheckpoint(init.weights).tensors, allButHeads).params;
    const before = initOf(experiment)!;
    const file = path.join(folderOf(before, fold, seed), 'checkpoints', 'final.safetensors');
    if (!fs.existsSync(file))
      throw new VoxelbookError('what this run starts from is not there', {
        code: 'dependency-missing',
        path: file,
        given: 'no such file',
        expected: `the final weights of "${before.name}", fold ${fold}, seed ${seed}`,
        fix: 'Run that experiment first, or start both as a study.',
      });
    const { tensors } = readCheckpoint(file);
    if ('from' in init) {
      const { only } = init;
      if (before.dataset === experiment.dataset && !only) return toParams(own.network, tensors);
      const keep = (name: string) => allButHeads.keep!(name) || (only !== undefined && !only.some((p) => name.startsWith(p)));
      return transfer(own.network, own.params, tensors, { keep }).params;
    }
    const { network: smallNetwork } = networkOf(before.model, prepared.configuration, endsOf(before, prepared));
    const small = toParams(smallNetwork, tensors);
    try {
      return upkern(small, own.params, own.network.parameters).params;
    } finally {
      tf.dispose(small);
    }
  } finally {
    tf.dispose(own.params);
  }
}
