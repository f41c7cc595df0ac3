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
import type { Configuration, Plan } from '../plan/plan.js';
import { type PreprocessedCase, preprocessCase } from '../preprocess/preprocessCase.js';
import { type StageLabels, withPreviousStage } from '../preprocess/previousStage.js';
import type { PredictionSettings } from '../train/experiment.js';
import { type Volume, writeVolume } from '../volume/index.js';
import { writeProbabilities } from './ensemble.js';
import { labelsForNextStage, type Restored, restorer } from './restore.js';
import { type Forward, predictSlabs } from './slidingWindow.js';

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
  /** Cascade: preprocessed shape of the case in the next stage; its labels are returned too. */
  nextStage?: readonly number[];
}

export interface Predicted extends Restored {
  /** Labels for the next stage, `[depth, height, width]` at its preprocessed shape. */
  nextStage?: StageLabels;
}

/**
 * Predicts one case.
 * @param source images as read, or the case as preprocessed for this configuration (in a cascade `withPreviousStage`)
 * @returns labels in the original geometry; no tensor is left behind
 */
export async function predictCase(
  model: PredictionModel,
  source: LoadedCase | PreprocessedCase,
  options: PredictCaseOptions = {},
): Promise<Predicted> {
  if (!('image' in source)) return predictOwned(model, source, options);
  return predictOwned(model, { ...source, image: { ...source.image, data: source.image.data.slice() } }, options);
}

/** `predictCase` that may change the image it is given. */
async function predictOwned(
  model: PredictionModel,
  source: LoadedCase | PreprocessedCase,
  { keepProbabilities = false, previous, nextStage, ...work }: PredictCaseOptions,
): Promise<Predicted> {
  const config = configuration(model.plan, model.configuration);
  const heads = labels(model.dataset);
  if ('image' in source) checkPrevious(model.configuration, config, source.id, previous !== undefined);
  const done = 'image' in source ? preprocessCase({ ...source, label: previous }, model.plan, model.configuration) : source;
  const image = 'image' in source && previous ? withPreviousStage(done, done.seg, heads.foreground) : done;
  const { average, ...settings } = model.settings;
  const how = { plan: model.plan, configuration: config, heads, kind: average, precision: model.precision };
  const restored = restorer(done.shape, done.properties, { ...how, keepProbabilities });
  const next = nextStage && labelsForNextStage(done.shape, done.properties, nextStage, how);
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
    async (values, from, to) => {
      await next?.consume(values, from, to);
      await restored.consume(values, from, to);
    },
  );
  return { ...restored.result(), ...(next ? { nextStage: next.result() } : {}) };
}

/** A second stage takes images with labels, any other configuration takes images alone. */
function checkPrevious(name: string, { previous_stage: before }: Configuration, where: string, given: boolean): void {
  if (Boolean(before) === given) return;
  throw before
    ? new VoxelbookError(`${name} needs the previous stage`, {
        code: 'no-previous-stage',
        path: where,
        given: 'images only',
        expected: `labels predicted by ${before}`,
        fix: `Predict with ${before} first and give its output folder.`,
      })
    : new VoxelbookError(`${name} has no previous stage`, {
        code: 'previous-stage',
        path: where,
        given: 'labels of a previous stage',
        expected: 'images only',
        fix: 'Leave them out, or predict with the second stage of a cascade.',
      });
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
  fs.mkdirSync(output, { recursive: true });
  atomicWriteJson(path.join(output, 'dataset.json'), model.dataset);
  atomicWriteJson(path.join(output, 'plans.json'), model.plan);
  const report = progressOf(cases.length, { signal, onProgress });
  const files: string[] = [];
  for (const [i, files_] of cases.entries()) {
    const file = path.join(output, files_.id + ending);
    files.push(file);
    report(i, `predict ${files_.id}`);
    if (!overwrite && fs.existsSync(file)) continue;
    const loaded = loadCase({ id: files_.id, images: files_.images, label: previousOf(files_.id) });
    const restored = await predictOwned(model, loaded, {
      keepProbabilities,
      previous: loaded.label,
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
