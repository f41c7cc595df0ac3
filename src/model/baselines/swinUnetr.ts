// Swin UNETR (Hatamizadeh et al. 2022, https://arxiv.org/abs/2201.01266): a Swin transformer encoder with a convolutional
// decoder. 2-D and 3-D. Code: MONAI 1.6.1, networks/nets/swin_unetr.py.
//
//   input ─ encoder1 ───────────────────────────── + decoder1 ─ out (1/1)
//   patches of 2 (1/2) ─ encoder2 ─────────────── + decoder2
//   stage 1, merged (1/4) ─ encoder3 ─────────── + decoder3
//   stage 2, merged (1/8) ─ encoder4 ────────── + decoder4
//   stage 3, merged (1/16) ─────────────────── + decoder5
//   stage 4, merged (1/32) ─ encoder10 ────────┘
import { layerNorm as plainLayerNorm } from '../../tensor/ops/layerNorm.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { dropout, dropPath, dropPathRates } from '../layers/dropout.js';
import { conv, cube, type Layer, layerNorm, linear, recomputed, sequence } from '../layers/layers.js';
import { type MonaiNorm, unetOutBlock, unetrBasicBlock, unetrUpBlock } from '../layers/monaiBlocks.js';
import { perceptron } from '../layers/perceptron.js';
import { inWindows, partition, windowAttention } from '../layers/windows.js';
import { type Context, Declaration, type Network, scope, under } from '../network.js';

export interface SwinUnetrSpec extends Ends {
  network: 'swin-unetr';
  dimensions?: 2 | 3;
  /** Channels at full resolution; default 24 (48 in the papers). */
  width?: number;
  /** Swin blocks and heads per stage; default 2, 2, 2, 2 and 3, 6, 12, 24. */
  depths?: number[];
  heads?: number[];
  /** Edge of a window in tokens, one for all axes or one for each; default 7. */
  window?: number | number[];
  /** Edge of a token in voxels; default 2. */
  patch?: number;
  /** Hidden over outer width of the perceptrons; default 4. */
  mlpRatio?: number;
  qkvBias?: boolean;
  norm?: MonaiNorm;
  /** Layer norm without weights on every hidden state that leaves the encoder; default true. */
  normalise?: boolean;
  patchNorm?: boolean;
  merging?: 'merging' | 'mergingv2';
  /** A residual convolution block before every stage (Swin UNETR v2). */
  v2?: boolean;
  dropout?: number;
  dropPath?: number;
}

/** The network of a specification with channels and classes given. There is no deep supervision. */
function build(spec: SwinUnetrSpec): Network {
  const { dimensions = 3, width = 24, norm = 'instance', patch = 2 } = spec;
  const d = new Declaration();
  const encoder = swinTransformer(d, 'swinViT', { ...spec, in: spec.inputChannels!, dim: width, dimensions });
  const block = (inWidth: number, out: number) => ({ dimensions, in: inWidth, out, norm }) as const;
  const encoder1 = unetrBasicBlock(d, 'encoder1', block(spec.inputChannels!, width));
  const encoder2 = unetrBasicBlock(d, 'encoder2', block(width, width));
  const encoder3 = unetrBasicBlock(d, 'encoder3', block(2 * width, 2 * width));
  const encoder4 = unetrBasicBlock(d, 'encoder4', block(4 * width, 4 * width));
  const encoder10 = unetrBasicBlock(d, 'encoder10', block(16 * width, 16 * width));
  const decoder5 = unetrUpBlock(d, 'decoder5', block(16 * width, 8 * width));
  const decoder4 = unetrUpBlock(d, 'decoder4', block(8 * width, 4 * width));
  const decoder3 = unetrUpBlock(d, 'decoder3', block(4 * width, 2 * width));
  const decoder2 = unetrUpBlock(d, 'decoder2', block(2 * width, width));
  const decoder1 = unetrUpBlock(d, 'decoder1', block(width, width));
  const out = unetOutBlock(d, 'out', dimensions, width, spec.classes!);
  return d.network(cube(patch ** 5, dimensions), (c, input) => {
    const [half, quarter, eighth, sixteenth, bottom] = encoder(c, input);
    const at16 = decoder5(c, encoder10(c, bottom), sixteenth);
    const at8 = decoder4(c, at16, encoder4(c, eighth));
    const at4 = decoder3(c, at8, encoder3(c, quarter));
    const at2 = decoder2(c, at4, encoder2(c, half));
    return [out(c, decoder1(c, at2, encoder1(c, input)))];
  });
}

export const swinUnetr = define({
  name: 'swin-unetr',
  build,
  heads: ['out.'],
  convention: 'fvcore’s count; the 394.8 G quoted in 3-D are not fvcore’s.',
});

/** `SwinTransformer`: the token embedding and the four stages' outputs, normalised; the stages run on the un-normalised ones. */
export function swinTransformer(
  d: Declaration,
  name: string,
  s: Omit<SwinUnetrSpec, 'network' | 'norm'> & { in: number; dim: number; dimensions: 2 | 3 },
): (c: Context, x: tf.Tensor) => tf.Tensor[] {
  const { dimensions, dim, depths = [2, 2, 2, 2], heads = [3, 6, 12, 24], patch = 2, normalise = true } = s;
  const window = cube(s.window ?? 7, dimensions);
  const patches = cube(patch, dimensions);
  const project = conv(d, under(name, 'patch_embed.proj'), s.in, dim, patches, { stride: patch });
  const patchNorm: Layer = s.patchNorm ? layerNorm(d, under(name, 'patch_embed.norm'), dim) : (_, x) => x;
  const drop = dropout(s.dropout ?? 0);
  const stages = dropPathRates(depths, s.dropPath ?? 0).map((rates, i) => {
    const stage = swinStage(d, under(name, `layers${i + 1}.0`), {
      dim: dim * 2 ** i,
      heads: heads[i],
      window,
      rates,
      mlpRatio: s.mlpRatio ?? 4,
      qkvBias: s.qkvBias ?? true,
      dropout: s.dropout ?? 0,
      merging: s.merging ?? 'merging',
    });
    return scope(d, under(name, `layers${i + 1}`), stage);
  });
  const before = depths.map((_, i): Layer => {
    const width = dim * 2 ** i;
    if (!s.v2) return (_, x) => x;
    return unetrBasicBlock(d, under(name, `layers${i + 1}c.0`), { dimensions, in: width, out: width, norm: 'instance' });
  });
  const embed = scope(d, under(name, 'patch_embed'), (c: Context, x: tf.Tensor) => drop(c, patchNorm(c, project(c, x))));
  const leaving = (x: tf.Tensor) => (normalise ? plainLayerNorm(x) : x);
  return (c, input) => {
    // Edges that are no multiple of the token are padded with zeros at their end.
    const ends = input.shape.slice(1, -1).map((n): [number, number] => [0, (patch - (n % patch)) % patch]);
    const whole = ends.some(([, n]) => n > 0) ? tf.pad(input, [[0, 0], ...ends, [0, 0]]) : input;
    let x = embed(c, whole);
    const outputs = [leaving(x)];
    for (const [i, stage] of stages.entries()) {
      x = stage(c, before[i](c, x));
      outputs.push(leaving(x));
    }
    return outputs;
  };
}

export interface SwinStageSettings {
  dim: number;
  heads: number;
  window: readonly number[];
  /** Drop-path rate of every block; their number is the depth. */
  rates: readonly number[];
  mlpRatio: number;
  qkvBias: boolean;
  dropout?: number;
  merging?: 'merging' | 'mergingv2';
}

/** `BasicLayer`: blocks, every second one shifted by half a window, then the merging. */
export function swinStage(d: Declaration, name: string, s: SwinStageSettings): Layer {
  const blocks = s.rates.map((rate, i) =>
    swinBlock(d, under(name, `blocks.${i}`), {
      ...s,
      shift: s.window.map((n) => (i % 2 === 0 ? 0 : Math.floor(n / 2))),
      dropPath: rate,
    }),
  );
  const merge = s.merging
    ? swinMerging(d, under(name, 'downsample'), s.dim, s.window.length, s.merging)
    : (((_, x) => x) as Layer);
  return scope(d, name, (c, x) =>
    merge(
      c,
      blocks.reduce((y, block) => block(c, y), x),
    ),
  );
}

/** `SwinTransformerBlock`: x + attention(norm(x)) in windows, then x + perceptron(norm(x)). */
export function swinBlock(
  d: Declaration,
  name: string,
  s: SwinStageSettings & { shift: readonly number[]; dropPath: number },
): Layer {
  const branch1 = recomputed(d, () => {
    const norm = layerNorm(d, under(name, 'norm1'), s.dim);
    const attend = windowAttention(d, under(name, 'attn'), s);
    return (c, x) => {
      const grid = x.shape.slice(1, -1);
      // A window is clipped to a grid that is not larger, and not shifted along that axis.
      const window = s.window.map((n, i) => Math.min(n, grid[i]));
      const shift = s.shift.map((n, i) => (grid[i] <= s.window[i] ? 0 : n));
      return inWindows([norm(c, x)], window, shift, ([windows], regions) => attend(c, windows, { regions }));
    };
  });
  const drop = dropPath(s.dropPath);
  const branch2 = recomputed(d, () => {
    const norm = layerNorm(d, under(name, 'norm2'), s.dim);
    const names = [under(name, 'mlp.linear1'), under(name, 'mlp.linear2')] as const;
    return sequence(norm, ...perceptron(d, names, s.dim, Math.floor(s.dim * s.mlpRatio), { dropout: s.dropout }));
  });
  return scope(d, name, (c, x) => {
    const h = tf.add(x, drop(c, branch1(c, x)));
    return tf.add(h, drop(c, branch2(c, h)));
  });
}

/**
 * `PatchMerging` and `PatchMergingV2`: 2x2(x2) neighbours become channels, layer norm, linear to twice the width. Odd edges
 * are padded. The two differ in the order of the neighbours in 3-D (since MONAI pull request 8285).
 */
export function swinMerging(
  d: Declaration,
  name: string,
  dim: number,
  dimensions: number,
  kind: 'merging' | 'mergingv2' = 'merging',
): Layer {
  const neighbours = 2 ** dimensions;
  const reduction = linear(d, under(name, 'reduction'), neighbours * dim, 2 * dim, { bias: false });
  const norm = layerNorm(d, under(name, 'norm'), neighbours * dim);
  // Positions in a cell of 2x2(x2), the last axis fastest.
  const order = dimensions === 2 ? [0, 2, 1, 3] : kind === 'merging' ? [0, 4, 2, 1, 6, 5, 3, 7] : undefined;
  return scope(d, name, (c, x) => {
    const grid = x.shape.slice(1, -1);
    const ends = grid.map((n): [number, number] => [0, n % 2]);
    const even = ends.some(([, n]) => n > 0) ? tf.pad(x, [[0, 0], ...ends, [0, 0]]) : x;
    const cells = partition(even, cube(2, dimensions)); // [batch·cells, neighbours, dim]
    const ordered = order ? tf.gather(cells, tf.tensor1d(order, 'int32'), 1) : cells;
    const shape = [x.shape[0], ...grid.map((n) => Math.ceil(n / 2)), neighbours * dim];
    return reduction(c, norm(c, tf.reshape(ordered, shape)));
  });
}
