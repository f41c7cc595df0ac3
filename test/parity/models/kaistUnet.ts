// KAIST's networks: constructor arguments of Generic_UNet and Axial_UNet as our specification.
import { network } from '../../../src/model/build.js';
import type { KaistUnetSpec } from '../../../src/model/kaistUnet.js';
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
  network: (c, json: Fixture) => network(kaistSpec(c, json.source.cls)).network,
};
