// Optimisers as pure functions: parameters, gradients and state in, new parameters and state out. PyTorch's arithmetic.
import type { Params } from '../../model/network.js';
import { execute, native } from '../../tensor/native/load.js';
import { tf } from '../../tensor/tf.js';
import type { Recipe } from '../experiment.js';

export interface OptimiserState {
  /** Number of steps taken. */
  step: number;
  /** Steps of each parameter, as PyTorch counts them: one that was frozen or had no gradient is behind. */
  steps: Record<string, number>;
  /** `<slot>.<parameter>`: `momentum.` for SGD, `m.` and `v.` for AdamW. */
  slots: Params;
}

/** What one step gives back: only the entries that changed. The caller owns them and still owns what it passed in. */
export interface Stepped {
  params: Params;
  state: OptimiserState;
}

export type Optimiser = (params: Params, gradients: Params, state: OptimiserState, learningRate: number) => Stepped;

export const initialState = (): OptimiserState => ({ step: 0, steps: {}, slots: {} });

/** The counts after one more step of every parameter that has a gradient. */
function counted(state: OptimiserState, gradients: Params): Pick<OptimiserState, 'step' | 'steps'> {
  const steps = { ...state.steps };
  for (const name of Object.keys(gradients)) steps[name] = (steps[name] ?? 0) + 1;
  return { step: state.step + 1, steps };
}

/** The optimiser a recipe names. Parameters without a gradient are left alone, as PyTorch leaves them. */
export function optimiserOf(settings: Recipe['optimiser']): Optimiser {
  return settings.kind === 'sgd'
    ? (params, gradients, state, rate) => sgd(params, gradients, state, rate, settings)
    : (params, gradients, state, rate) => adamW(params, gradients, state, rate, settings);
}

/** SGD with (Nesterov) momentum and L2 weight decay, `torch.optim.SGD`. */
export function sgd(
  params: Params,
  gradients: Params,
  state: OptimiserState,
  rate: number,
  settings: { momentum: number; nesterov: boolean; weightDecay: number },
): Stepped {
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
export function adamW(
  params: Params,
  gradients: Params,
  state: OptimiserState,
  rate: number,
  settings: { beta1: number; beta2: number; epsilon: number; weightDecay: number },
): Stepped {
  const { beta1, beta2, epsilon, weightDecay } = settings;
  const out: Stepped = { params: {}, state: { ...counted(state, gradients), slots: {} } };
  const decay = 1 - rate * weightDecay;
  for (const name of Object.keys(gradients)) {
    const step = out.state.steps[name];
    const correction1 = 1 - beta1 ** step;
    const correction2 = Math.sqrt(1 - beta2 ** step);
    const numbers = [beta1, 1 - beta1, beta2, 1 - beta2, epsilon, decay, correction2, rate / correction1];
    const [parameter, m, v] = tf.tidy(() => {
      const g = gradients[name];
      const oldM = state.slots[`m.${name}`];
      const oldV = state.slots[`v.${name}`];
      if (native()) {
        const slots = [oldM ?? tf.zerosLike(g), oldV ?? tf.zerosLike(g)];
        return execute('VoxelbookAdamW', [params[name], g, ...slots, tf.tensor1d(numbers)], 3);
      }
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

/** True when a recipe keeps parameter `name` fixed in `epoch`. */
export function isFrozen(freeze: Recipe['freeze'], name: string, epoch: number): boolean {
  if (!freeze || epoch >= freeze.epochs) return false;
  return freeze.prefixes.some((p) => name.startsWith(p)) && !freeze.except?.some((p) => name.startsWith(p));
}
