// What training minimises: a recipe's loss on the labels of a data set.
import type { z } from 'zod';
import { VoxelbookError } from '../base/errors.js';
import { lookup, openKind, register } from '../base/registry.js';
import { flag, key, number, object, one } from '../base/schema.js';
import type { Labels } from '../dataset/index.js';
import { nativeLoss, nativeLossAvailable } from '../tensor/native/segmentationLoss.js';
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
  /**
   * The weighted sum of the loss over several outputs in one operation; undefined where there is none for it now. Left out, the
   * outputs are evaluated one by one.
   */
  supervised?(
    outputs: readonly tf.Tensor[],
    targets: readonly tf.Tensor[],
    weights: readonly number[],
    settings: any,
    labels: LossLabels,
  ): tf.Scalar | undefined;
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

const optionsOf = (loss: DiceSettings) => ({ batchDice: loss.batchDice, smooth: loss.smooth, variant: loss.dice });

/** Cross entropy over labels, binary cross entropy where the data set has regions, as nnU-Net chooses. */
function diceAnd(logits: tf.Tensor, target: tf.Tensor, loss: DiceSettings, { regions, ignoreLabel }: LossLabels): tf.Scalar {
  return regions
    ? dcAndBce(logits, target, { ...optionsOf(loss), background: true, ignore: ignoreLabel !== undefined })
    : dcAndCe(logits, target, { ...optionsOf(loss), background: false, ignoreLabel });
}

/** The same for all outputs of a network together, on our own kernel. */
function supervisedDiceAnd(
  outputs: readonly tf.Tensor[],
  targets: readonly tf.Tensor[],
  weights: readonly number[],
  loss: DiceSettings,
  { regions, ignoreLabel }: LossLabels,
): tf.Scalar | undefined {
  if (!nativeLossAvailable()) return undefined;
  const target = regions ? 'regions' : 'labels';
  const ignored = regions ? { ignore: ignoreLabel !== undefined } : { ignoreLabel };
  return nativeLoss(outputs, targets, weights, { ...optionsOf(loss), target, background: regions, ...ignored });
}

const dice = { settings: diceSettings(), loss: diceAnd, supervised: supervisedDiceAnd };
register('losses', { name: 'dice+ce', ...dice });
register('losses', { name: 'dice+bce', ...dice, needsRegions: true });

/** The loss of a recipe on a data set's labels. */
export interface Objective {
  /** What a label map becomes before the loss sees it; the caller owns the tensor. */
  target(labels: tf.Tensor): tf.Tensor;
  loss(logits: tf.Tensor, target: tf.Tensor): tf.Scalar;
  /** The weighted sum of the loss over several outputs in one operation, where there is one for it now. */
  supervised?(outputs: readonly tf.Tensor[], targets: readonly tf.Tensor[], weights: readonly number[]): tf.Scalar | undefined;
  counts(logits: tf.Tensor, target: tf.Tensor): Counts;
}

/** @throws VoxelbookError when the loss does not fit the labels */
export function objectiveOf(recipe: Pick<Recipe, 'loss'>, labels: Labels): Objective {
  const settings = recipe.loss;
  const { loss, supervised, needsRegions } = lookup('losses', settings.kind, 'recipe.loss.kind');
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
  const minimised: Pick<Objective, 'loss' | 'supervised'> = {
    loss: (logits, target) => loss(logits, target, settings, about),
    supervised: supervised && ((outputs, targets, weights) => supervised(outputs, targets, weights, settings, about)),
  };
  if (!labels.regions)
    return {
      target: (x) => x.clone(),
      ...minimised,
      counts: (logits, target) => hardCounts(logits, target, 'labels', ignoreLabel),
    };
  const regions = labels.regions.map((r) => [r].flat());
  if (ignoreLabel !== undefined) regions.push([ignoreLabel]);
  const highest = Math.max(...labels.all, ignoreLabel ?? 0);
  const table = Array.from({ length: highest + 1 }, (_, label) => regions.map((r) => (r.includes(label) ? 1 : 0)));
  return {
    target: (x) => tf.tidy(() => tf.gather(tf.tensor2d(table), x as tf.Tensor1D)),
    ...minimised,
    counts: (logits, target) => hardCounts(logits, target, 'regions', ignoreLabel !== undefined),
  };
}
