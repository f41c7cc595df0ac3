// Small networks of every kind, for tests that treat all alike.
import type { Random } from '../../src/base/random.js';
import type { ModelSpec } from '../../src/model/index.js';
import type { Params } from '../../src/model/network.js';
import { tf } from '../../src/tensor/tf.js';

/** A network small enough to run in a moment. */
export interface Tiny {
  spec: ModelSpec;
  /** Spatial shape, and the outputs' shapes where deep supervision gives more than one. */
  input: number[];
  outputs?: number[][];
  /** Parameters that no pass uses. */
  unused?: RegExp;
}

export const ends = { inputChannels: 2, classes: 3 };
const architecture = {
  n_stages: 3,
  features_per_stage: [4, 6, 8],
  conv_op: 'torch.nn.modules.conv.Conv3d',
  kernel_sizes: [
    [1, 3, 3],
    [3, 3, 3],
    [3, 3, 3],
  ],
  strides: [
    [1, 1, 1],
    [1, 2, 2],
    [2, 2, 2],
  ],
  n_conv_per_stage: 2,
  n_blocks_per_stage: [1, 2, 1],
  n_conv_per_stage_decoder: 1,
  conv_bias: true,
  norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d',
  norm_op_kwargs: { eps: 1e-5, affine: true },
  nonlin: 'torch.nn.LeakyReLU',
};
const strides = [
  [2, 2, 2],
  [1, 2, 2],
];

const umambaTopology = {
  widths: [4, 6, 8],
  kernels: Array(3).fill([3, 3, 3]),
  strides: [
    [1, 1, 1],
    [2, 2, 2],
    [2, 2, 2],
  ],
  blocks: [1, 1, 1],
  decoderBlocks: [1, 1],
};

/** Every network of the registry, some of them in several forms. */
export const tinyNetworks: Record<string, Tiny> = {
  'mednext, deep supervision': {
    spec: { network: 'mednext', kernel: 3, width: 2, blocks: Array(9).fill(1), expansion: 2, deepSupervision: true },
    input: [16, 32, 16],
    outputs: [
      [16, 32, 16],
      [8, 16, 8],
      [4, 8, 4],
      [2, 4, 2],
      [1, 2, 1],
    ],
    unused: /dummy_tensor/,
  },
  'mednext 2-D with GRN': {
    spec: { network: 'mednext', kernel: 5, width: 2, blocks: Array(9).fill(1), expansion: 2, dimensions: 2, grn: true },
    input: [32, 48],
    unused: /dummy_tensor/,
  },
  stunet: {
    spec: { network: 'stunet', widths: [2, 3, 4], blocks: [1, 2, 1], strides, deepSupervision: true },
    input: [4, 8, 12],
    outputs: [
      [4, 8, 12],
      [2, 4, 6],
    ],
  },
  'kaist-unet, large, group norm, axial attention': {
    spec: {
      network: 'kaist-unet',
      width: 2,
      maxWidth: 8,
      encoderScale: 2,
      norm: 'group',
      groups: 2,
      strides,
      attention: { where: 'decoder', heads: 1, headWidth: 2, without: [1], volume: [4, 8, 8] },
    },
    input: [4, 8, 8],
    unused: /seg_outputs\.0/,
  },
  'kaist-unet, batch norm, attention in both': {
    spec: {
      network: 'kaist-unet',
      width: 2,
      strides: strides.slice(0, 1).concat([[2, 2, 2]]),
      attention: { where: 'both', heads: 1, headWidth: 2, without: [0], volume: [4, 8, 8] },
      deepSupervision: true,
    },
    input: [4, 8, 8],
    outputs: [
      [4, 8, 8],
      [2, 4, 4],
    ],
  },
  'plain-conv-unet': {
    spec: { network: 'plain-conv-unet', architecture, deepSupervision: true },
    input: [6, 8, 12],
    outputs: [
      [6, 8, 12],
      [6, 4, 6],
    ],
  },
  'residual-encoder-unet': {
    spec: { network: 'residual-encoder-unet', architecture },
    input: [6, 8, 12],
    unused: /seg_layers\.0/,
  },
  segresnet: {
    spec: { network: 'segresnet', width: 4, groups: 2, blocksDown: [1, 1, 1], blocksUp: [1, 1] },
    input: [8, 4, 12],
  },
  'segresnet 2-D, sub-pixel': {
    spec: {
      network: 'segresnet',
      dimensions: 2,
      width: 4,
      groups: 2,
      blocksDown: [1, 1],
      blocksUp: [1],
      upsample: 'pixelshuffle',
    },
    input: [8, 6],
  },
  'ux-net': {
    spec: { network: 'ux-net', widths: [2, 3, 4, 5], depths: [1, 1, 1, 1], hidden: 6 },
    input: [32, 32, 32],
  },
  cotr: {
    spec: {
      network: 'cotr',
      widths: [4, 6, 12, 12],
      blocks: [1, 2, 1],
      layers: 2,
      heads: 2,
      points: 2,
      mlp: 10,
      deepSupervision: true,
    },
    input: [8, 16, 32],
    outputs: [
      [8, 16, 32],
      [8, 8, 16],
      [4, 4, 8],
      [2, 2, 4],
    ],
  },
  'umamba-bot without Mamba': {
    spec: { network: 'umamba-bot', ...umambaTopology, mamba: false },
    input: [8, 8, 8],
    unused: /seg_layers\.0/,
  },
  'swin-unetr v2': {
    spec: { network: 'swin-unetr', width: 6, depths: [1, 1, 1, 1], heads: [1, 2, 2, 2], window: 3, v2: true },
    // An instance norm of a single voxel is refused, as PyTorch refuses it.
    input: [32, 32, 64],
  },
  'swin-umamba': {
    spec: { network: 'swin-umamba', widths: [4, 4, 8, 16, 32], depths: [1, 1, 1, 1], states: 2 },
    input: [64, 64],
    unused: /out_layers\.[1-3]/,
  },
  'swin-umamba-d': {
    spec: { network: 'swin-umamba-d', widths: [4, 8, 16, 32], depths: [1, 1, 1, 1], states: 2 },
    input: [64, 64],
    unused: /seg_layers\.[0-2]/,
  },
  'umamba-bot': {
    spec: { network: 'umamba-bot', ...umambaTopology },
    input: [8, 8, 8],
    unused: /seg_layers\.0/,
  },
  'umamba-enc': {
    spec: { network: 'umamba-enc', ...umambaTopology, patchSize: [8, 8, 8] },
    input: [8, 8, 8],
    unused: /seg_layers\.0/,
  },
  unetr: {
    spec: { network: 'unetr', patchSize: [32, 32], width: 2, hidden: 8, mlp: 12, heads: 2 },
    input: [32, 32],
    unused: /norm_cross_attn/,
  },
  'swin-unetr': {
    spec: { network: 'swin-unetr', dimensions: 2, width: 6, depths: [2, 1, 1, 1], heads: [1, 2, 2, 2], window: 3 },
    input: [64, 64],
  },
  nnformer: {
    spec: {
      network: 'nnformer',
      variant: 'synapse',
      patchSize: [16, 32, 32],
      width: 6,
      depths: [2, 1, 1, 1],
      heads: [1, 2, 2, 2],
      patch: [2, 4, 4],
      windows: [4, 4, 2, 1],
    },
    input: [16, 32, 32],
  },
  transbts: {
    spec: {
      network: 'transbts',
      patchSize: [16, 16, 16],
      width: 1,
      groups: 1,
      layers: 2,
      heads: 2,
      mlp: 12,
      softmax: false,
    },
    input: [16, 16, 16],
    unused: /linear_encoding|pre_head_ln/,
  },
  transunet: {
    spec: {
      network: 'transunet',
      patchSize: [64, 64],
      units: [1, 1, 1],
      widthFactor: 0.0625,
      groups: 2,
      ...{ hidden: 8, mlp: 12, heads: 2, layers: 1, headWidth: 8, decoder: [8, 6, 4, 4], skips: 3, skipWidths: [32, 16, 4, 0] },
    },
    input: [64, 64],
  },
};

/** Outputs must depend on every parameter: small random values instead of ones and zeros. */
export function randomised(params: Params, random: Random): Params {
  const drawn: Params = {};
  for (const [name, value] of Object.entries(params)) {
    const own = random.split(name);
    const positive = /running_var/.test(name);
    drawn[name] =
      value.dtype === 'int32'
        ? tf.clone(value)
        : tf.tidy(() => {
            const noise = Float32Array.from({ length: value.size }, () =>
              own.uniform(positive ? 0.5 : -0.3, positive ? 1.5 : 0.3),
            );
            return positive ? tf.tensor(noise, value.shape) : tf.add(value, tf.tensor(noise, value.shape));
          });
  }
  return drawn;
}
