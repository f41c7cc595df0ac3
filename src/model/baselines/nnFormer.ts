// nnFormer (Zhou et al., IEEE TIP 2023, https://arxiv.org/abs/2109.03201): a U-shaped network of volume-window attention,
// 3-D only. Official code: 282857341/nnFormer, network_architecture/nnFormer_{synapse,acdc,tumor}.py.
//
//   patch embedding ─ stage 0 ─ norm0 ──────────── + stage 0' ─ final 0 (1/1)
//                    merge ─ stage 1 ─ norm1 ───── + stage 1' ─ final 1 (1/2)
//                   merge ─ stage 2 ─ norm2 ────── + stage 2' ─ final 2 (1/4)
//                  merge ─ stage 3 ─ norm3 ────────┘
//
// Behaviour of the published code that is kept: different offsets share rows of the bias table (`sharedSteps`); acdc shifts its
// windows without a mask, so voxels from opposite borders see each other; the norms norm0-3 act on the skips only.
import { FaultList } from '../../base/errors.js';
import type { Configuration } from '../../plan/plan.js';
import { gelu } from '../../tensor/ops/gelu.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { dropPath, dropPathRates } from '../layers/dropout.js';
import { conv, convTranspose, type Layer, layerNorm, recomputed, sequence } from '../layers/layers.js';
import { perceptron } from '../layers/perceptron.js';
import { inWindows, windowAttention } from '../layers/windows.js';
import { type Context, Declaration, type Network, scope, under } from '../network.js';
import { inputSize } from './unetr.js';

export interface NnFormerSpec extends Ends {
  network: 'nnformer';
  /** The data set whose published version this is: they differ in strides, heads and windows. */
  variant: 'synapse' | 'acdc' | 'tumor';
  /** Size of the input in voxels, which decides about windows; default the variant's. */
  patchSize?: number[];
  /** Channels of stage 0; default 192 for synapse, else 96. */
  width?: number;
  depths?: number[];
  heads?: number[];
  /** Voxels of a token. */
  patch?: number[];
  /** Edge of a window per stage in tokens, or one per axis. */
  windows?: (number | number[])[];
  /** acdc: token grid of stage i is patchSize over strides[i]. */
  strides?: number[][];
  dropPath?: number;
}

type Settings = Required<Omit<NnFormerSpec, 'network' | 'inputChannels' | 'classes' | 'deepSupervision'>>;

/** What the published trainers set. */
const published: Record<NnFormerSpec['variant'], Omit<Settings, 'variant' | 'dropPath'>> = {
  synapse: {
    patchSize: [64, 128, 128],
    width: 192,
    depths: [2, 2, 2, 2],
    heads: [6, 12, 24, 48],
    patch: [2, 4, 4],
    windows: [4, 4, 8, 4],
    strides: [],
  },
  acdc: {
    patchSize: [14, 160, 160],
    width: 96,
    depths: [2, 2, 2, 2],
    heads: [3, 6, 12, 24],
    patch: [1, 4, 4],
    windows: [
      [3, 5, 5],
      [3, 5, 5],
      [7, 10, 10],
      [3, 5, 5],
    ],
    strides: [
      [1, 4, 4],
      [1, 8, 8],
      [2, 16, 16],
      [4, 32, 32],
    ],
  },
  tumor: {
    patchSize: [128, 128, 128],
    width: 96,
    depths: [2, 2, 2, 2],
    heads: [3, 6, 12, 24],
    patch: [4, 4, 4],
    windows: [4, 4, 8, 4],
    strides: [],
  },
};

/** The network of a specification with channels and classes given. Outputs at 1/1, 1/2 and 1/4 of the token grid's factor. */
function build(spec: NnFormerSpec, plan?: Configuration): Network {
  if (!Object.hasOwn(published, spec.variant)) {
    const faults = new FaultList();
    faults.add('variant', 'variant', String(spec.variant), Object.keys(published).join(', '), 'Choose a published version.');
    faults.throwIfAny('This nnFormer cannot be built.');
  }
  const given = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as NnFormerSpec;
  const s: Settings = { dropPath: 0.2, ...published[spec.variant], ...(plan && { patchSize: plan.patch_size }), ...given };
  inputSize('nnFormer', s.patchSize);
  const d = new Declaration();
  const stageCount = s.depths.length;
  const dims = s.depths.map((_, i) => s.width * 2 ** i);
  const stageSettings = dims.map((dim, i) => ({
    variant: s.variant,
    dim,
    window: s.windows[i],
    grid: gridOf(s, i),
    heads: s.heads[i],
  }));

  const embed = nnFormerEmbedding(d, 'model_down.patch_embed', { ...s, in: spec.inputChannels!, dim: s.width });
  const rates = dropPathRates(s.depths, s.dropPath);
  const encoder = stageSettings.map((settings, i) =>
    nnFormerStage(d, `model_down.layers.${i}`, {
      ...settings,
      rates: rates[i],
      merging: i < stageCount - 1 ? mergingOf(s.variant, i) : undefined,
    }),
  );
  const norms = dims.map((dim, i) => layerNorm(d, `model_down.norm${i}`, dim));
  // The rates grow from the bottom of the decoder to the top.
  const up = dropPathRates(s.depths.slice(0, -1).reverse(), s.dropPath).reverse();
  const decoder = stageSettings.slice(0, -1).map((settings, i) =>
    nnFormerUpStage(d, `decoder.layers.${i}`, {
      ...settings,
      heads: s.variant === 'tumor' ? s.heads[i + 1] : s.heads[i], // as the tumour version slices its list
      rates: up[i],
      merging: mergingOf(s.variant, i),
    }),
  );
  const heads = dims
    .slice(0, spec.deepSupervision ? -1 : 1)
    .map((dim, i) => scope(d, `final.${i}`, convTranspose(d, `final.${i}.up`, dim, spec.classes!, s.patch, { stride: s.patch })));

  // Windows and bias tables fit this size of input alone.
  return d.network(s.patchSize, (c, input) => {
    const skips: tf.Tensor[] = [];
    let x = embed(c, input);
    for (const [i, stage] of encoder.entries()) {
      const { stageOutput, merged } = stage(c, x);
      skips.push(norms[i](c, stageOutput));
      x = merged;
    }
    x = skips.at(-1)!;
    const outputs: tf.Tensor[] = [];
    for (let i = stageCount - 2; i >= 0; i--) {
      x = decoder[i](c, x, skips[i]);
      if (i < heads.length) outputs.unshift(heads[i](c, x));
    }
    return outputs;
  });
}

export const nnFormer = define({ name: 'nnformer', build, heads: ['final.'] });

/** Token grid of stage i. */
const gridOf = (s: Settings, i: number) =>
  s.patchSize.map((n, axis) =>
    s.variant === 'acdc' ? Math.floor(n / s.strides[i][axis]) : Math.floor(Math.floor(n / s.patch[axis]) / 2 ** i),
  );

/** How the grid shrinks between two stages. */
export interface Merging {
  kernel: number[];
  stride: number[];
  padding: number[];
  /** On the way back. */
  outputPadding: number[];
}

/** Between stage i and i + 1. acdc leaves the depth alone first, and at last does not pad it. */
export function mergingOf(variant: NnFormerSpec['variant'], i: number): Merging {
  const whole = { kernel: [3, 3, 3], stride: [2, 2, 2], padding: [1, 1, 1], outputPadding: [0, 0, 0] };
  if (variant !== 'acdc' || i === 1) return whole;
  if (i === 0) return { kernel: [1, 3, 3], stride: [1, 2, 2], padding: [0, 1, 1], outputPadding: [0, 0, 0] };
  return { ...whole, padding: [0, 1, 1], outputPadding: [1, 0, 0] };
}

/** `PatchEmbed`: two pairs of convolutions, the first of each strided, with GELU and layer norm in between. */
export function nnFormerEmbedding(
  d: Declaration,
  name: string,
  s: { variant: NnFormerSpec['variant']; patch: readonly number[]; in: number; dim: number; norm?: boolean },
): Layer {
  const [p0, p1, p2] = s.patch;
  const inPlane = [Math.floor(p1 / 2), Math.floor(p2 / 2)];
  const half = Math.floor(p0 / 2);
  const first = { synapse: p0, acdc: 1, tumor: half }[s.variant];
  const second = s.variant === 'acdc' ? 1 : half;
  const half1 = Math.floor(s.dim / 2);
  const proj1 = projection(d, under(name, 'proj1'), s.in, half1, [first, ...inPlane], false);
  const proj2 = projection(d, under(name, 'proj2'), half1, s.dim, [second, ...inPlane], true);
  const norm: Layer = s.norm === false ? (_, x) => x : layerNorm(d, under(name, 'norm'), s.dim);
  return scope(d, name, (c, x) => {
    const ends = x.shape.slice(1, -1).map((n, i): [number, number] => [0, (s.patch[i] - (n % s.patch[i])) % s.patch[i]]);
    const whole = ends.some(([, n]) => n > 0) ? tf.pad(x, [[0, 0], ...ends, [0, 0]]) : x;
    return norm(c, proj2(c, proj1(c, whole)));
  });
}

/** `project`: a strided convolution, GELU, norm, a convolution, and but for the last pair GELU and norm again. */
function projection(d: Declaration, name: string, inWidth: number, out: number, stride: number[], last: boolean): Layer {
  const conv1 = conv(d, `${name}.conv1`, inWidth, out, [3, 3, 3], { stride, padding: 1 });
  const conv2 = conv(d, `${name}.conv2`, out, out, [3, 3, 3], { padding: 1 });
  const norm1 = layerNorm(d, `${name}.norm1`, out);
  const norm2 = last ? undefined : layerNorm(d, `${name}.norm2`, out);
  return (c, x) => {
    const h = conv2(c, norm1(c, gelu(conv1(c, x))));
    return norm2 ? norm2(c, gelu(h)) : h;
  };
}

export interface NnFormerStageSettings {
  variant: NnFormerSpec['variant'];
  dim: number;
  heads: number;
  /** Token grid of the stage. */
  grid: readonly number[];
  window: number | readonly number[];
  rates: readonly number[];
  merging?: Merging;
}

/** `BasicLayer`: blocks, every second one shifted, then the merging. */
export function nnFormerStage(d: Declaration, name: string, s: NnFormerStageSettings) {
  const blocks = s.rates.map((rate, i) => nnFormerBlock(d, under(name, `blocks.${i}`), s, i % 2 === 1, rate));
  const merge: Layer = s.merging ? nnFormerMerging(d, under(name, 'downsample'), s.dim, s.merging) : (_, x) => x;
  return scope(d, name, (c: Context, x: tf.Tensor) => {
    const stageOutput = blocks.reduce((y, block) => block(c, y), x);
    return { stageOutput, merged: merge(c, stageOutput) };
  });
}

/** `BasicLayer_up`: up-sampling, then a block whose keys and values come from the skip, then shifted blocks. */
export function nnFormerUpStage(d: Declaration, name: string, s: NnFormerStageSettings & { merging: Merging }) {
  const cross = nnFormerCrossBlock(d, under(name, 'blocks.0'), s, s.rates[0]);
  const blocks = s.rates.slice(1).map((rate, i) => nnFormerBlock(d, under(name, `blocks.${i + 1}`), s, true, rate));
  const expand = nnFormerExpanding(d, under(name, 'Upsample'), 2 * s.dim, s.merging);
  return scope(d, name, (c: Context, below: tf.Tensor, skip: tf.Tensor) =>
    blocks.reduce((y, block) => block(c, y), cross(c, expand(c, below), skip)),
  );
}

/** `PatchMerging`: GELU, norm and a strided convolution to twice the width. */
export function nnFormerMerging(d: Declaration, name: string, dim: number, merging: Merging): Layer {
  const reduction = conv(d, under(name, 'reduction'), dim, 2 * dim, merging.kernel, merging);
  const norm = layerNorm(d, under(name, 'norm'), dim);
  return scope(d, name, (c, x) => reduction(c, norm(c, gelu(x))));
}

/** `Patch_Expanding`: norm and a transposed convolution to half the width. */
export function nnFormerExpanding(d: Declaration, name: string, dim: number, { stride, outputPadding }: Merging): Layer {
  const norm = layerNorm(d, under(name, 'norm'), dim);
  const up = convTranspose(d, under(name, 'up'), dim, dim / 2, stride, { stride, outputPadding });
  return scope(d, name, (c, x) => up(c, norm(c, x)));
}

/** Row steps of the bias table as published: the first axis has 3w − 1 instead of (2w − 1)², so offsets share rows. */
const sharedSteps = (window: readonly number[]) => [3 * window[1] - 1, 2 * window[1] - 1, 1];

/** Window and shift of a block. */
function windowOf(s: NnFormerStageSettings, shifted: boolean): { window: number[]; shift: number[] } {
  const none = [0, 0, 0];
  if (typeof s.window === 'number') {
    const smallest = Math.min(...s.grid);
    const window = Math.min(s.window, smallest);
    const shift = shifted && smallest > s.window ? Math.floor(s.window / 2) : 0;
    return { window: [window, window, window], shift: [shift, shift, shift] };
  }
  const half = s.window.map((n) => Math.floor(n / 2));
  const whole = s.window.every((n, i) => n === s.grid[i]);
  return { window: [...s.window], shift: shifted && !whole && Math.min(...half) > 0 ? half : none };
}

export const nnFormerAttention = (
  d: Declaration,
  name: string,
  s: { dim: number; heads: number; window: readonly number[]; qkvBias?: boolean; queriesGiven?: boolean },
) => windowAttention(d, name, { ...s, steps: sharedSteps(s.window) });

/** `SwinTransformerBlock`. */
export function nnFormerBlock(d: Declaration, name: string, s: NnFormerStageSettings, shifted: boolean, rate: number): Layer {
  const { window, shift } = windowOf(s, shifted);
  const branch1 = recomputed(d, () => {
    const norm = layerNorm(d, under(name, 'norm1'), s.dim);
    const attend = nnFormerAttention(d, under(name, 'attn'), { ...s, window });
    return (c, x) =>
      inWindows([norm(c, x)], window, shift, ([windows], regions) =>
        attend(c, windows, { regions: s.variant === 'acdc' ? undefined : regions }),
      );
  });
  const branch2 = perceptronBranch(d, name, s.dim);
  const drop = dropPath(rate);
  return scope(d, name, (c, x) => {
    const h = tf.add(x, drop(c, branch1(c, x)));
    return tf.add(h, drop(c, branch2(c, h)));
  });
}

/** `SwinTransformerBlock_kv`: queries are the up-sampled map without a projection; the sum with the skip is what goes on. */
export function nnFormerCrossBlock(d: Declaration, name: string, s: NnFormerStageSettings, rate: number) {
  const { window } = windowOf(s, false);
  const norm = layerNorm(d, under(name, 'norm1'), s.dim);
  const attend = nnFormerAttention(d, under(name, 'attn'), { ...s, window, queriesGiven: true });
  const branch2 = perceptronBranch(d, name, s.dim);
  const drop = dropPath(rate);
  return scope(d, name, (c: Context, up: tf.Tensor, skip: tf.Tensor) => {
    const attended = inWindows([norm(c, skip), norm(c, up)], window, [0, 0, 0], ([keys, queries]) =>
      attend(c, keys, { queries }),
    );
    const h = tf.add(tf.add(up, skip), drop(c, attended));
    return tf.add(h, drop(c, branch2(c, h)));
  });
}

function perceptronBranch(d: Declaration, name: string, dim: number): Layer {
  return recomputed(d, () => {
    const norm = layerNorm(d, under(name, 'norm2'), dim);
    return sequence(norm, ...perceptron(d, [under(name, 'mlp.fc1'), under(name, 'mlp.fc2')], dim, 4 * dim));
  });
}
