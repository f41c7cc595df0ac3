// `train.run`: one fold of an experiment, from its names to trained parameters in a run folder.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { refuseIfDiskTooSmall } from '../base/disk.js';
import { VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { datasetJsonText, type Fold } from '../dataset/index.js';
import { type Network, network as networkOf, type Params } from '../model/index.js';
import { annotatedKey, listCases, StoredCase } from '../preprocess/index.js';
import { loadTensorflow } from '../tensor/tf.js';
import type { Position } from './checkpoint.js';
import type { Experiment } from './experiment.js';
import { type FeedOptions, startFeed } from './feed/feed.js';
import type { Phase, SampleSource } from './feed/sample.js';
import { type Forecast, type ForecastInput, forecast, refuseIfTooLarge } from './forecast.js';
import { runFolderOf, runHash } from './identity.js';
import { saveStart, startingParams, startText } from './initial.js';
import { beginWith, inputsOf } from './inputs.js';
import { type LoopOptions, loop } from './loop.js';
import { endsOf, type Planned } from './model.js';
import { objectiveOf } from './objective.js';
import { groupFaults } from './optim/groups.js';
import { prepare } from './prepare.js';
import type { Prepared } from './prepared.js';
import { type PreviousStage, previousStageOf } from './previousStage.js';

/** How a fold is trained: threads, checkpoints, and who is told. */
export interface RunOptions extends WorkOptions, Omit<LoopOptions, keyof WorkOptions> {
  onStage?: (stage: string) => void;
  /** Told what changed since an earlier result of this run, which is computed again; default the error stream. */
  onNotice?: (text: string) => void;
  /** Augmentation threads; default 1. 0: in the training thread. The results are the same. */
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

/** A trained network. */
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
  const { onStage = () => {}, workers = 1, onNotice: notice = (text: string) => console.error(text) } = options;
  fs.mkdirSync(folder, { recursive: true });
  const prepared = await prepare(experiment, { signal: options.signal, onStage, fold });
  const { configuration, dataset } = prepared;
  const { recipe } = experiment;
  const previous = previousStageOf(experiment, prepared, fold, seed, options.folderOf ?? runFolderOf);
  const dimensions = configuration.patch_size.length as 2 | 3;
  // What prediction needs besides the weights, so that the run folder can be taken elsewhere.
  beginWith(folder, inputsOf(experiment, fold, seed, prepared, options.folderOf), options.onNotice);
  atomicWriteJson(path.join(folder, 'plan.json'), prepared.plan);
  atomicWriteJson(path.join(folder, 'dataset_fingerprint.json'), prepared.fingerprint);
  atomicWrite(path.join(folder, 'dataset.json'), datasetJsonText(dataset.json));
  atomicWriteJson(path.join(folder, 'warnings.json'), prepared.warnings);

  onStage('forecast');
  const input = forecastInput(experiment, prepared, workers, options.checkpointing);
  const { network, objective } = input;
  const unknown = groupFaults(recipe, network.parameters);
  if (unknown.length > 0) throw new VoxelbookError('this recipe does not fit the network', unknown);
  const found = forecast(input);
  atomicWriteJson(path.join(folder, 'forecast.json'), found);
  refuseIfTooLarge(input, found, options.memoryBytes);
  refuseIfDiskTooSmall(folder, found.diskBytes - checkpointBytes(folder), {
    what: 'checkpoints',
    elsewhere: 'set VOXELBOOK_RUNS to a larger disk',
  });

  onStage('train');
  const { source, startFeed } = assembled(experiment, fold, seed, prepared, found.outputShapes, previous);
  const { outputShapes } = source;
  const feed = startFeed({ workers, hangSeconds: options.hangSeconds });
  try {
    const { params, position } = await loop(
      {
        run: runHash(experiment, fold, seed),
        folder,
        recipe,
        network,
        initial: () => {
          const { params, record } = startingParams(experiment, fold, seed, prepared, options.folderOf ?? runFolderOf);
          if (record) {
            saveStart(folder, record);
            notice(startText(record));
          }
          return params;
        },
        objective,
        feed,
        outputShapes,
        dimensions,
        seed,
        checkpointing: options.checkpointing,
      },
      { ...options, onNotice: notice },
    );
    return { network, params, prepared, previous, forecast: found, position };
  } finally {
    await feed.close();
  }
}

/** Where the batches of a fold come from. @param shapes of the network's outputs, full resolution first, as the forecast has them */
export function assembled(
  experiment: Experiment,
  fold: Fold,
  seed: number,
  prepared: Prepared,
  shapes: readonly (readonly number[])[],
  previous: PreviousStage | undefined,
) {
  const { configuration, labels } = prepared;
  const { recipe } = experiment;
  const dimensions = configuration.patch_size.length as 2 | 3;
  const { train, val } = prepared.split(fold);
  const outputShapes = shapes.map((s) => (dimensions === 2 ? [1, ...s] : s) as [number, number, number]);
  const source: SampleSource = {
    folder: prepared.folder,
    train,
    validation: val,
    seed,
    batchSize: configuration.batch_size,
    patch: outputShapes[0],
    channels: Object.keys(prepared.dataset.json.channel_names).length + (previous?.foreground.length ?? 0),
    dimensions,
    oversampleForeground: recipe.oversampleForeground,
    sampler: recipe.sampler,
    augmentation: recipe.augmentation,
    augmentationSettings: {
      mirrorAxes: recipe.mirrorAxes.filter((axis) => axis < dimensions),
      useMaskForNorm: configuration.use_mask_for_norm,
    },
    outputShapes,
    annotatedKey: annotatedKey(labels),
    previous,
    cacheBytes: wholeBytes(shapesOf(prepared), prepared) <= cacheBytes ? cacheBytes : 0,
  };
  return {
    source,
    startFeed: (options: Omit<FeedOptions, 'turn'> & Partial<FeedOptions>) =>
      startFeed(source, { turn: turnOf(experiment), ...options }),
  };
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

export function forecastInput(
  experiment: Experiment,
  prepared: Prepared,
  workers: number,
  checkpointing?: boolean,
): ForecastInput {
  const { configuration } = prepared;
  const shapes = shapesOf(prepared);
  // As training will have it: with TensorFlow in memory.
  loadTensorflow();
  const stageBytes = configuration.previous_stage ? shapes.reduce((sum, shape) => sum + voxels(shape), 0) : 0;
  const whole = wholeBytes(shapes, prepared);
  return forecastInputOf(experiment, prepared, {
    caseBytes: whole <= cacheBytes ? whole + stageBytes : 0,
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

/** Bytes of the checkpoints that stand already: new ones take their place. */
function checkpointBytes(folder: string): number {
  const checkpoints = path.join(folder, 'checkpoints');
  const names = fs.existsSync(checkpoints) ? fs.readdirSync(checkpoints) : [];
  return names.reduce((sum, name) => sum + fs.statSync(path.join(checkpoints, name)).size, 0);
}

/** Bytes of voxels an augmentation worker keeps in memory: a set that is larger is read patch by patch. */
export const cacheBytes = 1e9;

/** Bytes of all preprocessed cases in memory. */
const wholeBytes = (shapes: readonly (readonly number[])[], { dataset }: Pick<Prepared, 'dataset'>) =>
  shapes.reduce((sum, shape) => sum + voxels(shape), 0) * (4 * Object.keys(dataset.json.channel_names).length + 2);

const voxels = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const shapes = new WeakMap<Prepared, number[][]>();

/** Shapes of the preprocessed cases of the data set; read once. */
function shapesOf(prepared: Prepared): number[][] {
  const known = shapes.get(prepared) ?? storedShapes(prepared);
  shapes.set(prepared, known);
  return known;
}

function storedShapes({ folder, dataset }: Prepared): number[][] {
  const ids = new Set(dataset.cases.map(({ id }) => id));
  const made = listCases(folder).filter((id) => ids.has(id));
  return made.map((id) => new StoredCase(folder, id).shape);
}

/** The batch after a batch: epochs alternate between training and validation iterations. */
function turnOf({ recipe }: Experiment) {
  const { epochs, validationIterationsPerEpoch, accumulate = 1 } = recipe;
  const trained = recipe.iterationsPerEpoch * accumulate;
  return (phase: Phase, index: number): { phase: Phase; index: number } | undefined => {
    const per = phase === 'train' ? trained : validationIterationsPerEpoch;
    const epoch = Math.floor(index / per);
    if ((index + 1) % per !== 0) return { phase, index: index + 1 };
    if (phase === 'train' && validationIterationsPerEpoch > 0)
      return { phase: 'validation', index: epoch * validationIterationsPerEpoch };
    return epoch + 1 < epochs ? { phase: 'train', index: (epoch + 1) * trained } : undefined;
  };
}
