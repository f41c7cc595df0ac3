// U-Mamba (Ma, Li and Wang 2024, https://arxiv.org/abs/2401.04722): nnU-Net's residual U-Net with Mamba in the bottleneck
// (Bot) or behind every stage of the encoder (Enc), 2-D and 3-D. Official code: bowang-lab/U-Mamba.
//
// Two generations. `first` (commit 92a741a, January 2024) has the parameter counts and FLOPs that are published: nnU-Net's
// residual encoder and transposed convolutions. `current` (since March 2024) has fewer blocks at the bottom, nearest
// up-sampling with a 1x1 convolution, and in Enc the channels instead of the voxels as sequence where there are fewer voxels;
// its 2-D version drops the skip at full resolution, and its 2-D Enc has Mamba behind every second stage only.
import { FaultList } from '../../base/errors.js';
import type { Configuration } from '../../plan/plan.js';
import { leakyRelu } from '../../tensor/ops/leakyRelu.js';
import { resize } from '../../tensor/ops/resize.js';
import { tf } from '../../tensor/tf.js';
import { conv, convTranspose, cube, instanceNorm, type Layer, sequence } from '../layers/layers.js';
import { mambaOnGrid } from '../layers/mamba.js';
import { he, under } from '../layers/tokenLayers.js';
import { type Context, Declaration, type Init, type Network, type ParamInfo } from '../network.js';
import type { Head } from '../spec.js';

export interface UmambaSpec extends Head {
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

const product = (numbers: readonly number[]) => numbers.reduce((a, b) => a * b, 1);

/** The network of a specification, with the topology of a plan where the specification is silent. */
export function umamba(spec: UmambaSpec, plan?: Configuration): Network {
  const { version = 'current' } = spec;
  const t = topology(spec, plan);
  const d = new Declaration();
  const parts = version === 'first' ? firstRelease(d, spec, t) : currentRelease(d, spec, t);
  const divisibleBy = t.strides[0].map((_, axis) => product(t.strides.map((s) => s[axis])));
  return {
    parameters: d.parameters,
    divisibleBy,
    forward: (c, input) =>
      tf.tidy(() => {
        const skips: tf.Tensor[] = [];
        let x = parts.stem(c, input);
        for (const stage of parts.stages) {
          x = stage(c, x);
          skips.push(x);
        }
        const outputs: tf.Tensor[] = [];
        for (const [s, stage] of parts.decoder.entries()) {
          x = stage(c, x, skips.at(-2 - s)!);
          if (spec.deepSupervision || s === parts.decoder.length - 1) outputs.unshift(parts.heads[s](c, x));
        }
        return outputs;
      }),
  };
}

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

/** What both generations consist of, ready for the walk in `umamba`. Decoder stages and heads run from the bottom up. */
interface Parts {
  stem: Layer;
  stages: Layer[];
  decoder: ((c: Context, x: tf.Tensor, skip: tf.Tensor) => tf.Tensor)[];
  heads: Layer[];
}

// ——— The first release ———

function firstRelease(d: Declaration, spec: UmambaSpec, t: Topology): Parts {
  const inEncoder = spec.network === 'umamba-enc';
  const { mamba = true } = spec;
  const lastNorm: Init = { kind: (spec.lastNorm ?? (inEncoder ? 'zero' : 'one')) === 'zero' ? 'zeros' : 'ones' };
  const stack = (name: string, count: number, inWidth: number, out: number, kernel: number[], stride: number[]): Layer =>
    sequence(
      ...Array.from({ length: count }, (_, i) =>
        blockD(d, `${name}.blocks.${i}`, i === 0 ? inWidth : out, out, kernel, i === 0 ? stride : stride.map(() => 1), lastNorm),
      ),
    );
  const [stemConv, stemNorm] = convNorm(d, 'encoder.stem.convs.0', spec.inputChannels!, t.widths[0], t.kernels[0], undefined);
  const stem: Layer = (c, x) => leakyRelu(stemNorm(c, stemConv(c, x)), 0.01);
  const stages = t.widths.map((width, s) =>
    stack(`encoder.stages.${s}`, t.blocks[s], t.widths[Math.max(0, s - 1)], width, t.kernels[s], t.strides[s]),
  );
  if (inEncoder && mamba)
    for (const [s, width] of t.widths.entries()) {
      const at = `encoder.mamba_layers.${s}`;
      stages[s] = sequence(stages[s], mambaOnGrid(d, `${at}.norm`, `${at}.mamba`, width));
    }
  const encoder = [...d.parameters];
  if (!inEncoder && mamba) stages[stages.length - 1] = sequence(stages.at(-1)!, mambaOnGrid(d, 'ln', 'mamba', t.widths.at(-1)!));

  aliases(d, encoder);
  const below = t.widths.slice(1).reverse(); // widths below each decoder stage
  const here = t.widths.slice(0, -1).reverse();
  const merges = here.map((width, s) =>
    stack(`decoder.stages.${s}`, t.decoderBlocks[s], 2 * width, width, t.kernels.at(-2 - s)!, cube(1, t.dimensions)),
  );
  const ups = here.map((width, s) => {
    const stride = t.strides.at(-1 - s)!;
    return convTranspose(d, `decoder.transpconvs.${s}`, below[s], width, stride, { stride, ...he(width, stride) });
  });
  const heads = segmentationHeads(d, here, spec, t);
  const decoder = merges.map(
    (merge, s): Parts['decoder'][number] =>
      (c, x, skip) =>
        merge(c, tf.concat([ups[s](c, x), skip], -1)),
  );
  return { stem, stages, decoder, heads };
}

/**
 * nnU-Net's `BasicBlockD`: conv - norm - LReLU - conv - norm, plus the input, LReLU. The input is averaged over the stride,
 * then projected by a 1x1 convolution without bias and normed where channels change.
 */
export function blockD(
  d: Declaration,
  name: string,
  inWidth: number,
  out: number,
  kernel: number[],
  stride: number[],
  lastNorm: Init = { kind: 'ones' },
): Layer {
  const [conv1, norm1] = convNorm(d, under(name, 'conv1'), inWidth, out, kernel, stride);
  const [conv2, norm2] = convNorm(d, under(name, 'conv2'), out, out, kernel, undefined, { scale: lastNorm });
  const strided = stride.some((s) => s !== 1);
  const projection =
    inWidth === out
      ? undefined
      : convNorm(d, under(name, `skip.${strided ? 1 : 0}`), inWidth, out, cube(1, kernel.length), undefined, { bias: false });
  return (c, x) => {
    const h = leakyRelu(norm1(c, conv1(c, x)), 0.01);
    let shortcut = strided ? averagePool(x, stride) : x;
    if (projection) shortcut = projection[1](c, projection[0](c, shortcut));
    return leakyRelu(tf.add(norm2(c, conv2(c, h)), shortcut), 0.01);
  };
}

/** nnU-Net's `ConvDropoutNormReLU`, which registers its convolution and norm a second time under `all_modules`. */
function convNorm(
  d: Declaration,
  name: string,
  inWidth: number,
  out: number,
  kernel: number[],
  stride: number[] | undefined,
  options: { bias?: boolean; scale?: Init } = {},
): [Layer, Layer] {
  const { bias = true, scale } = options;
  const from = d.parameters.length;
  const padding = kernel.map((k) => (k - 1) / 2);
  const convolution = conv(d, `${name}.conv`, inWidth, out, kernel, { stride, padding, bias, ...he(inWidth, kernel) });
  const norm = instanceNorm(d, `${name}.norm`, out);
  if (scale) for (const p of d.parameters.slice(from)) if (p.name === `${name}.norm.weight`) p.init = scale;
  for (const p of d.parameters.slice(from)) {
    const [module, leaf] = p.name.slice(name.length + 1).split('.');
    alias(d, `${name}.all_modules.${module === 'conv' ? 0 : 1}.${leaf}`, p);
  }
  return [convolution, norm];
}

const alias = (d: Declaration, name: string, of: ParamInfo) => d.parameters.push({ ...of, name, aliasOf: of.aliasOf ?? of.name });

/** The decoder keeps the encoder as a submodule, so the checkpoint lists the encoder again. */
function aliases(d: Declaration, encoder: readonly ParamInfo[]) {
  for (const p of encoder) alias(d, `decoder.${p.name}`, p);
}

function averagePool(x: tf.Tensor, stride: number[]): tf.Tensor {
  return x.rank === 5
    ? tf.avgPool3d(x as tf.Tensor5D, stride as [number, number, number], stride as [number, number, number], 'valid')
    : tf.avgPool(x as tf.Tensor4D, stride as [number, number], stride as [number, number], 'valid');
}

/** One head for every decoder stage, with or without deep supervision, so that weights fit both. */
const segmentationHeads = (d: Declaration, widths: number[], spec: UmambaSpec, t: Topology): Layer[] =>
  widths.map((width, s) => {
    const one = cube(1, t.dimensions);
    return conv(d, `decoder.seg_layers.${s}`, width, spec.classes!, one, he(width, one));
  });

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
    sequence(
      umambaBlock(d, `${name}.0`, inWidth, out, kernel, stride),
      ...Array.from({ length: count - 1 }, (_, i) => blockD(d, `${name}.${i + 1}`, out, out, kernel, one)),
    );

  const stem = stack('encoder.stem', blocks[0], spec.inputChannels!, t.widths[0], t.kernels[0], one);
  // The encoder registers its Mamba layers before its stages.
  const mixers = inEncoder && mamba ? encoderMixers(d, t) : [];
  const stages = t.widths.map((width, s) =>
    stack(`encoder.stages.${s}`, blocks[s], t.widths[Math.max(0, s - 1)], width, t.kernels[s], t.strides[s]),
  );
  for (const [s, mixer] of mixers.entries()) if (mixer) stages[s] = sequence(stages[s], mixer);
  const encoder = [...d.parameters];
  if (!inEncoder && mamba)
    stages[stageCount - 1] = sequence(
      stages[stageCount - 1],
      mambaOnGrid(d, 'mamba_layer.norm', 'mamba_layer.mamba', t.widths.at(-1)!),
    );

  aliases(d, encoder);
  const below = t.widths.slice(1).reverse();
  const here = t.widths.slice(0, -1).reverse();
  const usesSkip = here.map((_, s) => !(planar && s === here.length - 1));
  const merges = here.map((width, s) =>
    stack(`decoder.stages.${s}`, decoderBlocks[s], usesSkip[s] ? 2 * width : width, width, t.kernels.at(-2 - s)!, one),
  );
  const ups = here.map((width, s) => conv(d, `decoder.upsample_layers.${s}.conv`, below[s], width, one, he(below[s], one)));
  const heads = segmentationHeads(d, here, spec, t);
  const decoder = merges.map((merge, s): Parts['decoder'][number] => {
    const factor = t.strides.at(-1 - s)!;
    return (c, x, skip) => {
      const size = x.shape.slice(1, -1).map((n, axis) => n * factor[axis]);
      const up = ups[s](c, resize(x, size, 'nearest'));
      return merge(c, usesSkip[s] ? tf.concat([up, skip], -1) : up);
    };
  });
  return { stem, stages, decoder, heads };
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
    const at = `encoder.mamba_layers.${s}`;
    return mambaOnGrid(d, `${at}.norm`, `${at}.mamba`, channelTokens ? voxels : width, channelTokens);
  });
}

/** `BasicResBlock`: as `blockD`, but its shortcut is always a strided 1x1 convolution with bias and without a norm. */
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
  return (c, x) => {
    const h = leakyRelu(norm1(c, conv1(c, x)), 0.01);
    return leakyRelu(tf.add(norm2(c, conv2(c, h)), conv3 ? conv3(c, x) : x), 0.01);
  };
}
