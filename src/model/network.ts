// What a network is: an ordered list of parameters under the official checkpoint's names, and a pure forward function.
//
// A network file declares its layers top-down in the official module's order, on a `Declaration`; each layer function
// registers its parameters there and returns a closure that applies it. Nothing is allocated until `initialise`.
// A layer bears the name of its module (`scope`): whoever wants to see what happens inside a pass asks by `Context.onLayer`.
import { VoxelbookError } from '../base/errors.js';
import type { Random } from '../base/random.js';
import { product } from '../base/shape.js';
import { symbolicOutput } from '../tensor/symbolic.js';
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

/** A parameter that a network asks for: name, shape and how it lies in memory. */
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
  /**
   * Called in place of every named layer, from the outside in: `name` is the module's in the checkpoint (`enc_block_0.1`), `apply`
   * runs the layer. What it returns goes on. A tensor to be looked at after the pass must be kept (`tf.keep`) and disposed.
   * @example onLayer: (name, apply) => { const y = apply(); if (name === 'bottleneck.0') map = tf.keep(y); return y; }
   */
  onLayer?: LayerHook;
}

/** Called around every named layer with its name; `apply` computes it, and what is returned takes its place. */
export type LayerHook = <T>(name: string, apply: () => T) => T;

/** A network without numbers: the parameters it asks for, and its forward function. */
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
  /** Names that `Context.onLayer` may hear; what one operator computes (a block of MedNeXt) is heard as a whole, not layer by layer. */
  layers?: readonly string[];
}

/** Collects parameters and names of layers while a network is declared. */
export class Declaration {
  readonly parameters: ParamInfo[] = [];
  readonly layers = new Set<string>();

  add(name: string, shape: readonly number[], options: Partial<Omit<ParamInfo, 'name' | 'shape'>> & { init: Init }): string {
    this.parameters.push({ name, shape, layout: 'plain', dtype: 'float32', buffer: false, ...options });
    return name;
  }

  /**
   * What has been declared as a network; `forward` runs in a tidy, so that only what it returns stays.
   * @param only the one size of input, in voxels, that learned positions fit
   */
  network(divisibleBy: readonly number[], forward: Network['forward'], only?: readonly number[]): Network {
    const { parameters, layers } = this;
    const run: Network['forward'] = (c, x) => {
      const space = x.shape.slice(1, -1);
      if (only && space.join() !== only.join()) throw otherSize(space, only);
      return tf.tidy(() => forward(c, x));
    };
    return { parameters, layers: [...layers], divisibleBy, forward: run };
  }
}

const otherSize = (given: readonly number[], only: readonly number[]) =>
  new VoxelbookError('this network was made for another patch size', {
    code: 'fixed-patch-size',
    path: 'patchSize',
    given: given.join('×'),
    expected: `${only.join('×')}, which its learned positions fit alone`,
    fix: 'Give the network and the recipe one patch size; without its own the network takes the plan’s.',
  });

/** Gives a layer the name of its module, under which `Context.onLayer` hears of it; the empty name is the root and stays silent. */
export function scope<Inputs extends unknown[], T>(
  d: Declaration,
  name: string,
  layer: (context: Context, ...inputs: Inputs) => T,
): (context: Context, ...inputs: Inputs) => T {
  if (name === '') return layer;
  d.layers.add(name);
  return (context, ...inputs) =>
    context.onLayer ? context.onLayer(name, () => layer(context, ...inputs)) : layer(context, ...inputs);
}

/** A module's name and its child's: `layers.0` and `norm` give `layers.0.norm`; the empty name is the root. */
export const under = (parent: string, child: string | number) => (parent === '' ? String(child) : `${parent}.${child}`);

/** Axis order that takes a PyTorch kernel to memory: `[a, b, …spatial]` → `[…spatial, b, a]`. */
export function memoryAxes(info: Pick<ParamInfo, 'layout' | 'shape'>): number[] {
  const rank = info.shape.length;
  if (info.layout === 'plain' || rank < 2) return [...info.shape.keys()];
  return [...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1, 0];
}

/** Values in PyTorch's order as a tensor in memory's layout; the caller owns it. */
export const toMemory = (info: ParamInfo, values: Float32Array | Int32Array): tf.Tensor =>
  tf.tidy(() => tf.transpose(tf.tensor(values, [...info.shape], info.dtype), memoryAxes(info)));

/** The values of a tensor in memory's layout, in PyTorch's order. */
export function fromMemory(info: ParamInfo, tensor: tf.Tensor): Float32Array | Int32Array {
  const axes = memoryAxes(info);
  const back = tf.transpose(
    tensor,
    axes.map((_, i) => axes.indexOf(i)),
  );
  const values = back.dataSync<'float32' | 'int32'>();
  back.dispose();
  return values;
}

/** Values of a part; reordering one takes three times its bytes. */
const partValues = 1 << 22;

/** The same values in parts, for weights that should not stand in memory twice. */
export function* fromMemoryInParts(info: ParamInfo, tensor: tf.Tensor, most = partValues): Generator<Float32Array | Int32Array> {
  const values = product(info.shape);
  if (values <= most) return yield fromMemory(info, tensor);
  const rows = Math.max(1, Math.floor(most / (values / info.shape[0])));
  const outermost = memoryAxes(info).indexOf(0);
  for (let from = 0; from < info.shape[0]; from += rows) {
    const begin = tensor.shape.map(() => 0);
    const size = [...tensor.shape];
    begin[outermost] = from;
    size[outermost] = Math.min(rows, info.shape[0] - from);
    const part = tf.slice(tensor, begin, size);
    const values = fromMemory(info, part);
    part.dispose();
    yield values;
  }
}

/** Parameters without values, inside a symbolic run. */
export function symbolicParams(network: Pick<Network, 'parameters'>): Params {
  const params: Params = {};
  for (const info of network.parameters)
    if (!info.aliasOf) {
      const shape = memoryAxes(info).map((axis) => info.shape[axis]);
      params[info.name] = symbolicOutput(shape, info.dtype);
    }
  return params;
}

/** Trainable parameters and buffers of a network, freshly drawn. The caller owns the tensors. Each draws from `random.split(name)`. */
export function initialise(network: Pick<Network, 'parameters'>, random: Random): Params {
  const params: Params = {};
  for (const info of network.parameters)
    if (!info.aliasOf) params[info.name] = toMemory(info, fill(info, random.split(info.name)));
  return params;
}

const drawnAtOnce = 1 << 16;

function fill({ shape, init }: ParamInfo, random: Random): Float32Array {
  if (init.kind === 'custom') return init.fill(random, shape);
  const values = new Float32Array(product(shape));
  switch (init.kind) {
    case 'zeros':
      break;
    case 'ones':
      values.fill(1);
      break;
    case 'constant':
      values.fill(init.value);
      break;
    case 'uniform':
      // In parts: a draw has eight bytes, and twice the largest weights would lie beside them.
      for (let at = 0; at < values.length; at += drawnAtOnce)
        values.set(random.uniforms(Math.min(drawnAtOnce, values.length - at), -init.bound, init.bound), at);
      break;
    case 'normal':
      random.addNormal(values, init.sd);
  }
  return values;
}

/** Number of trainable values, as the papers count them. */
export const parameterCount = (network: Pick<Network, 'parameters'>) =>
  network.parameters.filter((p) => !p.buffer && !p.aliasOf).reduce((sum, p) => sum + product(p.shape), 0);
