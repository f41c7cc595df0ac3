// UNETR (Hatamizadeh et al. 2021, https://arxiv.org/abs/2103.10504): a vision transformer whose hidden states at four depths
// are up-sampled into a convolutional decoder. 2-D and 3-D. Code: MONAI 1.6.1, networks/nets/unetr.py and vit.py.
//
//   input ─ encoder1 ───────────────────────────────────────────────────── + decoder2 ─ out (1/1)
//   ViT block 4 (1/16) ─ encoder2, three times up ──────────────────── + decoder3 (1/2)
//   ViT block 7 (1/16) ─ encoder3, twice up ────────────────────── + decoder4 (1/4)
//   ViT block 10 (1/16) ─ encoder4, once up ────────────────── + decoder5 (1/8)
//   ViT output, normed (1/16) ─────────────────────────────────┘
import { FaultList } from '../../base/errors.js';
import { product } from '../../base/shape.js';
import type { Configuration } from '../../plan/plan.js';
import { attention } from '../../tensor/ops/attention.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { dropout } from '../layers/dropout.js';
import { smallNormal } from '../layers/initialisers.js';
import { conv, type Layer, layerNorm, linear, parameter, recomputed, sequence } from '../layers/layers.js';
import { type MonaiNorm, unetOutBlock, unetrBasicBlock, unetrProjectionUpBlock, unetrUpBlock } from '../layers/monaiBlocks.js';
import { perceptron } from '../layers/perceptron.js';
import { partition } from '../layers/windows.js';
import { type Context, Declaration, type Network, scope, under } from '../network.js';

export interface UnetrSpec extends Ends {
  network: 'unetr';
  /** Size of the input in voxels, which fixes the position embedding; default the plan's patch. */
  patchSize?: number[];
  /** Channels at full resolution; default 16. */
  width?: number;
  /** Channels of a token, of its perceptron, and heads; default 768, 3072, 12. */
  hidden?: number;
  mlp?: number;
  heads?: number;
  /** Tokens by a strided convolution (default) or by a linear layer on flattened patches. */
  projection?: 'conv' | 'perceptron';
  norm?: MonaiNorm;
  /** Residual (default) or plain convolution blocks. */
  residual?: boolean;
  /** Blocks after the up-samplings of encoder2 and encoder3; default true. */
  convBlocks?: boolean;
  qkvBias?: boolean;
  dropout?: number;
}

const token = 16;

/** The network of a specification with channels and classes given. There is no deep supervision. */
function build(spec: UnetrSpec, plan?: Configuration): Network {
  const { width = 16, hidden = 768, mlp = 3072, heads = 12, projection = 'conv', norm = 'instance', residual = true } = spec;
  const size = inputSize('UNETR', spec.patchSize ?? plan?.patch_size);
  const dimensions = size.length as 2 | 3;
  const d = new Declaration();

  const vit = visionTransformer(d, 'vit', {
    in: spec.inputChannels!,
    dim: hidden,
    size,
    patch: size.map(() => token),
    projection,
    mlp,
    heads,
    layers: 12,
    qkvBias: spec.qkvBias,
    dropout: spec.dropout,
  });
  const block = (inWidth: number, out: number) => ({ dimensions, in: inWidth, out, norm, residual }) as const;
  const up = { blocks: spec.convBlocks };
  const encoder1 = unetrBasicBlock(d, 'encoder1', block(spec.inputChannels!, width));
  const encoder2 = unetrProjectionUpBlock(d, 'encoder2', block(hidden, 2 * width), 2, up);
  const encoder3 = unetrProjectionUpBlock(d, 'encoder3', block(hidden, 4 * width), 1, up);
  const encoder4 = unetrProjectionUpBlock(d, 'encoder4', block(hidden, 8 * width), 0, up);
  const decoder5 = unetrUpBlock(d, 'decoder5', block(hidden, 8 * width));
  const decoder4 = unetrUpBlock(d, 'decoder4', block(8 * width, 4 * width));
  const decoder3 = unetrUpBlock(d, 'decoder3', block(4 * width, 2 * width));
  const decoder2 = unetrUpBlock(d, 'decoder2', block(2 * width, width));
  const out = unetOutBlock(d, 'out', dimensions, width, spec.classes!);

  const grid = size.map((n) => Math.floor(n / token));
  return d.network(
    size,
    (c, input) => {
      const onGrid = (x: tf.Tensor) => tf.reshape(x, [x.shape[0], ...grid, hidden]);
      const { normed, states } = vit(c, input); // each [batch, tokens, hidden]
      const at8 = decoder5(c, onGrid(normed), encoder4(c, onGrid(states[9])));
      const at4 = decoder4(c, at8, encoder3(c, onGrid(states[6])));
      const at2 = decoder3(c, at4, encoder2(c, onGrid(states[3])));
      const at1 = decoder2(c, at2, encoder1(c, input));
      return [out(c, at1)];
    },
    size,
  );
}

export const unetr = define({
  name: 'unetr',
  build,
  heads: ['out.'],
  convention: 'fvcore’s count; the original paper’s 41.2 G in 3-D agrees with no counter we know.',
});

/** Networks with learned positions fit one size of input; throws when it is not given. */
export function inputSize(network: string, size: number[] | undefined): number[] {
  const faults = new FaultList();
  if (!size || (size.length !== 2 && size.length !== 3))
    faults.add('patch-size', 'patchSize', `${size ?? 'none'}`, 'two or three edges in voxels', 'Give it, or build from a plan.');
  faults.throwIfAny(`This ${network} cannot be built.`);
  return size!;
}

/** `ViT`: the last state, normed, and every block's output. */
export function visionTransformer(
  d: Declaration,
  name: string,
  s: Parameters<typeof patchEmbedding>[2] & { mlp: number; heads: number; layers: number; qkvBias?: boolean },
) {
  const embed = patchEmbedding(d, under(name, 'patch_embedding'), s);
  const blocks = Array.from({ length: s.layers }, (_, i) => transformerBlock(d, under(name, `blocks.${i}`), s));
  const norm = layerNorm(d, under(name, 'norm'), s.dim);
  return (c: Context, input: tf.Tensor) => {
    let x = embed(c, input);
    const states = blocks.map((block) => {
      x = block(c, x);
      return x;
    });
    return { normed: norm(c, x), states };
  };
}

/** `PatchEmbeddingBlock`: patches to tokens `[batch, tokens, dim]`, plus a learned vector for every place. */
export function patchEmbedding(
  d: Declaration,
  name: string,
  s: {
    in: number;
    dim: number;
    /** Of the input, and of a patch, in voxels. */
    size: readonly number[];
    patch: readonly number[];
    projection?: 'conv' | 'perceptron';
    dropout?: number;
  },
): Layer {
  const tokens = s.size.reduce((count, n, i) => count * Math.floor(n / s.patch[i]), 1);
  const positions = parameter(d, under(name, 'position_embeddings'), [1, tokens, s.dim], { kind: 'normal', sd: 0.02 });
  const at = under(name, 'patch_embeddings');
  const voxels = product(s.patch);
  const project: Layer =
    s.projection === 'perceptron'
      ? onPatches(linear(d, under(at, 1), voxels * s.in, s.dim, smallNormal), s.patch)
      : conv(d, at, s.in, s.dim, s.patch, { stride: s.patch });
  const drop = dropout(s.dropout ?? 0);
  return scope(d, name, (c, x) => drop(c, tf.add(tf.reshape(project(c, x), [x.shape[0], tokens, s.dim]), positions(c))));
}

/** Applies a layer to flattened patches, channels fastest. */
const onPatches =
  (layer: Layer, patch: readonly number[]): Layer =>
  (c, x) => {
    const windows = partition(x, patch);
    return layer(c, tf.reshape(windows, [windows.shape[0], windows.shape[1]! * windows.shape[2]!]));
  };

/** MONAI's `TransformerBlock`: x + attention(norm(x)), then x + perceptron(norm(x)). */
export function transformerBlock(
  d: Declaration,
  name: string,
  s: { dim: number; mlp: number; heads: number; qkvBias?: boolean; dropout?: number },
): Layer {
  const block = recomputed(d, () => {
    const drop = dropout(s.dropout ?? 0);
    const names = [under(name, 'mlp.linear1'), under(name, 'mlp.linear2')] as const;
    const mlp = sequence(...perceptron(d, names, s.dim, s.mlp, { dropout: s.dropout }));
    const norm1 = layerNorm(d, under(name, 'norm1'), s.dim);
    const out = linear(d, under(name, 'attn.out_proj'), s.dim, s.dim);
    const qkv = linear(d, under(name, 'attn.qkv'), s.dim, 3 * s.dim, { bias: s.qkvBias ?? false });
    const norm2 = layerNorm(d, under(name, 'norm2'), s.dim);
    // MONAI creates this norm also where there is no cross attention; it takes no part.
    layerNorm(d, under(name, 'norm_cross_attn'), s.dim);
    return (c, x) => {
      const [q, k, v] = tf.split(qkv(c, norm1(c, x)), 3, -1);
      const h = tf.add(x, drop(c, out(c, attention(q, k, v, { heads: s.heads }))));
      return tf.add(h, mlp(c, norm2(c, h)));
    };
  });
  return scope(d, name, block);
}
