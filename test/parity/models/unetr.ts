// UNETR: constructor arguments of UNETR, ViT blocks and UNETR's convolution blocks as our specification.

import {
  patchEmbedding,
  transformerBlock,
  type UnetrSpec,
  unetr,
  visionTransformer,
} from '../../../src/model/baselines/unetr.js';
import {
  basicBlock,
  type MonaiNorm,
  residualBlock,
  unetOutBlock,
  unetrBasicBlock,
  unetrProjectionUpBlock,
  unetrUpBlock,
} from '../../../src/model/layers/monaiBlocks.js';
import { type Context, Declaration } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch, Checked } from './arch.js';
import { configCases } from './configs.js';

const perAxis = (n: number | number[], dimensions: number): number[] => (typeof n === 'number' ? Array(dimensions).fill(n) : n);

/** MONAI's `norm_name`. */
export function monaiNorm(name: any): MonaiNorm | undefined {
  if (name === undefined || typeof name === 'string') return name?.toLowerCase();
  if (name[0].toLowerCase() === 'instance') return name[1]?.affine ? 'instance-affine' : 'instance';
  if (name[0].toLowerCase() === 'batch') return 'batch';
  throw new Error(`unknown: norm ${JSON.stringify(name)}`);
}

function unetrSpec(c: any): UnetrSpec {
  return {
    network: 'unetr',
    inputChannels: c.in_channels,
    classes: c.out_channels,
    patchSize: perAxis(c.img_size, c.spatial_dims ?? 3),
    width: c.feature_size,
    hidden: c.hidden_size,
    mlp: c.mlp_dim,
    heads: c.num_heads,
    projection: c.proj_type,
    norm: monaiNorm(c.norm_name),
    residual: c.res_block,
    convBlocks: c.conv_block,
    qkvBias: c.qkv_bias,
  };
}

type Apply = (c: Context, x: tf.Tensor, inputs: Record<string, tf.Tensor>) => tf.Tensor;

/** A block with its parameters, in a tidy scope. */
export function checkedBlock(declare: (d: Declaration) => Apply, channelsFirst?: Checked['channelsFirst']): Checked {
  const d = new Declaration();
  const layer = declare(d);
  return { parameters: d.parameters, channelsFirst, forward: (c, x, inputs) => tf.tidy(() => [layer(c, x, inputs)]) };
}

/** MONAI's convolution blocks, which several networks share. */
export const monaiBlocks: Record<string, (c: any) => Checked> = {
  UnetResBlock: (c) => checkedBlock((d) => residualBlock(d, '', monaiBlock(c))),
  UnetBasicBlock: (c) => checkedBlock((d) => basicBlock(d, '', monaiBlock(c))),
  UnetrBasicBlock: (c) => checkedBlock((d) => unetrBasicBlock(d, '', monaiBlock(c))),
  UnetrUpBlock: (c) =>
    checkedBlock((d) => {
      const block = unetrUpBlock(d, '', monaiBlock(c), c.upsample_kernel_size);
      return (context, x, { skip }) => block(context, x, skip);
    }),
  UnetrPrUpBlock: (c) =>
    checkedBlock((d) =>
      unetrProjectionUpBlock(d, '', monaiBlock(c), c.num_layer, {
        blocks: c.conv_block ?? false,
        factor: c.upsample_kernel_size,
      }),
    ),
  UnetOutBlock: (c) => checkedBlock((d) => unetOutBlock(d, '', c.spatial_dims, c.in_channels, c.out_channels)),
};

const monaiBlock = (c: any) => ({
  dimensions: c.spatial_dims,
  in: c.in_channels,
  out: c.out_channels,
  kernel: c.kernel_size,
  stride: c.stride,
  norm: monaiNorm(c.norm_name)!,
  residual: c.res_block ?? false,
});

const blocks: Record<string, (c: any) => Checked> = {
  ...monaiBlocks,
  PatchEmbeddingBlock: (c) => {
    const dimensions = c.spatial_dims ?? 3;
    return checkedBlock((d) =>
      patchEmbedding(d, '', {
        in: c.in_channels,
        dim: c.hidden_size,
        size: perAxis(c.img_size, dimensions),
        patch: perAxis(c.patch_size, dimensions),
        projection: c.proj_type,
      }),
    );
  },
  TransformerBlock: (c) =>
    checkedBlock((d) => transformerBlock(d, '', { dim: c.hidden_size, mlp: c.mlp_dim, heads: c.num_heads, qkvBias: c.qkv_bias })),
};

blocks.ViT = (c) => {
  const dimensions = c.spatial_dims ?? 3;
  if (c.classification) throw new Error('unknown: a ViT that classifies');
  const d = new Declaration();
  const vit = visionTransformer(d, '', {
    in: c.in_channels,
    dim: c.hidden_size ?? 768,
    size: perAxis(c.img_size, dimensions),
    patch: perAxis(c.patch_size, dimensions),
    projection: c.proj_type,
    mlp: c.mlp_dim ?? 3072,
    heads: c.num_heads ?? 12,
    layers: c.num_layers ?? 12,
    qkvBias: c.qkv_bias,
  });
  return {
    parameters: d.parameters,
    forward: (context, x) =>
      tf.tidy(() => {
        const { normed, states } = vit(context, x);
        return [normed, ...states];
      }),
  };
};

export const arch: Arch = {
  network: (c) => unetr.build(unetrSpec(c)),
  block(cls, c) {
    if (!Object.hasOwn(blocks, cls)) throw new Error(`unknown: block ${cls}`);
    return blocks[cls](c);
  },
  full: (root, folder) => configCases(root, folder, (c) => unetr.build(unetrSpec(c))),
};
