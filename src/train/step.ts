// One training iteration: loss and gradients of a batch, checked, clipped, applied.
import { VoxelbookError } from '../base/errors.js';
import type { Random } from '../base/random.js';
import type { Labels } from '../dataset/index.js';
import type { Context, Network, Params } from '../model/network.js';
import { gradients } from '../tensor/gradients.js';
import { tf } from '../tensor/tf.js';
import type { Recipe } from './experiment.js';
import type { Batch } from './feed/feed.js';
import { dcAndBce, dcAndCe } from './loss/compound.js';
import { deepSupervision } from './loss/deepSupervision.js';
import { clipByGlobalNorm, type Optimiser, type OptimiserState } from './optim/optimiser.js';
import { addCounts, type Counts, hardCounts } from './pseudoDice.js';

/** The loss of a recipe on a data set's labels. */
export interface Objective {
  /** What a label map becomes before the loss sees it; the caller owns the tensor. */
  target(labels: tf.Tensor): tf.Tensor;
  loss(logits: tf.Tensor, target: tf.Tensor): tf.Scalar;
  counts(logits: tf.Tensor, target: tf.Tensor): Counts;
}

/** Cross entropy over labels, or binary cross entropy where the data set has regions, as nnU-Net chooses. */
export function objectiveOf(recipe: Pick<Recipe, 'loss'>, labels: Labels): Objective {
  const { loss } = recipe;
  const options = { batchDice: loss.batchDice, smooth: loss.smooth, variant: loss.dice };
  const ignoreLabel = labels.ignoreLabel ?? undefined;
  if (!labels.regions) {
    if (loss.kind === 'dice+bce')
      throw new VoxelbookError('this loss does not fit the data set', {
        code: 'loss-needs-regions',
        path: 'recipe.loss.kind',
        given: 'dice+bce on labels without regions',
        expected: 'dice+ce',
        fix: 'Use dice+ce, or define regions in dataset.json.',
      });
    return {
      target: (x) => x.clone(),
      loss: (logits, target) => dcAndCe(logits, target, { ...options, background: false, ignoreLabel }),
      counts: (logits, target) => hardCounts(logits, target, 'labels', ignoreLabel),
    };
  }
  const regions = labels.regions.map((r) => [r].flat());
  if (ignoreLabel !== undefined) regions.push([ignoreLabel]);
  const highest = Math.max(...labels.all, ignoreLabel ?? 0);
  const table = Array.from({ length: highest + 1 }, (_, label) => regions.map((r) => (r.includes(label) ? 1 : 0)));
  const ignore = ignoreLabel !== undefined;
  return {
    target: (x) => tf.tidy(() => tf.gather(tf.tensor2d(table), x as tf.Tensor1D)),
    loss: (logits, target) => dcAndBce(logits, target, { ...options, background: true, ignore }),
    counts: (logits, target) => hardCounts(logits, target, 'regions', ignore),
  };
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

export interface TrainState {
  params: Params;
  optimiser: OptimiserState;
}

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
}

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
      return deepSupervision(objective.loss, outputs, targets, weights);
    },
    trainable.map((name) => params[name]),
  );
  const found: Params = {};
  for (const [i, name] of trainable.entries()) if (result.grads[i]) found[name] = result.grads[i]!;
  const loss = result.value.dataSync()[0];
  result.value.dispose();
  return { loss, gradients: found, updates: context.updates };
}

/** What went wrong in a step that met a value that is not finite. */
export interface NotFinite {
  what: 'loss' | 'gradient';
  layer: string;
}

/**
 * One optimiser step. Old parameters and slots that were replaced are disposed of: `state` is used up.
 * @returns the new state, or where the first value that is not finite was met (then `state` is untouched)
 */
export function trainStep(
  settings: StepSettings,
  state: TrainState,
  x: tf.Tensor,
  targets: tf.Tensor[],
  learningRate: number,
  random?: Random,
): { loss: number; norm: number; state: TrainState } | NotFinite {
  const { loss, gradients, updates } = lossAndGradients(settings, state.params, x, targets, random);
  const clipped = clipByGlobalNorm(gradients, settings.gradientClip);
  try {
    if (!Number.isFinite(loss)) {
      tf.dispose(updates);
      return { what: 'loss', layer: firstNotFiniteLayer(settings.network, state.params, x, random) };
    }
    if (!Number.isFinite(clipped.norm)) {
      tf.dispose(updates);
      const order = settings.network.parameters.map((p) => p.name);
      const bad = order.filter((name) => gradients[name] && !allFinite(gradients[name]));
      // The backward pass runs from the last layer to the first: the last bad one is where it began.
      return { what: 'gradient', layer: bad.at(-1) ?? 'sum of all gradients' };
    }
    const stepped = settings.optimiser(state.params, clipped.gradients, state.optimiser, learningRate);
    return { loss, norm: clipped.norm, state: replace(state, stepped, updates) };
  } finally {
    tf.dispose(gradients);
    tf.dispose(clipped.gradients);
  }
}

function replace(state: TrainState, stepped: { params: Params; state: OptimiserState }, updates: Params): TrainState {
  const fresh = { ...stepped.params, ...updates };
  for (const name of Object.keys(fresh)) state.params[name].dispose();
  for (const slot of Object.keys(stepped.state.slots)) state.optimiser.slots[slot]?.dispose();
  return {
    params: { ...state.params, ...fresh },
    optimiser: { ...stepped.state, slots: { ...state.optimiser.slots, ...stepped.state.slots } },
  };
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
    const loss = tf.tidy(() => deepSupervision(settings.objective.loss, outputs, targets, weights).dataSync()[0]);
    const now = settings.objective.counts(outputs[0], targets[0]);
    return { loss, counts: counts ? addCounts(counts, now) : now };
  } finally {
    tf.dispose(outputs);
  }
}
