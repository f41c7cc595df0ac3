// From image files to label files: preprocess, sliding window, back to the original geometry (nnU-Net v2 `nnUNetPredictor`).
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import type { CaseFiles, DatasetJson } from '../dataset/dataset.js';
import { labels } from '../dataset/labels.js';
import { type LoadedCase, loadCase } from '../dataset/loadCase.js';
import { configuration } from '../plan/configuration.js';
import type { Plan } from '../plan/plan.js';
import { type PreprocessedCase, preprocessCase } from '../preprocess/preprocessCase.js';
import type { PredictionSettings } from '../train/experiment.js';
import { readVolume, type Volume, writeVolume } from '../volume/index.js';
import { writeProbabilities } from './ensemble.js';
import { type Restored, restorer } from './restore.js';
import { type Forward, type Image, predictSlabs } from './slidingWindow.js';

/** Everything a prediction needs to know about what was trained. */
export interface PredictionModel {
  /** One network, or the networks of several folds, averaged as `settings.average` says. The caller keeps their tensors. */
  forwards: readonly Forward[];
  plan: Plan;
  configuration: string;
  dataset: DatasetJson;
  settings: PredictionSettings;
  /** Instead of the plan's. */
  patchSize?: readonly number[];
  /** `float16` gives nnU-Net's very numbers; `float32` (default) is more exact. */
  precision?: 'float32' | 'float16';
  batchTiles?: number;
}

export interface PredictCaseOptions extends WorkOptions {
  /** Also return probabilities in the original geometry. */
  keepProbabilities?: boolean;
  /** Cascade: labels of the previous stage in the original geometry. */
  previous?: Volume<Int16Array>;
}

/**
 * Predicts one case.
 * @param source images as read, or the case as preprocessed for this configuration (its channels must hold the previous stage's one-hot labels then)
 * @returns labels in the original geometry; no tensor is left behind
 */
export async function predictCase(
  model: PredictionModel,
  source: LoadedCase | PreprocessedCase,
  options: PredictCaseOptions = {},
): Promise<Restored> {
  if (!('image' in source)) return predictOwned(model, source, options);
  return predictOwned(model, { ...source, image: { ...source.image, data: source.image.data.slice() } }, options);
}

/** `predictCase` that may change the image it is given. */
async function predictOwned(
  model: PredictionModel,
  source: LoadedCase | PreprocessedCase,
  { keepProbabilities = false, previous, ...work }: PredictCaseOptions,
): Promise<Restored> {
  const config = configuration(model.plan, model.configuration);
  const heads = labels(model.dataset);
  if ('image' in source && config.previous_stage && !previous)
    throw new VoxelbookError(`${model.configuration} needs the previous stage`, {
      code: 'no-previous-stage',
      path: source.id,
      given: 'images only',
      expected: `labels predicted by ${config.previous_stage}`,
      fix: `Predict with ${config.previous_stage} first and give its output folder.`,
    });
  const done = 'image' in source ? preprocessCase({ ...source, label: previous }, model.plan, model.configuration) : source;
  const image = 'image' in source && previous ? withOneHot(done, heads.foreground) : done;
  const { average, ...settings } = model.settings;
  const { consume, result } = restorer(done.shape, done.properties, {
    plan: model.plan,
    configuration: config,
    heads,
    kind: average,
    precision: model.precision,
    keepProbabilities,
  });
  await predictSlabs(
    model.forwards,
    image,
    {
      ...settings,
      ...work,
      average,
      patchSize: model.patchSize ?? config.patch_size,
      heads: heads.heads,
      activation: heads.hasRegions ? 'sigmoid' : 'softmax',
      precision: model.precision,
      batchTiles: model.batchTiles,
    },
    consume,
  );
  return result();
}

/** The previous stage's labels as further channels, one for each foreground label. */
function withOneHot({ data, seg, shape, channels }: PreprocessedCase, foreground: readonly number[]): Image {
  const all = channels + foreground.length;
  const out = new Float32Array(seg.length * all);
  for (let v = 0; v < seg.length; v++) {
    for (let c = 0; c < channels; c++) out[v * all + c] = data[v * channels + c];
    const label = foreground.indexOf(seg[v]);
    if (label >= 0) out[v * all + channels + label] = 1;
  }
  return { data: out, shape, channels: all };
}

export interface RunOptions extends WorkOptions {
  /** Also write `<case>.safetensors`, for ensembles. */
  keepProbabilities?: boolean;
  /** Predict cases whose label file stands already. */
  overwrite?: boolean;
  /** Cascade: folder of the previous stage's label files. */
  previousFolder?: string;
}

/**
 * Predicts cases into a folder: `<case><file ending>` for each, `dataset.json` and `plans.json` beside them.
 * A case whose file stands is not computed again, so an interrupted call can be repeated.
 * @param output is created
 * @returns the label files, in the order of `cases`
 */
export async function run(
  model: PredictionModel,
  cases: readonly CaseFiles[],
  output: string,
  { keepProbabilities = false, overwrite = false, previousFolder, signal, onProgress }: RunOptions = {},
): Promise<string[]> {
  fs.mkdirSync(output, { recursive: true });
  atomicWriteJson(path.join(output, 'dataset.json'), model.dataset);
  atomicWriteJson(path.join(output, 'plans.json'), model.plan);
  const ending = model.dataset.file_ending;
  const report = progressOf(cases.length, { signal, onProgress });
  const files: string[] = [];
  for (const [i, files_] of cases.entries()) {
    const file = path.join(output, files_.id + ending);
    files.push(file);
    report(i, `predict ${files_.id}`);
    if (!overwrite && fs.existsSync(file)) continue;
    const loaded = loadCase({ id: files_.id, images: files_.images });
    const previous = previousFolder ? readLabels(path.join(previousFolder, files_.id + ending)) : undefined;
    const restored = await predictOwned(model, loaded, {
      keepProbabilities,
      previous,
      signal,
      onProgress: ({ done, total }) => report(i + done / total, `predict ${files_.id}`),
    });
    if (keepProbabilities)
      writeProbabilities(output, files_.id, restored.probabilities!, [
        ...restored.shape,
        restored.probabilities!.length / restored.labels.length,
      ]);
    writeLabels(file, restored, loaded.image);
  }
  report(cases.length, 'predict');
  return files;
}

/** Writes predicted labels in the geometry of the image they belong to. */
export function writeLabels(file: string, { labels: data, shape }: Pick<Restored, 'labels' | 'shape'>, like: Volume): void {
  const { spacingMm, originMm, direction } = like;
  writeVolume(file, { data, shape, channels: 1, spacingMm, originMm, direction });
}

function readLabels(file: string): Volume<Int16Array> {
  const volume = readVolume(file);
  return { ...volume, data: Int16Array.from(volume.data) };
}
