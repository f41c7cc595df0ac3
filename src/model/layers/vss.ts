// VMamba's visual state space blocks (Liu et al. 2024, https://arxiv.org/abs/2401.10166) as both Swin-UMambas use them.
// Tensors are `[batch, height, width, channel]`.
import { crossScan } from '../../tensor/ops/crossScan.js';
import { silu } from '../../tensor/ops/silu.js';
import { tf } from '../../tensor/tf.js';
import { type Context, type Declaration, scope, under } from '../network.js';
import { dropPath, dropPathRates } from './dropout.js';
import { he, smallNormal, uniformFan } from './initialisers.js';
import { conv, type Layer, layerNorm, linear, parameter, recomputed, sequence } from './layers.js';
import { decayLog, stepBias } from './mamba.js';

export { gridToSequence } from '../../tensor/ops/crossScan.js';

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

  const scanFourWays: Layer = (c, x) => {
    // Projections act on single positions, so they run on the grid, before the four orders part.
    const weight = tf.reshape(tf.transpose(xProj(c), [2, 0, 1]), [inner, 4 * wide]);
    const projected = tf.reshape(tf.matMul(tf.reshape(x, [-1, inner]), weight), [...x.shape.slice(0, -1), 4 * wide]);
    const A = tf.neg(tf.exp(decayLogs(c)));
    return crossScan(x, projected, { steps: stepProj(c), A, D: skips(c), deltaBias: tf.reshape(stepBiases(c), [-1]) });
  };

  return scope(d, name, (c, input) => {
    const [x, z] = tf.split(inProj(c, input), 2, -1);
    const y = scanFourWays(c, silu(depthwise(c, x)));
    return outProj(c, tf.mul(outNorm(c, y), silu(z)));
  });
}

/** `VSSBlock`: x + SS2D(norm(x)), the branch dropped at random while training. */
export function vssBlock(d: Declaration, name: string, s: Ss2dSettings & { dropPath?: number; epsilon?: number }): Layer {
  const branch = recomputed(d, () => {
    const norm = layerNorm(d, under(name, 'ln_1'), s.dim, s.epsilon);
    const attention = ss2d(d, under(name, 'self_attention'), s);
    return (c, x) => attention(c, norm(c, x));
  });
  const drop = dropPath(s.dropPath ?? 0);
  return scope(d, name, (c, x) => tf.add(x, drop(c, branch(c, x))));
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
  if (s.norm === false) return scope(d, name, project);
  const norm = layerNorm(d, under(name, 'norm'), s.dim);
  return scope(d, name, (c: Context, x: tf.Tensor) => norm(c, project(c, x)));
}

/** `PatchMerging2D`: 2x2 neighbours become channels, 4C → 2C. Odd edges are cropped, not padded. */
export function patchMerging(d: Declaration, name: string, dim: number): Layer {
  const reduction = linear(d, under(name, 'reduction'), 4 * dim, 2 * dim, { ...smallNormal, bias: false });
  const norm = layerNorm(d, under(name, 'norm'), 4 * dim);
  return scope(d, name, (c, x) => {
    const [batch, h, w] = [x.shape[0], Math.floor(x.shape[1]! / 2), Math.floor(x.shape[2]! / 2)];
    const even = tf.slice(x, [0, 0, 0, 0], [batch, 2 * h, 2 * w, dim]);
    // Channel order: (row, column) parity (0,0), (1,0), (0,1), (1,1).
    const cells = tf.transpose(tf.reshape(even, [batch, h, 2, w, 2, dim]), [0, 1, 3, 4, 2, 5]);
    return reduction(c, norm(c, tf.reshape(cells, [batch, h, w, 4 * dim])));
  });
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
  const stages = dropPathRates(s.depths, s.dropPath).map((rates, stage) => {
    const blocks = rates.map((dropPath, i) =>
      vssBlock(d, under(name, `layers.${stage}.blocks.${i}`), {
        dim: s.dims[stage],
        states: s.states,
        dropPath,
        smallLinear: true,
        heConv: s.heConv,
      }),
    );
    return scope(d, under(name, `layers.${stage}`), sequence(...blocks));
  });
  const mergings = s.dims.slice(0, -1).map((dim, stage) => patchMerging(d, under(name, `downsamples.${stage}`), dim));
  return (c, input) => {
    const outputs = [input];
    let x = embed(c, input);
    for (const [i, stage] of stages.entries()) {
      x = stage(c, x);
      outputs.push(x);
      if (i < mergings.length) x = mergings[i](c, x);
    }
    return outputs;
  };
}
