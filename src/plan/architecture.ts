// The network entry of a configuration, as nnU-Net v2's planners write it.
import type { Configuration } from './plan.js';
import type { PlannerSettings } from './planners.js';
import type { Topology } from './topology.js';

const residualBlocks = [1, 3, 4, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6];
const baseFeatures = 32;
const maxFeatures = { 2: 512, 3: 320 };

/** Plain or residual-encoder U-Net for a topology; 2-D or 3-D by its number of axes. */
export function architecture(
  network: PlannerSettings['network'],
  { strides, kernels }: Pick<Topology, 'strides' | 'kernels'>,
): Configuration['architecture'] {
  const dim = strides[0].length as 2 | 3;
  const stages = strides.length;
  const repeated = (value: number, n: number) => new Array<number>(n).fill(value);
  const blocks =
    network === 'plain'
      ? { n_conv_per_stage: repeated(2, stages), n_conv_per_stage_decoder: repeated(2, stages - 1) }
      : { n_blocks_per_stage: residualBlocks.slice(0, stages), n_conv_per_stage_decoder: repeated(1, stages - 1) };
  const name = network === 'plain' ? 'PlainConvUNet' : 'ResidualEncoderUNet';
  return unetEntry({ name, dim, stages, base: baseFeatures, most: maxFeatures[dim], kernels, strides, blocks });
}

/** Features double from stage to stage, from `base` to at most `most`. */
interface UnetEntry<K, S, B> {
  name: string;
  dim: number;
  stages: number;
  base: number;
  most: number;
  kernels: K;
  strides: S;
  /** How many convolutions or blocks each stage has, under nnU-Net's names. */
  blocks: B;
}

/** A U-Net of `dynamic_network_architectures` with convolutions, instance norm and leaky ReLU; key order is nnU-Net's. */
export function unetEntry<K, S, B extends object>({
  name,
  dim,
  stages,
  base,
  most,
  kernels,
  strides,
  blocks,
}: UnetEntry<K, S, B>) {
  return {
    network_class_name: `dynamic_network_architectures.architectures.unet.${name}`,
    arch_kwargs: {
      n_stages: stages,
      features_per_stage: Array.from({ length: stages }, (_, s) => Math.min(most, base * 2 ** s)),
      conv_op: `torch.nn.modules.conv.Conv${dim}d`,
      kernel_sizes: kernels,
      strides,
      ...blocks,
      conv_bias: true,
      norm_op: `torch.nn.modules.instancenorm.InstanceNorm${dim}d`,
      norm_op_kwargs: { eps: 1e-5, affine: true },
      dropout_op: null,
      dropout_op_kwargs: null,
      nonlin: 'torch.nn.LeakyReLU',
      nonlin_kwargs: { inplace: true },
    },
    _kw_requires_import: ['conv_op', 'norm_op', 'dropout_op', 'nonlin'],
  };
}
