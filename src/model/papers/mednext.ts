// MedNeXt (Roy et al., MICCAI 2023): a U-Net made wholly of ConvNeXt blocks.
// Official code: MIC-DKFZ/MedNeXt, network_architecture/mednextv1. Tensors are [batch, (depth,) height, width, channel].
import { mednextBlock } from '../../tensor/ops/mednextBlock.js';
import type { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { consume, conv, convTranspose, cube, groupNorm, type Layer, layerNorm, recomputed } from '../layers/layers.js';
import { Declaration, type Network, scope, under } from '../network.js';

export interface MedNextSpec extends Ends {
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
function build(spec: MedNextSpec): Network {
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
    encoder.push(stage(`enc_block_${i}`, here, encoderKernel, i).map((block) => scope(d, `enc_block_${i}`, block)));
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
    decoder[i] = stage(`dec_block_${i}`, here, decoderKernel, 8 - i).map((block) => scope(d, `dec_block_${i}`, block));
  }
  const heads = Array.from({ length: spec.deepSupervision ? 5 : 1 }, (_, i) =>
    scope(d, `out_${i}`, convTranspose(d, `out_${i}.conv_out`, width * 2 ** i, classes, one)),
  );

  return d.network(cube(16, dimensions), (context, input) => {
    const through = (layers: readonly Layer[], x: tf.Tensor) =>
      layers.reduce((y, layer) => consume([y], () => layer(context, y)), x);
    const skips: tf.Tensor[] = [];
    let x = stem(context, input);
    for (let i = 0; i < 4; i++) {
      x = through(encoder[i], x);
      skips.push(x);
      x = downs[i](context, x);
    }
    x = through(bottleneck, x);
    const outputs: tf.Tensor[] = [];
    if (spec.deepSupervision) outputs[4] = heads[4](context, x);
    for (let i = 3; i >= 0; i--) {
      x = through([ups[i]], x);
      // Skips are sums, not concatenations.
      x = consume([x, skips[i]], () => skips[i].add(x));
      x = through(decoder[i], x);
      if (heads[i]) outputs[i] = heads[i](context, x);
    }
    return outputs;
  });
}

export const mednext = define({
  name: 'mednext',
  build,
  heads: ['out_'],
  convention: 'The paper’s GFLOPs are fvcore’s at 1×128³, without deep supervision: equal to ours.',
});

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
export const medNextBlock = (d: Declaration, name: string, s: BlockSettings): Layer => declareBlock(d, name, s, 'plain');

/** The same with a stride of 2 in the depthwise convolution, and a strided 1×1×1 convolution as the shortcut. Figure 1b. */
export const medNextDownBlock = (d: Declaration, name: string, s: BlockSettings): Layer => declareBlock(d, name, s, 'down');

/**
 * The same with a transposed depthwise convolution: n → 2n − 1 voxels, then one zero plane in FRONT of each axis, on the
 * block and on the shortcut alike, so the first plane of the sum is exactly zero. Figure 1c.
 */
export const medNextUpBlock = (d: Declaration, name: string, s: BlockSettings): Layer => declareBlock(d, name, s, 'up');

function declareBlock(d: Declaration, name: string, s: BlockSettings, kind: 'plain' | 'down' | 'up'): Layer {
  const { channels, out, residual, dimensions } = s;
  const wide = s.ratio * channels;
  const one = cube(1, dimensions);
  const at = (module: string) => under(name, module);
  const spatialConv = kind === 'up' ? convTranspose : conv;
  const block = recomputed(d, () => {
    // The block owns these two itself, so they come before its modules.
    const [responseBeta, responseGamma] = (s.grn ? ['grn_beta', 'grn_gamma'] : []).map((part) =>
      d.add(at(part), [1, wide, ...one], { init: { kind: 'zeros' } }),
    );
    const spatial = spatialConv(d, at('conv1'), channels, channels, cube(s.kernel, dimensions), {
      stride: kind === 'plain' ? 1 : 2,
      padding: Math.floor(s.kernel / 2),
      groups: kind === 'plain' ? (s.groups ?? channels) : channels,
    });
    const norm = s.norm === 'group' ? groupNorm(d, at('norm'), channels, channels) : layerNorm(d, at('norm'), channels);
    const expand = conv(d, at('conv2'), channels, wide, one);
    const compress = conv(d, at('conv3'), wide, out, one);
    const shortcut = residual && kind !== 'plain' ? spatialConv(d, at('res_conv'), channels, out, one, { stride: 2 }) : undefined;
    return ({ params }, x) =>
      mednextBlock(
        x,
        {
          kernel: params[spatial.weight],
          bias: params[spatial.bias!],
          gamma: params[norm.weight],
          beta: params[norm.bias!],
          expand: params[expand.weight],
          expandBias: params[expand.bias!],
          compress: params[compress.weight],
          compressBias: params[compress.bias!],
          ...(s.grn && { responseGamma: params[responseGamma], responseBeta: params[responseBeta] }),
          ...(shortcut && { shortcut: params[shortcut.weight], shortcutBias: params[shortcut.bias!] }),
        },
        { kind, residual, norm: s.norm },
      );
  });
  return scope(d, name, block);
}

const definedOnly = ({ blocks, expansion }: MedNextSpec) => ({ ...(blocks && { blocks }), ...(expansion && { expansion }) });
