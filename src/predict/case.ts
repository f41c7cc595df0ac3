// One case from its images to labels in their geometry, whatever runs the networks: preprocess, sliding window, back
// (nnU-Net v2 `nnUNetPredictor.predict_single_npy_array`).
import { VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { rollingAxis } from '../base/shape.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { labels } from '../dataset/labels.js';
import type { LoadedCase } from '../dataset/loadCase.js';
import { configuration } from '../plan/configuration.js';
import type { Configuration, Plan } from '../plan/plan.js';
import { type PreprocessedCase, preprocessCase } from '../preprocess/preprocessCase.js';
import { type StageLabels, withPreviousStage } from '../preprocess/previousStage.js';
import type { PredictionSettings } from '../train/experiment.js';
import type { Volume } from '../volume/index.js';
import { postprocess } from '../volume/postprocess.js';
import { labelsForNextStage, type Restored, restorer } from './restore.js';
import { padToPatch } from './tiles.js';
import { type PatchNetwork, slide } from './windows.js';

/** What the prediction of one case needs. */
export interface CaseModel {
  /** One network, or the networks of several folds, averaged as `settings.average` says. */
  networks: readonly PatchNetwork[];
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

/** What is computed of a case besides its labels. */
export interface PredictCaseOptions extends WorkOptions {
  /** Also return probabilities in the original geometry. */
  keepProbabilities?: boolean;
  /** Cascade: labels of the previous stage in the original geometry. */
  previous?: Volume<Int16Array>;
  /** Cascade: preprocessed shape of the case in the next stage; its labels are returned too. */
  nextStage?: readonly number[];
}

/** A predicted case on the grid of its image; in a cascade with the labels for the next stage. */
export interface Predicted extends Restored {
  /** Labels for the next stage, `[depth, height, width]` at its preprocessed shape. */
  nextStage?: StageLabels;
}

/**
 * Predicts one case; may change the image it is given.
 * @param source images as read, or the case as preprocessed for this configuration (in a cascade `withPreviousStage`)
 * @returns labels in the original geometry
 */
export async function predictOwned(
  model: CaseModel,
  source: LoadedCase | PreprocessedCase,
  { keepProbabilities = false, previous, nextStage, ...work }: PredictCaseOptions,
): Promise<Predicted> {
  const config = configuration(model.plan, model.configuration);
  const heads = labels(model.dataset);
  const image = 'image' in source ? readyCase(model, source, previous) : source;
  const { average, postprocessing = [], ...settings } = model.settings;
  const patchSize = model.patchSize ?? config.patch_size;
  // nnU-Net's very numbers need its order of tiles; a network of slices holds one slice whatever the axis.
  const inOrder = model.precision === 'float16' || patchSize.length === 2;
  const axis = inOrder ? 0 : rollingAxis(padToPatch(image.shape, patchSize).padded, patchSize).axis;
  const how = { plan: model.plan, configuration: config, heads, kind: average, precision: model.precision, axis };
  const restored = restorer(image.shape, image.properties, { ...how, keepProbabilities });
  const next = nextStage && labelsForNextStage(image.shape, image.properties, nextStage, how);
  await slide(
    model.networks,
    image,
    {
      ...settings,
      ...work,
      average,
      axis,
      patchSize,
      heads: heads.heads,
      activation: heads.hasRegions ? 'sigmoid' : 'softmax',
      precision: model.precision,
      batchTiles: model.batchTiles,
    },
    false,
    async (values, from, to) => {
      await next?.consume(values, from, to);
      await restored.consume(values, from, to);
    },
  );
  const found = restored.result();
  const grid = { shape: found.shape, spacingMm: image.properties.spacing };
  if (postprocessing.length > 0) found.labels = postprocess(found.labels, grid, postprocessing);
  return { ...found, ...(next ? { nextStage: next.result() } : {}) };
}

/**
 * A case as the network takes it: preprocessed, in a cascade with a channel for each label of the previous stage.
 * @param source may be changed
 * @param previous labels of the previous stage in the original geometry
 */
export function readyCase(
  { plan, configuration: name, dataset }: Pick<CaseModel, 'plan' | 'configuration' | 'dataset'>,
  source: LoadedCase,
  previous?: Volume<Int16Array>,
): PreprocessedCase {
  checkPrevious(name, configuration(plan, name), source.id, previous !== undefined);
  const done = preprocessCase({ ...source, label: previous }, plan, name);
  return previous ? withPreviousStage(done, done.seg, labels(dataset).foreground) : done;
}

/** A second stage takes images with labels, any other configuration takes images alone. */
export function checkPrevious(name: string, { previous_stage: before }: Configuration, where: string, given: boolean): void {
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
