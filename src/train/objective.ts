// What training minimises: a recipe's loss on the labels of a data set.
import type { z } from 'zod';
import { VoxelbookError } from '../base/errors.js';
import { lookup, openKind, register } from '../base/registry.js';
import { flag, key, number, object, one } from '../base/schema.js';
import type { Labels } from '../dataset/index.js';
import { tf } from '../tensor/tf.js';
import type { Recipe } from './experiment.js';
import { dcAndBce, dcAndCe } from './loss/compound.js';
import { type Counts, hardCounts } from './pseudoDice.js';

/** What a loss may know of the data set. */
export interface LossLabels {
  /**
   * False: the target is label numbers `[batch, …spatial]`, int32. True: one channel a region, 0 or 1, float32,
   * `[batch, …spatial, region]`, with the voxels to leave out as one more channel where there is an ignore label.
   */
  regions: boolean;
  ignoreLabel?: number;
}

export interface LossDefinition {
  name: string;
  settings: z.ZodObject;
  /**
   * @param logits `[batch, …spatial, class]`, float32; the function disposes of nothing
   * @returns the scalar to minimise; the caller owns it
   */
  loss(logits: tf.Tensor, target: tf.Tensor, settings: any, labels: LossLabels): tf.Scalar;
  /** Only for data sets with regions. */
  needsRegions?: boolean;
}

declare module '../base/registry.js' {
  interface Kinds {
    losses: LossDefinition;
  }
}

openKind('losses', 'loss');

const diceSettings = () =>
  object({
    dice: key(one('nnunetv1', 'nnunetv2'), '`nnunetv1`: 1e-8 added to the denominator; `nnunetv2`: clamped at 1e-8', {
      default: 'nnunetv2',
    }),
    batchDice: key(flag(), 'Sum over the batch before dividing', { default: false }),
    smooth: key(number(0, 1), 'Added to numerator and denominator', { default: 1e-5 }),
  });

type DiceSettings = Extract<Recipe['loss'], { kind: 'dice+ce' }>;

/** Cross entropy over labels, binary cross entropy where the data set has regions, as nnU-Net chooses. */
function diceAnd(logits: tf.Tensor, target: tf.Tensor, loss: DiceSettings, { regions, ignoreLabel }: LossLabels): tf.Scalar {
  const options = { batchDice: loss.batchDice, smooth: loss.smooth, variant: loss.dice };
  return regions
    ? dcAndBce(logits, target, { ...options, background: true, ignore: ignoreLabel !== undefined })
    : dcAndCe(logits, target, { ...options, background: false, ignoreLabel });
}

register('losses', { name: 'dice+ce', settings: diceSettings(), loss: diceAnd });
register('losses', { name: 'dice+bce', settings: diceSettings(), loss: diceAnd, needsRegions: true });

/** The loss of a recipe on a data set's labels. */
export interface Objective {
  /** What a label map becomes before the loss sees it; the caller owns the tensor. */
  target(labels: tf.Tensor): tf.Tensor;
  loss(logits: tf.Tensor, target: tf.Tensor): tf.Scalar;
  counts(logits: tf.Tensor, target: tf.Tensor): Counts;
}

/** @throws VoxelbookError when the loss does not fit the labels */
export function objectiveOf(recipe: Pick<Recipe, 'loss'>, labels: Labels): Objective {
  const settings = recipe.loss;
  const { loss, needsRegions } = lookup('losses', settings.kind, 'recipe.loss.kind');
  const ignoreLabel = labels.ignoreLabel ?? undefined;
  const about: LossLabels = { regions: labels.regions !== null, ignoreLabel };
  if (needsRegions && !about.regions)
    throw new VoxelbookError('this loss does not fit the data set', {
      code: 'loss-needs-regions',
      path: 'recipe.loss.kind',
      given: `${settings.kind} on labels without regions`,
      expected: 'dice+ce',
      fix: 'Use dice+ce, or define regions in dataset.json.',
    });
  if (!labels.regions)
    return {
      target: (x) => x.clone(),
      loss: (logits, target) => loss(logits, target, settings, about),
      counts: (logits, target) => hardCounts(logits, target, 'labels', ignoreLabel),
    };
  const regions = labels.regions.map((r) => [r].flat());
  if (ignoreLabel !== undefined) regions.push([ignoreLabel]);
  const highest = Math.max(...labels.all, ignoreLabel ?? 0);
  const table = Array.from({ length: highest + 1 }, (_, label) => regions.map((r) => (r.includes(label) ? 1 : 0)));
  return {
    target: (x) => tf.tidy(() => tf.gather(tf.tensor2d(table), x as tf.Tensor1D)),
    loss: (logits, target) => loss(logits, target, settings, about),
    counts: (logits, target) => hardCounts(logits, target, 'regions', ignoreLabel !== undefined),
  };
}
