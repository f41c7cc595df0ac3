// A trained model of nnU-Net as a predictor: `<trainer>__<plans>__<configuration>` with plans.json, dataset.json and a checkpoint a fold;
// TotalSegmentator and others hand models out so. What `import-nnunet` wrote lies in the same form, with weights as safetensors.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { runsFolder } from '../base/paths.js';
import { openSafetensors, type StoredTensor } from '../base/safetensors.js';
import { line, list, number, object, one, parse, whole } from '../base/schema.js';
import { Contents, type DatasetJson, type Fold, labels, readDatasetJson } from '../dataset/index.js';
import { type ModelSpec, type Network, network as networkOf, type Params } from '../model/index.js';
import { type Configuration, configuration, type Fingerprint, inputChannels, type Plan, planFromJson } from '../plan/index.js';
import { forwardOf, type PredictionModel } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import { openWeights, readTorch, toParams } from '../weights/index.js';
import { readNnunetJson } from './json.js';
import { isNnunets } from './networks.js';
import { specOf } from './trainers.js';

/** What a checkpoint says besides its weights. */
export interface CheckpointAbout {
  trainer: string;
  configuration: string;
  /** Axes of the patch that a prediction may mirror. */
  mirrorAxes: number[];
  /** nnU-Net v2 averages logits over folds, v1 probabilities. */
  average: 'logits' | 'probabilities';
}

export interface FoldCheckpoint {
  fold: Fold;
  file: string;
}

export interface ModelFolder {
  folder: string;
  plan: Plan;
  dataset: DatasetJson;
  fingerprint?: Fingerprint;
  checkpoints: FoldCheckpoint[];
}

export interface ModelFolderOptions {
  /** Default: all that are there, or `all` where there is no other. */
  folds?: readonly Fold[];
  /** Name of the checkpoint file without its ending; default `checkpoint_final`. */
  checkpoint?: string;
}

const foldPattern = /^fold_(\d{1,3}|all)$/;
const isFolder = (name: string) => fs.statSync(name, { throwIfNoEntry: false })?.isDirectory() === true;
const foldFolders = (folder: string) =>
  fs.readdirSync(folder).filter((n) => foldPattern.test(n) && isFolder(path.join(folder, n)));

/** Whether a folder is such a model. */
export const isModelFolder = (folder: string): boolean =>
  isFolder(folder) &&
  ['plans.json', 'dataset.json'].every((name) => fs.existsSync(path.join(folder, name))) &&
  foldFolders(folder).length > 0;

/**
 * The model that a name means: its folder, one of its folds, a data set's results that hold one model only; as a path, or below
 * `nnUNet_results` or what was imported.
 * @returns undefined when it is none
 * @throws VoxelbookError for results of several models
 */
export function modelFolderOf(name: string): { folder: string; folds?: Fold[] } | undefined {
  const roots = ['.', process.env.nnUNet_results, importedFolder()].filter((root) => root !== undefined);
  for (const place of roots.map((root) => path.resolve(root, name))) {
    if (!isFolder(place)) continue;
    const fold = foldPattern.exec(path.basename(place));
    if (fold && isModelFolder(path.dirname(place)))
      return { folder: path.dirname(place), folds: [fold[1] === 'all' ? 'all' : Number(fold[1])] };
    if (isModelFolder(place)) return { folder: place };
    const inside = modelFoldersIn(place);
    if (inside.length === 1) return { folder: path.join(place, inside[0]) };
    if (inside.length > 1)
      throw new VoxelbookError('these results hold several models', {
        code: 'several-models',
        path: place,
        given: inside.join(', '),
        expected: 'one model',
        fix: 'Name one of these folders; npx voxelbook find-best chooses among them.',
      });
  }
  return undefined;
}

/** Where `import-nnunet` puts models. */
export const importedFolder = () => path.join(runsFolder(), 'imported');

/** Names of the models in the results of a data set. */
export const modelFoldersIn = (results: string): string[] =>
  fs
    .readdirSync(results)
    .filter((n) => n.split('__').length === 3 && isModelFolder(path.join(results, n)))
    .sort();

/**
 * Reads what describes a model and finds its checkpoints.
 * @throws VoxelbookError with every fault of plan, `dataset.json` and folds
 */
export function readModelFolder(
  folder: string,
  { folds, checkpoint = 'checkpoint_final' }: ModelFolderOptions = {},
): ModelFolder {
  const faults = new FaultList();
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof VoxelbookError)) throw error;
      faults.faults.push(...error.faults);
      return undefined;
    }
  };
  const plan = attempt(() => planFromJson(readLargeJson(path.join(folder, 'plans.json'))));
  const dataset = attempt(() => readDatasetJson(path.join(folder, 'dataset.json')));
  const checkpoints = attempt(() => checkpointsIn(folder, folds, checkpoint));
  faults.throwIfAny(`${folder} cannot predict`);
  const print = path.join(folder, 'dataset_fingerprint.json');
  const fingerprint = fs.existsSync(print) ? attempt(() => fingerprintOf(print)) : undefined;
  faults.throwIfAny(`${folder} cannot predict`);
  return { folder, plan: plan!, dataset: dataset!, checkpoints: checkpoints!, ...(fingerprint && { fingerprint }) };
}

/** Largest plans.json and fingerprint that are read, bytes. */
const mostBytes = 256e6;

function readLargeJson(file: string): unknown {
  const refuse = (given: string) =>
    new VoxelbookError(`${file} cannot be read`, {
      code: 'json-file',
      path: file,
      given,
      expected: `JSON of at most ${mostBytes} bytes`,
      fix: 'Fetch the model again.',
    });
  if (fs.statSync(file).size > mostBytes) throw refuse(`${fs.statSync(file).size} bytes`);
  try {
    return readNnunetJson(file);
  } catch (error) {
    throw refuse((error as Error).message);
  }
}

/** The part of a fingerprint that predictions are compared with. */
function fingerprintOf(file: string): Fingerprint {
  const spacing = list(number(0, 1e6), 3, 3, 'voxel sizes');
  const schema = z.looseObject({ spacings: list(spacing, 1, 1_000_000, 'cases') });
  return parse(schema, readLargeJson(file), `${file} cannot be used`) as unknown as Fingerprint;
}

function checkpointsIn(folder: string, wanted: readonly Fold[] | undefined, checkpoint: string): FoldCheckpoint[] {
  const name = checkpoint.replace(/\.(pth|safetensors)$/, '');
  const files = foldFolders(folder).flatMap((n): FoldCheckpoint[] => {
    const fold = n === 'fold_all' ? 'all' : Number(n.slice(5));
    const file = ['.pth', '.safetensors'].map((ending) => path.join(folder, n, name + ending)).find((f) => fs.existsSync(f));
    return file ? [{ fold, file }] : [];
  });
  files.sort((a, b) => Number(a.fold) - Number(b.fold));
  const numbered = files.filter(({ fold }) => fold !== 'all');
  const faults = new FaultList();
  const there = files.map(({ fold }) => fold).join(', ') || 'none';
  const chosen = wanted
    ? wanted.flatMap((fold) => {
        const found = files.find((f) => f.fold === fold);
        if (!found)
          faults.add(
            'fold',
            `${folder} fold ${fold}`,
            `no ${name}.pth`,
            `one of the folds ${there}`,
            'Choose others with --fold.',
          );
        return found ?? [];
      })
    : numbered.length > 0
      ? numbered
      : files;
  if (chosen.length === 0 && !wanted)
    faults.add(
      'fold',
      folder,
      `no fold with ${name}.pth`,
      'at least one trained fold',
      'Name another --checkpoint, such as checkpoint_best.',
    );
  faults.throwIfAny(`${folder} cannot predict`);
  return chosen;
}

const text = () => line(256);
const axes = () => list(whole(0, 2), 0, 3, 'axes 0 to 2');
const aboutSchema = object({
  trainer: text(),
  configuration: text(),
  mirrorAxes: axes(),
  average: one('logits', 'probabilities'),
});
/** nnU-Net's own keys; what else its trainers keep is not looked at. */
const trainerSchema = z.looseObject({
  trainer_name: text(),
  configuration: text(),
  inference_allowed_mirroring_axes: axes().nullish(),
});

/** Key of the metadata under which an imported checkpoint says the same. */
const metadataKey = 'nnunet';
export const aboutText = (about: CheckpointAbout): Record<string, string> => ({ [metadataKey]: JSON.stringify(about) });

/**
 * A checkpoint's weights and what it says of itself. Nothing in it is run.
 * @throws VoxelbookError for a damaged file, Python objects that are no data, and whatever is not there
 */
export function readModelCheckpoint(file: string): { about: CheckpointAbout; tensors: Record<string, StoredTensor> } {
  const what = `${file} is no checkpoint of nnU-Net`;
  if (file.endsWith('.safetensors')) {
    const { tensors } = openWeights(file);
    const { [metadataKey]: said = 'null' } = openSafetensors(file).metadata;
    return { about: parse(aboutSchema, parsed(said), what), tensors };
  }
  const { tensors, rest } = weightsOf(readTorch(file), what);
  const args = rest.get('init_args');
  const configuration = args instanceof Map ? args.get('configuration') : undefined;
  const value = { ...Object.fromEntries(rest), configuration };
  const own = parse(trainerSchema, pick(value, Object.keys(trainerSchema.shape)), what);
  return {
    about: {
      trainer: own.trainer_name,
      configuration: own.configuration,
      mirrorAxes: own.inference_allowed_mirroring_axes ?? [],
      average: 'logits',
    },
    tensors,
  };
}

const pick = (value: Record<string, unknown>, keys: readonly string[]) => Object.fromEntries(keys.map((k) => [k, value[k]]));

function parsed(textual: string): unknown {
  try {
    return JSON.parse(textual);
  } catch {
    return undefined;
  }
}

const isTensor = (v: unknown): v is StoredTensor =>
  typeof v === 'object' && v !== null && 'dtype' in v && 'shape' in v && 'data' in v;

function weightsOf(value: unknown, what: string): { tensors: Record<string, StoredTensor>; rest: Map<unknown, unknown> } {
  const rest = value instanceof Map ? value : new Map();
  const weights = rest.get('network_weights') ?? rest.get('state_dict');
  const entries =
    weights instanceof Map
      ? [...weights].filter((e): e is [string, StoredTensor] => typeof e[0] === 'string' && isTensor(e[1]))
      : [];
  if (entries.length === 0)
    throw new VoxelbookError(what, {
      code: 'no-weights',
      path: 'network_weights',
      given: value instanceof Map ? 'no tensors by name' : `a ${typeof value}`,
      expected: 'the weights by name, as nnUNetTrainer.save_checkpoint writes them',
      fix: 'Name the folder of a trained model; other checkpoints are read by weights.readWeights.',
    });
  const tensors: Record<string, StoredTensor> = Object.create(null);
  // DistributedDataParallel and torch.compile put their names in front.
  for (const [name, tensor] of entries) tensors[name.replace(/^(module\.|_orig_mod\.)+/, '')] = tensor;
  return { tensors, rest };
}

/** A model with its networks, ready for `predict.run`. */
export interface LoadedModel {
  model: PredictionModel;
  spec: ModelSpec;
  about: CheckpointAbout;
  folds: Fold[];
  dispose(): void;
}

/**
 * Loads a model of nnU-Net for prediction; its folds are averaged.
 * @throws VoxelbookError with what is wrong with the folder, naming a network that is not here, and weights that do not fit it
 */
export function loadModelFolder(folder: string, options: ModelFolderOptions = {}): LoadedModel {
  const { plan, dataset, fingerprint, checkpoints } = readModelFolder(folder, options);
  const params: Params[] = [];
  try {
    const forwards: PredictionModel['forwards'][number][] = [];
    let first: { about: CheckpointAbout; spec: ModelSpec } | undefined;
    for (const { file } of checkpoints) {
      const { about, tensors } = readModelCheckpoint(file);
      if (first && (about.configuration !== first.about.configuration || about.trainer !== first.about.trainer))
        throw new VoxelbookError('these folds are not of one model', {
          code: 'folds-differ',
          path: file,
          given: `${about.trainer}, ${about.configuration}`,
          expected: `${first.about.trainer}, ${first.about.configuration}`,
          fix: 'Put each model into a folder of its own.',
        });
      const config = configuration(plan, about.configuration);
      const spec = first?.spec ?? knownSpec(about, config, file);
      first ??= { about, spec };
      const network = networkFor(spec, config, dataset);
      params.push(fitting(file, about, spec, network, tensors));
      forwards.push(forwardOf(network, params[params.length - 1]));
    }
    const { about, spec } = first!;
    const axesOfPatch = configuration(plan, about.configuration).patch_size.length;
    const contents = new Contents(folder);
    const identity = checkpoints.map(({ file }) => contents.sha256(file)).join();
    const mirrorAxes = about.mirrorAxes.filter((axis) => axis < axesOfPatch);
    return {
      model: {
        forwards,
        plan,
        configuration: about.configuration,
        dataset,
        settings: { stepSize: 0.5, gaussian: true, mirrorAxes, average: about.average },
        identity,
        // nnU-Net's own numbers: labels where two classes are nearly equal depend on the rounding.
        ...(about.average === 'logits' && { precision: 'float16' as const }),
        ...(fingerprint && { fingerprint }),
      },
      spec,
      about,
      folds: checkpoints.map(({ fold }) => fold),
      dispose: () => tf.dispose(params),
    };
  } catch (error) {
    tf.dispose(params);
    throw error;
  }
}

/** @throws VoxelbookError naming a network that is not here */
export function knownSpec(about: CheckpointAbout, config: Configuration, file: string): ModelSpec {
  const spec = specOf(about.trainer, config);
  if (spec) return spec;
  throw new VoxelbookError('this network is not here', {
    code: 'unknown-network',
    path: file,
    given: `${config.architecture.network_class_name} of ${about.trainer}`,
    expected: 'PlainConvUNet, ResidualEncoderUNet, or a trainer of STU-Net, MedNeXt, U-Mamba or Swin-UMamba',
    fix: 'Predict with nnU-Net, or bring the network with vb.extend and its weights with init.weights.',
  });
}

/** The network of a checkpoint. nnU-Net's own hold heads of all resolutions either way, others only when trained with them, as they were. */
export function networkFor(spec: ModelSpec, config: Configuration, dataset: DatasetJson): Network {
  return networkOf(spec, config, {
    inputChannels: inputChannels(dataset, config),
    classes: labels(dataset).heads,
    deepSupervision: !isNnunets(spec.network),
  }).network;
}

/**
 * Params of a checkpoint.
 * @throws VoxelbookError that says first whose network was tried: a trainer may build one that its plan does not name
 */
export function fitting(
  file: string,
  { trainer }: CheckpointAbout,
  spec: ModelSpec,
  network: Network,
  tensors: Record<string, StoredTensor>,
): Params {
  try {
    return toParams(network, tensors);
  } catch (error) {
    if (!(error instanceof VoxelbookError)) throw error;
    const most = 12;
    const more = error.faults.length - most;
    throw new VoxelbookError(
      `${file}: the weights of ${trainer} are not those of ${spec.network}${more > 0 ? `; ${more} more differences` : ''}`,
      error.faults.slice(0, most).map((f) => ({ ...f, fix: 'The trainer builds a network of its own; predict with nnU-Net.' })),
    );
  }
}
