// The MedNeXt block as one operator (Roy et al., MICCAI 2023, figure 1a–c): depthwise k → norm → 1 (C → R) → exact GELU → 1 (R → O)
// → + shortcut.
//
// On our own kernel, where it is compiled and the block is the paper's (one group per channel, no response normalisation), the R-wide
// layer never exists in memory: it is computed tile by tile, and again tile by tile in the backward pass. Else it is composed of
// ordinary operators.
import { product } from '../../base/shape.js';
import { execute, native, nativeAvailable } from '../native/load.js';
import { countNorm, isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { conv } from './conv.js';
import { convTranspose } from './convTranspose.js';
import { customOp } from './customOp.js';
import { depthwiseConv } from './depthwiseConv.js';
import { depthwiseConvTranspose } from './depthwiseConvTranspose.js';
import { gelu } from './gelu.js';
import { groupNorm } from './groupNorm.js';
import { layerNorm } from './layerNorm.js';
import { responseNorm } from './responseNorm.js';
import { perAxis } from './shapes.js';
import { padSpatial } from './spread.js';

/** Weights of a block, in the order of its steps. */
export interface MednextBlockWeights {
  /** Depthwise `[…k, 1, C]` (fewer groups: `[…k, C/groups, C]`) and `[C]`. */
  kernel: tf.Tensor;
  bias: tf.Tensor;
  /** Norm, `[C]` each. */
  gamma: tf.Tensor;
  beta: tf.Tensor;
  /** `[…1, C, R]` and `[R]`. */
  expand: tf.Tensor;
  expandBias: tf.Tensor;
  /** Global response normalisation behind the GELU, R values each. */
  responseGamma?: tf.Tensor;
  responseBeta?: tf.Tensor;
  /** `[…1, R, O]` and `[O]`. */
  compress: tf.Tensor;
  compressBias: tf.Tensor;
  /** Down: `[…1, C, O]`; up: `[…1, O, C]`; with its bias `[O]`. Only with `residual`. */
  shortcut?: tf.Tensor;
  shortcutBias?: tf.Tensor;
}

/** Which kind of block it is. */
export interface MednextBlockOptions {
  /** `plain` keeps the size, `down` halves it, `up` doubles it (2n − 1 voxels and one zero plane in front). */
  kind: 'plain' | 'down' | 'up';
  /** Add the shortcut: the input itself, or its strided (transposed) 1×1×1 convolution. Default true. */
  residual?: boolean;
  /** One group per channel (default), or over the channels of a voxel. */
  norm?: 'group' | 'layer';
  epsilon?: number;
}

/**
 * One block, with gradients for the input and all weights.
 *
 * @param x `[batch, (depth,) height, width, C]`, float32
 * @returns `[batch, …, O]`; the caller owns it
 * @throws a TensorFlow error that names the shapes when they do not fit
 *
 * Memory: the kernel keeps `x`, the depthwise convolution's output (the size of the block's output grid, C channels) and its
 * statistics for the backward pass; composed, every operator keeps its own. Without a gradient nothing is kept.
 */
export function mednextBlock(x: tf.Tensor, weights: MednextBlockWeights, options: MednextBlockOptions): tf.Tensor {
  const asPublished = (options.norm ?? 'group') === 'group' && !weights.responseGamma && weights.kernel.shape.at(-2) === 1;
  const kernel = asPublished && (isSymbolic() ? nativeAvailable() : native());
  return tf.tidy(() => (kernel ? oneKernel : composed)(x, weights, options));
}

/** From ordinary operators. */
function composed(x: tf.Tensor, w: MednextBlockWeights, options: MednextBlockOptions): tf.Tensor {
  const { kind, residual = true, norm = 'group', epsilon = 1e-5 } = options;
  const channels = x.shape.at(-1)!;
  const groups = channels / w.kernel.shape.at(-2)!;
  const spatial = {
    stride: kind === 'plain' ? 1 : 2,
    padding: w.kernel.shape.slice(0, -2).map((k) => Math.floor(k / 2)),
    bias: w.bias,
  };
  const convolved =
    kind === 'up'
      ? depthwiseConvTranspose(x, w.kernel, spatial)
      : groups === channels
        ? depthwiseConv(x, w.kernel, spatial)
        : conv(x, w.kernel, { ...spatial, groups });
  const normed =
    norm === 'group' ? groupNorm(convolved, channels, w.gamma, w.beta, epsilon) : layerNorm(convolved, w.gamma, w.beta, epsilon);
  let wide = gelu(conv(normed, w.expand, { bias: w.expandBias }));
  if (w.responseGamma) wide = responseNorm(wide, w.responseGamma, w.responseBeta!);
  const y = conv(wide, w.compress, { bias: w.compressBias });
  const shortcut = { stride: 2, bias: w.shortcutBias };
  if (kind === 'plain') return residual ? tf.add(x, y) : y;
  if (kind === 'down') return residual ? tf.add(y, conv(x, w.shortcut!, shortcut)) : y;
  // n → 2n − 1 voxels, then one zero plane in FRONT of each axis, so the first plane of the sum is exactly zero.
  const sum = residual ? tf.add(y, convTranspose(x, w.shortcut!, shortcut)) : y;
  const axes = x.rank - 2;
  return padSpatial(sum, perAxis(1, axes, 1), perAxis(0, axes, 0));
}

function oneKernel(x: tf.Tensor, weights: MednextBlockWeights, options: MednextBlockOptions): tf.Tensor {
  const { kind, residual = true, epsilon = 1e-5 } = options;
  const axes = x.rank - 2;
  const window = weights.kernel.shape.slice(0, -2);
  const stride = perAxis(kind === 'plain' ? 1 : 2, axes, 1);
  const padding = window.map((k) => Math.floor(k / 2));
  const convolved = residual && kind !== 'plain';
  const inputs = [
    ...[x, weights.kernel, weights.bias, weights.gamma, weights.beta],
    ...[weights.expand, weights.expandBias, weights.compress, weights.compressBias],
    ...(convolved ? [weights.shortcut!, weights.shortcutBias!] : []),
  ];
  if (isSymbolic()) return onShapes(inputs, kind, convolved, stride, padding);

  // 2-D is depth 1.
  const three = (values: number[], standard: number) => (axes === 2 ? [standard, ...values] : values);
  const ints = [['plain', 'down', 'up'].indexOf(kind), residual ? 1 : 0, ...three(stride, 1), ...three(padding, 0)];
  const withShortcut = (list: tf.Tensor[]) => (convolved ? list : [...list, tf.zeros([0]), tf.zeros([0])]);
  return customOp(
    inputs,
    () => {
      const [value, spatial, statistics] = execute('VoxelbookMednextBlock', withShortcut(inputs), 3, ints, [epsilon]);
      return { value, keep: [...inputs, spatial, statistics] };
    },
    (dy, kept) => {
      const [spatial, statistics] = kept.slice(inputs.length);
      const list = [...withShortcut(kept.slice(0, inputs.length)), spatial, statistics, dy];
      return execute('VoxelbookMednextBlockGradient', list, 11, ints, [epsilon]).slice(0, inputs.length);
    },
  );
}

function onShapes(inputs: tf.Tensor[], kind: string, convolved: boolean, stride: number[], padding: number[]): tf.Tensor {
  const [x, kernel, , , , expand, , compress] = inputs;
  const window = kernel.shape.slice(0, -2);
  const spatial = x.shape.slice(1, -1);
  const middle = spatial.map((n, i) =>
    kind === 'up'
      ? (n - 1) * stride[i] - 2 * padding[i] + window[i]
      : Math.floor((n + 2 * padding[i] - window[i]) / stride[i]) + 1,
  );
  const [batch, channels] = [x.shape[0], x.shape.at(-1)!];
  const [width, out] = [expand.shape.at(-1)!, compress.shape.at(-1)!];
  const voxels = batch * product(middle);
  countNorm(voxels * channels, 'affine');
  // A transposed convolution multiplies every input voxel with the whole window, a plain one every output voxel.
  const small = kind === 'up' ? batch * product(spatial) : voxels;
  const depthwise = small * product(window) * channels;
  const shortcut = convolved ? small * channels * out : 0;
  const macs = depthwise + shortcut + voxels * width * (channels + out);
  return symbolicOp('mednextBlock', inputs, [batch, ...middle.map((n) => (kind === 'up' ? n + 1 : n)), out], {
    macs,
    // Twice the forward pass, and the expansion once more.
    gradientMacs: 2 * macs + voxels * width * channels,
    keep: [[batch, ...middle, channels]],
  });
}
