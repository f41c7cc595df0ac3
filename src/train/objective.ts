// What training minimises: a recipe's loss on the labels of a data set.
import { type Fault, VoxelbookError } from '../base/errors.js';
import { lookup } from '../base/registry.js';
import type { Labels } from '../dataset/index.js';
import { tf } from '../tensor/tf.js';
import type { Recipe } from './experiment.js';
import './loss/definitions.js';
import type { LossDefinition, LossLabels } from './loss/definitions.js';
import { type Counts, hardCounts } from './pseudoDice.js';

/** The loss of a recipe on a data set's labels. */
export interface Objective {
  /** What a label map becomes before the loss sees it; the caller owns the tensor. */
  target(labels: tf.Tensor): tf.Tensor;
  loss(logits: tf.Tensor, target: tf.Tensor): tf.Scalar;
  /** The weighted sum of the loss over several outputs in one operation, where there is one for it now. */
  supervised?(outputs: readonly tf.Tensor[], targets: readonly tf.Tensor[], weights: readonly number[]): tf.Scalar | undefined;
  counts(logits: tf.Tensor, target: tf.Tensor): Counts;
}

/**
 * The loss of a recipe for these labels, with what it wants of them.
 * @throws VoxelbookError when the loss does not fit the labels
 */
export function objectiveOf(recipe: Pick<Recipe, 'loss'>, labels: Labels): Objective {
  const settings = recipe.loss;
  const definition = lookup('losses', settings.kind, 'recipe.loss.kind');
  const { loss, supervised } = definition;
  const ignoreLabel = labels.ignoreLabel ?? undefined;
  const about: LossLabels = { regions: labels.regions !== null, ignoreLabel, heads: labels.heads };
  const faults = lossFaults(definition, settings, about);
  if (faults.length > 0) throw new VoxelbookError('this loss does not fit the data set', faults);
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

function lossFaults(definition: LossDefinition, settings: Recipe['loss'], labels: LossLabels): Fault[] {
  const { name, needsRegions, needsLabels, check } = definition;
  const wrong = (code: string, given: string, expected: string, fix: string): Fault[] => [
    { code, path: 'recipe.loss.kind', given: `${name} on ${given}`, expected, fix },
  ];
  if (needsRegions && !labels.regions)
    return wrong('loss-needs-regions', 'labels without regions', 'dice+ce', 'Use dice+ce, or define regions in dataset.json.');
  if (needsLabels && labels.regions)
    return wrong('loss-needs-labels', 'regions, which overlap', needsLabels, 'Use that, or labels without regions.');
  return (check?.(settings, labels) ?? []).map((f) => ({ code: 'loss-labels', ...f, path: `recipe.loss.${f.path}` }));
}
