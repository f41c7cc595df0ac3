// Losses that a recipe names: what each may be set to, on which labels it can be used, and the function behind it.
import { z } from 'zod';
import type { Fault } from '../../base/errors.js';
import { openKind, register } from '../../base/registry.js';
import { above, flag, key, list, number, object, one, optional } from '../../base/schema.js';
import { nativeLoss, nativeLossAvailable } from '../../tensor/native/segmentationLoss.js';
import { tf } from '../../tensor/tf.js';
import type { Losses } from '../experiment.js';
import { dcAndBce, dcAndCe } from './compound.js';
import { topKCrossEntropy } from './crossEntropy.js';
import { focal } from './focal.js';
import { diceFocal, monaiDice, monaiDiceCe } from './monaiLoss.js';
import { tversky } from './tversky.js';

/** What a loss may know of the data set. */
export interface LossLabels {
  /**
   * False: the target is label numbers `[batch, …spatial]`, int32. True: one channel a region, 0 or 1, float32,
   * `[batch, …spatial, region]`, with the voxels to leave out as one more channel where there is an ignore label.
   */
  regions: boolean;
  ignoreLabel?: number;
  /** Channels of the logits: classes with the background, or regions. */
  heads: number;
}

/** A loss by the `kind` that a recipe gives it. */
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
  /** Only for data sets without regions; the loss to take there. */
  needsLabels?: string;
  /** What of the settings does not fit the labels; paths start at the loss (`classWeights`). */
  check?(settings: any, labels: LossLabels): Omit<Fault, 'code'>[];
}

declare module '../../base/registry.js' {
  interface Kinds {
    losses: LossDefinition;
  }
}

openKind('losses', 'loss');

const factor = (what: string) => optional(number(0, 1e6), `Weight of ${what}`, { defaultText: '1' });
const classWeights = () =>
  optional(list(number(0, 1e6), 1, 65536, 'weights'), 'A factor for each class, background first', {
    defaultText: 'none',
    example: [0.5, 1, 2],
  });
const labelSmoothing = () => optional(number(0, 1), 'Share of the target spread evenly over the classes', { defaultText: '0' });
const percent = () =>
  key(above(0, 100), 'Share of the voxels that counts: those with the largest loss', { unit: '%', default: 10 });

const dicePart = {
  dice: key(one('nnunetv1', 'nnunetv2'), '`nnunetv1`: 1e-8 added to the denominator; `nnunetv2`: clamped at 1e-8', {
    default: 'nnunetv2',
  }),
  batchDice: key(flag(), 'Sum over the batch before dividing', { default: false }),
  smooth: key(number(0, 1), 'Added to numerator and denominator', { default: 1e-5 }),
};
const classPart = { classWeights: classWeights(), labelSmoothing: labelSmoothing() };

const sentence = 'mean or sum: training minimises one number, and "none" leaves one for each class or voxel';
const monaiPart = {
  activation: optional(one('softmax', 'sigmoid'), 'What makes probabilities of logits', {
    defaultText: 'softmax over classes, sigmoid over regions',
  }),
  includeBackground: key(flag(), 'Count the background, or the first region', { default: true }),
  reduction: key(z.enum(['mean', 'sum'], { error: sentence }), 'Of what is left of batch and classes', { default: 'mean' }),
};
const monaiDicePart = {
  ...monaiPart,
  squaredPrediction: key(flag(), 'Squares in the denominator', { default: false }),
  jaccard: key(flag(), 'Intersection over union instead of Dice', { default: false }),
  batch: key(flag(), 'Sum over the batch before dividing', { default: false }),
  smoothNumerator: key(number(0, 1), 'Added to the numerator', { default: 1e-5 }),
  smoothDenominator: key(number(0, 1), 'Added to the denominator', { default: 1e-5 }),
  classWeights: classWeights(),
};
const focalPart = {
  gamma: key(number(0, 100), 'Exponent of 1 − p; 0 is cross entropy', { default: 2 }),
  alpha: optional(number(0, 1), 'Weight of the foreground; that of the background is 1 − alpha', { defaultText: 'none' }),
};

type DiceSettings = Losses['dice+ce'];

const optionsOf = (loss: Omit<DiceSettings, 'kind'>) => {
  const { batchDice, smooth, dice, ceWeight, diceWeight, classWeights, labelSmoothing } = loss;
  return { batchDice, smooth, variant: dice, ceWeight, diceWeight, classWeights, labelSmoothing };
};

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

/** A target as one-hot classes or regions, and where it counts. */
function channelsOf(target: tf.Tensor, { regions, ignoreLabel, heads }: LossLabels): { target: tf.Tensor; mask?: tf.Tensor } {
  if (regions) {
    if (ignoreLabel === undefined) return { target };
    const [known, ignored] = tf.split(target, [heads, 1], -1);
    return { target: known, mask: tf.sub(1, ignored) };
  }
  const oneHot = (labels: tf.Tensor) => tf.oneHot(tf.cast(labels, 'int32') as tf.Tensor1D, heads, 1, 0, 'float32') as tf.Tensor;
  if (ignoreLabel === undefined) return { target: oneHot(target) };
  const counts = tf.notEqual(target, ignoreLabel);
  return { target: oneHot(tf.mul(target, tf.cast(counts, 'int32'))), mask: tf.expandDims(tf.cast(counts, 'float32'), -1) };
}

/** Options of the losses written after MONAI's: a loss sees weights of the channels that it counts. */
const monaiOptions = <S extends Pick<Losses['focal'], 'activation' | 'includeBackground' | 'classWeights'>>(
  settings: S,
  { regions }: LossLabels,
  mask?: tf.Tensor,
) => ({
  ...settings,
  activation: settings.activation ?? (regions ? ('sigmoid' as const) : ('softmax' as const)),
  weight: settings.includeBackground ? settings.classWeights : settings.classWeights?.slice(1),
  mask,
});

/** A loss on one-hot classes or regions. */
const onChannels =
  <S>(
    loss: (logits: tf.Tensor, target: tf.Tensor, settings: S, labels: LossLabels, mask?: tf.Tensor) => tf.Tensor,
  ): LossDefinition['loss'] =>
  (logits, target, settings, labels) =>
    tf.tidy(() => {
      const known = channelsOf(target, labels);
      return loss(logits, known.target, settings, labels, known.mask) as tf.Scalar;
    });

/** Weights are as many as the classes; they and smoothing have no meaning for regions, which overlap. */
function checkClasses(settings: { classWeights?: number[]; labelSmoothing?: number }, { regions, heads }: LossLabels) {
  const faults: Omit<Fault, 'code'>[] = [];
  const { classWeights: weights, labelSmoothing: smoothing } = settings;
  if (regions && smoothing)
    faults.push({
      path: 'labelSmoothing',
      given: `${smoothing}, on regions`,
      expected: 'labels that exclude each other',
      fix: 'Leave it out.',
    });
  if (weights && weights.length !== heads)
    faults.push({
      path: 'classWeights',
      given: `${weights.length} weights`,
      expected: regions ? `${heads}, one for each region` : `${heads}, one for each class with the background`,
      fix: 'Give one for each.',
    });
  return faults;
}

/** The same where regions have no weights either: our kernel's binary cross entropy has none. */
const checkLabelsOnly: LossDefinition['check'] = (settings, labels) =>
  labels.regions && settings.classWeights
    ? [
        {
          path: 'classWeights',
          given: 'weights, on regions',
          expected: 'labels that exclude each other',
          fix: 'Leave them out, or take focal, which weighs regions.',
        },
      ]
    : checkClasses(settings, labels);

const terms = { diceWeight: factor('the Dice term'), ceWeight: factor('the cross entropy') };
const dice = { loss: diceAnd, supervised: supervisedDiceAnd, check: checkLabelsOnly };
register('losses', { name: 'dice+ce', ...dice, settings: object({ ...dicePart, ...terms, ...classPart }) });
register('losses', { name: 'dice+bce', ...dice, settings: object({ ...dicePart, ...terms }), needsRegions: true });
register('losses', {
  name: 'dice',
  settings: object(dicePart),
  loss: (logits, target, settings, labels) => diceAnd(logits, target, { ...settings, ceWeight: 0 }, labels),
  supervised: (outputs, targets, weights, settings, labels) =>
    supervisedDiceAnd(outputs, targets, weights, { ...settings, ceWeight: 0 }, labels),
});

const noDice = { dice: 'nnunetv2', batchDice: false, smooth: 1e-5, diceWeight: 0 } as const;
register('losses', {
  name: 'ce',
  settings: object(classPart),
  loss: (logits, target, settings, labels) => diceAnd(logits, target, { ...noDice, ...settings }, labels),
  supervised: (outputs, targets, weights, settings, labels) =>
    supervisedDiceAnd(outputs, targets, weights, { ...noDice, ...settings }, labels),
  needsLabels: 'dice+bce with "diceWeight": 0',
  check: checkClasses,
});

const topk = onChannels((logits, target, settings: Losses['topk'], _labels, mask) =>
  topKCrossEntropy(logits, target, settings.percent, {
    mask,
    weight: settings.classWeights,
    labelSmoothing: settings.labelSmoothing,
  }),
);
register('losses', {
  name: 'topk',
  settings: object({ percent: percent(), ...classPart }),
  loss: topk,
  needsLabels: 'focal',
  check: checkClasses,
});
register('losses', {
  name: 'dice+topk',
  settings: object({ ...dicePart, ...terms, percent: percent(), ...classPart }),
  loss: (logits, target, settings: Losses['dice+topk'], labels) =>
    tf.tidy(() => {
      const { dice, batchDice, smooth, diceWeight = 1, ceWeight = 1 } = settings;
      const overlap = diceAnd(logits, target, { dice, batchDice, smooth, diceWeight, ceWeight: 0 }, labels);
      return tf.add(overlap, tf.mul(topk(logits, target, settings, labels), ceWeight)) as tf.Scalar;
    }),
  needsLabels: 'dice+focal',
  check: checkClasses,
});

register('losses', {
  name: 'focal',
  settings: object({ ...focalPart, ...monaiPart, classWeights: classWeights() }),
  loss: onChannels((logits, target, settings: Losses['focal'], labels, mask) =>
    focal(logits, target, monaiOptions(settings, labels, mask)),
  ),
  check: checkClasses,
});
const { classWeights: _, squaredPrediction: __, jaccard: ___, ...tverskyPart } = monaiDicePart;
register('losses', {
  name: 'tversky',
  settings: object({
    alpha: key(number(0, 100), 'Weight of voxels too many', { default: 0.3 }),
    beta: key(number(0, 100), 'Weight of voxels too few; both 0.5 is the Dice loss', { default: 0.7 }),
    ...tverskyPart,
  }),
  loss: onChannels((logits, target, settings: Losses['tversky'], labels, mask) =>
    tversky(logits, target, monaiOptions(settings, labels, mask)),
  ),
});
register('losses', {
  name: 'monai-dice',
  settings: object(monaiDicePart),
  loss: onChannels((logits, target, settings: Losses['monai-dice'], labels, mask) =>
    monaiDice(logits, target, monaiOptions(settings, labels, mask)),
  ),
  check: checkClasses,
});
register('losses', {
  name: 'monai-dice+ce',
  settings: object({ ...monaiDicePart, labelSmoothing: labelSmoothing(), ...terms }),
  loss: onChannels((logits, target, settings: Losses['monai-dice+ce'], labels, mask) =>
    monaiDiceCe(logits, target, {
      ...monaiOptions(settings, labels, mask),
      weight: settings.classWeights,
      diceFactor: settings.diceWeight,
      ceFactor: settings.ceWeight,
      targetIsLabels: true,
    }),
  ),
  needsLabels: 'dice+bce, or monai-dice+focal: MONAI’s second term is a softmax over channels that exclude each other',
  check: checkClasses,
});
register('losses', {
  name: 'monai-dice+focal',
  settings: object({ ...focalPart, ...monaiDicePart, diceWeight: terms.diceWeight, focalWeight: factor('the focal loss') }),
  loss: onChannels((logits, target, settings: Losses['monai-dice+focal'], labels, mask) =>
    diceFocal(logits, target, {
      ...monaiOptions(settings, labels, mask),
      diceFactor: settings.diceWeight,
      focalFactor: settings.focalWeight,
    }),
  ),
  check: checkClasses,
});
