// One training iteration: loss and gradients of a batch, checked, clipped, applied.
import type { Random } from '../base/random.js';
import type { Context, Network, Params } from '../model/network.js';
import { gradients } from '../tensor/gradients.js';
import { tf } from '../tensor/tf.js';
import type { Recipe } from './experiment.js';
import type { Batch } from './feed/batchMemory.js';
import { deepSupervision, deepSupervisionWeights } from './loss/deepSupervision.js';
import type { Objective } from './objective.js';
import { ownSettings } from './optim/groups.js';
import { applyGradients, type Optimiser, optimiserOf, type TrainState } from './optim/optimiser.js';
import { addCounts, type Counts } from './pseudoDice.js';

/** The loss over all outputs, weighted; an output of weight 0 is not evaluated. The caller owns it. */
function supervisedLoss(
  objective: Objective,
  outputs: readonly tf.Tensor[],
  targets: readonly tf.Tensor[],
  weights: readonly number[],
): tf.Scalar {
  const evaluated = outputs.flatMap((_, i) => (weights[i] ? [i] : []));
  const [used, compared, shares] = [
    evaluated.map((i) => outputs[i]),
    evaluated.map((i) => targets[i]),
    evaluated.map((i) => weights[i]),
  ];
  return objective.supervised?.(used, compared, shares) ?? deepSupervision(objective.loss, used, compared, shares);
}

/** A batch as tensors; the caller owns them. A 2-D network gets `[batch, height, width, channel]`. */
export function batchTensors(batch: Batch, shapes: readonly (readonly number[])[], dimensions: 2 | 3, objective: Objective) {
  const size = batch.caseIds.length;
  const spatial = (shape: readonly number[]) => shape.slice(3 - dimensions);
  const x = tf.tensor(batch.image, [size, ...spatial(shapes[0]), batch.channels]);
  const targets = batch.labels.map((values, i) => {
    const labels = tf.tensor(values, [size, ...spatial(shapes[i])], 'int32');
    const target = objective.target(labels);
    labels.dispose();
    return target;
  });
  return { x, targets };
}

/** What every iteration of a training has in common. */
export interface StepSettings {
  network: Network;
  optimiser: Optimiser;
  objective: Objective;
  /** Weight of each output, full resolution first. */
  weights: readonly number[];
  gradientClip: number;
  /** Names that are trained in this epoch. */
  trainable: readonly string[];
  checkpointing?: boolean;
  /** Gradients in the place of the step's mean ones, before clipping; the step owns both. */
  onGradients?(gradients: Readonly<Params>): Readonly<Params>;
}

/** What every step of a recipe has in common; which names are trained is the epoch's. */
export const settingsOf = (recipe: Recipe, network: Network, objective: Objective, outputs: number): StepSettings => ({
  network,
  optimiser: optimiserOf(recipe.optimiser, { own: ownSettings(recipe, network.parameters), ema: recipe.ema?.decay }),
  objective,
  weights: deepSupervisionWeights(recipe.deepSupervision, outputs),
  gradientClip: recipe.gradientClip,
  trainable: [],
});

/**
 * Loss and gradients of one batch; nothing is changed.
 * @returns gradients and changed buffers, owned by the caller
 */
export function lossAndGradients(settings: StepSettings, params: Params, x: tf.Tensor, targets: tf.Tensor[], random?: Random) {
  const { network, objective, weights, trainable, checkpointing } = settings;
  const context: Context = { params, training: true, updates: {}, random, checkpoint: checkpointing };
  const result = gradients(
    () => {
      const outputs = network.forward(context, x);
      for (const update of Object.values(context.updates)) tf.keep(update);
      return supervisedLoss(objective, outputs, targets, weights);
    },
    trainable.map((name) => params[name]),
  );
  const found: Params = {};
  for (const [i, name] of trainable.entries()) if (result.grads[i]) found[name] = result.grads[i]!;
  const loss = result.value.dataSync()[0];
  result.value.dispose();
  return { loss, gradients: found, updates: context.updates };
}

/** Gradients of a step's batches so far, added up; whoever holds it disposes of it. */
export interface Accumulated {
  batches: number;
  /** Sum of their losses. */
  loss: number;
  gradients: Params;
  /** Buffers as the last batch left them. */
  updates: Params;
}

/** Frees the gradients and updates of an iteration that is not applied. */
export const disposeOf = ({ gradients, updates }: Accumulated): void => tf.dispose([gradients, updates]);

/**
 * Adds a batch to those before it. Buffers go on from batch to batch, parameters stay.
 * @param before used up
 */
export function accumulate(
  settings: StepSettings,
  { params }: TrainState,
  x: tf.Tensor,
  targets: tf.Tensor[],
  random?: Random,
  before?: Accumulated,
): Accumulated {
  const now = lossAndGradients(settings, before ? { ...params, ...before.updates } : params, x, targets, random);
  if (!before) return { batches: 1, ...now };
  const gradients: Params = {};
  for (const name of new Set([...Object.keys(before.gradients), ...Object.keys(now.gradients)])) {
    const both = [before.gradients[name], now.gradients[name]].filter((g) => g !== undefined);
    gradients[name] = both.length === 2 ? tf.add(both[0], both[1]) : tf.clone(both[0]);
  }
  tf.dispose(now.gradients);
  disposeOf(before);
  return { batches: before.batches + 1, loss: before.loss + now.loss, gradients, updates: now.updates };
}

/** The means of the batches. */
function meanOf(sum: Accumulated): Omit<Accumulated, 'batches'> {
  if (sum.batches === 1) return sum;
  const gradients = Object.fromEntries(Object.entries(sum.gradients).map(([name, g]) => [name, tf.div(g, sum.batches)]));
  tf.dispose(sum.gradients);
  return { loss: sum.loss / sum.batches, gradients, updates: sum.updates };
}

/** What went wrong in a step that met a value that is not finite. */
export interface NotFinite {
  what: 'loss' | 'gradient';
  layer: string;
}

/**
 * One optimiser step. `state` is used up, as `applyGradients` says.
 * @param before the step's batches but the last, which is given here; used up
 * @returns the new state, or where the first value that is not finite was met (then `state` is untouched)
 */
export function trainStep(
  settings: StepSettings,
  state: TrainState,
  x: tf.Tensor,
  targets: tf.Tensor[],
  learningRate: number,
  random?: Random,
  before?: Accumulated,
): { loss: number; norm: number; state: TrainState } | NotFinite {
  const { loss, gradients: own, updates } = meanOf(accumulate(settings, state, x, targets, random, before));
  let gradients: Readonly<Params> = own;
  try {
    if (!Number.isFinite(loss)) {
      tf.dispose(updates);
      return { what: 'loss', layer: firstNotFiniteLayer(settings.network, state.params, x, random) };
    }
    gradients = settings.onGradients?.(own) ?? own;
    const stepped = applyGradients(settings.optimiser, state, gradients, learningRate, settings.gradientClip);
    if (!stepped.state) {
      tf.dispose(updates);
      const order = settings.network.parameters.map((p) => p.name);
      const bad = order.filter((name) => gradients[name] && !allFinite(gradients[name]));
      // The backward pass runs from the last layer to the first: the last bad one is where it began.
      return { what: 'gradient', layer: bad.at(-1) ?? 'sum of all gradients' };
    }
    const { params } = stepped.state;
    for (const name of Object.keys(updates)) params[name].dispose();
    return { loss, norm: stepped.norm, state: { ...stepped.state, params: { ...params, ...updates } } };
  } finally {
    tf.dispose([own, gradients]);
  }
}

const allFinite = (x: tf.Tensor) => tf.tidy(() => tf.all(tf.isFinite(tf.cast(x, 'float32'))).dataSync()[0] === 1);

/**
 * Name of the layer whose output is the first that is not finite in a forward pass; of the parameter, where one is not finite itself.
 * Runs the pass again and looks at every layer's output: slow, and only done once all is lost.
 */
export function firstNotFiniteLayer(network: Network, params: Params, x: tf.Tensor, random?: Random): string {
  if (!allFinite(x)) return 'the input patch';
  for (const { name, aliasOf } of network.parameters) if (!aliasOf && !allFinite(params[name])) return name;
  let found: string | undefined;
  const onLayer = <T>(name: string, apply: () => T): T => {
    const output = apply();
    const tensors = [output].flat().filter((t) => t instanceof tf.Tensor && t.dtype === 'float32');
    if (found === undefined && !tensors.every((t) => allFinite(t as tf.Tensor))) found = name;
    return output;
  };
  const outputs = tf.tidy(() => network.forward({ params, training: true, updates: {}, random, onLayer }, x));
  const finite = outputs.every(allFinite);
  tf.dispose(outputs);
  return found ?? (finite ? 'the loss' : 'the network’s output');
}

/** Loss and hard counts of one validation batch. */
export function validationStep(
  settings: Pick<StepSettings, 'network' | 'objective' | 'weights'>,
  params: Params,
  x: tf.Tensor,
  targets: tf.Tensor[],
  counts: Counts | null,
): { loss: number; counts: Counts } {
  const outputs = tf.tidy(() => settings.network.forward({ params, training: false, updates: {} }, x));
  try {
    // A network that has only one output outside of training is judged by that one.
    const weights = settings.weights.slice(0, outputs.length);
    const loss = tf.tidy(() => supervisedLoss(settings.objective, outputs, targets, weights).dataSync()[0]);
    const now = settings.objective.counts(outputs[0], targets[0]);
    return { loss, counts: counts ? addCounts(counts, now) : now };
  } finally {
    tf.dispose(outputs);
  }
}
