// The Mamba block (Gu and Dao 2023, https://arxiv.org/abs/2312.00752, figure 3), and U-Mamba's way of feeding it a grid.
// Official code: state-spaces/mamba, mamba_ssm/modules/mamba_simple.py; bowang-lab/U-Mamba.
import type { Random } from '../../base/random.js';
import { product } from '../../base/shape.js';
import { depthwiseConv } from '../../tensor/ops/depthwiseConv.js';
import { selectiveScan } from '../../tensor/ops/selectiveScan.js';
import { silu } from '../../tensor/ops/silu.js';
import { tf } from '../../tensor/tf.js';
import { type Declaration, type Init, scope, under } from '../network.js';
import { uniformFan } from './initialisers.js';
import { type Layer, layerNorm, linear, parameter, recomputed } from './layers.js';

/** Bias of Δ: the inverse softplus of steps drawn log-uniformly from [0.001, 0.1], at least 1e-4 (section 3.6). */
export const stepBias: Init = {
  kind: 'custom',
  fill: (random: Random, shape) =>
    Float32Array.from({ length: product(shape) }, () => {
      const step = Math.max(Math.exp(random.uniform(Math.log(0.001), Math.log(0.1))), 1e-4);
      return step + Math.log(-Math.expm1(-step));
    }),
};

/** A = −exp(A_log) starts at −1, −2, …, −states in every channel (S4D-real). */
export const decayLog: Init = {
  kind: 'custom',
  fill: (_, shape) => Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.log((i % shape[1]) + 1)),
};

export interface MambaSettings {
  dim: number;
  /** State size N; default 16. */
  states?: number;
  /** Length of the causal convolution; default 4. */
  window?: number;
  /** Inner width over `dim`; default 2. */
  expand?: number;
  /** Rank of the projection to Δ; default ceil(dim / 16). */
  rank?: number;
}

/** `Mamba` on sequences `[batch, length, dim]`. */
export function mamba(d: Declaration, name: string, s: MambaSettings): Layer {
  const { dim, states = 16, window = 4, expand = 2, rank = Math.ceil(dim / 16) } = s;
  const inner = Math.floor(expand * dim);
  const decayLogs = parameter(d, under(name, 'A_log'), [inner, states], decayLog);
  const skip = parameter(d, under(name, 'D'), [inner], { kind: 'ones' });
  const inProj = linear(d, under(name, 'in_proj'), dim, 2 * inner, { bias: false });
  const kernel = d.add(under(name, 'conv1d.weight'), [inner, 1, window], { layout: 'kernel', init: uniformFan(window) });
  const kernelBias = d.add(under(name, 'conv1d.bias'), [inner], { init: uniformFan(window) });
  const xProj = linear(d, under(name, 'x_proj'), inner, rank + 2 * states, { bias: false });
  const stepProj = d.add(under(name, 'dt_proj.weight'), [inner, rank], {
    layout: 'kernel',
    init: { kind: 'uniform', bound: rank ** -0.5 },
  });
  const stepShift = parameter(d, under(name, 'dt_proj.bias'), [inner], stepBias);
  const outProj = linear(d, under(name, 'out_proj'), inner, dim, { bias: false });

  return scope(d, name, (c, input) => {
    const [batch, length] = input.shape;
    const [x, z] = tf.split(inProj(c, input), 2, -1);
    // Causal: position t sees t − window + 1 … t, so zeros come before the sequence only.
    const padded = tf.reshape(
      tf.pad(x, [
        [0, 0],
        [window - 1, 0],
        [0, 0],
      ]),
      [batch, length! + window - 1, 1, inner],
    );
    const local = depthwiseConv(padded, tf.reshape(c.params[kernel], [window, 1, 1, inner]), { bias: c.params[kernelBias] });
    const u = silu(tf.reshape(local, [batch, length!, inner]));
    const [step, into, out] = tf.split(xProj(c, u), [rank, states, states], -1);
    // The bias of dt_proj is not added here: it enters the scan, before softplus.
    const delta = tf.reshape(tf.matMul(tf.reshape(step, [-1, rank]), c.params[stepProj]), u.shape);
    const decay = tf.neg(tf.exp(decayLogs(c)));
    return outProj(c, selectiveScan(u, delta, decay, into, out, { D: skip(c), deltaBias: stepShift(c), z }));
  });
}

/**
 * `MambaLayer` of U-Mamba: layer norm and Mamba over the voxels in reading order. There is no residual sum: the result
 * replaces the features.
 *
 * @param norm the norm's name (`norm`, in the first release's bottleneck `ln`), `name` the Mamba block's
 * @param channelTokens the sequence is the channels, and what is mixed are the voxels (dim = number of voxels)
 */
export function mambaOnGrid(d: Declaration, norm: string, name: string, dim: number, channelTokens = false): Layer {
  return recomputed(d, () => {
    const before = layerNorm(d, norm, dim);
    const block = mamba(d, name, { dim });
    return (c, x) => {
      const channels = x.shape.at(-1)!;
      const voxels = tf.reshape(x, [x.shape[0], -1, channels]);
      const tokens = channelTokens ? tf.transpose(voxels, [0, 2, 1]) : voxels;
      const mixed = block(c, before(c, tokens));
      return tf.reshape(channelTokens ? tf.transpose(mixed, [0, 2, 1]) : mixed, x.shape);
    };
  });
}
