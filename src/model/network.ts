// What a network is: an ordered list of parameters under the official checkpoint's names, and a pure forward function.
//
// A network file declares its layers top-down in the official module's order, on a `Declaration`; each layer function
// registers its parameters there and returns a closure that applies it. Nothing is allocated until `initialise`.
import type { Random } from '../base/random.js';
import { tf } from '../tensor/tf.js';

/** A flat record name → tensor; the names are the official checkpoint's keys, the tensors in TensorFlow's layout. */
export type Params = Record<string, tf.Tensor>;

/** How a parameter starts, as the official code initialises it. */
export type Init =
  | { kind: 'zeros' }
  | { kind: 'ones' }
  | { kind: 'constant'; value: number }
  | { kind: 'uniform'; bound: number }
  | { kind: 'normal'; sd: number }
  /** Anything else: fills `[…shape]` in PyTorch's order. */
  | { kind: 'custom'; fill: (random: Random, shape: readonly number[]) => Float32Array };

export interface ParamInfo {
  name: string;
  /** PyTorch's shape, as in the checkpoint. */
  shape: readonly number[];
  /**
   * `kernel`: a convolution or linear weight, PyTorch `[a, b, …spatial]`, in memory `[…spatial, b, a]`
   * (conv `[out, in/groups, …]` → `[…, in/groups, out]`; transposed conv `[in, out, …]` → `[…, out, in]`; linear `[out, in]` → `[in, out]`).
   * `plain`: the same axes in memory and on disk.
   */
  layout: 'kernel' | 'plain';
  dtype: 'float32' | 'int32';
  /** Buffers (running statistics, index tables) are not trained. */
  buffer: boolean;
  init: Init;
  /** Of a layer whose outputs are the classes: it belongs to the task, and is never carried over to another one. */
  head?: boolean;
  /** The checkpoint lists the same tensor again under this name; only the first name is in `Params`. */
  aliasOf?: string;
}

/** What a forward pass may know and give back besides its outputs. */
export interface Context {
  params: Params;
  training: boolean;
  /** Buffers changed by this pass (running statistics) are put here under their names; the caller owns them. */
  updates: Params;
  /** Dropout and drop path draw from here; absent = they do not act. */
  random?: Random;
  /** One patch of a larger batch, on shapes alone: a norm that needs more than one value is not refused. */
  onePatch?: boolean;
  /** Recompute blocks in the backward pass instead of keeping their activations. */
  checkpoint?: boolean;
}

export interface Network {
  /** In the official `state_dict` order, buffers and aliases included. */
  parameters: readonly ParamInfo[];
  /**
   * @param x `[batch, depth, height, width, channel]` (2-D: `[batch, height, width, channel]`), float32
   * @returns logits, full resolution first; more than one entry with deep supervision. The caller owns them.
   */
  forward(context: Context, x: tf.Tensor): tf.Tensor[];
  /** Edges of the input must be multiples of this, per axis. */
  divisibleBy: readonly number[];
}

/** Collects parameters while a network is declared. */
export class Declaration {
  readonly parameters: ParamInfo[] = [];

  add(name: string, shape: readonly number[], options: Partial<Omit<ParamInfo, 'name' | 'shape'>> & { init: Init }): string {
    this.parameters.push({ name, shape, layout: 'plain', dtype: 'float32', buffer: false, ...options });
    return name;
  }
}

/** Axis order that takes a PyTorch kernel to memory: `[a, b, …spatial]` → `[…spatial, b, a]`. */
export function memoryAxes(info: Pick<ParamInfo, 'layout' | 'shape'>): number[] {
  const rank = info.shape.length;
  if (info.layout === 'plain' || rank < 2) return [...info.shape.keys()];
  return [...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1, 0];
}

/** Trainable parameters and buffers of a network, freshly drawn. The caller owns the tensors. Each draws from `random.split(name)`. */
export function initialise(network: Pick<Network, 'parameters'>, random: Random): Params {
  const params: Params = {};
  for (const info of network.parameters) {
    if (info.aliasOf) continue;
    params[info.name] = tf.tidy(() => {
      const values = fill(info, random.split(info.name));
      return tf.transpose(tf.tensor(values, [...info.shape], info.dtype), memoryAxes(info));
    });
  }
  return params;
}

function fill(info: ParamInfo, random: Random): Float32Array {
  const size = info.shape.reduce((a, b) => a * b, 1);
  const init = info.init;
  if (init.kind === 'custom') return init.fill(random, info.shape);
  const draw = {
    zeros: () => 0,
    ones: () => 1,
    constant: () => (init as { value: number }).value,
    uniform: () => random.uniform(-(init as { bound: number }).bound, (init as { bound: number }).bound),
    normal: () => random.normal(0, (init as { sd: number }).sd),
  }[init.kind];
  return Float32Array.from({ length: size }, draw);
}

/** Number of trainable values, as the papers count them. */
export const parameterCount = (network: Pick<Network, 'parameters'>) =>
  network.parameters.filter((p) => !p.buffer && !p.aliasOf).reduce((sum, p) => sum + p.shape.reduce((a, b) => a * b, 1), 0);
