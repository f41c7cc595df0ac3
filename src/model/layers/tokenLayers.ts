// What the transformer and Mamba networks need besides `layers.ts`: module names, single parameters, dropout.
import { tf } from '../../tensor/tf.js';
import type { Context, Declaration, Init } from '../network.js';
import { heNormal, type Layer } from './layers.js';

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** A module's name and its child's: `layers.0` and `norm` give `layers.0.norm`; the empty name is the root. */
export const under = (parent: string, child: string | number) => (parent === '' ? String(child) : `${parent}.${child}`);

/** A tensor that is a parameter by itself, with the same axes in memory and on disk. */
export function parameter(d: Declaration, name: string, shape: readonly number[], init: Init) {
  d.add(name, shape, { init });
  return (c: Context) => c.params[name];
}

/**
 * `trunc_normal_(std = 0.02)` and zero biases: linear layers of Swin, ViT and VMamba. Its bounds are ±2, not ±2 sd, so
 * nothing is ever cut off.
 */
export const smallNormal = { init: { kind: 'normal', sd: 0.02 }, biasInit: { kind: 'zeros' } } as const;

/** nnU-Net's `InitWeights_He(0.01)` for a convolution: normal by fan-in, zero biases. */
export const he = (channelsPerGroup: number, kernel: readonly number[]) => ({
  init: heNormal(channelsPerGroup * product(kernel)),
  biasInit: { kind: 'zeros' } as Init,
});

/** Dropout of single values with probability `rate`; acts while training and with a generator only. */
export const dropout =
  (rate: number): Layer =>
  (c, x) =>
    times(x, dropoutMask(c, x.shape, rate));

/** Stochastic depth (`DropPath`): drops whole batch entries with probability `rate` and scales the others up. */
export const dropPath =
  (rate: number): Layer =>
  (c, x) =>
    times(x, dropoutMask(c, [x.shape[0], ...x.shape.slice(1).map(() => 1)], rate));

/** `dropout2d`/`3d`: drops whole channels of a batch entry. */
export const channelDropout =
  (rate: number): Layer =>
  (c, x) =>
    times(x, dropoutMask(c, [x.shape[0], ...x.shape.slice(1, -1).map(() => 1), x.shape.at(-1)!], rate));

const times = (x: tf.Tensor, mask: tf.Tensor | undefined) => (mask ? tf.mul(x, mask) : x);

/** 0 with probability `rate`, else 1/(1 − rate); nothing when dropout does not act. */
export function dropoutMask({ training, random }: Context, shape: readonly number[], rate: number): tf.Tensor | undefined {
  if (!training || !random || rate <= 0) return undefined;
  const mask = Float32Array.from({ length: product(shape) }, () => (random.chance(rate) ? 0 : 1 / (1 - rate)));
  return tf.tensor(mask, [...shape]);
}
