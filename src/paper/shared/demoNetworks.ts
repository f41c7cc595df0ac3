// Narrow versions of every network the tables name: the real code with few channels and layers, for the demo's patches.
//
// 3-D: patches of 32³. 2-D: patches of 64². What a network shares with the others here is its order of size, not its accuracy.
import type { ModelSpec } from '../../model/index.js';

const nnunet3d = {
  n_stages: 4,
  features_per_stage: [8, 16, 32, 64],
  kernel_sizes: Array(4).fill([3, 3, 3]),
  strides: [[1, 1, 1], ...Array(3).fill([2, 2, 2])],
  n_conv_per_stage: [2, 2, 2, 2],
  n_conv_per_stage_decoder: [2, 2, 2],
};
const nnunet2d = {
  n_stages: 5,
  features_per_stage: [8, 16, 32, 64, 64],
  kernel_sizes: Array(5).fill([3, 3]),
  strides: [[1, 1], ...Array(4).fill([2, 2])],
  n_conv_per_stage: Array(5).fill(2),
  n_conv_per_stage_decoder: Array(4).fill(2),
};
const common = {
  conv_bias: true,
  norm_op_kwargs: { eps: 1e-5, affine: true },
  dropout_op: null,
  dropout_op_kwargs: null,
  nonlin: 'torch.nn.LeakyReLU',
};
const in3d = { ...common, conv_op: 'torch.nn.modules.conv.Conv3d', norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d' };
const in2d = { ...common, conv_op: 'torch.nn.modules.conv.Conv2d', norm_op: 'torch.nn.modules.instancenorm.InstanceNorm2d' };

const two = (n: number) => Array(n).fill([2, 2]);

const resEnc3d = (blocks: number[]) => {
  const { n_conv_per_stage: _, n_stages, features_per_stage, ...rest } = nnunet3d;
  const own = { ...rest, n_stages, features_per_stage, n_blocks_per_stage: blocks, n_conv_per_stage_decoder: [1, 1, 1] };
  return { network: 'residual-encoder-unet', architecture: { ...own, ...in3d }, deepSupervision: true } as const;
};
const umamba3d = {
  version: 'first' as const,
  widths: [8, 16, 32, 64],
  kernels: Array(4).fill([3, 3, 3]),
  strides: [[1, 1, 1], ...Array(3).fill([2, 2, 2])],
  blocks: [1, 1, 1, 1],
  decoderBlocks: [1, 1, 1],
  deepSupervision: true,
};

/** By the name the papers' tables use. */
export const narrow3d = {
  nnUNet: { network: 'plain-conv-unet', architecture: { ...nnunet3d, ...in3d }, deepSupervision: true },
  UNETR: { network: 'unetr', width: 4, hidden: 48, mlp: 96, heads: 4 },
  TransBTS: { network: 'transbts', width: 4, groups: 4, layers: 2, heads: 4, mlp: 128 },
  nnFormer: {
    network: 'nnformer',
    variant: 'tumor',
    width: 24,
    depths: [1, 1, 1, 1],
    heads: [1, 2, 4, 8],
    windows: [4, 4, 2, 1],
    deepSupervision: true,
  },
  SwinUNETR: { network: 'swin-unetr', width: 8, depths: [1, 1, 1, 1], heads: [1, 2, 4, 8], window: 4 },
  '3D-UX-Net': { network: 'ux-net', depths: [1, 1, 1, 1], widths: [6, 12, 24, 48], hidden: 48 },
  SegResNet: { network: 'segresnet', dimensions: 3, width: 8, blocksDown: [1, 1, 1, 1], blocksUp: [1, 1, 1] },
  'ResEnc M': resEnc3d([1, 1, 1, 1]),
  'ResEnc L': resEnc3d([1, 2, 2, 2]),
  'ResEnc XL': resEnc3d([1, 2, 3, 3]),
  SwinUNETRV2: { network: 'swin-unetr', width: 8, depths: [1, 1, 1, 1], heads: [1, 2, 4, 8], window: 4, v2: true },
  CoTr: { network: 'cotr', widths: [8, 16, 24, 24], blocks: [1, 1, 1], layers: 2, heads: 4, mlp: 48, deepSupervision: true },
  'No-Mamba Base': { network: 'umamba-bot', ...umamba3d, mamba: false },
  'U-Mamba_Bot': { network: 'umamba-bot', ...umamba3d },
  'U-Mamba_Enc': { network: 'umamba-enc', ...umamba3d },
} satisfies Record<string, ModelSpec>;

/** The two-dimensional networks of the tables with few channels, by the names the tables give them. */
export const narrow2d = {
  'nnU-Net': { network: 'plain-conv-unet', architecture: { ...nnunet2d, ...in2d }, deepSupervision: true },
  SegResNet: { network: 'segresnet', dimensions: 2, width: 8, blocksDown: [1, 1, 1, 1], blocksUp: [1, 1, 1] },
  UNETR: { network: 'unetr', width: 8, hidden: 48, mlp: 96, heads: 4 },
  SwinUNETR: { network: 'swin-unetr', dimensions: 2, width: 12, depths: [1, 1, 1, 1], heads: [1, 2, 4, 8], window: 4 },
  nnFormer: { network: 'nnformer', variant: 'acdc', width: 24, depths: [1, 1, 1, 1], heads: [1, 2, 4, 8] },
  'U-Mamba_Bot': {
    network: 'umamba-bot',
    version: 'first',
    widths: [8, 16, 32, 64],
    kernels: Array(4).fill([3, 3]),
    strides: [[1, 1], ...two(3)],
    blocks: [1, 1, 1, 1],
    decoderBlocks: [1, 1, 1],
    deepSupervision: true,
  },
  'U-Mamba_Enc': {
    network: 'umamba-enc',
    version: 'first',
    widths: [8, 16, 32, 64],
    kernels: Array(4).fill([3, 3]),
    strides: [[1, 1], ...two(3)],
    blocks: [1, 1, 1, 1],
    decoderBlocks: [1, 1, 1],
    deepSupervision: true,
  },
  'Swin-UMamba': { network: 'swin-umamba', widths: [8, 12, 24, 48, 96], depths: [1, 1, 2, 1], deepSupervision: true },
  'Swin-UMamba†': { network: 'swin-umamba-d', widths: [12, 24, 48, 96], depths: [1, 1, 2, 1], deepSupervision: true },
  TransUNet: {
    network: 'transunet',
    units: [1, 1, 1],
    widthFactor: 0.25,
    groups: 4,
    hidden: 48,
    mlp: 96,
    heads: 4,
    layers: 2,
    headWidth: 64,
    skipWidths: [128, 64, 16],
    decoder: [32, 16, 8, 8],
  },
} satisfies Record<string, ModelSpec>;
