// What nnU-Net v2's two networks share (dynamic_network_architectures 0.4.4): the conv block, the decoder, and the
// reading of `architecture.arch_kwargs`.
//
// The original registers every convolution and norm twice (by name and in `all_modules`) and the encoder again below the
// decoder; those names are aliases here.
import { FaultList } from '../../base/errors.js';
import type { Configuration } from '../../plan/plan.js';
import { leakyRelu } from '../../tensor/ops/leakyRelu.js';
import { tf } from '../../tensor/tf.js';
import type { Context, Declaration, Init, ParamInfo } from '../network.js';
import {
  batchNorm,
  channelDropout,
  consume,
  conv,
  convTranspose,
  heNormal,
  instanceNorm,
  type Layer,
  sequence,
} from './layers.js';

/** nnU-Net's `arch_kwargs`, key for key, as a plan holds them. */
export interface ArchitectureKwargs {
  n_stages: number;
  features_per_stage: number | number[];
  /** `torch.nn.modules.conv.Conv3d` or `…Conv2d`. */
  conv_op: string;
  kernel_sizes: number[][];
  strides: number[][];
  n_conv_per_stage?: number | number[];
  n_blocks_per_stage?: number | number[];
  n_conv_per_stage_decoder: number | number[];
  conv_bias: boolean;
  norm_op: string;
  norm_op_kwargs?: { eps?: number; affine?: boolean } | null;
  dropout_op?: string | null;
  dropout_op_kwargs?: { p?: number } | null;
  nonlin?: string;
  nonlin_kwargs?: { negative_slope?: number } | null;
}

/** The same, checked and with one entry per stage. */
export interface Topology {
  dimensions: 2 | 3;
  features: number[];
  kernels: number[][];
  strides: number[][];
  /** Convolutions or residual blocks of each encoder stage. */
  encoder: number[];
  /** Convolutions of each decoder stage, lowest resolution first. */
  decoder: number[];
  bias: boolean;
  norm: { kind: 'instance' | 'batch'; epsilon: number; affine: boolean };
  dropout: number | null;
  slope: number;
}

/**
 * Reads a plan's architecture.
 * @param given the specification's own, else the plan's
 * @param count `n_conv_per_stage` or `n_blocks_per_stage`
 * @throws VoxelbookError listing every entry of wrong length or of an unknown operator
 */
export function topology(
  given: ArchitectureKwargs | undefined,
  plan: Configuration | undefined,
  count: 'n_conv_per_stage' | 'n_blocks_per_stage',
): Topology {
  const kwargs = given ?? (plan?.architecture.arch_kwargs as ArchitectureKwargs | undefined);
  const faults = new FaultList();
  if (!kwargs) {
    faults.add(
      'architecture',
      'plan',
      'none',
      'a configuration of a plan',
      'Hand in plans.configurations[…], or spec.architecture.',
    );
    faults.throwIfAny('this network takes its topology from a plan');
  }
  const k = kwargs!;
  const stages = k.n_stages;
  const list = <T>(key: string, value: T | T[] | undefined, length: number): T[] => {
    const all = Array.isArray(value) ? value : Array<T>(length).fill(value as T);
    if (value === undefined || all.length !== length)
      faults.add('length', key, JSON.stringify(value), `${length} entries`, 'One entry per stage.');
    return all;
  };
  const dimensions = k.conv_op.endsWith('Conv2d') ? 2 : 3;
  const norm = /InstanceNorm/.test(k.norm_op) ? 'instance' : 'batch';
  const known = (key: string, value: string | null | undefined, pattern: RegExp) => {
    if (value && !pattern.test(value))
      faults.add('operator', key, value, String(pattern.source), 'Only what nnU-Net’s own planners write is known.');
  };
  known('conv_op', k.conv_op, /\.Conv[23]d$/);
  known('norm_op', k.norm_op, /(Instance|Batch)Norm[23]d$/);
  known('nonlin', k.nonlin, /LeakyReLU$/);
  known('dropout_op', k.dropout_op, /Dropout[23]d$/);
  const found: Topology = {
    dimensions,
    features: list('features_per_stage', k.features_per_stage, stages),
    kernels: list('kernel_sizes', k.kernel_sizes, stages),
    strides: list('strides', k.strides, stages),
    encoder: list(count, k[count], stages),
    decoder: list('n_conv_per_stage_decoder', k.n_conv_per_stage_decoder, stages - 1),
    bias: k.conv_bias,
    norm: { kind: norm, epsilon: k.norm_op_kwargs?.eps ?? 1e-5, affine: k.norm_op_kwargs?.affine ?? norm === 'batch' },
    dropout: k.dropout_op ? (k.dropout_op_kwargs?.p ?? 0.5) : null,
    slope: k.nonlin_kwargs?.negative_slope ?? 0.01,
  };
  for (const [key, entries] of [['kernel_sizes', found.kernels] as const, ['strides', found.strides] as const])
    for (const [i, entry] of entries.entries())
      if (!Array.isArray(entry) || entry.length !== dimensions)
        faults.add('axes', `${key}[${i}]`, JSON.stringify(entry), `${dimensions} numbers`, `conv_op is ${k.conv_op}.`);
  faults.throwIfAny('this architecture cannot be built');
  return found;
}

/** Product of all strides: what the input's edges must be multiples of. */
export const totalStride = (t: Topology): number[] => t.strides.reduce((a, s) => a.map((n, i) => n * s[i]));

const zeroBias: { biasInit: Init } = { biasInit: { kind: 'zeros' } };
const volume = (kernel: readonly number[]) => kernel.reduce((a, b) => a * b, 1);

/** Weights as `InitWeights_He(0.01)` leaves them. */
const he = (fanIn: number) => ({ init: heNormal(fanIn), ...zeroBias });

/** `ConvDropoutNormReLU`: convolution, channel dropout, norm, LeakyReLU (left out before a residual sum). */
export function convBlock(
  d: Declaration,
  name: string,
  t: Topology,
  channels: number,
  out: number,
  kernel: number[],
  stride: number[],
  { activation = true, bias = t.bias, dropout = true } = {},
): Layer {
  const padding = kernel.map((k) => Math.floor((k - 1) / 2));
  const first = d.parameters.length;
  const convolution = conv(d, `${name}.conv`, channels, out, kernel, { stride, padding, bias, ...he(channels * volume(kernel)) });
  const second = d.parameters.length;
  const { kind, epsilon, affine } = t.norm;
  const norm =
    kind === 'batch' ? batchNorm(d, `${name}.norm`, out, { epsilon }) : instanceNorm(d, `${name}.norm`, out, { affine, epsilon });
  const dropped = dropout && t.dropout !== null;
  const own = d.parameters.slice(first);
  for (const [i, info] of own.entries()) {
    const at = i < second - first ? 0 : dropped ? 2 : 1;
    alias(d, `${name}.all_modules.${at}.${info.name.split('.').at(-1)}`, info);
  }
  const layers: Layer[] = [convolution];
  if (dropped) layers.push(channelDropout(t.dropout!));
  layers.push(norm);
  if (activation) layers.push((_, x) => leakyRelu(x, t.slope));
  return sequence(...layers);
}

function alias(d: Declaration, name: string, { name: original, shape, ...info }: ParamInfo) {
  d.add(name, shape, { ...info, aliasOf: info.aliasOf ?? original });
}

/** Repeats every name declared so far, as the original lists the encoder once more below the decoder. */
export function encoderAgain(d: Declaration) {
  for (const info of [...d.parameters]) alias(d, `decoder.${info.name}`, info);
}

/**
 * `UNetDecoder`: transposed convolution, concatenation (up-sampled first), conv blocks; a head on every stage.
 * @returns a function that takes the skips, lowest resolution last, disposes them, and gives the outputs: full resolution first,
 *   or it alone without deep supervision
 */
export function decoder(d: Declaration, t: Topology, classes: number, deepSupervision: boolean) {
  const { features, kernels, strides } = t;
  const n = features.length;
  const stages: Layer[] = [];
  for (let s = 1; s < n; s++) {
    const width = features[n - 1 - s];
    const kernel = kernels[n - 1 - s];
    const one = kernel.map(() => 1);
    stages.push(
      sequence(
        ...Array.from({ length: t.decoder[s - 1] }, (_, i) =>
          convBlock(d, `decoder.stages.${s - 1}.convs.${i}`, t, i === 0 ? 2 * width : width, width, kernel, one),
        ),
      ),
    );
  }
  const ups: Layer[] = [];
  for (let s = 1; s < n; s++) {
    const [below, width, stride] = [features[n - s], features[n - 1 - s], strides[n - s]];
    ups.push(
      convTranspose(d, `decoder.transpconvs.${s - 1}`, below, width, stride, {
        stride,
        bias: t.bias,
        ...he(width * volume(stride)),
      }),
    );
  }
  const heads: Layer[] = [];
  for (let s = 1; s < n; s++) {
    const width = features[n - 1 - s];
    heads.push(
      conv(
        d,
        `decoder.seg_layers.${s - 1}`,
        width,
        classes,
        kernels[0].map(() => 1),
        he(width),
      ),
    );
  }
  return (context: Context, skips: tf.Tensor[]): tf.Tensor[] =>
    tf.tidy(() => {
      let x = skips[n - 1];
      const outputs: tf.Tensor[] = [];
      for (let s = 0; s < n - 1; s++) {
        const skip = skips[n - 2 - s];
        x = consume([x, skip], () => stages[s](context, tf.concat([ups[s](context, x), skip], -1)));
        if (deepSupervision || s === n - 2) outputs.unshift(heads[s](context, x));
      }
      return outputs;
    });
}
