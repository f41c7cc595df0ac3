// MedNeXt (Roy et al., MICCAI 2023): a U-Net made wholly of ConvNeXt blocks.
// Official code: MIC-DKFZ/MedNeXt, network_architecture/mednextv1. Tensors are [batch, (depth,) height, width, channel].
import { gelu } from '../../tensor/ops/gelu.js';
import { mednextBlock, mednextBlockAvailable } from '../../tensor/ops/mednextBlock.js';
import { padSpatial } from '../../tensor/ops/spread.js';
import { tf } from '../../tensor/tf.js';
import { conv, convTranspose, cube, groupNorm, type Layer, layerNorm, recomputed } from '../layers/layers.js';
import { Declaration, type Network } from '../network.js';
import type { Head } from '../spec.js';

export interface MedNextSpec extends Head {
  network: 'mednext';
  /** Block counts and expansion ratios of the paper's Table 1; `blocks` and `expansion` override them. */
  size?: 'S' | 'B' | 'M' | 'L';
  /** Edge of the depthwise kernels, in voxels. */
  kernel: number;
  /** The decoder's (and bottleneck's) where it differs. */
  decoderKernel?: number;
  /** Channels at full resolution; default 32. */
  width?: number;
  /** Blocks in encoder 0–3, bottleneck, decoder 3–0. */
  blocks?: number[];
  /** Expansion ratio R, one for all or one for each of the nine stages. */
  expansion?: number | number[];
  dimensions?: 2 | 3;
  /** Sum with the input in every block (default true) and in the up and down blocks (default true). */
  residual?: boolean;
  residualUpDown?: boolean;
  /** Global response normalisation after the activation. */
  grn?: boolean;
  norm?: 'group' | 'layer';
}

/** Table 1 of the paper; create_mednext_v1.py. */
const sizes = {
  S: { blocks: [2, 2, 2, 2, 2, 2, 2, 2, 2], expansion: Array(9).fill(2) },
  B: { blocks: [2, 2, 2, 2, 2, 2, 2, 2, 2], expansion: [2, 3, 4, 4, 4, 4, 4, 3, 2] },
  M: { blocks: [3, 4, 4, 4, 4, 4, 4, 4, 3], expansion: [2, 3, 4, 4, 4, 4, 4, 3, 2] },
  L: { blocks: [3, 4, 8, 8, 8, 8, 8, 4, 3], expansion: [3, 4, 8, 8, 8, 8, 8, 4, 3] },
};

/**
 * The network of a specification with channels and classes given.
 *
 * Memory: with `context.checkpoint` (as sizes M and L are trained) each block keeps only its input.
 */
export function mednext(spec: MedNextSpec): Network {
  const { width = 32, dimensions = 3, residual = true, residualUpDown = true, grn = false, norm = 'group' } = spec;
  const { blocks, expansion } = { ...sizes[spec.size ?? 'S'], ...definedOnly(spec) };
  const ratios = typeof expansion === 'number' ? Array<number>(9).fill(expansion) : expansion;
  const encoderKernel = spec.kernel;
  const decoderKernel = spec.decoderKernel ?? spec.kernel;
  const channels = spec.inputChannels!;
  const classes = spec.classes!;
  const d = new Declaration();
  const shared = { dimensions, norm, grn };

  // A trainable scalar of the official code that takes no part; it belongs to the checkpoint and to the count.
  d.add('dummy_tensor', [1], { init: { kind: 'ones' } });
  const one = cube(1, dimensions);
  const stem = conv(d, 'stem', channels, width, one);
  const stage = (name: string, width: number, kernel: number, at: number) =>
    Array.from({ length: blocks[at] }, (_, j) =>
      medNextBlock(d, `${name}.${j}`, { ...shared, channels: width, out: width, ratio: ratios[at], kernel, residual }),
    );

  const encoder: Layer[][] = [];
  const downs: Layer[] = [];
  for (let i = 0; i < 4; i++) {
    const here = width * 2 ** i;
    encoder.push(stage(`enc_block_${i}`, here, encoderKernel, i));
    downs.push(
      // The official code forgets to hand GRN to the first down block.
      medNextDownBlock(d, `down_${i}`, {
        ...shared,
        grn: grn && i > 0,
        channels: here,
        out: 2 * here,
        ratio: ratios[i + 1],
        kernel: encoderKernel,
        residual: residualUpDown,
      }),
    );
  }
  const bottleneck = stage('bottleneck', 16 * width, decoderKernel, 4);
  const ups: Layer[] = [];
  const decoder: Layer[][] = [];
  for (let i = 3; i >= 0; i--) {
    const here = width * 2 ** i;
    ups[i] = medNextUpBlock(d, `up_${i}`, {
      ...shared,
      channels: 2 * here,
      out: here,
      ratio: ratios[8 - i],
      kernel: decoderKernel,
      residual: residualUpDown,
    });
    decoder[i] = stage(`dec_block_${i}`, here, decoderKernel, 8 - i);
  }
  const heads = Array.from({ length: spec.deepSupervision ? 5 : 1 }, (_, i) =>
    convTranspose(d, `out_${i}.conv_out`, width * 2 ** i, classes, one),
  );

  return {
    parameters: d.parameters,
    divisibleBy: cube(16, dimensions),
    forward(context, input) {
      return tf.tidy(() => {
        const skips: tf.Tensor[] = [];
        let x = stem(context, input);
        for (let i = 0; i < 4; i++) {
          for (const block of encoder[i]) x = replace(x, block(context, x));
          skips.push(x);
          x = downs[i](context, x);
        }
        for (const block of bottleneck) x = replace(x, block(context, x));
        const outputs: tf.Tensor[] = [];
        if (spec.deepSupervision) outputs[4] = heads[4](context, x);
        for (let i = 3; i >= 0; i--) {
          x = replace(x, ups[i](context, x));
          // Skips are sums, not concatenations.
          x = replace(x, tf.add(skips[i], x));
          skips[i].dispose();
          for (const block of decoder[i]) x = replace(x, block(context, x));
          if (heads[i]) outputs[i] = heads[i](context, x);
        }
        return outputs;
      });
    },
  };
}

export interface BlockSettings {
  channels: number;
  out: number;
  /** Expansion ratio R. */
  ratio: number;
  kernel: number;
  dimensions: number;
  residual: boolean;
  norm: 'group' | 'layer';
  grn: boolean;
  /** Groups of the first convolution; default = channels (depthwise). */
  groups?: number;
}

/** Depthwise k → norm → 1 (C → R·C) → GELU → 1 (R·C → C) → + input. Figure 1a. Keeps its input only, with `checkpoint`. */
export function medNextBlock(d: Declaration, name: string, s: BlockSettings): Layer {
  return recomputed(d, () => {
    const grn = s.grn ? responseNorm(d, name, s) : undefined;
    const { channels, groups = channels } = s;
    const spatial = conv(d, dot(name, 'conv1'), channels, channels, cube(s.kernel, s.dimensions), {
      padding: Math.floor(s.kernel / 2),
      groups,
    });
    const rest = chain(d, name, s, grn);
    const whole = asOneKernel(name, s, 'plain');
    return (context, x) =>
      tf.tidy(() => {
        if (whole && mednextBlockAvailable()) return whole(context, x);
        const y = rest(context, spatial(context, x));
        return s.residual ? tf.add(x, y) : y;
      });
  });
}

/** The same with a stride of 2 in the depthwise convolution, and a strided 1×1×1 convolution as the shortcut. Figure 1b. */
export function medNextDownBlock(d: Declaration, name: string, s: BlockSettings): Layer {
  return recomputed(d, () => {
    const grn = s.grn ? responseNorm(d, name, s) : undefined;
    const spatial = conv(d, dot(name, 'conv1'), s.channels, s.channels, cube(s.kernel, s.dimensions), {
      stride: 2,
      padding: Math.floor(s.kernel / 2),
      groups: s.channels,
    });
    const rest = chain(d, name, s, grn);
    const shortcut = s.residual
      ? conv(d, dot(name, 'res_conv'), s.channels, s.out, cube(1, s.dimensions), { stride: 2 })
      : undefined;
    const whole = asOneKernel(name, s, 'down');
    return (context, x) =>
      tf.tidy(() => {
        if (whole && mednextBlockAvailable()) return whole(context, x);
        const y = rest(context, spatial(context, x));
        return shortcut ? tf.add(y, shortcut(context, x)) : y;
      });
  });
}

/**
 * The same with a transposed depthwise convolution: n → 2n − 1 voxels, then one zero plane in FRONT of each axis, on the
 * block and on the shortcut alike, so the first plane of the sum is exactly zero. Figure 1c.
 */
export function medNextUpBlock(d: Declaration, name: string, s: BlockSettings): Layer {
  return recomputed(d, () => {
    const grn = s.grn ? responseNorm(d, name, s) : undefined;
    const spatial = convTranspose(d, dot(name, 'conv1'), s.channels, s.channels, cube(s.kernel, s.dimensions), {
      stride: 2,
      padding: Math.floor(s.kernel / 2),
      groups: s.channels,
    });
    const rest = chain(d, name, s, grn);
    const shortcut = s.residual
      ? convTranspose(d, dot(name, 'res_conv'), s.channels, s.out, cube(1, s.dimensions), { stride: 2 })
      : undefined;
    const whole = asOneKernel(name, s, 'up');
    const ones = cube(1, s.dimensions);
    const zeros = cube(0, s.dimensions);
    return (context, x) =>
      tf.tidy(() => {
        if (whole && mednextBlockAvailable()) return whole(context, x);
        const y = rest(context, spatial(context, x));
        return padSpatial(shortcut ? tf.add(y, shortcut(context, x)) : y, ones, zeros);
      });
  });
}

/** The block as one native kernel, where it has one group per channel and no response normalisation. */
function asOneKernel(name: string, s: BlockSettings, kind: 'plain' | 'down' | 'up'): Layer | undefined {
  if (s.norm !== 'group' || s.grn || (s.groups ?? s.channels) !== s.channels) return undefined;
  const at = (part: string) => dot(name, part);
  return ({ params }, x) =>
    mednextBlock(
      x,
      {
        kernel: params[at('conv1.weight')],
        bias: params[at('conv1.bias')],
        gamma: params[at('norm.weight')],
        beta: params[at('norm.bias')],
        expand: params[at('conv2.weight')],
        expandBias: params[at('conv2.bias')],
        compress: params[at('conv3.weight')],
        compressBias: params[at('conv3.bias')],
        shortcut: params[at('res_conv.weight')],
        shortcutBias: params[at('res_conv.bias')],
      },
      { kind, residual: s.residual },
    );
}

/** What follows the spatial convolution in all three blocks. */
function chain(d: Declaration, name: string, s: BlockSettings, grn: Layer | undefined): Layer {
  const { channels, out, ratio, dimensions } = s;
  // One group per channel.
  const norm =
    s.norm === 'group' ? groupNorm(d, dot(name, 'norm'), channels, channels) : layerNorm(d, dot(name, 'norm'), channels);
  const expand = conv(d, dot(name, 'conv2'), channels, ratio * channels, cube(1, dimensions));
  const compress = conv(d, dot(name, 'conv3'), ratio * channels, out, cube(1, dimensions));
  return (context, x) =>
    tf.tidy(() => {
      let y = gelu(expand(context, norm(context, x)));
      if (grn) y = grn(context, y);
      return compress(context, y);
    });
}

/** Global response normalisation (ConvNeXt V2): each channel's L2 norm over space, relative to the mean over channels. */
function responseNorm(d: Declaration, name: string, s: BlockSettings): Layer {
  const width = s.ratio * s.channels;
  const shape = [1, width, ...cube(1, s.dimensions)];
  const beta = d.add(dot(name, 'grn_beta'), shape, { init: { kind: 'zeros' } });
  const gamma = d.add(dot(name, 'grn_gamma'), shape, { init: { kind: 'zeros' } });
  const space = Array.from({ length: s.dimensions }, (_, i) => i + 1);
  return ({ params }, x) =>
    tf.tidy(() => {
      const strength = tf.sqrt(tf.sum(tf.square(x), space, true));
      const relative = tf.div(strength, tf.add(tf.mean(strength, -1, true), 1e-6));
      const scale = tf.add(tf.mul(relative, tf.reshape(params[gamma], [width])), 1);
      return tf.add(tf.mul(x, scale), tf.reshape(params[beta], [width]));
    });
}

const dot = (name: string, part: string) => (name ? `${name}.${part}` : part);

/** Disposes what is no longer needed as soon as its successor exists; under a tape TensorFlow keeps what gradients ask for. */
function replace(old: tf.Tensor, next: tf.Tensor): tf.Tensor {
  if (old !== next) old.dispose();
  return next;
}

const definedOnly = ({ blocks, expansion }: MedNextSpec) => ({ ...(blocks && { blocks }), ...(expansion && { expansion }) });
