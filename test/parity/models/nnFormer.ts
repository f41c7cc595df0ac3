// nnFormer: constructor arguments of its three versions and its blocks as our specification.

import {
  mergingOf,
  type NnFormerSpec,
  nnFormer,
  nnFormerAttention,
  nnFormerBlock,
  nnFormerCrossBlock,
  nnFormerEmbedding,
  nnFormerExpanding,
  nnFormerMerging,
  nnFormerStage,
  nnFormerUpStage,
} from '../../../src/model/baselines/nnFormer.js';
import { Declaration } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch, Checked, Fixture } from './arch.js';
import { configCases } from './configs.js';
import { checkedBlock } from './unetr.js';

const spec = (c: any): NnFormerSpec => ({
  network: 'nnformer',
  variant: c.variant,
  patchSize: c.crop_size,
  width: c.embedding_dim,
  inputChannels: c.input_channels,
  classes: c.num_classes,
  depths: c.depths,
  heads: c.num_heads,
  patch: c.patch_size,
  windows: c.window_size,
  strides: c.down_stride,
  deepSupervision: c.deep_supervision ?? true,
});

/** Which version a block is from. */
const variantOf = (json: Fixture) => /nnFormer_(\w+)\.py/.exec(json.source.file ?? '')![1] as NnFormerSpec['variant'];

const tokens = () => false;

function stage(c: any, json: Fixture) {
  const variant = variantOf(json);
  const merging = c.downsample || c.upsample ? mergingOf('synapse', 0) : undefined;
  if (variant === 'acdc' && merging) throw new Error('unknown: stride of a single acdc stage');
  const rates = Array(c.depth).fill(0);
  return { variant, dim: c.dim, heads: c.num_heads, grid: c.input_resolution, window: c.window_size, rates, merging };
}

const flat = (x: tf.Tensor) => tf.reshape(x, [x.shape[0], -1, x.shape.at(-1)!]);
const onGrid = (x: tf.Tensor, grid: number[]) => tf.reshape(x, [x.shape[0], ...grid, x.shape.at(-1)!]);

const blocks: Record<string, (c: any, json: Fixture) => Checked> = {
  PatchEmbed: (c, json) =>
    checkedBlock((d) =>
      nnFormerEmbedding(d, '', {
        variant: variantOf(json),
        patch: c.patch_size,
        in: c.in_chans,
        dim: c.embed_dim,
        norm: Boolean(c.norm_layer),
      }),
    ),
  BasicLayer: (c, json) => {
    const d = new Declaration();
    const settings = stage(c, json);
    const layer = nnFormerStage(d, '', settings);
    return {
      parameters: d.parameters,
      channelsFirst: tokens,
      forward: (context, x) =>
        tf.tidy(() => {
          const { stageOutput, merged } = layer(context, onGrid(x, c.input_resolution));
          return settings.merging ? [flat(stageOutput), flat(merged)] : [flat(stageOutput)];
        }),
    };
  },
  BasicLayer_up: (c, json) => {
    const settings = { ...stage(c, json), merging: mergingOf('synapse', 0) };
    const below = c.input_resolution.map((n: number) => n / 2);
    return checkedBlock((d) => {
      const layer = nnFormerUpStage(d, '', settings);
      return (context, x, { skip }) => flat(layer(context, onGrid(x, below), onGrid(skip, c.input_resolution)));
    }, tokens);
  },
  SwinTransformerBlock: (c, json) =>
    checkedBlock((d) => {
      const shifted = [c.shift_size ?? 0].flat().some((n: number) => n > 0);
      const block = nnFormerBlock(d, '', single(c, json), shifted, 0);
      return (context, x) => flat(block(context, onGrid(x, c.input_resolution)));
    }, tokens),
  SwinTransformerBlock_kv: (c, json) =>
    checkedBlock((d) => {
      // The block's own input is the sum of the other two, or given apart: then only the sum is known here.
      const block = nnFormerCrossBlock(d, '', single(c, json), 0);
      return (context, _, { skip, x_up }) =>
        flat(block(context, onGrid(x_up, c.input_resolution), onGrid(skip, c.input_resolution)));
    }, tokens),
  PatchMerging: (c, json) =>
    checkedBlock((d) => {
      const merge = nnFormerMerging(d, '', c.dim, mergingOf(variantOf(json), c.tag ?? 2));
      return (context, x) => flat(merge(context, onGrid(x, gridFrom(c, json))));
    }, tokens),
  Patch_Expanding: (c, json) =>
    checkedBlock((d) => {
      const expand = nnFormerExpanding(d, '', c.dim, mergingOf(variantOf(json), c.tag ?? 2));
      return (context, x) => flat(expand(context, onGrid(x, gridFrom(c, json))));
    }, tokens),
  WindowAttention: (c) =>
    checkedBlock((d) => {
      const attend = nnFormerAttention(d, '', attention(c));
      return (context, x, { mask }) => attend(context, x, { mask });
    }, tokens),
  WindowAttention_kv: (c) =>
    checkedBlock((d) => {
      const attend = nnFormerAttention(d, '', { ...attention(c), queriesGiven: true });
      return (context, x, { x_up, mask }) => attend(context, x, { queries: x_up, mask });
    }, tokens),
};

const single = (c: any, json: Fixture) => ({
  variant: variantOf(json),
  dim: c.dim,
  heads: c.num_heads,
  grid: c.input_resolution,
  window: c.window_size,
  rates: [],
});

/** Grid of a merging's tokens: S, H and W are arguments of its call. */
function gridFrom(c: any, json: Fixture): number[] {
  const grid = c.input_resolution ?? c.dims ?? (c.S && [c.S, c.H, c.W]) ?? (json.S && [json.S, json.H, json.W]);
  if (!grid) throw new Error('unknown: grid of the tokens');
  return grid;
}

const attention = (c: any) => ({ dim: c.dim, heads: c.num_heads, window: c.window_size, qkvBias: c.qkv_bias });

export const arch: Arch = {
  network: (c) => nnFormer.build(spec(c)),
  block(cls, c, json) {
    if (!Object.hasOwn(blocks, cls)) throw new Error(`unknown: block ${cls}`);
    return blocks[cls](c, json);
  },
  full: (root, folder) => configCases(root, folder, (c) => nnFormer.build(spec(c))),
};
