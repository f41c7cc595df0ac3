// Swin UNETR: constructor arguments of SwinUNETR and its Swin blocks as our specification.

import {
  type SwinUnetrSpec,
  swinBlock,
  swinMerging,
  swinStage,
  swinTransformer,
  swinUnetr,
} from '../../../src/model/baselines/swinUnetr.js';
import { shiftRegions, windowAttention } from '../../../src/model/layers/windows.js';
import { Declaration } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch, Checked } from './arch.js';
import { configCases } from './configs.js';
import { checkedBlock, monaiBlocks, monaiNorm } from './unetr.js';

function common(c: any) {
  return {
    depths: c.depths,
    heads: c.num_heads,
    window: c.window_size,
    patch: typeof c.patch_size === 'number' || !c.patch_size ? c.patch_size : c.patch_size[0],
    mlpRatio: c.mlp_ratio,
    qkvBias: c.qkv_bias,
    patchNorm: c.patch_norm,
    merging: c.downsample,
    v2: c.use_v2,
  };
}

const spec = (c: any): SwinUnetrSpec => ({
  network: 'swin-unetr',
  ...common(c),
  inputChannels: c.in_channels,
  classes: c.out_channels,
  dimensions: c.spatial_dims ?? 3,
  width: c.feature_size ?? 24,
  norm: monaiNorm(c.norm_name),
  normalise: c.normalize,
});

const channelsLast = () => false;

const blocks: Record<string, (c: any) => Checked> = {
  ...monaiBlocks,
  BasicLayer: (c) =>
    checkedBlock((d) =>
      swinStage(d, '', {
        dim: c.dim,
        heads: c.num_heads,
        window: c.window_size,
        rates: Array(c.depth).fill(0),
        mlpRatio: c.mlp_ratio ?? 4,
        qkvBias: c.qkv_bias ?? false,
        merging: c.downsample ? (c.downsample === 'PatchMergingV2' ? 'mergingv2' : 'merging') : undefined,
      }),
    ),
  // The mask that is handed to a block follows from window and shift.
  SwinTransformerBlock: (c) =>
    checkedBlock(
      (d) =>
        swinBlock(d, '', {
          dim: c.dim,
          heads: c.num_heads,
          window: c.window_size,
          shift: c.shift_size,
          rates: [],
          dropPath: 0,
          mlpRatio: c.mlp_ratio ?? 4,
          qkvBias: c.qkv_bias ?? true,
        }),
      channelsLast,
    ),
  PatchMerging: (c) => checkedBlock((d) => swinMerging(d, '', c.dim, c.spatial_dims ?? 3), channelsLast),
  PatchMergingV2: (c) => checkedBlock((d) => swinMerging(d, '', c.dim, c.spatial_dims ?? 3, 'mergingv2'), channelsLast),
  SwinTransformer: (c) => {
    const d = new Declaration();
    const dimensions = c.spatial_dims ?? 3;
    const encoder = swinTransformer(d, '', { ...common(c), in: c.in_chans, dim: c.embed_dim, dimensions });
    return { parameters: d.parameters, forward: (context, x) => tf.tidy(() => encoder(context, x)) };
  },
  WindowAttention: (c) => {
    const settings = { dim: c.dim, heads: c.num_heads, window: c.window_size, qkvBias: c.qkv_bias ?? false };
    return checkedBlock((d) => {
      const attend = windowAttention(d, '', settings);
      return (context, x, { mask }) => {
        if (mask && c.dims) {
          // The mask is a reference for the regions, too: positions apart have −100.
          const regions = shiftRegions(c.dims, c.window_size, c.shift_size);
          const apart = tf.mul(tf.cast(tf.notEqual(tf.expandDims(regions, 2), tf.expandDims(regions, 1)), 'float32'), -100);
          if (tf.max(tf.abs(tf.sub(apart, mask))).dataSync()[0] !== 0) throw new Error('the regions do not give the mask');
        }
        return attend(context, x, { mask });
      };
    }, channelsLast);
  },
};

export const arch: Arch = {
  network: (c) => swinUnetr.build(spec(c)),
  block(cls, c) {
    const name = cls.split(' ')[0];
    if (!Object.hasOwn(blocks, name)) throw new Error(`unknown: block ${cls}`);
    return blocks[name](c);
  },
  full: (root, folder) => configCases(root, folder, (c) => swinUnetr.build(spec(c))),
};
