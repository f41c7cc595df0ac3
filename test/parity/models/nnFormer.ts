// nnFormer: constructor arguments of its three versions and its blocks as our specification.
import { Declaration } from '../../../src/model/network.js';
import {
  type NnFormerSpec,
  nnFormer,
  nnFormerAttention,
  nnFormerEmbedding,
  nnFormerStage,
  nnFormerUpStage,
  plainMerging,
} from '../../../src/model/nnFormer.js';
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
  const merging = c.downsample || c.upsample ? plainMerging : undefined;
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
    const settings = { ...stage(c, json), merging: plainMerging };
    const below = c.input_resolution.map((n: number) => n / 2);
    return checkedBlock((d) => {
      const layer = nnFormerUpStage(d, '', settings);
      return (context, x, { skip }) => flat(layer(context, onGrid(x, below), onGrid(skip, c.input_resolution)));
    }, tokens);
  },
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

const attention = (c: any) => ({ dim: c.dim, heads: c.num_heads, window: c.window_size, qkvBias: c.qkv_bias });

export const arch: Arch = {
  network: (c) => nnFormer(spec(c)),
  block(cls, c, json) {
    if (!Object.hasOwn(blocks, cls)) throw new Error(`unknown: block ${cls}`);
    return blocks[cls](c, json);
  },
  full: (root, folder) => configCases(root, folder, (c) => nnFormer(spec(c))),
};
