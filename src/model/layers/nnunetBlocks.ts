// What nnU-Net v2's two networks share (dynamic_network_architectures 0.4.4): the conv block, the decoder, and the
// reading of `architecture.arch_kwargs`.
//
// The original registers every convolution and norm twice (by name and in `all_modules`) and the encoder again below the
// decoder; those names are aliases here.
import { FaultList } from '../../base/errors.js';
import type { Configuration } from '../../plan/plan.js';
import type { Behind } from '../../tensor/ops/groupNorm.js';
import { averagePool, tf } from '../../tensor/tf.js';
import { type Context, type Declaration, type Init, type ParamInfo, scope, under } from '../network.js';
import { channelDropout } from './dropout.js';
import { he } from './initialisers.js';
import { batchNorm, consume, conv, convTranspose, instanceNorm, joinSkip, type Layer, type Norm, sequence } from './layers.js';

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

/** What every convolution of a network has in common. */
export type ConvStyle = Pick<Topology, 'bias' | 'norm' | 'dropout' | 'slope'>;

/** `ConvDropoutNormReLU`: convolution, channel dropout, norm, LeakyReLU (or, without `activation`, what the caller puts behind). */
export function convBlock(
  d: Declaration,
  name: string,
  t: ConvStyle,
  channels: number,
  out: number,
  kernel: number[],
  stride: number[],
  options: { activation?: boolean; bias?: boolean; dropout?: boolean; scale?: Init } = {},
): Norm {
  const { activation = true, bias = t.bias, dropout = true, scale } = options;
  const padding = kernel.map((k) => Math.floor((k - 1) / 2));
  const first = d.parameters.length;
  const convolution = conv(d, under(name, 'conv'), channels, out, kernel, { stride, padding, bias, ...he(channels, kernel) });
  const second = d.parameters.length;
  const { kind, epsilon, affine } = t.norm;
  const norm =
    kind === 'batch'
      ? batchNorm(d, under(name, 'norm'), out, { epsilon })
      : instanceNorm(d, under(name, 'norm'), out, { affine, epsilon, scale });
  const dropped = dropout && t.dropout !== null;
  const own = d.parameters.slice(first);
  for (const [i, info] of own.entries()) {
    const at = i < second - first ? 0 : dropped ? 2 : 1;
    alias(d, under(name, `all_modules.${at}.${info.name.split('.').at(-1)}`), info);
  }
  const before = dropped ? sequence(convolution, channelDropout(t.dropout!)) : convolution;
  const standard = { slope: activation ? t.slope : 1 };
  return scope(d, name, (context, x: tf.Tensor, behind: Behind = standard) => {
    const y = before(context, x);
    return consume([y], () => norm(context, y, { ...behind, usedUp: !context.onLayer }));
  });
}

/**
 * `BasicBlockD`: conv-norm-LReLU, conv-norm, plus shortcut, LReLU. The shortcut of a strided block is average pooling, then,
 * where the width changes, a normed 1×1×1 convolution without bias.
 * @param lastNorm what the second norm's scale starts as; default one
 */
export function basicBlockD(
  d: Declaration,
  name: string,
  t: ConvStyle,
  channels: number,
  out: number,
  kernel: number[],
  stride: number[],
  lastNorm?: Init,
): Layer {
  const one = kernel.map(() => 1);
  const bare = { activation: false, dropout: false };
  const conv1 = convBlock(d, under(name, 'conv1'), t, channels, out, kernel, stride);
  const conv2 = convBlock(d, under(name, 'conv2'), t, out, out, kernel, one, { ...bare, scale: lastNorm });
  const strided = stride.some((s) => s !== 1);
  const project =
    channels === out
      ? undefined
      : convBlock(d, under(name, `skip.${strided ? 1 : 0}`), t, channels, out, one, one, { ...bare, bias: false });
  return scope(d, name, (context, x) =>
    tf.tidy(() => {
      let shortcut = strided ? averagePool(x, stride) : x;
      if (project) shortcut = project(context, shortcut);
      const y = conv1(context, x);
      return consume([y], () => conv2(context, y, { slope: t.slope, added: shortcut }));
    }),
  );
}

function alias(d: Declaration, name: string, { name: original, shape, ...info }: ParamInfo) {
  d.add(name, shape, { ...info, aliasOf: info.aliasOf ?? original });
}

/** Repeats names, by default all declared so far, as the original lists the encoder once more below the decoder. */
export function encoderAgain(d: Declaration, encoder: readonly ParamInfo[] = [...d.parameters]) {
  for (const info of encoder) alias(d, `decoder.${info.name}`, info);
}

/** A stage of the decoder: `name`, how many convolutions or blocks, channels before and behind, and its window. */
export type DecoderStage = (name: string, count: number, channels: number, out: number, kernel: number[]) => Layer;

/**
 * `UNetDecoder`: transposed convolution, concatenation (up-sampled first), conv blocks; a head on every stage.
 * @param stage what a stage consists of; default the conv blocks
 * @returns a function that takes the skips, lowest resolution last, disposes them, and gives the outputs: full resolution first,
 *   or it alone without deep supervision
 */
export function decoder(
  d: Declaration,
  t: ConvStyle & Pick<Topology, 'features' | 'kernels' | 'strides' | 'decoder'>,
  classes: number,
  deepSupervision: boolean,
  stage: DecoderStage = (name, count, channels, out, kernel) =>
    sequence(
      ...Array.from({ length: count }, (_, i) =>
        convBlock(
          d,
          `${name}.convs.${i}`,
          t,
          i === 0 ? channels : out,
          out,
          kernel,
          kernel.map(() => 1),
        ),
      ),
    ),
) {
  const { features, kernels, strides } = t;
  const n = features.length;
  const one = kernels[0].map(() => 1);
  /** From the lowest resolution up: the width of each stage, and of what is below it. */
  const widths = features.slice(0, -1).reverse();
  const below = features.slice(1).reverse();
  const stages = widths.map((width, s) => {
    const name = `decoder.stages.${s}`;
    return scope(d, name, stage(name, t.decoder[s], 2 * width, width, kernels[n - 2 - s]));
  });
  const ups = widths.map((width, s) => {
    const stride = strides[n - 1 - s];
    return convTranspose(d, `decoder.transpconvs.${s}`, below[s], width, stride, { stride, bias: t.bias, ...he(width, stride) });
  });
  const heads = widths.map((width, s) => conv(d, `decoder.seg_layers.${s}`, width, classes, one, he(width, one)));
  return (context: Context, skips: tf.Tensor[]): tf.Tensor[] =>
    tf.tidy(() => {
      let x = skips[n - 1];
      const outputs: tf.Tensor[] = [];
      for (let s = 0; s < n - 1; s++) {
        const skip = skips[n - 2 - s];
        const joined = joinSkip(
          consume([x], () => ups[s](context, x)),
          skip,
        );
        x = consume([joined], () => stages[s](context, joined));
        if (deepSupervision || s === n - 2) outputs.unshift(heads[s](context, x));
      }
      return outputs;
    });
}
