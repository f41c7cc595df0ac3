// TransUNet (Chen et al. 2021, https://arxiv.org/abs/2102.04306): a ResNet-50, a vision transformer on its features, and a
// decoder that meets the ResNet's skips. 2-D: `[batch, height, width, channel]`.
// Official code: Beckschen/TransUNet, networks/vit_seg_modeling.py and vit_seg_modeling_resnet_skip.py.
//
//   root (1/2) ─ pool ─ block1 (1/4) ─ block2 (1/8) ─ block3 (1/16) ─ patches ─ transformer ─ conv_more
//     │                   │               └──────────────────────────────── + decoder block 0 (1/8)
//     │                   └──────────────────────────────────────────────── + decoder block 1 (1/4)
//     └──────────────────────────────────────────────────────────────────── + decoder block 2 (1/2)
//                                                                             decoder block 3 (1/1), head
//
// An input of one channel is repeated to three, as the original does for its ImageNet weights.
import type { Configuration } from '../../plan/plan.js';
import { attention } from '../../tensor/ops/attention.js';
import { conv as convOp } from '../../tensor/ops/conv.js';
import { joinChannels } from '../../tensor/ops/joinChannels.js';
import { resize } from '../../tensor/ops/resize.js';
import { maxPool, tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { dropout, dropoutMask } from '../layers/dropout.js';
import { uniformFan, xavier } from '../layers/initialisers.js';
import { batchNorm, conv, groupNorm, type Layer, layerNorm, linear, parameter, recomputed, sequence } from '../layers/layers.js';
import { perceptron } from '../layers/perceptron.js';
import { type Context, Declaration, type Network, scope, under } from '../network.js';
import { inputSize } from './unetr.js';

export interface TransUnetSpec extends Ends {
  network: 'transunet';
  /** The published configurations; single settings below override them. Default R50-ViT-B_16. */
  variant?: keyof typeof published;
  /** Size of the input in pixels, which fixes the position embedding; default the plan's patch. */
  patchSize?: number[];
  /** Residual blocks of the three ResNet stages; empty without a ResNet. */
  units?: readonly number[];
  /** Channels of the ResNet's root over 64; default 1. */
  widthFactor?: number;
  /** Groups of its norms; default 32. */
  groups?: number;
  /** Channels of a token, of its perceptron, heads and layers of the transformer. */
  hidden?: number;
  mlp?: number;
  heads?: number;
  layers?: number;
  /** Edge of a token in pixels; with a ResNet, which brings 1/16, that is 16 times the edge on its features. */
  token?: number;
  /** Channels before and in the decoder's blocks; default 512 and 256, 128, 64, 16. */
  headWidth?: number;
  decoder?: number[];
  /** How many skips are used, and their channels. */
  skips?: number;
  skipWidths?: readonly number[];
  dropout?: number;
  attentionDropout?: number;
}

const base = { hidden: 768, mlp: 3072, heads: 12, layers: 12, token: 16, units: [], skips: 0, skipWidths: [] } as const;
const large = { ...base, hidden: 1024, mlp: 4096, heads: 16, layers: 24 } as const;
const hybrid = { units: [3, 4, 9], skips: 3, skipWidths: [512, 256, 64, 16] } as const;

/** vit_seg_configs.py. */
const published = {
  'R50-ViT-B_16': { ...base, ...hybrid },
  'R50-ViT-L_16': { ...large, ...hybrid },
  'ViT-B_16': base,
  'ViT-B_32': { ...base, token: 32 },
  'ViT-L_16': large,
  'ViT-L_32': { ...large, token: 32 },
} as const;

/** The network of a specification with channels and classes given. There is no deep supervision. */
function build(spec: TransUnetSpec, plan?: Configuration): Network {
  const given = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as TransUnetSpec;
  const s = {
    widthFactor: 1,
    groups: 32,
    headWidth: 512,
    decoder: [256, 128, 64, 16],
    ...published[spec.variant ?? 'R50-ViT-B_16'],
    ...given,
  };
  const size = inputSize('TransUNet', s.patchSize ?? plan?.patch_size);
  const channels = spec.inputChannels === 1 ? 3 : spec.inputChannels!;
  const isHybrid = s.units.length > 0;
  const grid = size.map((n) => Math.floor(n / s.token));
  const width = Math.floor(64 * s.widthFactor);
  const rate = spec.dropout ?? 0.1;
  const d = new Declaration();

  const at = 'transformer.embeddings';
  const tokens = grid[0] * grid[1];
  const positions = parameter(d, `${at}.position_embeddings`, [1, tokens, s.hidden], { kind: 'zeros' });
  const encode = scope(d, `${at}.position_embeddings`, (c: Context, x: tf.Tensor) => tf.add(x, positions(c)));
  const resNet = isHybrid
    ? resNetV2(d, `${at}.hybrid_model`, { in: channels, width, units: s.units, groups: s.groups })
    : undefined;
  const patch = isHybrid ? size.map((n, i) => Math.floor(Math.floor(n / 16) / grid[i])) : [s.token, s.token];
  const embed = conv(d, `${at}.patch_embeddings`, isHybrid ? 16 * width : channels, s.hidden, patch, { stride: patch });
  const blocks = Array.from({ length: s.layers }, (_, i) =>
    transUnetBlock(d, `transformer.encoder.layer.${i}`, {
      dim: s.hidden,
      mlp: s.mlp,
      heads: s.heads,
      dropout: rate,
      attentionDropout: spec.attentionDropout,
    }),
  );
  const norm = layerNorm(d, 'transformer.encoder.encoder_norm', s.hidden, 1e-6);
  const more = convReLU(d, 'decoder.conv_more', s.hidden, s.headWidth);
  const decoder = s.decoder.map((out, i) =>
    transUnetDecoderBlock(d, `decoder.blocks.${i}`, {
      in: i === 0 ? s.headWidth : s.decoder[i - 1],
      out,
      // The configuration's last skip widths are set to zero where fewer skips are used.
      skip: i < s.skips ? (s.skipWidths[i] ?? 0) : 0,
    }),
  );
  const head = conv(d, 'segmentation_head.0', s.decoder.at(-1)!, spec.classes!, [3, 3], { padding: 1 });
  const drop = dropout(rate);

  return d.network(
    size,
    (c, input) => {
      const image = spec.inputChannels === 1 ? tf.tile(input, [1, 1, 1, 3]) : input;
      const { bottom, skips } = resNet ? resNet(c, image) : { bottom: image, skips: [] };
      const embedded = tf.reshape(embed(c, bottom), [image.shape[0], tokens, s.hidden]);
      const sequenceIn = drop(c, encode(c, embedded));
      const encoded = norm(
        c,
        blocks.reduce((x, block) => block(c, x), sequenceIn),
      );
      let x = more(c, tf.reshape(encoded, [image.shape[0], ...grid, s.hidden]));
      for (const [i, block] of decoder.entries()) x = block(c, x, i < s.skips ? skips[i] : undefined);
      return [head(c, x)];
    },
    size,
  );
}

export const transUnet = define({ name: 'transunet', build, heads: ['segmentation_head.'] });

/** `StdConv2d`: every output channel's kernel is standardised (biased variance + 1e-5) before the convolution. No bias. */
export function standardisedConv(
  d: Declaration,
  name: string,
  channels: number,
  out: number,
  kernel: number,
  settings: { stride?: number; padding?: number; bias?: boolean } = {},
): Layer {
  const fanIn = channels * kernel * kernel;
  const weight = d.add(under(name, 'weight'), [out, channels, kernel, kernel], { layout: 'kernel', init: uniformFan(fanIn) });
  const bias = settings.bias ? d.add(under(name, 'bias'), [out], { init: uniformFan(fanIn) }) : undefined;
  const { stride, padding } = settings;
  return scope(d, name, (c, x) => {
    const { mean, variance } = tf.moments(c.params[weight], [0, 1, 2], true);
    const standard = tf.div(tf.sub(c.params[weight], mean), tf.sqrt(tf.add(variance, 1e-5)));
    return convOp(x, standard, { stride, padding, bias: bias ? c.params[bias] : undefined });
  });
}

/** `PreActBottleneck`: 1x1, 3x3, 1x1 standardised convolutions, each with group norm; projected shortcut where shapes change. */
export function bottleneck(
  d: Declaration,
  name: string,
  s: { in: number; out: number; middle: number; stride?: number; groups?: number },
): Layer {
  const { groups = 32, stride = 1 } = s;
  const norm1 = groupNorm(d, under(name, 'gn1'), s.middle, groups, 1e-6);
  const conv1 = standardisedConv(d, under(name, 'conv1'), s.in, s.middle, 1);
  const norm2 = groupNorm(d, under(name, 'gn2'), s.middle, groups, 1e-6);
  const conv2 = standardisedConv(d, under(name, 'conv2'), s.middle, s.middle, 3, { stride, padding: 1 });
  const norm3 = groupNorm(d, under(name, 'gn3'), s.out, groups, 1e-6);
  const conv3 = standardisedConv(d, under(name, 'conv3'), s.middle, s.out, 1);
  let shortcut: Layer = (_, x) => x;
  if (stride !== 1 || s.in !== s.out) {
    const project = standardisedConv(d, under(name, 'downsample'), s.in, s.out, 1, { stride });
    const norm = groupNorm(d, under(name, 'gn_proj'), s.out, s.out);
    shortcut = (c, x) => norm(c, project(c, x));
  }
  return scope(d, name, (c, x) => {
    const h = tf.relu(norm2(c, conv2(c, tf.relu(norm1(c, conv1(c, x))))));
    return tf.relu(tf.add(shortcut(c, x), norm3(c, conv3(c, h))));
  });
}

/** `ResNetV2`: features at 1/16 and, deepest first, the skips at 1/8, 1/4 and 1/2. */
export function resNetV2(
  d: Declaration,
  name: string,
  s: { in: number; width: number; units: readonly number[]; groups: number },
) {
  const rootConv = standardisedConv(d, under(name, 'root.conv'), s.in, s.width, 7, { stride: 2, padding: 3 });
  const rootNorm = groupNorm(d, under(name, 'root.gn'), s.width, s.groups, 1e-6);
  const root = scope(d, under(name, 'root'), (c: Context, x: tf.Tensor) => tf.relu(rootNorm(c, rootConv(c, x))));
  const stages = s.units.map((count, i) => {
    const out = s.width * 2 ** (i + 2);
    const block = under(name, `body.block${i + 1}`);
    const units = Array.from({ length: count }, (_, j) =>
      bottleneck(d, `${block}.unit${j + 1}`, {
        in: j > 0 ? out : i === 0 ? s.width : out / 2,
        out,
        middle: out / 4,
        stride: i > 0 && j === 0 ? 2 : 1,
        groups: s.groups,
      }),
    );
    return scope(d, block, sequence(...units));
  });
  return (c: Context, image: tf.Tensor) => {
    let x = root(c, image);
    const skips = [x];
    x = maxPool(x, 3, 2);
    for (const [i, stage] of stages.entries()) {
      x = stage(c, x);
      if (i === stages.length - 1) break;
      // Pooling without padding loses a row and a column; the skip gets them back as zeros, the running features do not.
      const missing = [1, 2].map((axis) => Math.floor(image.shape[axis]! / 4 / (i + 1)) - x.shape[axis]!);
      skips.unshift(
        tf.pad(x, [
          [0, 0],
          [0, missing[0]],
          [0, missing[1]],
          [0, 0],
        ]),
      );
    }
    return { bottom: x, skips };
  };
}

/** `Block`: x + attention(norm(x)), then x + perceptron(norm(x)). */
export function transUnetBlock(
  d: Declaration,
  name: string,
  s: { dim: number; mlp: number; heads: number; dropout?: number; attentionDropout?: number },
): Layer {
  const block = recomputed(d, () => {
    const norm1 = layerNorm(d, under(name, 'attention_norm'), s.dim, 1e-6);
    const norm2 = layerNorm(d, under(name, 'ffn_norm'), s.dim, 1e-6);
    const mlp = sequence(
      norm2,
      ...perceptron(d, [under(name, 'ffn.fc1'), under(name, 'ffn.fc2')], s.dim, s.mlp, {
        dropout: s.dropout ?? 0.1,
        // Biases start nearly zero.
        init: (from, to) => ({ init: xavier(from, to), biasInit: { kind: 'normal', sd: 1e-6 } }),
      }),
    );
    const [query, key, value, out] = ['query', 'key', 'value', 'out'].map((part) =>
      linear(d, under(name, `attn.${part}`), s.dim, s.dim),
    );
    const attentionRate = s.attentionDropout ?? 0;
    const attentionDrop = dropout(attentionRate);
    return (c, x) => {
      const h = norm1(c, x);
      const keep = dropoutMask(c, [x.shape[0], s.heads, x.shape[1]!, x.shape[1]!], attentionRate);
      const attended = attention(query(c, h), key(c, h), value(c, h), { heads: s.heads, keep });
      const y = tf.add(attentionDrop(c, out(c, attended)), x);
      return tf.add(mlp(c, y), y);
    };
  });
  return scope(d, name, block);
}

/** `Conv2dReLU`: 3x3 convolution without bias, batch norm, ReLU. */
export function convReLU(d: Declaration, name: string, inWidth: number, out: number, useNorm = true): Layer {
  const convolution = conv(d, under(name, 0), inWidth, out, [3, 3], { padding: 1, bias: !useNorm });
  const norm = batchNorm(d, under(name, 1), out); // always applied; `use_batchnorm` decides about the bias only
  return scope(d, name, (c, x) => tf.relu(norm(c, convolution(c, x))));
}

/** `DecoderBlock`: bilinear up-sampling by two (corners aligned), concatenation with the skip, two convolutions. */
export function transUnetDecoderBlock(
  d: Declaration,
  name: string,
  s: { in: number; out: number; skip?: number; norm?: boolean },
) {
  const conv1 = convReLU(d, under(name, 'conv1'), s.in + (s.skip ?? 0), s.out, s.norm);
  const conv2 = convReLU(d, under(name, 'conv2'), s.out, s.out, s.norm);
  return scope(d, name, (c: Context, x: tf.Tensor, skip?: tf.Tensor) => {
    const size = x.shape.slice(1, -1).map((n) => 2 * n);
    const up = resize(x, size, 'linear', { alignCorners: true });
    return conv2(c, conv1(c, skip ? joinChannels([up, skip]) : up));
  });
}
