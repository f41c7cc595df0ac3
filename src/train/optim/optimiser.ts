// Optimisers as pure functions: parameters, gradients and state in, new parameters and state out. PyTorch's arithmetic.
// Training takes `applyGradients`, which clips, checks and steps: on our own kernel in one pass, written in place.
import type { z } from 'zod';
import { lookup, openKind, register } from '../../base/registry.js';
import { above, flag, key, number, object } from '../../base/schema.js';
import type { Params } from '../../model/network.js';
import { native, nativeAvailable } from '../../tensor/native/load.js';
import { freshCopy, freshZeros, nativeGlobalNorm, nativeOptimiserStep } from '../../tensor/native/optimiser.js';
import { isSymbolic } from '../../tensor/symbolic.js';
import { tf } from '../../tensor/tf.js';
import type { Recipe } from '../experiment.js';
import { grouping, isIn, type OwnSettings } from './groups.js';

/** What an optimiser keeps between steps. */
export interface OptimiserState {
  /** Number of steps taken. */
  step: number;
  /** Steps of each parameter, as PyTorch counts them: one that was frozen or had no gradient is behind. */
  steps: Record<string, number>;
  /** `<slot>.<parameter>`: `momentum.` for SGD, `m.` and `v.` for AdamW, `ema.` for the parameter's running average. */
  slots: Params;
}

/** What one step gives back: only the entries that changed. The caller owns them and still owns what it passed in. */
export interface Stepped {
  params: Params;
  state: OptimiserState;
}

/** A step of an optimiser: what is passed in stays as it is, what is returned is the caller's. */
export interface Optimiser {
  (params: Params, gradients: Params, state: OptimiserState, learningRate: number): Stepped;
  /** What it computes, where that is one our kernel knows. */
  readonly settings?: Recipe['optimiser'];
  /** What of a parameter is its own; default nothing. */
  readonly own?: OwnSettings;
  /** Decay of the parameters' running averages; default there are none. */
  readonly ema?: number;
}

/** Parameters and what the optimiser keeps of them. */
export interface TrainState {
  params: Params;
  optimiser: OptimiserState;
}

/** The state before the first step. */
export const initialState = (): OptimiserState => ({ step: 0, steps: {}, slots: {} });

/** The counts after one more step of every parameter that has a gradient. */
function counted(state: OptimiserState, gradients: Params): Pick<OptimiserState, 'step' | 'steps'> {
  const steps = { ...state.steps };
  for (const name of Object.keys(gradients)) steps[name] = (steps[name] ?? 0) + 1;
  return { step: state.step + 1, steps };
}

/** An optimiser by the `kind` that a recipe gives it. */
export interface OptimiserDefinition {
  name: string;
  /** Everything but the name; `learningRate` among it, which the schedule changes. */
  settings: z.ZodObject;
  /** One step. Parameters without a gradient are left alone; nothing that is passed in is disposed of. */
  step(params: Params, gradients: Params, state: OptimiserState, learningRate: number, settings: any): Stepped;
}

declare module '../../base/registry.js' {
  interface Kinds {
    optimisers: OptimiserDefinition;
  }
}

openKind('optimisers', 'step');

const learningRate = () => key(above(0, 100), 'Learning rate at the start', { example: 0.01 });
const weightDecay = (value: number) => key(number(0, 10), 'Weight decay', { default: value });

register('optimisers', {
  name: 'sgd',
  settings: object({
    learningRate: learningRate(),
    momentum: key(number(0, 1), 'Momentum', { default: 0.99 }),
    nesterov: key(flag(), 'Nesterov momentum', { default: true }),
    weightDecay: weightDecay(3e-5),
  }),
  step: sgd,
});
register('optimisers', {
  name: 'adamw',
  settings: object({
    learningRate: learningRate(),
    beta1: key(number(0, 1), 'Decay of the mean gradient', { default: 0.9 }),
    beta2: key(number(0, 1), 'Decay of the mean squared gradient', { default: 0.999 }),
    epsilon: key(above(0, 1), 'Added to the denominator', { default: 1e-8 }),
    weightDecay: weightDecay(0.01),
  }),
  step: adamW,
});

/** The optimiser a recipe names. Parameters without a gradient are left alone, as PyTorch leaves them. */
export function optimiserOf(settings: Recipe['optimiser'], { own, ema }: Pick<Optimiser, 'own' | 'ema'> = {}): Optimiser {
  const { step } = lookup('optimisers', settings.kind, 'recipe.optimiser.kind');
  const plain: Optimiser = (params, gradients, state, rate) => step(params, gradients, state, rate, settings);
  const grouped: Optimiser = (params, gradients, state, rate) => {
    const out: Stepped = { params: {}, state: { ...counted(state, gradients), slots: {} } };
    for (const { names, factor, weightDecay } of grouping(Object.keys(gradients), own!)) {
      const part = Object.fromEntries(names.map((name) => [name, gradients[name]]));
      const changed = weightDecay === undefined ? settings : { ...settings, weightDecay };
      const stepped = step(params, part, state, rate * factor, changed);
      Object.assign(out.params, stepped.params);
      Object.assign(out.state.slots, stepped.state.slots);
    }
    return out;
  };
  const known = step === sgd || step === adamW ? { settings } : {};
  return Object.assign(own ? grouped : plain, known, { own, ema });
}

/**
 * One step of training: the gradients' norm is limited (`clipByGlobalNorm`), checked, and the optimiser's step taken.
 * Without a gradient a parameter is left alone.
 *
 * @returns the norm before clipping and the new state; no state where the norm is not finite: then nothing was changed.
 *   Else `state` is used up: what was replaced is disposed of, and what a step made itself is written in place by the next.
 *   Whoever wants to keep a tensor over a step holds a clone of it (a reshaped view is no copy).
 */
export function applyGradients(
  optimiser: Optimiser,
  state: TrainState,
  gradients: Params,
  learningRate: number,
  gradientClip: number,
): { norm: number; state?: TrainState } {
  const { settings } = optimiser;
  if (settings && isSymbolic() && nativeAvailable()) return { norm: 0, state };
  if (settings && native() && Object.keys(gradients).length > 0)
    return stepInPlace(optimiser, settings, state, gradients, learningRate, gradientClip);
  const { gradients: clipped, norm } = clipByGlobalNorm(gradients, gradientClip);
  try {
    if (!Number.isFinite(norm)) return { norm };
    const stepped = optimiser(state.params, clipped, state.optimiser, learningRate);
    if (optimiser.ema !== undefined) average(state, stepped, optimiser.ema);
    return { norm, state: replace(state, stepped) };
  } finally {
    tf.dispose(clipped);
  }
}

/**
 * The share of a parameter's new value in its running average (torch `AveragedModel` with `get_ema_multi_avg_fn`): the first step's values
 * are taken over whole, for all parameters at once. Buffers are not averaged.
 */
const shareOfNew = ({ step }: OptimiserState, decay: number) => (step === 0 ? 1 : 1 - decay);

/** Adds the averages of the parameters that a step changed. */
function average({ params, optimiser }: TrainState, stepped: Stepped, decay: number): void {
  const share = shareOfNew(optimiser, decay);
  for (const [name, now] of Object.entries(stepped.params)) {
    // One that was frozen so far has been its own average.
    const before = optimiser.slots[`ema.${name}`] ?? params[name];
    stepped.state.slots[`ema.${name}`] =
      share === 1 ? tf.clone(now) : tf.tidy(() => tf.add(before, tf.mul(tf.sub(now, before), share)));
  }
}

/** Parameters with the running average in place of each that has one; the same tensors. */
export const averagedParams = ({ params, optimiser }: TrainState): Params =>
  Object.fromEntries(Object.entries(params).map(([name, p]) => [name, optimiser.slots[`ema.${name}`] ?? p]));

/** The state with new entries, those they replace disposed of. */
function replace(state: TrainState, stepped: Stepped): TrainState {
  for (const name of Object.keys(stepped.params)) state.params[name].dispose();
  for (const slot of Object.keys(stepped.state.slots)) state.optimiser.slots[slot]?.dispose();
  return {
    params: { ...state.params, ...stepped.params },
    optimiser: { ...stepped.state, slots: { ...state.optimiser.slots, ...stepped.state.slots } },
  };
}

/** Tensors whose memory our kernel made: nothing else looks at it, unless they were cloned. */
const own = new WeakSet<tf.Tensor>();

/** A tensor that may be written to: this one, or in its place a copy where others may look at its memory. */
function writable(x: tf.Tensor): tf.Tensor {
  if (isWritable(x)) return x;
  const made = copy(x);
  x.dispose();
  return made;
}

function zeros(like: tf.Tensor): tf.Tensor {
  const made = freshZeros(like);
  own.add(made);
  return made;
}

const isWritable = (x: tf.Tensor | undefined) => x !== undefined && own.has(x) && tf.engine().backend.refCount(x.dataId) === 1;

function copy(of: tf.Tensor): tf.Tensor {
  const made = freshCopy(of);
  own.add(made);
  return made;
}

function stepInPlace(
  { own: ownOf, ema }: Optimiser,
  settings: Recipe['optimiser'],
  state: TrainState,
  gradients: Params,
  rate: number,
  clip: number,
): { norm: number; state?: TrainState } {
  const names = Object.keys(gradients);
  const kinds = [...(settings.kind === 'sgd' ? ['momentum'] : ['m', 'v']), ...(ema === undefined ? [] : ['ema'])];
  const given = names.map((name) => gradients[name]);
  const params = { ...state.params };
  const slots = { ...state.optimiser.slots };
  if (!names.every((name) => isWritable(params[name]) && kinds.every((kind) => isWritable(slots[`${kind}.${name}`])))) {
    // The first step, as a rule. Nothing is replaced before it is sure that the step is taken.
    const norm = nativeGlobalNorm(given);
    if (!Number.isFinite(norm)) return { norm };
    for (const name of names) {
      params[name] = writable(params[name]);
      for (const kind of kinds) {
        const slot = `${kind}.${name}`;
        const fresh = kind === 'ema' ? copy : zeros;
        slots[slot] = slots[slot] ? writable(slots[slot]) : fresh(params[name]);
      }
    }
  }
  const counts = counted(state.optimiser, gradients);
  const share = ema === undefined ? 0 : shareOfNew(state.optimiser, ema);
  const each = (name: string) => ({ rate, weightDecay: settings.weightDecay, share, ...ownNumbers(ownOf?.(name), rate) });
  const numbers =
    settings.kind === 'sgd'
      ? sgdNumbers(settings, names.map(each))
      : adamWNumbers(settings, names.map(each), names, counts.steps);
  const kept = kinds.map((kind) => names.map((name) => slots[`${kind}.${name}`]));
  const tensors = [names.map((name) => params[name]), given, ...kept];
  const { norm, taken } = nativeOptimiserStep(settings.kind, tensors, clip, numbers);
  return taken ? { norm, state: { params, optimiser: { ...counts, slots } } } : { norm };
}

/** The rate and weight decay that a parameter of a group has. */
const ownNumbers = (own: ReturnType<OwnSettings> | undefined, rate: number) =>
  own && { rate: rate * own.factor, ...(own.weightDecay !== undefined && { weightDecay: own.weightDecay }) };

interface Each {
  rate: number;
  weightDecay: number;
  /** Of the new value in the running average. */
  share: number;
}

const sgdNumbers = ({ momentum, nesterov }: SgdSettings, each: readonly Each[]) => [
  momentum,
  nesterov ? 1 : 0,
  ...each.flatMap(({ weightDecay, rate, share }) => [weightDecay, rate, share]),
];

function adamWNumbers(settings: AdamWSettings, each: readonly Each[], names: readonly string[], steps: Record<string, number>) {
  const { beta1, beta2, epsilon } = settings;
  const own = each.flatMap(({ rate, weightDecay, share }, i) => {
    const step = steps[names[i]];
    return [1 - rate * weightDecay, Math.sqrt(1 - beta2 ** step), rate / (1 - beta1 ** step), share];
  });
  return [beta1, 1 - beta1, beta2, 1 - beta2, epsilon, ...own];
}

type SgdSettings = { momentum: number; nesterov: boolean; weightDecay: number };
type AdamWSettings = { beta1: number; beta2: number; epsilon: number; weightDecay: number };

/** SGD with (Nesterov) momentum and L2 weight decay, `torch.optim.SGD`. */
export function sgd(params: Params, gradients: Params, state: OptimiserState, rate: number, settings: SgdSettings): Stepped {
  const { momentum, nesterov, weightDecay } = settings;
  const out: Stepped = { params: {}, state: { ...counted(state, gradients), slots: {} } };
  for (const name of Object.keys(gradients)) {
    const old = state.slots[`momentum.${name}`];
    const [parameter, velocity] = tf.tidy(() => {
      const p = params[name];
      const g = weightDecay === 0 ? gradients[name] : tf.add(gradients[name], tf.mul(p, weightDecay));
      const v = old ? tf.add(tf.mul(old, momentum), g) : tf.clone(g);
      const direction = nesterov ? tf.add(g, tf.mul(v, momentum)) : v;
      return [tf.sub(p, tf.mul(direction, rate)), v];
    });
    out.params[name] = parameter;
    out.state.slots[`momentum.${name}`] = velocity;
  }
  return out;
}

/** Adam with decoupled weight decay, `torch.optim.AdamW`. */
export function adamW(params: Params, gradients: Params, state: OptimiserState, rate: number, settings: AdamWSettings): Stepped {
  const { beta1, beta2, epsilon, weightDecay } = settings;
  const out: Stepped = { params: {}, state: { ...counted(state, gradients), slots: {} } };
  for (const name of Object.keys(gradients)) {
    const step = out.state.steps[name];
    const correction1 = 1 - beta1 ** step;
    const correction2 = Math.sqrt(1 - beta2 ** step);
    const [parameter, m, v] = tf.tidy(() => {
      const g = gradients[name];
      const oldM = state.slots[`m.${name}`];
      const oldV = state.slots[`v.${name}`];
      const first = tf.mul(g, 1 - beta1);
      const second = tf.mul(tf.square(g), 1 - beta2);
      const newM = oldM ? tf.add(tf.mul(oldM, beta1), first) : first;
      const newV = oldV ? tf.add(tf.mul(oldV, beta2), second) : second;
      const denominator = tf.add(tf.div(tf.sqrt(newV), correction2), epsilon);
      const decayed = weightDecay === 0 ? params[name] : tf.mul(params[name], 1 - rate * weightDecay);
      return [tf.sub(decayed, tf.mul(tf.div(newM, denominator), rate / correction1)), newM, newV];
    });
    out.params[name] = parameter;
    out.state.slots[`m.${name}`] = m;
    out.state.slots[`v.${name}`] = v;
  }
  return out;
}

/** Norm of all gradients together. */
export function globalNorm(gradients: Params): number {
  if (native() && Object.keys(gradients).length > 0) return nativeGlobalNorm(Object.values(gradients));
  return tf.tidy(() => {
    const squares = Object.values(gradients).map((g) => tf.sum(tf.square(g)));
    return Math.sqrt(squares.length === 0 ? 0 : tf.addN(squares).dataSync()[0]);
  });
}

/**
 * Gradients scaled down to a global norm of at most `limit` (`torch.nn.utils.clip_grad_norm_`: limit/(norm + 1e-6), at most 1).
 * @returns new tensors, owned by the caller, and the norm before clipping
 */
export function clipByGlobalNorm(gradients: Params, limit: number): { gradients: Params; norm: number } {
  const norm = globalNorm(gradients);
  const factor = Math.min(1, limit / (norm + 1e-6));
  const clipped: Params = {};
  for (const [name, g] of Object.entries(gradients)) clipped[name] = factor < 1 ? tf.mul(g, factor) : tf.clone(g);
  return { gradients: clipped, norm };
}

/** True when a recipe keeps parameter `name` fixed in `epoch`; without a number of epochs it does so for good. */
export const isFrozen = (freeze: Recipe['freeze'], name: string, epoch: number): boolean =>
  freeze !== undefined && epoch < (freeze.epochs ?? Number.POSITIVE_INFINITY) && isIn(freeze, name);
