// From image files to label files: preprocess, sliding window, back to the original geometry (nnU-Net v2 `nnUNetPredictor`).
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { refuseIfDiskTooSmall } from '../base/disk.js';
import { VoxelbookError } from '../base/errors.js';
import { availableBytes } from '../base/memory.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { tell, warningText } from '../dataset/check.js';
import { Contents } from '../dataset/content.js';
import type { CaseFiles } from '../dataset/dataset.js';
import { datasetJsonText } from '../dataset/labelOrder.js';
import { labels } from '../dataset/labels.js';
import type { LoadedCase } from '../dataset/loadCase.js';
import { configuration } from '../plan/configuration.js';
import type { Fingerprint } from '../plan/plan.js';
import type { PreprocessedCase } from '../preprocess/preprocessCase.js';
import { readGrid, type Volume, voxelCount, writeVolume } from '../volume/index.js';
import { Beside, threadDied } from './beside.js';
import { type CaseModel, checkPrevious, type PredictCaseOptions, type Predicted, predictOwned } from './case.js';
import { checkImages } from './compare.js';
import { probabilityFile } from './ensemble.js';
import { anonymous, digest, imagesDigest, keptCases, readRecord, writeRecord } from './record.js';
import type { Restored } from './restore.js';
import { type Forward, networksOf } from './slidingWindow.js';

/** Which model it is. */
interface Known {
  /** Tells this model from others in the record of what it predicts; default: its very networks. */
  identity?: string;
  /** Of the data set that was trained on: what is predicted on is compared with it. */
  fingerprint?: Fingerprint;
}

/** Everything a prediction needs to know about what was trained. */
export interface PredictionModel extends Omit<CaseModel, 'networks'>, Known {
  /** One network, or the networks of several folds, averaged as `settings.average` says. The caller keeps their tensors. */
  forwards: readonly Forward[];
}

/** The same, of networks that something else than TensorFlow runs. */
export interface ForeignModel extends CaseModel, Known {}

/**
 * Predicts one case.
 * @param source images as read, or the case as preprocessed for this configuration (in a cascade `withPreviousStage`)
 * @returns labels in the original geometry; no tensor is left behind
 */
export async function predictCase(
  model: PredictionModel | ForeignModel,
  source: LoadedCase | PreprocessedCase,
  options: PredictCaseOptions = {},
): Promise<Predicted> {
  const owned = 'image' in source ? { ...source, image: { ...source.image, data: source.image.data.slice() } } : source;
  return predictOwned(caseModel(model), owned, options);
}

const caseModel = (model: PredictionModel | ForeignModel): CaseModel =>
  'networks' in model ? model : { ...model, networks: networksOf(model.forwards) };

/** How the cases of a folder are predicted. */
export interface RunOptions extends WorkOptions {
  /** Also write `<case>.safetensors`, for ensembles. */
  keepProbabilities?: boolean;
  /** Replace label files that stand already, whoever wrote them (nnU-Net's way without `--continue_prediction`). */
  overwrite?: boolean;
  /** Keep label files that stand and can be read, also such as nothing says who wrote them (nnU-Net's `--continue_prediction`). */
  continue?: boolean;
  /** Told the cases whose label files stay as they are. */
  onKept?: (ids: string[]) => void;
  /** Told what a person should know of the images; default the error stream. */
  onWarning?: (text: string) => void;
  /** Cascade: folder of the previous stage's label files. */
  previousFolder?: string;
  /** Bytes for the next case, which is read, and the last one, which is written, beside the one that is computed; default half of what is free. */
  besideBytes?: number;
}

/** A case without a result, and why. */
interface Failure {
  id: string;
  error: unknown;
}

/**
 * Predicts cases into a folder: `<case><file ending>` for each, `dataset.json`, `plans.json` and a record of who made what beside them.
 * A case that this model predicted from these images is not computed again, so an interrupted call can be repeated. While one case is
 * computed the next is read and the last is written, as far as memory allows; a case that fails does not stop the others.
 * @param output is created
 * @returns the label files, in the order of `cases`
 * @throws VoxelbookError with every fault of the images, and for files in the folder that are not this model's, before anything is computed;
 *   with the faults of all cases that failed, after the others are done
 */
export async function run(
  model: PredictionModel | ForeignModel,
  cases: readonly CaseFiles[],
  output: string,
  options: RunOptions = {},
): Promise<string[]> {
  const { keepProbabilities = false, overwrite, previousFolder, signal, onProgress } = options;
  const { onWarning = tell, onKept = () => {} } = options;
  const ending = model.dataset.file_ending;
  const config = configuration(model.plan, model.configuration);
  checkPrevious(model.configuration, config, 'previousFolder', previousFolder !== undefined);
  const previousOf = (id: string) => previousFolder && path.join(previousFolder, id + ending);
  const without = cases.filter(({ id }) => previousFolder && !fs.existsSync(previousOf(id)!)).map(({ id }) => id);
  if (without.length > 0)
    throw new VoxelbookError(`${model.configuration} needs the previous stage of every case`, {
      code: 'no-previous-stage',
      path: previousFolder!,
      given: `no labels of ${without.join(', ')}`,
      expected: `<case>${ending} as ${config.previous_stage} predicted it`,
      fix: `Predict these cases into this folder with ${config.previous_stage} first.`,
    });
  if (cases.length === 0)
    throw new VoxelbookError('there is nothing to predict', {
      code: 'no-cases',
      path: 'cases',
      given: 'no case',
      expected: `images named <case>_0000${ending}`,
      fix: 'Check the folder of images.',
    });
  const folder = path.dirname(cases[0].images[0]);
  const warnings = await checkImages(cases, folder, model, { signal, onProgress });
  const contents = new Contents(folder);
  const withPrevious = cases.map((files): CaseFiles => ({ ...files, label: previousOf(files.id) }));
  const images = Object.fromEntries(withPrevious.map((files) => [files.id, imagesDigest(files, contents)]));
  contents.save();
  const { plan, configuration: name, dataset, settings, patchSize, precision } = model;
  const acting = [plan, name, labels(dataset), settings, patchSize, precision];
  const identity = model.identity
    ? digest([model.identity, acting])
    : anonymous('networks' in model ? model.networks : model.forwards, acting);
  const plans = `${JSON.stringify(plan, null, 2)}\n`;
  const standing = keptCases(images, { output, ending, model: identity, plans, overwrite, keep: options.continue });
  const kept = standing.filter((id) => !keepProbabilities || fs.existsSync(probabilityFile(output, id)));
  if (kept.length > 0) onKept(kept);
  for (const warning of Object.values(warnings).flat()) onWarning(warningText(warning));
  refuseIfDiskTooSmall(
    output,
    outputBytes(
      cases.filter(({ id }) => !kept.includes(id)),
      ending,
      keepProbabilities ? labels(dataset).heads : 0,
    ),
    { what: keepProbabilities ? 'labels and probabilities' : 'labels', elsewhere: 'give an output folder on a larger disk' },
  );
  fs.mkdirSync(output, { recursive: true });
  const record = readRecord(output);
  atomicWrite(path.join(output, 'dataset.json'), datasetJsonText(dataset));
  atomicWrite(path.join(output, 'plans.json'), plans);
  const report = progressOf(cases.length, { signal, onProgress });
  const files = cases.map(({ id }) => path.join(output, id + ending));
  const written = new Contents(output);
  const { besideBytes } = options;
  const beside = new Beside(caseModel(model), keepProbabilities, () => besideBytes ?? availableBytes() / 2);
  const failures: Failure[] = [];
  const leave = new AbortController();
  const left = signal ? AbortSignal.any([signal, leave.signal]) : leave.signal;
  let ahead: { id: string; source: Promise<PreprocessedCase> } | undefined;
  let writing: Promise<void> = Promise.resolve();
  const compute = async (i: number, own: CaseFiles) => {
    const { id } = own;
    const early = ahead?.id === id ? ahead.source : undefined;
    ahead = undefined;
    const source = early
      ? await early.catch((error) => {
          if (!threadDied(error)) throw error;
          return beside.read(own);
        })
      : beside.read(own);
    const { properties: geometry } = source;
    const next = withPrevious.slice(i + 1).find((later) => !kept.includes(later.id));
    const overlaps = next !== undefined && beside.fits(source, next);
    if (overlaps) {
      ahead = { id: next.id, source: beside.readAhead(next, left) };
      ahead.source.catch(() => {}); // heard when it is this case's turn
    }
    const restored = await predictOwned(caseModel(model), source, {
      keepProbabilities,
      signal,
      onProgress: ({ done, total }) => report(i + done / total, `predict ${id}`),
    });
    await writing;
    const write = async () => {
      await beside.write({ ...restored, id, files: own, output, ending, geometry }, overlaps);
      record[id] = { model: identity, images: images[id], labels: written.sha256(files[i]), warnings: warnings[id] };
      writeRecord(output, record);
      written.save();
    };
    // What cannot be written ends the work: the next one could not either.
    writing = write().catch((error) => void failures.push({ id, error: new NotWritten(error) }));
    if (!overlaps) await writing;
  };
  try {
    for (const [i, own] of withPrevious.entries()) {
      report(i, `predict ${own.id}`);
      if (kept.includes(own.id)) continue;
      await compute(i, own).catch((error) => {
        if (signal?.aborted || !(error instanceof VoxelbookError) || error.code === 'bad-output') throw error;
        failures.push({ id: own.id, error });
      });
      throwIfNotWritten(failures);
    }
    await writing;
    throwIfNotWritten(failures);
    report(cases.length, 'predict');
  } finally {
    leave.abort();
    await writing;
  }
  if (failures.length > 0) throw failed(failures, cases.length);
  return files;
}

/** The cause of a case that was computed and could not be written. */
class NotWritten {
  constructor(readonly cause: unknown) {}
}

function throwIfNotWritten(failures: readonly Failure[]): void {
  for (const { error } of failures) if (error instanceof NotWritten) throw error.cause;
}

/** The faults of all cases that failed, each with its case. */
function failed(failures: readonly Failure[], total: number): unknown {
  if (total === 1) return failures[0].error;
  const faults = failures.flatMap(({ id, error }) =>
    (error as VoxelbookError).faults.map((f) => ({ ...f, path: f.path.includes(id) ? f.path : `${id} ${f.path}` })),
  );
  return new VoxelbookError(`predict failed for ${failures.length} of ${total} cases`, faults);
}

/** Labels packed by gzip or as a picture: long runs of the same. */
const packedLabels = 0.01;

/** Forecast of what predictions take on the disk, bytes: labels, and probabilities as float32. */
function outputBytes(cases: readonly CaseFiles[], ending: string, heads: number): number {
  const share = /\.(nii|nrrd|mha|gipl|bmp|tiff?)$/.test(ending) ? 1 : packedLabels;
  let bytes = 0;
  for (const { images } of cases) {
    const grid = readGrid(images[0]);
    if (grid) bytes += voxelCount(grid) * (share + 4 * heads);
  }
  return bytes;
}

/** Writes predicted labels in the geometry of the image they belong to. */
export function writeLabels(file: string, { labels: data, shape }: Pick<Restored, 'labels' | 'shape'>, like: Volume): void {
  const { spacingMm, originMm, direction } = like;
  writeVolume(file, { data, shape, channels: 1, spacingMm, originMm, direction });
}
