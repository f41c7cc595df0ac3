// VMamba's visual state space blocks (Liu et al. 2024, https://arxiv.org/abs/2401.10166) as both Swin-UMambas use them.
// Tensors are `[batch, height, width, channel]`.
import { native } from '../../tensor/native/load.js';
import { nativeScan } from '../../tensor/native/selectiveScan.js';
import { selectiveScan } from '../../tensor/ops/selectiveScan.js';
import { silu } from '../../tensor/ops/silu.js';
import { tf } from '../../tensor/tf.js';
import type { Context, Declaration } from '../network.js';
import { conv, type Layer, layerNorm, linear, recomputed, uniformFan } from './layers.js';
import { decayLog, stepBias } from './mamba.js';
import { dropPath, he, parameter, smallNormal, under } from './tokenLayers.js';

export interface Ss2dSettings {
  dim: number;
  /** State size N; 16 in every published network. */
  states: number;
  /** Linear layers start truncated normal (0.02), as in the encoders, instead of PyTorch's uniform. */
  smallLinear?: boolean;
  /** Convolutions start He normal with zero biases, as in Swin-UMamba†, instead of PyTorch's uniform. */
  heConv?: boolean;
}

/** `SS2D`: the selective scan along rows, columns, and both backwards. */
export function ss2d(d: Declaration, name: string, s: Ss2dSettings): Layer {
  const inner = 2 * s.dim;
  const rank = Math.ceil(s.dim / 16);
  const wide = rank + 2 * s.states;
  // Own parameters come before those of child modules, as in a PyTorch state_dict.
  const xProj = parameter(d, under(name, 'x_proj_weight'), [4, wide, inner], uniformFan(inner));
  const stepProj = parameter(d, under(name, 'dt_projs_weight'), [4, inner, rank], { kind: 'uniform', bound: rank ** -0.5 });
  const stepBiases = parameter(d, under(name, 'dt_projs_bias'), [4, inner], stepBias);
  const decayLogs = parameter(d, under(name, 'A_logs'), [4 * inner, s.states], decayLog);
  const skips = parameter(d, under(name, 'Ds'), [4 * inner], { kind: 'ones' });
  const init = s.smallLinear ? smallNormal : {};
  const inProj = linear(d, under(name, 'in_proj'), s.dim, 2 * inner, { ...init, bias: false });
  const convInit = s.heConv ? he(1, [3, 3]) : {};
  const depthwise = conv(d, under(name, 'conv2d'), inner, inner, [3, 3], { padding: 1, groups: inner, ...convInit });
  const outNorm = layerNorm(d, under(name, 'out_norm'), inner);
  const outProj = linear(d, under(name, 'out_proj'), inner, s.dim, { ...init, bias: false });

  /** The four scans by the kernel that walks the grid itself, so nothing is reordered. `projected` `[batch, height, width, 4 wide]`. */
  const onGrid = (c: Context, x: tf.Tensor, projected: tf.Tensor): tf.Tensor => {
    const [batch, height, width] = x.shape;
    const length = height * width!;
    const ways = tf.reshape(projected, [batch, length, 4, wide]);
    const [step, into, out] = tf.split(ways, [rank, s.states, s.states], -1);
    const lifts = tf.unstack(stepProj(c)); // each [inner, rank]
    const steps = tf
      .unstack(tf.reshape(step, [batch * length, 4, rank]), 1)
      .map((way, k) => tf.matMul(way as tf.Tensor2D, lifts[k] as tf.Tensor2D, false, true));
    const delta = tf.reshape(tf.concat(steps, -1), [batch, length, 4 * inner]);
    const u = tf.reshape(x, [batch, length, inner]);
    const rates = tf.neg(tf.exp(decayLogs(c)));
    const inputs = [u, delta, rates, into, out, skips(c), tf.reshape(stepBiases(c), [-1])];
    return tf.reshape(nativeScan(inputs, { deltaSoftplus: true, ways: 4, height, width }), x.shape);
  };

  const scanFourWays: Layer = (c, x) => {
    const [batch, height, width] = x.shape;
    const length = height * width!;
    const toSequences = (grids: tf.Tensor[]) => grids.map((grid, k) => gridToSequence(grid, k));
    // Projections act on single positions, so they run on the grid, before the four orders part.
    const weight = tf.reshape(tf.transpose(xProj(c), [2, 0, 1]), [inner, 4 * wide]);
    const projected = tf.reshape(tf.matMul(tf.reshape(x, [-1, inner]), weight as tf.Tensor2D), [batch, height, width!, 4 * wide]);
    if (native()) return onGrid(c, x, projected);
    const perWay = tf.split(projected, 4, -1); // each [batch, height, width, rank + 2 states]
    const ordered = toSequences(perWay).map((way) => tf.split(way, [rank, s.states, s.states], -1));
    const lifts = tf.unstack(stepProj(c)); // each [inner, rank]
    const steps = ordered.map(([step], k) =>
      tf.reshape(tf.matMul(tf.reshape(step, [-1, rank]), lifts[k] as tf.Tensor2D, false, true), [batch, length, inner]),
    );
    const y = selectiveScan(
      tf.concat(toSequences([x, x, x, x]), -1), // [batch, length, 4 inner]
      tf.concat(steps, -1),
      tf.neg(tf.exp(decayLogs(c))),
      tf.stack(
        ordered.map((way) => way[1]),
        2,
      ), // [batch, length, 4, states]
      tf.stack(
        ordered.map((way) => way[2]),
        2,
      ),
      { D: skips(c), deltaBias: tf.reshape(stepBiases(c), [-1]) },
    );
    const ways = tf.split(y, 4, -1).map((way, k) => sequenceToGrid(way, k, height, width!));
    return tf.add(tf.add(ways[0], ways[2]), tf.add(ways[1], ways[3]));
  };

  return (c, input) => {
    const [x, z] = tf.split(inProj(c, input), 2, -1);
    const y = scanFourWays(c, silu(depthwise(c, x)));
    return outProj(c, tf.mul(outNorm(c, y), silu(z)));
  };
}

/** Order k of a grid: 0 along rows, 1 along columns, 2 and 3 the same backwards. `[batch, height, width, channel]` → `[batch, length, channel]`. */
export function gridToSequence(grid: tf.Tensor, k: number): tf.Tensor {
  const [batch, , , channels] = grid.shape;
  const rows = k % 2 === 0 ? grid : tf.transpose(grid, [0, 2, 1, 3]);
  const sequence = tf.reshape(rows, [batch, -1, channels!]);
  return k < 2 ? sequence : tf.reverse(sequence, 1);
}

function sequenceToGrid(sequence: tf.Tensor, k: number, height: number, width: number): tf.Tensor {
  const [batch, , channels] = sequence.shape;
  const forwards = k < 2 ? sequence : tf.reverse(sequence, 1);
  if (k % 2 === 0) return tf.reshape(forwards, [batch, height, width, channels!]);
  return tf.transpose(tf.reshape(forwards, [batch, width, height, channels!]), [0, 2, 1, 3]);
}

/** `VSSBlock`: x + SS2D(norm(x)), the branch dropped at random while training. */
export function vssBlock(d: Declaration, name: string, s: Ss2dSettings & { dropPath?: number; epsilon?: number }): Layer {
  const branch = recomputed(d, () => {
    const norm = layerNorm(d, under(name, 'ln_1'), s.dim, s.epsilon);
    const attention = ss2d(d, under(name, 'self_attention'), s);
    return (c, x) => attention(c, norm(c, x));
  });
  const drop = dropPath(s.dropPath ?? 0);
  return (c, x) => tf.add(x, drop(c, branch(c, x)));
}

/** `PatchEmbed2D`: non-overlapping patches to tokens, layer norm. */
export function patchEmbed(
  d: Declaration,
  name: string,
  s: { patch: number; in: number; dim: number; norm?: boolean; heConv?: boolean },
): Layer {
  const window = [s.patch, s.patch];
  const init = s.heConv ? he(s.in, window) : {};
  const project = conv(d, under(name, 'proj'), s.in, s.dim, window, { stride: s.patch, ...init });
  if (s.norm === false) return project;
  const norm = layerNorm(d, under(name, 'norm'), s.dim);
  return (c, x) => norm(c, project(c, x));
}

/** `PatchMerging2D`: 2x2 neighbours become channels, 4C → 2C. Odd edges are cropped, not padded. */
export function patchMerging(d: Declaration, name: string, dim: number): Layer {
  const reduction = linear(d, under(name, 'reduction'), 4 * dim, 2 * dim, { ...smallNormal, bias: false });
  const norm = layerNorm(d, under(name, 'norm'), 4 * dim);
  return (c, x) => {
    const [batch, h, w] = [x.shape[0], Math.floor(x.shape[1]! / 2), Math.floor(x.shape[2]! / 2)];
    const even = tf.slice(x, [0, 0, 0, 0], [batch, 2 * h, 2 * w, dim]);
    // Channel order: (row, column) parity (0,0), (1,0), (0,1), (1,1).
    const cells = tf.transpose(tf.reshape(even, [batch, h, 2, w, 2, dim]), [0, 1, 3, 4, 2, 5]);
    return reduction(c, norm(c, tf.reshape(cells, [batch, h, w, 4 * dim])));
  };
}

export interface VssEncoderSettings {
  in: number;
  patch: number;
  dims: readonly number[];
  depths: readonly number[];
  states: number;
  /** Drop-path rate of the last block; it grows linearly from 0. */
  dropPath: number;
  heConv?: boolean;
}

/**
 * `VSSMEncoder`: patch embedding, then stages of VSS blocks with a merging between them.
 *
 * @returns its input, then every stage's output before its merging: 1/patch, 1/(2 patch), … of the input's edge
 */
export function vssEncoder(d: Declaration, name: string, s: VssEncoderSettings): (c: Context, x: tf.Tensor) => tf.Tensor[] {
  const embed = patchEmbed(d, under(name, 'patch_embed'), { patch: s.patch, in: s.in, dim: s.dims[0], heConv: s.heConv });
  const blocks = s.depths.reduce((a, b) => a + b, 0);
  let block = 0;
  const stages = s.depths.map((depth, stage) =>
    Array.from({ length: depth }, (_, i) => {
      const rate = blocks > 1 ? (s.dropPath * block++) / (blocks - 1) : 0;
      return vssBlock(d, under(name, `layers.${stage}.blocks.${i}`), {
        dim: s.dims[stage],
        states: s.states,
        dropPath: rate,
        smallLinear: true,
        heConv: s.heConv,
      });
    }),
  );
  const mergings = s.dims.slice(0, -1).map((dim, stage) => patchMerging(d, under(name, `downsamples.${stage}`), dim));
  return (c, input) => {
    const outputs = [input];
    let x = embed(c, input);
    for (const [stage, layers] of stages.entries()) {
      x = layers.reduce((y, layer) => layer(c, y), x);
      outputs.push(x);
      if (stage < mergings.length) x = mergings[stage](c, x);
    }
    return outputs;
  };
}
