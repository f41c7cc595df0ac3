// TransBTS (Wang et al., MICCAI 2021, https://arxiv.org/abs/2103.04430): a 3-D CNN down to 1/8, a transformer on all its
// voxels as tokens, and a CNN decoder. Official code: Rubics-Xuan/TransBTS, models/TransBTS.
//
//   InitConv, EnBlock1 (1/1) ──────────────────────────────────── + DeBlock2 ─ endconv
//   EnDown1, EnBlock2_1, 2_2 (1/2) ──────────────────────────── + DeBlock3
//   EnDown2, EnBlock3_1, 3_2 (1/4) ─────────────────────────── + DeBlock4
//   EnDown3, EnBlock4_1 … 4_4 (1/8) ─ conv ─ transformer ─ Enblock8_1, 8_2
//
// Departure: the official forward ends in a softmax. Here it gives logits, as every network does; `softmax: true` restores it.
import type { Configuration } from '../../plan/plan.js';
import { attention } from '../../tensor/ops/attention.js';
import { joinChannels } from '../../tensor/ops/joinChannels.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { channelDropout, dropout, dropoutMask } from '../layers/dropout.js';
import {
  batchNorm,
  conv,
  convTranspose,
  groupNorm,
  type Layer,
  layerNorm,
  linear,
  parameter,
  recomputed,
  sequence,
} from '../layers/layers.js';
import { perceptron } from '../layers/perceptron.js';
import { type Context, Declaration, type Network, scope, under } from '../network.js';
import { inputSize } from './unetr.js';

export interface TransBtsSpec extends Ends {
  network: 'transbts';
  /** Size of the input in voxels, multiples of 8, which fixes the position embedding; default the plan's patch. */
  patchSize?: number[];
  /** Channels at full resolution; default 16. A token has 32 times as many, so that the decoder's widths meet the skips'. */
  width?: number;
  /** Groups of the CNN's norms; default 8. */
  groups?: number;
  /** Layers, heads and hidden channels of the transformer; default 4, 8, 4096. */
  layers?: number;
  heads?: number;
  mlp?: number;
  /** Default 0.1 both. */
  dropout?: number;
  attentionDropout?: number;
  /** Channel dropout behind the first convolution; default 0.2. */
  initialDropout?: number;
  softmax?: boolean;
}

const relu: Layer = (_, x) => tf.relu(x);
const three = [3, 3, 3];
const one = [1, 1, 1];

/** The network of a specification with channels and classes given. There is no deep supervision. */
function build(spec: TransBtsSpec, plan?: Configuration): Network {
  const { width = 16, groups = 8, layers = 4, heads = 8, mlp = 4096 } = spec;
  const hidden = 32 * width;
  const size = inputSize('TransBTS', spec.patchSize ?? plan?.patch_size);
  const tokens = size.reduce((count, n) => count * Math.floor(n / 8), 1);
  const d = new Declaration();

  // Of an alternative that the released network does not take; it belongs to the checkpoint.
  linear(d, 'linear_encoding', 8 * width * spec.inputChannels!, hidden);
  const positions = parameter(d, 'position_encoding.position_embeddings', [1, tokens, hidden], { kind: 'zeros' });
  const encode = scope(d, 'position_encoding', (c: Context, x: tf.Tensor) => tf.add(x, positions(c)));
  const transformer = transBtsTransformer(d, 'transformer', { ...spec, dim: hidden, layers, heads, mlp });
  layerNorm(d, 'pre_head_ln', hidden); // created, and its result not used
  const toTokens = conv(d, 'conv_x', 8 * width, hidden, three, { padding: 1 });
  const encoder = cnnEncoder(d, 'Unet', { in: spec.inputChannels!, width, groups, dropout: spec.initialDropout ?? 0.2 });
  const norm = batchNorm(d, 'bn', 8 * width);
  const enblock1 = transBtsEnBlock1(d, 'Enblock8_1', hidden);
  const enblock2 = transBtsEnBlock2(d, 'Enblock8_2', hidden / 4);
  const ups = [4, 3, 2].map((level, i) => ({
    up: transBtsUp(d, `DeUp${level}`, hidden / 2 ** (i + 2), hidden / 2 ** (i + 3)),
    block: transBtsDeBlock(d, `DeBlock${level}`, hidden / 2 ** (i + 3)),
  }));
  const end = conv(d, 'endconv', hidden / 32, spec.classes!, one);
  const drop = dropout(spec.dropout ?? 0.1);

  return d.network(
    size,
    (c, input) => {
      const [full, half, quarter, eighth] = encoder(c, input);
      const grid = toTokens(c, tf.relu(norm(c, eighth))); // 1/8, hidden
      const sequenceIn = tf.reshape(grid, [grid.shape[0], tokens, hidden]);
      const states = transformer(c, drop(c, encode(c, sequenceIn)));
      let x = enblock2(c, enblock1(c, tf.reshape(states.at(-1)!, grid.shape))); // 1/8, hidden / 4
      for (const [i, skip] of [quarter, half, full].entries()) x = ups[i].block(c, ups[i].up(c, x, skip));
      const logits = end(c, x);
      return [spec.softmax ? tf.softmax(logits) : logits];
    },
    size,
  );
}

export const transBts = define({ name: 'transbts', build, heads: ['endconv.'] });

/** `TransformerModel`: attention and perceptron in turns, each with norm and residual sum; gives every one's output. */
export function transBtsTransformer(
  d: Declaration,
  name: string,
  s: { dim: number; layers: number; heads: number; mlp: number; dropout?: number; attentionDropout?: number },
): (c: Context, x: tf.Tensor) => tf.Tensor[] {
  const drop = dropout(s.dropout ?? 0.1);
  const attentionRate = s.attentionDropout ?? 0.1;
  const attentionDrop = dropout(attentionRate);
  const steps = Array.from({ length: 2 * s.layers }, (_, i): Layer => {
    const at = under(name, `net.${i}.fn`);
    const step = recomputed(d, () => {
      const norm = layerNorm(d, `${at}.norm`, s.dim);
      if (i % 2 === 1)
        return sequence(
          norm,
          ...perceptron(d, [`${at}.fn.net.0`, `${at}.fn.net.3`], s.dim, s.mlp, { dropout: s.dropout ?? 0.1 }),
        );
      const qkv = linear(d, `${at}.fn.qkv`, s.dim, 3 * s.dim, { bias: false });
      const project = linear(d, `${at}.fn.proj`, s.dim, s.dim);
      return (c, x) => {
        const [q, k, v] = tf.split(qkv(c, norm(c, x)), 3, -1);
        const keep = dropoutMask(c, [x.shape[0], s.heads, x.shape[1]!, x.shape[1]!], attentionRate);
        return drop(c, attentionDrop(c, project(c, attention(q, k, v, { heads: s.heads, keep }))));
      };
    });
    return scope(d, under(name, `net.${i}`), step);
  });
  return (c, x) => {
    let state = x;
    return steps.map((step) => {
      state = tf.add(step(c, state), state);
      return state;
    });
  };
}

/** `Unet`: the features before each down-sampling, and those at 1/8. */
function cnnEncoder(d: Declaration, name: string, s: { in: number; width: number; groups: number; dropout: number }) {
  const first = scope(d, `${name}.InitConv`, conv(d, `${name}.InitConv.conv`, s.in, s.width, three, { padding: 1 }));
  const drop = channelDropout(s.dropout);
  const counts = [1, 2, 2, 4];
  const downs: Layer[] = [];
  const stages = counts.map((count, i) => {
    const width = s.width * 2 ** i;
    const at = (j: number) => `${name}.EnBlock${i + 1}${i === 0 ? '' : `_${j + 1}`}`;
    const blocks = sequence(...Array.from({ length: count }, (_, j) => transBtsEnBlock(d, at(j), width, s.groups)));
    if (i < 3) downs.push(transBtsDown(d, `${name}.EnDown${i + 1}`, width, 2 * width));
    return blocks;
  });
  return (c: Context, input: tf.Tensor) => {
    let x = drop(c, first(c, input));
    return stages.map((stage, i) => {
      const out = stage(c, x);
      if (i < 3) x = downs[i](c, out);
      return out;
    });
  };
}

/** `EnBlock`: twice group norm - ReLU - conv, plus the input. */
export function transBtsEnBlock(d: Declaration, name: string, width: number, groups = 8): Layer {
  const norm1 = groupNorm(d, under(name, 'bn1'), width, groups);
  const conv1 = conv(d, under(name, 'conv1'), width, width, three, { padding: 1 });
  const norm2 = groupNorm(d, under(name, 'bn2'), width, groups);
  const conv2 = conv(d, under(name, 'conv2'), width, width, three, { padding: 1 });
  return scope(d, name, (c, x) => tf.add(conv2(c, tf.relu(norm2(c, conv1(c, tf.relu(norm1(c, x)))))), x));
}

/** `EnDown`. */
export const transBtsDown = (d: Declaration, name: string, width: number, out: number): Layer =>
  scope(d, name, conv(d, under(name, 'conv'), width, out, three, { stride: 2, padding: 1 }));

/** `EnBlock1`: twice conv - batch norm - ReLU, to a quarter of the channels. */
export function transBtsEnBlock1(d: Declaration, name: string, width: number): Layer {
  const out = width / 4;
  const norm1 = batchNorm(d, under(name, 'bn1'), out);
  const norm2 = batchNorm(d, under(name, 'bn2'), out);
  const conv1 = conv(d, under(name, 'conv1'), width, out, three, { padding: 1 });
  const conv2 = conv(d, under(name, 'conv2'), out, out, three, { padding: 1 });
  return scope(d, name, sequence(conv1, norm1, relu, conv2, norm2, relu));
}

/** `EnBlock2`: twice conv - batch norm - ReLU, plus the input. */
export function transBtsEnBlock2(d: Declaration, name: string, width: number): Layer {
  const conv1 = conv(d, under(name, 'conv1'), width, width, three, { padding: 1 });
  const norm1 = batchNorm(d, under(name, 'bn1'), width);
  const norm2 = batchNorm(d, under(name, 'bn2'), width);
  const conv2 = conv(d, under(name, 'conv2'), width, width, three, { padding: 1 });
  const body = sequence(conv1, norm1, relu, conv2, norm2, relu);
  return scope(d, name, (c, x) => tf.add(body(c, x), x));
}

/** `DeUp_Cat`: 1x1 conv, transposed conv, concatenation (skip first), 1x1 conv. */
export function transBtsUp(d: Declaration, name: string, width: number, out: number) {
  const conv1 = conv(d, under(name, 'conv1'), width, out, one);
  const up = convTranspose(d, under(name, 'conv2'), out, out, [2, 2, 2], { stride: 2 });
  const conv3 = conv(d, under(name, 'conv3'), 2 * out, out, one);
  return scope(d, name, (c: Context, x: tf.Tensor, skip: tf.Tensor) => conv3(c, joinChannels([skip, up(c, conv1(c, x))])));
}

/** `DeBlock`: as `EnBlock2`, declared in another order. */
export function transBtsDeBlock(d: Declaration, name: string, width: number): Layer {
  const norm1 = batchNorm(d, under(name, 'bn1'), width);
  const conv1 = conv(d, under(name, 'conv1'), width, width, three, { padding: 1 });
  const conv2 = conv(d, under(name, 'conv2'), width, width, three, { padding: 1 });
  const norm2 = batchNorm(d, under(name, 'bn2'), width);
  const body = sequence(conv1, norm1, relu, conv2, norm2, relu);
  return scope(d, name, (c, x) => tf.add(body(c, x), x));
}
