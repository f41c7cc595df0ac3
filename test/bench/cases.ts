// What is measured against its peers: the network, the patch, and whether it learns or predicts.
import type { ModelSpec } from '../../src/model/index.js';

export interface Case {
  name: string;
  /** Key of the peer in peer.py. */
  peer: string;
  spec: ModelSpec;
  patch: number[];
  mode: 'train' | 'predict';
  channels: number;
  classes: number;
}

const mednext = (size: 'S' | 'B', kernel: number, edge: number, mode: Case['mode']): Case => ({
  name: `MedNeXt-${size} k${kernel} ${edge}³ ${mode}`,
  peer: `mednext-${size}-k${kernel}`,
  spec: { network: 'mednext', size, kernel },
  patch: [edge, edge, edge],
  mode,
  channels: 1,
  classes: 4,
});

const three = [3, 3, 3];
/** nnU-Net's `arch_kwargs` of so many stages with 3³ windows. */
const nnunet = (features: number[], decoder: number[]) => ({
  n_stages: features.length,
  features_per_stage: features,
  conv_op: 'torch.nn.modules.conv.Conv3d',
  kernel_sizes: features.map(() => three),
  strides: features.map((_, i) => (i === 0 ? [1, 1, 1] : [2, 2, 2])),
  n_conv_per_stage_decoder: decoder,
  conv_bias: true,
  norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d',
  norm_op_kwargs: { eps: 1e-5, affine: true },
  dropout_op: null,
  dropout_op_kwargs: null,
  nonlin: 'torch.nn.LeakyReLU',
});
export const plainConvUnet: ModelSpec = {
  network: 'plain-conv-unet',
  architecture: { ...nnunet([32, 64, 128, 256, 320], [2, 2, 2, 2]), n_conv_per_stage: [2, 2, 2, 2, 2] },
};
const residualEncoderUnet: ModelSpec = {
  network: 'residual-encoder-unet',
  architecture: { ...nnunet([32, 64, 128, 256, 320, 320], [1, 1, 1, 1, 1]), n_blocks_per_stage: [1, 3, 4, 6, 6, 6] },
};

const cube = (name: string, peer: string, spec: ModelSpec, edge: number, mode: Case['mode'] = 'train'): Case => ({
  ...{ name: `${name} ${edge}³ ${mode}`, peer, spec, patch: [edge, edge, edge], mode, channels: 1, classes: 4 },
});
const square = (edge: number): Case => ({
  name: `Swin-UMamba ${edge}² train`,
  peer: 'swin-umamba',
  spec: { network: 'swin-umamba', dropPath: 0 },
  patch: [edge, edge],
  mode: 'train',
  channels: 3,
  classes: 4,
});

export const training: Case[] = [
  mednext('S', 3, 64, 'train'),
  mednext('S', 5, 64, 'train'),
  mednext('B', 3, 64, 'train'),
  mednext('B', 5, 64, 'train'),
  mednext('S', 3, 96, 'train'),
  cube('STU-Net-S', 'stunet-S', { network: 'stunet', size: 'S' }, 64),
  cube('PlainConvUNet', 'plain', plainConvUnet, 64),
  cube('ResEnc-M', 'resenc', residualEncoderUnet, 64),
  cube('SwinUNETR', 'swinunetr', { network: 'swin-unetr', width: 48 }, 64),
  cube('SegResNet', 'segresnet', { network: 'segresnet', width: 32 }, 64),
  cube('UNETR', 'unetr', { network: 'unetr', width: 16, patchSize: [64, 64, 64] }, 64),
  square(128),
  square(256),
  square(512),
];

export const prediction: Case[] = [
  mednext('S', 3, 96, 'predict'),
  mednext('S', 5, 96, 'predict'),
  mednext('B', 3, 96, 'predict'),
  mednext('B', 5, 96, 'predict'),
  cube('STU-Net-S', 'stunet-S', { network: 'stunet', size: 'S' }, 96, 'predict'),
  cube('PlainConvUNet', 'plain', plainConvUnet, 96, 'predict'),
];

/** How time and memory grow with the patch. */
export const growth: Case[] = [32, 48, 64, 96, 128].map((edge) => mednext('S', 3, edge, 'train'));
