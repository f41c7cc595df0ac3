// A trained model of nnU-Net kept here: plans in their present form, weights as safetensors; no pickle is read again after that.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { type StoredTensor, writeSafetensors } from '../base/safetensors.js';
import { type DatasetJson, datasetJsonText, type Fold } from '../dataset/index.js';
import { modelIdentifier } from '../nnunet/best.js';
import {
  aboutText,
  type CheckpointAbout,
  fitting,
  importedFolder,
  knownSpec,
  type ModelFolderOptions,
  modelFolderOf,
  networkFor,
  readModelCheckpoint,
  readModelFolder,
} from '../nnunet/modelFolder.js';
import { readVersion1, version1Folds } from '../nnunet/version1.js';
import { configuration, type Plan } from '../plan/index.js';
import { tf } from '../tensor/tf.js';

export interface ImportOptions extends ModelFolderOptions, WorkOptions {
  /** Folder of results; default `imported` in the runs folder. */
  out?: string;
  /** Name of the data set there; default the one the plans name. */
  dataset?: string;
  overwrite?: boolean;
}

/**
 * Imports a model of nnU-Net v2, or of MedNeXt or STU-Net on version 1.
 * @param given a model's folder, also below `nnUNet_results`
 * @returns the folder written, which `predict` takes
 * @throws VoxelbookError with every fault of the model; nothing is written then
 */
export function importNnunet(given: string, options: ImportOptions = {}): string {
  const found = modelFolderOf(given);
  const old = found ? [] : version1Folds(path.resolve(given), options.checkpoint);
  if (!found && old.length === 0)
    throw new VoxelbookError('this is no model of nnU-Net', {
      code: 'no-model',
      path: given,
      given: fs.existsSync(given) ? 'a folder without plans.json, dataset.json and fold_*' : 'no such folder',
      expected: '<trainer>__<plans>__<configuration>, as a path or below $nnUNet_results',
      fix: 'Name the folder that nnUNetv2_train made or a downloaded model was unpacked into.',
    });
  return found ? importModel(found.folder, { folds: found.folds, ...options }) : importOld(given, old, options);
}

interface ImportedFold {
  fold: Fold;
  about: CheckpointAbout;
  tensors: Record<string, StoredTensor>;
  /** Folder of its validation predictions. */
  validation?: string;
}

function importModel(folder: string, options: ImportOptions): string {
  const { plan, dataset, checkpoints } = readModelFolder(folder, options);
  const print = path.join(folder, 'dataset_fingerprint.json');
  const folds = checkpoints.map(({ fold, file }) => ({
    fold,
    ...fittingCheckpoint(file, plan, dataset, readModelCheckpoint(file)),
    validation: path.join(path.dirname(file), 'validation'),
  }));
  return write({ plan, dataset, folds, print }, options);
}

function importOld(given: string, all: ReturnType<typeof version1Folds>, options: ImportOptions): string {
  const name = options.dataset ?? taskName(given);
  const wanted = all.filter(({ fold }) => !options.folds || options.folds.includes(fold));
  const models = wanted.map(({ fold, file }) => ({ fold, file, ...readVersion1(file, name) }));
  if (models.length === 0)
    throw new VoxelbookError('this fold is not there', {
      code: 'fold',
      path: given,
      given: `fold ${options.folds?.join(', ')}`,
      expected: `one of ${all.map(({ fold }) => fold).join(', ')}`,
      fix: 'Choose others with --fold.',
    });
  const [{ plan, dataset }] = models;
  const folds = models.map(({ fold, file, ...m }) => ({ fold, ...fittingCheckpoint(file, plan, dataset, m) }));
  return write({ plan, dataset, folds }, options);
}

/** A checkpoint with the network's own tensors alone, each once. @throws VoxelbookError where they do not fit */
function fittingCheckpoint(
  file: string,
  plan: Plan,
  dataset: DatasetJson,
  { about, tensors }: Pick<ImportedFold, 'about' | 'tensors'>,
): Pick<ImportedFold, 'about' | 'tensors'> {
  const config = configuration(plan, about.configuration);
  const spec = knownSpec(about, config, file);
  const network = networkFor(spec, config, dataset);
  tf.dispose(fitting(file, about, spec, network, tensors));
  const own = network.parameters.filter((p) => !p.aliasOf).map(({ name }) => [name, tensors[name]]);
  return { about, tensors: Object.fromEntries(own) };
}

function write(
  { plan, dataset, folds, print }: { plan: Plan; dataset: DatasetJson; folds: ImportedFold[]; print?: string },
  options: ImportOptions,
): string {
  const target = targetOf(plan, folds[0].about, options);
  fs.rmSync(target, { recursive: true, force: true });
  fs.mkdirSync(target, { recursive: true });
  const report = progressOf(folds.length, options);
  for (const [i, { fold, about, tensors, validation }] of folds.entries()) {
    report(i, `import fold ${fold}`);
    const own = path.join(target, `fold_${fold}`);
    fs.mkdirSync(own);
    writeSafetensors(path.join(own, 'checkpoint_final.safetensors'), tensors, aboutText(about));
    if (validation) copyValidation(validation, path.join(own, 'validation'), dataset.file_ending);
  }
  if (print && fs.existsSync(print)) fs.copyFileSync(print, path.join(target, 'dataset_fingerprint.json'));
  atomicWriteJson(path.join(target, 'plans.json'), plan);
  atomicWrite(path.join(target, 'dataset.json'), datasetJsonText(dataset));
  report(folds.length, 'import');
  return target;
}

/** `Task017_BTCV` anywhere in the path as `Dataset017_BTCV`. */
const taskName = (folder: string) =>
  /Task(\d{3}_[\w-]+)/.exec(path.resolve(folder))?.[1].replace(/^/, 'Dataset') ?? 'Dataset000_Imported';

function targetOf(
  plan: Plan,
  about: CheckpointAbout,
  { out = importedFolder(), dataset = plan.dataset_name, overwrite }: ImportOptions,
): string {
  const name = modelIdentifier({ trainer: about.trainer, plans: plan.plans_name, configuration: about.configuration });
  const plainName = (n: string) => /^\w[\w.-]{0,199}$/.test(n) && !n.includes('..');
  const bad = [dataset, name].find((n) => !plainName(n));
  if (bad)
    throw new VoxelbookError('this model cannot be imported under its name', {
      code: 'name',
      path: 'plans.json',
      given: JSON.stringify(bad),
      expected: 'letters, digits, ., - and _',
      fix: 'Give --dataset Dataset042_Name.',
    });
  const target = path.resolve(out, dataset, name);
  if (fs.existsSync(target) && !overwrite)
    throw new VoxelbookError('a model stands there', {
      code: 'model-there',
      path: target,
      given: 'an existing folder',
      expected: 'no such folder',
      fix: 'Give --overwrite or --out.',
    });
  return target;
}

/** Predictions of the validation cases with their probabilities, for find-best and ensembles. */
function copyValidation(from: string, to: string, ending: string): void {
  if (!fs.existsSync(from)) return;
  fs.mkdirSync(to, { recursive: true });
  for (const name of fs.readdirSync(from))
    if (name.endsWith(ending) || name.endsWith('.npz') || name === 'summary.json')
      fs.copyFileSync(path.join(from, name), path.join(to, name));
}
