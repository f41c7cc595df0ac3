// How weights start, as the official codes have it.
import { product } from '../../base/shape.js';
import type { Init } from '../network.js';

const zeros: Init = { kind: 'zeros' };

/** Uniform in ±1/√fanIn: what `Conv*d` and `Linear` of PyTorch start with, weight and bias alike. */
export const uniformFan = (fanIn: number): Init => ({ kind: 'uniform', bound: 1 / Math.sqrt(fanIn) });

/** `kaiming_normal_(a = slope)`. */
export const heNormal = (fanIn: number, slope = 0.01): Init => ({ kind: 'normal', sd: Math.sqrt(2 / (1 + slope ** 2) / fanIn) });

/** nnU-Net's `InitWeights_He(0.01)` for a convolution of this window: normal by fan-in, zero biases. */
export const he = (channelsPerGroup: number, kernel: readonly number[]) => ({
  init: heNormal(channelsPerGroup * product(kernel)),
  biasInit: zeros,
});

/** `xavier_uniform_`. */
export const xavier = (from: number, to: number): Init => ({ kind: 'uniform', bound: Math.sqrt(6 / (from + to)) });

/**
 * `trunc_normal_(std = 0.02)` and zero biases: linear layers of Swin, ViT and VMamba. Its bounds are ±2, not ±2 sd, so
 * nothing is ever cut off.
 */
export const smallNormal = { init: { kind: 'normal', sd: 0.02 }, biasInit: zeros } as const;
