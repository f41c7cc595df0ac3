// The layers that networks are declared from. Each registers its parameters, in the official order and under the official
// names, and returns the function that applies it.
//
// Initial values are PyTorch's own unless a layer is told otherwise.
import { VoxelbookError } from '../../base/errors.js';
import { Random } from '../../base/random.js';
import { product } from '../../base/shape.js';
import { batchNorm as batchNormOp, batchStatistics } from '../../tensor/ops/batchNorm.js';
import { conv as convOp } from '../../tensor/ops/conv.js';
import { convTranspose as convTransposeOp } from '../../tensor/ops/convTranspose.js';
import { recompute, withoutTape } from '../../tensor/ops/customOp.js';
import { depthwiseConv } from '../../tensor/ops/depthwiseConv.js';
import { depthwiseConvTranspose } from '../../tensor/ops/depthwiseConvTranspose.js';
import { type Behind, groupNorm as groupNormOp } from '../../tensor/ops/groupNorm.js';
import { instanceNorm as instanceNormOp } from '../../tensor/ops/instanceNorm.js';
import { joinChannels } from '../../tensor/ops/joinChannels.js';
import { layerNorm as layerNormOp } from '../../tensor/ops/layerNorm.js';
import { linear as linearOp } from '../../tensor/ops/linear.js';
import { type PerAxis, perAxis } from '../../tensor/ops/shapes.js';
import { isSymbolic } from '../../tensor/symbolic.js';
import { tf } from '../../tensor/tf.js';
import { type Context, type Declaration, type Init, scope, under } from '../network.js';
import { uniformFan } from './initialisers.js';

export { heNormal, uniformFan } from './initialisers.js';

/** Applies a layer: `x` is the caller's, so is what comes back. */
export type Layer = (context: Context, x: tf.Tensor) => tf.Tensor;

/** A norm, with what follows it in the same pass. */
export type Norm = (context: Context, x: tf.Tensor, behind?: Behind) => tf.Tensor;

/** A layer with a weight and maybe a bias, and where they are in `Params`. */
export type Weighted = Layer & { weight: string; bias?: string };

export interface ConvSettings {
  stride?: PerAxis;
  padding?: PerAxis;
  groups?: number;
  /** Default true. */
  bias?: boolean;
  init?: Init;
  biasInit?: Init;
}

/**
 * `Conv2d`/`Conv3d`: `name.weight` `[out, in/groups, …k]` and `name.bias` `[out]`.
 * @param kernel window, one number per spatial axis
 */
export function conv(
  d: Declaration,
  name: string,
  channels: number,
  out: number,
  kernel: readonly number[],
  settings: ConvSettings = {},
): Weighted {
  const { stride, padding, groups = 1, bias = true } = settings;
  const fanIn = (channels / groups) * product(kernel);
  const weight = d.add(under(name, 'weight'), [out, channels / groups, ...kernel], {
    layout: 'kernel',
    init: settings.init ?? uniformFan(fanIn),
  });
  const shift = bias ? d.add(under(name, 'bias'), [out], { init: settings.biasInit ?? uniformFan(fanIn) }) : undefined;
  const depthwise = groups === channels && out === channels && groups > 1;
  const apply: Layer = ({ params }, x) => {
    const options = { stride, padding, bias: shift ? params[shift] : undefined };
    return depthwise ? depthwiseConv(x, params[weight], options) : convOp(x, params[weight], { ...options, groups });
  };
  return weighted(d, name, apply, weight, shift);
}

/** `ConvTranspose2d`/`3d`: `name.weight` `[in, out/groups, …k]` and `name.bias` `[out]`; `groups` is 1 or the channels. */
export function convTranspose(
  d: Declaration,
  name: string,
  channels: number,
  out: number,
  kernel: readonly number[],
  settings: ConvSettings & { outputPadding?: PerAxis } = {},
): Weighted {
  const { stride, padding, outputPadding, groups = 1, bias = true } = settings;
  // PyTorch takes the second axis of the weight as fan-in, also when it is the outputs.
  const fanIn = (out / groups) * product(kernel);
  const weight = d.add(under(name, 'weight'), [channels, out / groups, ...kernel], {
    layout: 'kernel',
    init: settings.init ?? uniformFan(fanIn),
  });
  const shift = bias ? d.add(under(name, 'bias'), [out], { init: settings.biasInit ?? uniformFan(fanIn) }) : undefined;
  const apply: Layer = ({ params }, x) => {
    const options = { stride, padding, outputPadding, bias: shift ? params[shift] : undefined };
    return groups > 1 ? depthwiseConvTranspose(x, params[weight], options) : convTransposeOp(x, params[weight], options);
  };
  return weighted(d, name, apply, weight, shift);
}

const weighted = (d: Declaration, name: string, layer: Layer, weight: string, bias: string | undefined): Weighted =>
  Object.assign(scope(d, name, layer), { weight, bias });

/** A tensor that is a parameter by itself, with the same axes in memory and on disk. */
export function parameter(d: Declaration, name: string, shape: readonly number[], init: Init) {
  d.add(name, shape, { init });
  return (c: Context) => c.params[name];
}

/** `Linear` on the last axis: `name.weight` `[out, in]` and `name.bias` `[out]`. */
export function linear(
  d: Declaration,
  name: string,
  channels: number,
  out: number,
  { bias = true, init, biasInit }: { bias?: boolean; init?: Init; biasInit?: Init } = {},
): Weighted {
  const weight = d.add(under(name, 'weight'), [out, channels], { layout: 'kernel', init: init ?? uniformFan(channels) });
  const shift = bias ? d.add(under(name, 'bias'), [out], { init: biasInit ?? uniformFan(channels) }) : undefined;
  const apply: Layer = ({ params }, x) => linearOp(x, params[weight], shift ? params[shift] : undefined);
  return weighted(d, name, apply, weight, shift);
}

/** Scale and shift, starting at one (or as `scale` says) and zero. */
function affinePair(d: Declaration, name: string, channels: number, scale: Init = { kind: 'ones' }) {
  return [
    d.add(under(name, 'weight'), [channels], { init: scale }),
    d.add(under(name, 'bias'), [channels], { init: { kind: 'zeros' } }),
  ];
}

/** `InstanceNorm2d`/`3d` without running statistics; with `affine`, `name.weight` and `name.bias`. */
export function instanceNorm(
  d: Declaration,
  name: string,
  channels: number,
  { affine = true, epsilon = 1e-5, scale }: { affine?: boolean; epsilon?: number; scale?: Init } = {},
): Norm {
  const [gamma, beta] = affine ? affinePair(d, name, channels, scale) : [];
  return scope(d, name, ({ params, training }, x: tf.Tensor, behind?: Behind) => {
    if (training && x.size === x.shape[0] * channels) throw oneValue(name, x.shape, 'instance');
    return instanceNormOp(x, affine ? params[gamma] : undefined, affine ? params[beta] : undefined, epsilon, behind);
  });
}

/** PyTorch's refusal: the norm of a single value is its shift, whatever the value. */
function oneValue(name: string, shape: readonly number[], kind: 'batch' | 'instance' | 'group'): VoxelbookError {
  const batch = kind !== 'instance';
  return new VoxelbookError(`${kind} norm needs more than one value per channel while training`, {
    code: 'one-value-per-channel',
    path: name,
    given: `an input of shape [${shape}], one value for each channel${batch ? '' : ' of an image'}`,
    expected: batch ? 'a batch above 1, or more than one voxel at this stage' : 'more than one voxel at this stage',
    fix: `Take a larger ${batch ? 'batch or ' : ''}patch, or a network with fewer stages.`,
  });
}

/** `GroupNorm`: `name.weight` and `name.bias`. */
export function groupNorm(d: Declaration, name: string, channels: number, groups: number, epsilon = 1e-5): Weighted {
  const [gamma, beta] = affinePair(d, name, channels);
  const apply: Layer = ({ params, training, onePatch }, x) => {
    if (training && !onePatch && x.size === groups) throw oneValue(name, x.shape, 'group');
    return groupNormOp(x, groups, params[gamma], params[beta], epsilon);
  };
  return weighted(d, name, apply, gamma, beta);
}

/** `LayerNorm` over the last axis: `name.weight` and `name.bias`. */
export function layerNorm(d: Declaration, name: string, channels: number, epsilon = 1e-5): Weighted {
  const [gamma, beta] = affinePair(d, name, channels);
  return weighted(d, name, ({ params }, x) => layerNormOp(x, params[gamma], params[beta], epsilon), gamma, beta);
}

/**
 * `BatchNorm2d`/`3d`: weights, and the buffers `running_mean`, `running_var`, `num_batches_tracked`.
 *
 * While training, the batch's own statistics normalise and the new running ones go to `context.updates`
 * (variance unbiased there, as PyTorch does).
 */
export function batchNorm(d: Declaration, name: string, channels: number, { epsilon = 1e-5, momentum = 0.1 } = {}): Norm {
  const [gamma, beta] = affinePair(d, name, channels);
  const mean = d.add(under(name, 'running_mean'), [channels], { buffer: true, init: { kind: 'zeros' } });
  const variance = d.add(under(name, 'running_var'), [channels], { buffer: true, init: { kind: 'ones' } });
  const count = d.add(under(name, 'num_batches_tracked'), [], { buffer: true, dtype: 'int32', init: { kind: 'zeros' } });
  return scope(d, name, ({ params, training, updates, onePatch }, x: tf.Tensor, behind?: Behind) => {
    if (!training)
      return batchNormOp(x, params[gamma], params[beta], epsilon, { mean: params[mean], variance: params[variance] }, behind);
    const size = x.size / channels;
    if (size === 1 && !onePatch) throw oneValue(name, x.shape, 'batch');
    if (!isSymbolic()) {
      const batch = batchStatistics(x);
      const next = withoutTape(() => [
        tf.add(tf.mul(params[mean], 1 - momentum), tf.mul(batch.mean, momentum)),
        tf.add(tf.mul(params[variance], 1 - momentum), tf.mul(batch.variance, (momentum * size) / (size - 1))),
        tf.add(params[count], tf.scalar(1, 'int32')),
      ]);
      tf.dispose([batch.mean, batch.variance]);
      for (const [i, key] of [mean, variance, count].entries()) {
        updates[key]?.dispose();
        updates[key] = tf.keep(next[i]);
      }
    }
    return batchNormOp(x, params[gamma], params[beta], epsilon, undefined, behind);
  });
}

/** Layers one after another; each intermediate is disposed as soon as the next one stands. */
export const sequence =
  (...layers: Layer[]): Layer =>
  (context, x) =>
    layers.reduce((y, layer) => {
      const next = tf.tidy(() => layer(context, y));
      if (y !== x && y !== next) y.dispose();
      return next;
    }, x);

/** Runs `f`, then disposes `used` (under a tape, what gradients ask for stays) and all intermediates. */
export function consume(used: tf.Tensor[], f: () => tf.Tensor): tf.Tensor {
  const result = tf.tidy(f);
  for (const tensor of used) if (tensor !== result) tensor.dispose();
  return result;
}

/** The skip's channels behind those of what was up-sampled; both are used up. */
export const joinSkip = (up: tf.Tensor, skip: tf.Tensor): tf.Tensor => consume([up, skip], () => joinChannels([up, skip]));

/**
 * A layer that, when `context.checkpoint` says so, keeps only its input and runs again in the backward pass.
 * @param declare registers the parameters of the layer that it returns
 */
export function recomputed(d: Declaration, declare: () => Layer): Layer {
  const first = d.parameters.length;
  const layer = declare();
  const names = d.parameters.slice(first).flatMap((p) => (p.buffer || p.aliasOf ? [] : [p.name]));
  return (context, x) => {
    if (!context.checkpoint) return layer(context, x);
    // Both runs must draw the same dropout.
    const random = context.random?.split(context.random.bits()).state();
    return recompute([x, ...names.map((name) => context.params[name])], (x, ...values) => {
      const params = { ...context.params };
      for (const [i, name] of names.entries()) params[name] = values[i];
      return layer({ ...context, params, checkpoint: false, random: random && Random.restore(random) }, x);
    });
  };
}

/** `kernel` on every one of `dimensions` axes. */
export const cube = (kernel: PerAxis, dimensions: number): number[] => perAxis(kernel, dimensions, 1);
