// KAIST's networks: constructor arguments of Generic_UNet and Axial_UNet as our specification.
import { network } from '../../../src/model/build.js';
import { Declaration } from '../../../src/model/network.js';
import { axialAttention, axialModule, axialPositions, type KaistUnetSpec } from '../../../src/model/papers/kaistUnet.js';
import type { Arch, Fixture } from './arch.js';

const norms = { BatchNorm3d: 'batch', BatchNorm2d: 'batch', GroupNorm: 'group', InstanceNorm3d: 'instance' } as const;

export function kaistSpec(c: any, cls: string): KaistUnetSpec {
  const both = cls === 'Axial_UNet';
  return {
    network: 'kaist-unet',
    inputChannels: c.input_channels,
    classes: c.num_classes,
    deepSupervision: c.deep_supervision && (c.do_ds ?? true),
    width: c.base_num_features,
    maxWidth: c.max_num_features ?? 320,
    growth: c.feat_map_mul_on_downscale ?? 2,
    encoderScale: c.encoder_scale ?? 1,
    norm: norms[c.norm_op as keyof typeof norms],
    groups: c.norm_op_kwargs?.num_groups,
    convsPerStage: c.num_conv_per_stage,
    strides: c.pool_op_kernel_sizes,
    kernels: c.conv_kernel_sizes,
    headBias: c.seg_output_use_bias ?? false,
    attention: c.axial_attention
      ? {
          where: both ? 'both' : 'decoder',
          heads: c.heads ?? (both ? 2 : 8),
          headWidth: c.dim_heads ?? (both ? 8 : 32),
          without: c.no_attention ?? [0],
          volume: c.volume_shape ?? [128, 128, 128],
          sum: c.sum_axial_out ?? true,
          batchNorm: c.axial_bn ?? true,
          residual: c.residual_attention ?? false,
        }
      : undefined,
  };
}

export const arch: Arch = {
  network(c, json: Fixture) {
    if (c.convolutional_pooling === false || c.convolutional_upsampling === false)
      throw new Error('unknown: pooling or interpolation instead of convolutions');
    return network(kaistSpec(c, json.source.cls)).network;
  },
  block(cls, c) {
    const d = new Declaration();
    const dimensions = c.num_dimensions ?? 3;
    const layer =
      cls === 'AxialPositionalEmbedding'
        ? axialPositions(d, '', c.dim, c.shape)
        : cls === 'AxialAttention'
          ? axialAttention(d, '', c.dim, dimensions, {
              heads: c.heads ?? 8,
              headWidth: c.dim_heads ?? Math.floor(c.dim / (c.heads ?? 8)),
              sum: c.sum_axial_out ?? true,
            })
          : cls === 'AxialAttention3D'
            ? axialModule(d, '', c.n_features, c.emb_shape, 0, {
                where: 'both',
                heads: c.heads,
                headWidth: c.dim_heads,
                without: [],
                sum: c.sum_axial_out ?? true,
                batchNorm: c.bn ?? true,
                residual: c.residual_attention ?? false,
              })
            : undefined;
    if (!layer) throw new Error(`unknown: block ${cls}`);
    return { parameters: d.parameters, forward: (context, x) => [layer(context, x)] };
  },
};
