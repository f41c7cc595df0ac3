// The convolutional blocks of MONAI's UNETR family (monai/networks/blocks: dynunet_block, unetr_block), 2-D and 3-D.
// Convolutions have no bias; the norm is an instance norm without parameters or a batch norm.
import { joinChannels } from '../../tensor/ops/joinChannels.js';
import type { tf } from '../../tensor/tf.js';
import { type Context, type Declaration, scope, under } from '../network.js';
import { batchNorm, conv, convTranspose, cube, instanceNorm, type Layer, type Norm, recomputed } from './layers.js';

/** MONAI's `norm_name`: `instance` has no parameters, `instance-affine` is `('instance', {affine: True})`. */
export type MonaiNorm = 'instance' | 'instance-affine' | 'batch';

export interface MonaiBlock {
  /** Spatial axes. */
  dimensions: 2 | 3;
  in: number;
  out: number;
  norm: MonaiNorm;
  /** Edge of the window, default 3. */
  kernel?: number;
  /** Default 1. */
  stride?: number;
  /** Which of the two blocks, default true: `UnetResBlock`; false: `UnetBasicBlock`. */
  residual?: boolean;
}

function norm(d: Declaration, name: string, kind: MonaiNorm, channels: number): Norm {
  return kind === 'batch'
    ? batchNorm(d, name, channels)
    : instanceNorm(d, name, channels, { affine: kind === 'instance-affine' });
}

/** Of every leaky ReLU here. */
const slope = 0.01;

/** `UnetResBlock`: conv - norm - LReLU - conv - norm, plus the input (through a normed 1x1 conv where shapes change), LReLU. */
export function residualBlock(d: Declaration, name: string, b: MonaiBlock): Layer {
  const { dimensions, kernel = 3, stride = 1 } = b;
  const window = cube(kernel, dimensions);
  const padding = (kernel - 1) / 2;
  const conv1 = conv(d, under(name, 'conv1.conv'), b.in, b.out, window, { stride, padding, bias: false });
  const conv2 = conv(d, under(name, 'conv2.conv'), b.out, b.out, window, { padding, bias: false });
  const norm1 = norm(d, under(name, 'norm1'), b.norm, b.out);
  const norm2 = norm(d, under(name, 'norm2'), b.norm, b.out);
  let shortcut: Layer = (_, x) => x;
  if (b.in !== b.out || stride !== 1) {
    const conv3 = conv(d, under(name, 'conv3.conv'), b.in, b.out, cube(1, dimensions), { stride, bias: false });
    const norm3 = norm(d, under(name, 'norm3'), b.norm, b.out);
    shortcut = (c, x) => norm3(c, conv3(c, x));
  }
  return (c, x) => {
    const h = norm1(c, conv1(c, x), { slope });
    return norm2(c, conv2(c, h), { slope, added: shortcut(c, x) });
  };
}

/** `UnetBasicBlock`: twice conv - norm - LReLU. */
export function basicBlock(d: Declaration, name: string, b: MonaiBlock): Layer {
  const { dimensions, kernel = 3, stride = 1 } = b;
  const window = cube(kernel, dimensions);
  const padding = (kernel - 1) / 2;
  const conv1 = conv(d, under(name, 'conv1.conv'), b.in, b.out, window, { stride, padding, bias: false });
  const conv2 = conv(d, under(name, 'conv2.conv'), b.out, b.out, window, { padding, bias: false });
  const norm1 = norm(d, under(name, 'norm1'), b.norm, b.out);
  const norm2 = norm(d, under(name, 'norm2'), b.norm, b.out);
  return (c, x) => norm2(c, conv2(c, norm1(c, conv1(c, x), { slope })), { slope });
}

/** Either block; with checkpointing it keeps its input only, unless a batch norm would then count a batch twice. */
function block(d: Declaration, name: string, b: MonaiBlock): Layer {
  const declare = () => ((b.residual ?? true) ? residualBlock : basicBlock)(d, name, b);
  return b.norm === 'batch' ? declare() : recomputed(d, declare);
}

/** `UnetrBasicBlock`: one of the two above, under `layer`. */
export const unetrBasicBlock = (d: Declaration, name: string, b: MonaiBlock): Layer =>
  scope(d, name, block(d, under(name, 'layer'), b));

/** A transposed convolution with kernel = stride = `factor`, without bias, as MONAI nests it. */
const upConv = (d: Declaration, name: string, b: MonaiBlock, channels: number, factor: number): Layer =>
  convTranspose(d, under(name, 'conv'), channels, b.out, cube(factor, b.dimensions), { stride: factor, bias: false });

/** `UnetrUpBlock`: up-sampling by `factor`, concatenated with the skip (up-sampled first), then a block. */
export function unetrUpBlock(d: Declaration, name: string, b: MonaiBlock, factor = 2) {
  const up = upConv(d, under(name, 'transp_conv'), b, b.in, factor);
  const merge = block(d, under(name, 'conv_block'), { ...b, in: 2 * b.out });
  return scope(d, name, (c: Context, x: tf.Tensor, skip: tf.Tensor) => merge(c, joinChannels([up(c, x), skip])));
}

/** `UnetrPrUpBlock`: `layers` + 1 up-samplings; with `blocks` (default) each but the first is followed by a block. */
export function unetrProjectionUpBlock(
  d: Declaration,
  name: string,
  b: MonaiBlock,
  layers: number,
  options: { blocks?: boolean; factor?: number } = {},
): Layer {
  const { blocks = true, factor = 2 } = options;
  const first = upConv(d, under(name, 'transp_conv_init'), b, b.in, factor);
  const rest = Array.from({ length: layers }, (_, i): Layer => {
    const at = under(name, `blocks.${i}`);
    if (!blocks) return upConv(d, at, b, b.out, factor);
    const up = upConv(d, under(at, 0), b, b.out, factor);
    const after = block(d, under(at, 1), { ...b, in: b.out });
    return (c, x) => after(c, up(c, x));
  });
  return scope(d, name, (c: Context, x: tf.Tensor) => rest.reduce((y, layer) => layer(c, y), first(c, x)));
}

/** `UnetOutBlock`: 1x1 convolution with bias. */
export const unetOutBlock = (d: Declaration, name: string, dimensions: number, channels: number, out: number): Layer =>
  scope(d, name, conv(d, under(name, 'conv.conv'), channels, out, cube(1, dimensions)));
