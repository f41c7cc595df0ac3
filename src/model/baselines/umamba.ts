// U-Mamba (Ma, Li and Wang 2024, https://arxiv.org/abs/2401.04722): nnU-Net's residual U-Net with Mamba in the bottleneck
// (Bot) or behind every stage of the encoder (Enc), 2-D and 3-D. Official code: bowang-lab/U-Mamba.
//
// Two generations. `first` (commit 92a741a, January 2024) has the parameter counts and FLOPs that are published: nnU-Net's
// residual encoder and transposed convolutions. `current` (since March 2024) has fewer blocks at the bottom, nearest
// up-sampling with a 1x1 convolution, and in Enc the channels instead of the voxels as sequence where there are fewer voxels;
// its 2-D version drops the skip at full resolution, and its 2-D Enc has Mamba behind every second stage only.
import { FaultList } from '../../base/errors.js';
import { product } from '../../base/shape.js';
import type { Configuration } from '../../plan/plan.js';
import { joinChannels } from '../../tensor/ops/joinChannels.js';
import { resize } from '../../tensor/ops/resize.js';
import type { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { he } from '../layers/initialisers.js';
import { conv, cube, instanceNorm, type Layer, sequence } from '../layers/layers.js';
import { mambaOnGrid } from '../layers/mamba.js';
import { basicBlockD, type ConvStyle, convBlock, encoderAgain, decoder as nnunetDecoder } from '../layers/nnunetBlocks.js';
import { type Context, Declaration, type Init, type Network, scope, under } from '../network.js';

export interface UmambaSpec extends Ends {
  network: 'umamba-bot' | 'umamba-enc';
  version?: 'first' | 'current';
  /** Topology; what is left out comes from the plan. Channels, windows and strides per stage, axis by axis. */
  widths?: number[];
  kernels?: number[][];
  strides?: number[][];
  /** Residual blocks per stage of the encoder and of the decoder (lowest resolution first). */
  blocks?: number[];
  decoderBlocks?: number[];
  /** `current` Enc only: the patch, in voxels, for it decides where channels are the tokens. */
  patchSize?: number[];
  /**
   * Last norm before a sum in nnU-Net's blocks: `zero` as the official `get_umamba_enc_from_plans` of the first release sets
   * it (default there), or `one`.
   */
  lastNorm?: 'zero' | 'one';
  /** `false`: the same network without any Mamba layer, the "No-Mamba Base" of nnU-Net Revisited (2404.09556); default true. */
  mamba?: boolean;
}

/** Convolutions as U-Mamba takes them over from nnU-Net. */
export const convStyle: ConvStyle = {
  bias: true,
  norm: { kind: 'instance', epsilon: 1e-5, affine: true },
  dropout: null,
  slope: 0.01,
};

/** The network of a specification, with the topology of a plan where the specification is silent. */
function build(spec: UmambaSpec, plan?: Configuration): Network {
  const { version = 'current' } = spec;
  const t = topology(spec, plan);
  const d = new Declaration();
  const { stem, stages, decode } = version === 'first' ? firstRelease(d, spec, t) : currentRelease(d, spec, t);
  const divisibleBy = t.strides[0].map((_, axis) => product(t.strides.map((s) => s[axis])));
  return d.network(divisibleBy, (c, input) => {
    const skips: tf.Tensor[] = [];
    let x = stem(c, input);
    for (const stage of stages) {
      x = stage(c, x);
      skips.push(x);
    }
    return decode(c, skips);
  });
}

const heads = ['decoder.seg_layers.'];
export const umambaBot = define({ name: 'umamba-bot', build, heads });
export const umambaEnc = define({ name: 'umamba-enc', build, heads });

interface Topology {
  dimensions: number;
  widths: number[];
  kernels: number[][];
  strides: number[][];
  blocks: number[];
  decoderBlocks: number[];
  patchSize?: number[];
}

function topology(spec: UmambaSpec, plan?: Configuration): Topology {
  const k = (plan?.architecture.arch_kwargs ?? {}) as Record<string, any>;
  const widths: number[] = spec.widths ?? k.features_per_stage;
  const perStage = (n: number | number[] | undefined, count: number) =>
    typeof n === 'number' ? Array<number>(count).fill(n) : n;
  const t = {
    widths,
    kernels: spec.kernels ?? k.kernel_sizes,
    strides: spec.strides ?? k.strides,
    blocks: perStage(spec.blocks ?? k.n_conv_per_stage ?? k.n_blocks_per_stage, widths?.length),
    decoderBlocks: perStage(spec.decoderBlocks ?? k.n_conv_per_stage_decoder, widths?.length - 1),
  } as Topology;
  const faults = new FaultList();
  const stages = t.widths?.length ?? 0;
  for (const key of ['widths', 'kernels', 'strides', 'blocks', 'decoderBlocks'] as const) {
    const expected = key === 'decoderBlocks' ? stages - 1 : stages;
    if (!t[key] || t[key].length !== expected || stages < 2)
      faults.add('topology', key, `${JSON.stringify(t[key])}`, `${expected} entries`, 'Give it, or build from a plan.');
  }
  const patchSize = spec.patchSize ?? plan?.patch_size;
  if (spec.network === 'umamba-enc' && (spec.version ?? 'current') === 'current' && !patchSize)
    faults.add('topology', 'patchSize', 'none', 'the patch in voxels', 'Give it, or build from a plan.');
  faults.throwIfAny('this U-Mamba cannot be built');
  return { ...t, patchSize, dimensions: t.kernels[0].length };
}

/** What both generations consist of. `decode` takes every stage's output, lowest resolution last. */
interface Parts {
  stem: Layer;
  stages: Layer[];
  decode: (c: Context, skips: tf.Tensor[]) => tf.Tensor[];
}

/** Mamba behind an encoder's stage, under a name of its own. */
const mixer = (d: Declaration, at: string, dim: number, channelTokens = false): Layer =>
  scope(d, at, mambaOnGrid(d, `${at}.norm`, `${at}.mamba`, dim, channelTokens));

// ——— The first release ———

function firstRelease(d: Declaration, spec: UmambaSpec, t: Topology): Parts {
  const inEncoder = spec.network === 'umamba-enc';
  const { mamba = true } = spec;
  const lastNorm: Init = { kind: (spec.lastNorm ?? (inEncoder ? 'zero' : 'one')) === 'zero' ? 'zeros' : 'ones' };
  const one = cube(1, t.dimensions);
  const stack = (name: string, count: number, inWidth: number, out: number, kernel: number[], stride: number[]): Layer => {
    const blocks = Array.from({ length: count }, (_, i) => {
      const [channels, step] = i === 0 ? [inWidth, stride] : [out, one];
      return basicBlockD(d, `${name}.blocks.${i}`, convStyle, channels, out, kernel, step, lastNorm);
    });
    return scope(d, name, sequence(...blocks));
  };
  const stem = convBlock(d, 'encoder.stem.convs.0', convStyle, spec.inputChannels!, t.widths[0], t.kernels[0], one);
  const stages = t.widths.map((width, s) =>
    stack(`encoder.stages.${s}`, t.blocks[s], t.widths[Math.max(0, s - 1)], width, t.kernels[s], t.strides[s]),
  );
  if (inEncoder && mamba)
    for (const [s, width] of t.widths.entries()) stages[s] = sequence(stages[s], mixer(d, `encoder.mamba_layers.${s}`, width));
  const encoder = [...d.parameters];
  if (!inEncoder && mamba) stages[stages.length - 1] = sequence(stages.at(-1)!, mambaOnGrid(d, 'ln', 'mamba', t.widths.at(-1)!));
  encoderAgain(d, encoder);
  const { kernels, strides } = t;
  const decode = nnunetDecoder(
    d,
    { ...convStyle, features: t.widths, kernels, strides, decoder: t.decoderBlocks },
    spec.classes!,
    spec.deepSupervision ?? false,
    (name, count, channels, width, kernel) => stack(name, count, channels, width, kernel, one),
  );
  return { stem, stages, decode };
}

// ——— The current code ———

function currentRelease(d: Declaration, spec: UmambaSpec, t: Topology): Parts {
  const inEncoder = spec.network === 'umamba-enc';
  const { mamba = true } = spec;
  const planar = t.dimensions === 2;
  const stageCount = t.widths.length;
  const one = cube(1, t.dimensions);
  // One block only in the lower half of the encoder and in the upper stages of the decoder.
  const blocks = t.blocks.map((n, s) => (s >= Math.ceil(stageCount / 2) ? 1 : n));
  const decoderBlocks = t.decoderBlocks.map((n, s) => (s >= Math.ceil((stageCount - 1) / 2 + 0.5) ? 1 : n));
  const stack = (name: string, count: number, inWidth: number, out: number, kernel: number[], stride: number[]): Layer =>
    scope(
      d,
      name,
      sequence(
        umambaBlock(d, `${name}.0`, inWidth, out, kernel, stride),
        ...Array.from({ length: count - 1 }, (_, i) => basicBlockD(d, `${name}.${i + 1}`, convStyle, out, out, kernel, one)),
      ),
    );

  const stem = stack('encoder.stem', blocks[0], spec.inputChannels!, t.widths[0], t.kernels[0], one);
  // The encoder registers its Mamba layers before its stages.
  const mixers = inEncoder && mamba ? encoderMixers(d, t) : [];
  const stages = t.widths.map((width, s) =>
    stack(`encoder.stages.${s}`, blocks[s], t.widths[Math.max(0, s - 1)], width, t.kernels[s], t.strides[s]),
  );
  for (const [s, mixer] of mixers.entries()) if (mixer) stages[s] = sequence(stages[s], mixer);
  const encoder = [...d.parameters];
  if (!inEncoder && mamba) stages[stageCount - 1] = sequence(stages[stageCount - 1], mixer(d, 'mamba_layer', t.widths.at(-1)!));

  encoderAgain(d, encoder);
  const below = t.widths.slice(1).reverse();
  const here = t.widths.slice(0, -1).reverse();
  const usesSkip = here.map((_, s) => !(planar && s === here.length - 1));
  const merges = here.map((width, s) =>
    stack(`decoder.stages.${s}`, decoderBlocks[s], usesSkip[s] ? 2 * width : width, width, t.kernels.at(-2 - s)!, one),
  );
  const ups = here.map((width, s) => {
    const name = `decoder.upsample_layers.${s}`;
    const project = conv(d, `${name}.conv`, below[s], width, one, he(below[s], one));
    const factor = t.strides.at(-1 - s)!;
    return scope(d, name, (c: Context, x: tf.Tensor) => {
      const size = x.shape.slice(1, -1).map((n, axis) => n * factor[axis]);
      return project(c, resize(x, size, 'nearest'));
    });
  });
  // One head for every stage, with or without deep supervision, so that weights fit both.
  const heads = here.map((width, s) => conv(d, `decoder.seg_layers.${s}`, width, spec.classes!, one, he(width, one)));
  const decode = (c: Context, skips: tf.Tensor[]): tf.Tensor[] => {
    const outputs: tf.Tensor[] = [];
    let x = skips.at(-1)!;
    for (const [s, merge] of merges.entries()) {
      const up = ups[s](c, x);
      x = merge(c, usesSkip[s] ? joinChannels([up, skips.at(-2 - s)!]) : up);
      if (spec.deepSupervision || s === merges.length - 1) outputs.unshift(heads[s](c, x));
    }
    return outputs;
  };
  return { stem, stages, decode };
}

/** Mamba behind the stages of the current Enc; undefined where there is none. */
function encoderMixers(d: Declaration, t: Topology): (Layer | undefined)[] {
  let grid = t.patchSize!;
  return t.widths.map((width, s) => {
    grid = grid.map((n, axis) => Math.floor(n / t.strides[s][axis]));
    const voxels = product(grid);
    const every = t.dimensions === 3;
    // 2-D: every second stage, and always the last.
    if (!every && (s % 2 === 1) === (t.widths.length % 2 === 1)) return undefined;
    const channelTokens = voxels <= width;
    return mixer(d, `encoder.mamba_layers.${s}`, channelTokens ? voxels : width, channelTokens);
  });
}

/** `BasicResBlock`: as nnU-Net's `BasicBlockD`, but its shortcut is always a strided 1x1 convolution with bias and without a norm. */
export function umambaBlock(
  d: Declaration,
  name: string,
  inWidth: number,
  out: number,
  kernel: number[],
  stride: number[],
  options: { padding?: number[]; shortcut?: boolean } = {},
): Layer {
  const { padding = kernel.map((k) => Math.floor(k / 2)), shortcut = true } = options;
  const conv1 = conv(d, under(name, 'conv1'), inWidth, out, kernel, { stride, padding, ...he(inWidth, kernel) });
  const norm1 = instanceNorm(d, under(name, 'norm1'), out);
  const conv2 = conv(d, under(name, 'conv2'), out, out, kernel, { padding, ...he(out, kernel) });
  const norm2 = instanceNorm(d, under(name, 'norm2'), out);
  const one = cube(1, kernel.length);
  const conv3 = shortcut ? conv(d, under(name, 'conv3'), inWidth, out, one, { stride, ...he(inWidth, one) }) : undefined;
  return scope(d, name, (c, x) => {
    const h = norm1(c, conv1(c, x), { slope: 0.01 });
    return norm2(c, conv2(c, h), { slope: 0.01, added: conv3 ? conv3(c, x) : x });
  });
}
