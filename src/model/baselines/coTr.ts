// CoTr (Xie et al., MICCAI 2021, https://arxiv.org/abs/2103.03024): a CNN encoder, a deformable transformer over its two coarsest
// grids together, and a CNN decoder. Official code: YtongXie/CoTr @521b4cc, CoTr_package/CoTr/network_architecture.
//
//   conv 7³, stride 1×2×2 (1/1, 1/2, 1/2) ─────────────────────── + stage0_de ─ up-sampled 1×2×2 ─ cls_conv
//   layer1 (1/2, 1/4, 1/4) ──────────────────────────────────── + stage1_de
//   layer2 (1/4, 1/8, 1/8) ─ tokens ┐                          + stage2_de
//   layer3 (1/8, 1/16, 1/16) ─ tokens ┴ deformable transformer ┘
//
// As the official trainer builds it: instance norm with weights, leaky ReLU, no weight standardisation.
import { FaultList } from '../../base/errors.js';
import { product } from '../../base/shape.js';
import { recompute } from '../../tensor/ops/customOp.js';
import { deformableAttention } from '../../tensor/ops/deformableAttention.js';
import { leakyRelu } from '../../tensor/ops/leakyRelu.js';
import { resize } from '../../tensor/ops/resize.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { dropout } from '../layers/dropout.js';
import { xavier } from '../layers/initialisers.js';
import {
  conv,
  convTranspose,
  instanceNorm,
  type Layer,
  layerNorm,
  linear,
  parameter,
  recomputed,
  sequence,
} from '../layers/layers.js';
import { perceptron } from '../layers/perceptron.js';
import { type Context, Declaration, type Init, type Network, scope, under } from '../network.js';

export interface CoTrSpec extends Ends {
  network: 'cotr';
  /** Channels behind the first convolution and of the three stages; default 64, 192, 384, 384. The last two are equal: a token's. */
  widths?: number[];
  /** Residual convolutions of the three stages; default 3, 3, 2. */
  blocks?: number[];
  /** Layers, heads, places a head reads in each grid, hidden channels; default 6, 6, 4, 1536. */
  layers?: number;
  heads?: number;
  points?: number;
  mlp?: number;
  /** Default 0.1. */
  dropout?: number;
}

const [one, two, three] = [1, 2, 3].map((k) => [k, k, k]);
const relu: Layer = (_, x) => leakyRelu(x, 0.01);

function build(spec: CoTrSpec): Network {
  const { widths = [64, 192, 384, 384], blocks = [3, 3, 2], classes } = spec;
  check(spec, widths);
  const d = new Declaration();
  const [stem, first, second, third] = widths;
  const at = (name: string) => `U_ResTran3D.${name}`;
  const up = (level: number, width: number, out: number) =>
    convTranspose(d, at(`transposeconv_stage${level}`), width, out, two, { stride: 2, bias: false, ...fanOut(width, two) });
  const ups = [up(2, third, second), up(1, second, first), up(0, first, stem)];
  const merges = [second, first, stem].map((width, i) => decoderBlock(d, at(`stage${2 - i}_de`), width));
  const head = (name: string, width: number) => conv(d, at(name), width, classes!, one, fanOut(classes!, one));
  const coarse = [head('ds2_cls_conv', second), head('ds1_cls_conv', first), head('ds0_cls_conv', stem)];
  const full = head('cls_conv', stem);
  const encoder = backbone(d, at('backbone'), { in: spec.inputChannels!, widths, blocks });
  const transformer = deformableTransformer(d, at('encoder_Detrans'), { ...spec, dim: third });
  return d.network([8, 16, 16], (c, input) => {
    const [atStem, atFirst, ...grids] = encoder(c, input);
    const [atSecond, atThird] = transformer(c, grids);
    let x = atThird;
    const outputs: tf.Tensor[] = [];
    for (const [i, skip] of [atSecond, atFirst, atStem].entries()) {
      x = merges[i](c, tf.add(ups[i](c, x), skip));
      if (spec.deepSupervision) outputs.unshift(coarse[i](c, x));
    }
    const size = x.shape.slice(1, -1).map((n, axis) => n * [1, 2, 2][axis]);
    return [full(c, resize(x, size, 'linear')), ...outputs];
  });
}

export const coTr = define({
  name: 'cotr',
  build,
  heads: ['cls_conv', 'ds0_cls_conv', 'ds1_cls_conv', 'ds2_cls_conv'].map((name) => `U_ResTran3D.${name}.`),
});

function check({ heads = 6 }: CoTrSpec, widths: readonly number[]): void {
  const faults = new FaultList();
  const [, , second, third] = widths;
  if (widths.length !== 4 || second !== third)
    faults.add('widths', 'widths', `[${widths}]`, 'four numbers, the last two equal', 'Tokens of both grids have one width.');
  else if (third % 6 !== 0 || third % heads !== 0)
    faults.add(
      'widths',
      'widths',
      `${third} channels a token, ${heads} heads`,
      `a multiple of 6 and of ${heads}`,
      'Change widths or heads.',
    );
  faults.throwIfAny('this CoTr cannot be built');
}

/** `kaiming_normal_(mode = 'fan_out')`: by what PyTorch takes as outputs, the weight's first axis. The bias keeps its own start. */
const fanOut = (first: number, kernel: readonly number[]): { init: Init } => ({
  init: { kind: 'normal', sd: Math.sqrt(2 / (first * product(kernel))) },
});

/** `ResBlock` of the decoder: twice conv - norm - LReLU, plus the input. */
function decoderBlock(d: Declaration, name: string, width: number): Layer {
  const part = (i: number): Layer[] => [
    conv(d, under(name, `resconv${i}.conv`), width, width, three, { padding: 1, bias: false, ...fanOut(width, three) }),
    instanceNorm(d, under(name, `resconv${i}.norm`), width),
    relu,
  ];
  const body = sequence(...part(1), ...part(2));
  return scope(d, name, (c, x) => tf.add(body(c, x), x));
}

/** `Backbone`: the features of all four resolutions, finest first. */
export function backbone(
  d: Declaration,
  name: string,
  s: { in: number; widths: readonly number[]; blocks: readonly number[] },
): (c: Context, x: tf.Tensor) => tf.Tensor[] {
  const plain = { bias: false } as const;
  const seven = [7, 7, 7];
  const stem = sequence(
    conv(d, under(name, 'conv1'), s.in, s.widths[0], seven, {
      ...plain,
      stride: [1, 2, 2],
      padding: 3,
      ...fanOut(s.widths[0], seven),
    }),
    instanceNorm(d, under(name, 'norm1'), s.widths[0]),
    relu,
  );
  /** `ResBlock` of the encoder: one conv - norm, plus the input (a normed 1×1×1 conv of it where the grid changes), LReLU. */
  const block = (at: string, width: number, out: number, stride: number): Layer => {
    const main = sequence(
      conv(d, under(at, 'conv1'), width, out, three, { ...plain, stride, padding: 1, ...fanOut(out, three) }),
      instanceNorm(d, under(at, 'norm1'), out),
    );
    if (stride === 1) return scope(d, at, (c, x) => relu(c, tf.add(main(c, x), x)));
    const shortcut = sequence(
      conv(d, under(at, 'downsample.0'), width, out, one, { ...plain, stride, ...fanOut(out, one) }),
      instanceNorm(d, under(at, 'downsample.1'), out),
    );
    return scope(d, at, (c, x) => relu(c, tf.add(main(c, x), shortcut(c, x))));
  };
  const stages = s.blocks.map((count, i) => {
    const [width, out] = [s.widths[i], s.widths[i + 1]];
    const stage = under(name, `layer${i + 1}`);
    const blocks = Array.from({ length: count }, (_, j) => block(`${stage}.${j}`, j === 0 ? width : out, out, j === 0 ? 2 : 1));
    return scope(d, stage, sequence(...blocks));
  });
  return (c, input) => {
    const features = [stem(c, input)];
    for (const stage of stages) features.push(stage(c, features.at(-1)!));
    return features;
  };
}

/** `DeformableTransformer`: the voxels of all grids are the tokens; gives the grids back, in the same order. */
export function deformableTransformer(
  d: Declaration,
  name: string,
  s: { dim: number; layers?: number; heads?: number; points?: number; mlp?: number; dropout?: number },
): (c: Context, grids: readonly tf.Tensor[]) => tf.Tensor[] {
  const { dim, layers = 6 } = s;
  const embeddings = scope(
    d,
    under(name, 'level_embed'),
    parameter(d, under(name, 'level_embed'), [2, dim], { kind: 'normal', sd: 1 }),
  );
  const stack = Array.from({ length: layers }, (_, i) => encoderLayer(d, under(name, `encoder.layers.${i}`), s));
  return (c, grids) => {
    const shapes = grids.map((grid) => grid.shape.slice(1, -1));
    const batch = grids[0].shape[0];
    const flat = (x: tf.Tensor) => tf.reshape(x, [x.shape[0], product(x.shape.slice(1, -1)), dim]);
    const levels = tf.split(embeddings(c), grids.length, 0);
    const positions = tf.concat(
      shapes.map((shape, g) => tf.add(sinePositions(shape, dim), tf.reshape(levels[g], [1, 1, dim]))),
      1,
    );
    let x: tf.Tensor = tf.concat(grids.map(flat), 1);
    for (const layer of stack) x = layer(c, x, positions, shapes);
    const parts = tf.split(x, shapes.map(product), 1);
    return parts.map((part, g) => tf.reshape(part, [batch, ...shapes[g], dim]));
  };
}

/** One layer: deformable attention, then a perceptron, each with its sum and the norm behind it. */
function encoderLayer(
  d: Declaration,
  name: string,
  s: { dim: number; heads?: number; points?: number; mlp?: number; dropout?: number },
): (c: Context, x: tf.Tensor, positions: tf.Tensor, shapes: readonly number[][]) => tf.Tensor {
  const { dim, mlp = 1536 } = s;
  const drop = dropout(s.dropout ?? 0.1);
  const attend = selfAttention(d, under(name, 'self_attn'), s);
  const norm1 = layerNorm(d, under(name, 'norm1'), dim);
  const forward = recomputed(d, () => {
    const names = [under(name, 'linear1'), under(name, 'linear2')] as const;
    const init = (from: number, to: number) => ({ init: xavier(from, to) });
    return sequence(...perceptron(d, names, dim, mlp, { dropout: s.dropout ?? 0.1, init }));
  });
  const norm2 = layerNorm(d, under(name, 'norm2'), dim);
  return scope(d, name, (c: Context, x: tf.Tensor, positions: tf.Tensor, shapes: readonly number[][]) => {
    const h = norm1(c, tf.add(x, drop(c, attend(c, x, tf.add(x, positions), shapes))));
    return norm2(c, tf.add(h, forward(c, h)));
  });
}

/** `MSDeformAttn`: values of `x`, read where `query` says, in grids of these shapes. */
function selfAttention(d: Declaration, name: string, s: { dim: number; heads?: number; points?: number }) {
  const { dim, heads = 6, points = 4 } = s;
  const count = heads * 2 * points; // two grids
  const none = { kind: 'zeros' } as const;
  const declared = d.parameters.length;
  const offsets = linear(d, under(name, 'sampling_offsets'), dim, 3 * count, { init: none, biasInit: rays(heads, points) });
  const weights = linear(d, under(name, 'attention_weights'), dim, count, { init: none, biasInit: none });
  const value = linear(d, under(name, 'value_proj'), dim, dim, { init: xavier(dim, dim), biasInit: none });
  const project = linear(d, under(name, 'output_proj'), dim, dim, { init: xavier(dim, dim), biasInit: none });
  const names = d.parameters.slice(declared).map((p) => p.name);
  const run = (c: Context, x: tf.Tensor, query: tf.Tensor, grids: readonly number[][]): tf.Tensor => {
    const [batch, length] = x.shape as [number, number];
    const moves = tf.reshape(offsets(c, query), [batch, length, count, 3]);
    const soft = tf.softmax(tf.reshape(weights(c, query), [batch * length, heads, 2 * points]));
    const places = tf.add(tf.mul(tf.reverse(moves, -1), stretch(grids, heads, points)), origins(grids, heads, points));
    const read = deformableAttention(value(c, x), places, tf.reshape(soft, [batch, length, count]), { grids, heads });
    return project(c, read);
  };
  return (c: Context, x: tf.Tensor, query: tf.Tensor, grids: readonly number[][]): tf.Tensor => {
    if (!c.checkpoint) return run(c, x, query, grids);
    return recompute([x, query, ...names.map((n) => c.params[n])], (x, query, ...values) => {
      const params = { ...c.params, ...Object.fromEntries(names.map((n, i) => [n, values[i]])) };
      return run({ ...c, params, checkpoint: false }, x, query, grids);
    });
  };
}

/** Where a head looks at first: each along its own ray, the points one, two, … steps out. Both grids alike. */
const rays = (heads: number, points: number): Init => ({
  kind: 'custom',
  fill: () =>
    Float32Array.from(
      Array.from({ length: heads }, (_, h) => {
        const angle = (2 * Math.PI * h) / heads;
        const ray = [Math.cos(angle), Math.sin(angle) * Math.cos(angle), Math.sin(angle) ** 2];
        const longest = Math.max(...ray.map(Math.abs));
        const steps = Array.from({ length: points }, (_, p) => ray.map((v) => (v / longest) * (p + 1)));
        return [steps, steps].flat(2);
      }).flat(),
    ),
});

// The official code gives places as shares (depth, width, height) of the grid and reads them as (width, height, depth): a share along
// the depth is looked up along the width, one along the width on the height, one along the height on the depth. Kept, for weights
// trained with it need it; on cubes the grid is turned, nothing more.

/** Voxels looked up for one voxel measured: depth for height, height for width, width for depth; `[1, 1, head · grid · point, 3]`. */
function stretch(grids: readonly number[][], heads: number, points: number): tf.Tensor {
  const factors = grids.flatMap(([depth, height, width]) => repeated([depth / height, height / width, width / depth], points));
  return tf.tensor(repeated(factors, heads).flat(2), [1, 1, heads * factors.length, 3]);
}

/** A query's own place in every grid, as it is looked up: `[1, query, head · grid · point, 3]`, voxels. */
function origins(grids: readonly number[][], heads: number, points: number): tf.Tensor {
  const queries = grids.reduce((sum, grid) => sum + product(grid), 0);
  const values = new Float32Array(queries * heads * grids.length * points * 3);
  let at = 0;
  for (const [d, h, w] of grids)
    for (let i = 0; i < d; i++)
      for (let j = 0; j < h; j++)
        for (let k = 0; k < w; k++) {
          const share = [(j + 0.5) / h, (k + 0.5) / w, (i + 0.5) / d];
          for (let head = 0; head < heads; head++)
            for (const grid of grids)
              for (let p = 0; p < points; p++) for (let axis = 0; axis < 3; axis++) values[at++] = share[axis] * grid[axis] - 0.5;
        }
  return tf.tensor(values, [1, queries, heads * grids.length * points, 3]);
}

const repeated = <T>(value: T, count: number): T[] => Array<T>(count).fill(value);

/** Sines and cosines of a voxel's share of the depth, the height and the width, a third of the channels each: `[1, position, channel]`. */
export function sinePositions([depth, height, width]: readonly number[], channels: number): tf.Tensor {
  const third = channels / 3;
  const values = new Float32Array(depth * height * width * channels);
  let at = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (const [i, n] of [
          [z, depth],
          [y, height],
          [x, width],
        ]) {
          const angle = (2 * Math.PI * (i + 0.5)) / (n + 1e-6);
          for (let channel = 0; channel < third; channel++) {
            const frequency = 10000 ** ((3 * Math.floor(channel / 3)) / third);
            values[at++] = channel % 2 === 0 ? Math.sin(angle / frequency) : Math.cos(angle / frequency);
          }
        }
  return tf.tensor(values, [1, depth * height * width, channels]);
}
