// Convolution, 2-D and 3-D, with groups and dilation.
//
// Dense ones with a small window run on our own kernels (`ownKernel`), the others on TensorFlow's: oneDNN's, which
// beforeTensorflow.c switches on wherever the processor is an x86 (TF_ENABLE_ONEDNN_OPTS=0 gives the others: several times slower and
// larger in training). Windows of one voxel are matrix products, which is several times faster than conv3d. PyTorch pads both sides
// alike; 'same' of TensorFlow agrees with that only at stride 1, so other paddings are added beforehand.
import { product } from '../../base/shape.js';
import { nativeConv, nativeStridedConv } from '../native/denseConv.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { convolve, tf } from '../tf.js';
import { depthwiseConv } from './depthwiseConv.js';
import { linear } from './linear.js';
import { type ConvOptions, convShape, type PerAxis } from './shapes.js';
import { padSpatial, spread, subsample } from './spread.js';

/**
 * Convolution as PyTorch's `Conv2d`/`Conv3d`.
 *
 * @param x `[batch, (depth,) height, width, in]`, float32
 * @param kernel `[…k, in/groups, out]`
 * @param options.bias `[out]`
 * @returns `[batch, …floor((n + 2·padding − dilation·(k − 1) − 1)/stride) + 1, out]`; the caller owns it
 * @throws VoxelbookError when ranks, channels or groups do not fit
 */
export function conv(
  x: tf.Tensor,
  kernel: tf.Tensor,
  options: ConvOptions & { dilation?: PerAxis; groups?: number; bias?: tf.Tensor } = {},
): tf.Tensor {
  const { shape, window, stride, padding, dilation, groups } = convShape('conv', x.shape, kernel.shape, options);
  const bias = options.bias;
  if (isSymbolic()) {
    const macs = product(shape) * product(kernel.shape.slice(0, -1));
    const attributes = { stride, padding, dilation, groups };
    return symbolicOp('conv', bias ? [x, kernel, bias] : [x, kernel], shape, { macs, gradientMacs: 2 * macs, attributes });
  }
  return tf.tidy(() => {
    const pointwise = window.every((k) => k === 1);
    const [inPerGroup, out] = kernel.shape.slice(-2);
    const own =
      groups === 1 && !(pointwise && stride.every((s) => s === 1)) ? ownKernel(kernel, { stride, padding, dilation }) : undefined;
    if (own === 'winograd') return nativeConv(x, kernel, bias);
    if (own === 'rows') return nativeStridedConv(x, kernel, bias, stride, padding);
    if (pointwise && groups === 1)
      return linear(subsample(padSpatial(x, padding, padding), stride), tf.reshape(kernel, [inPerGroup, out]), bias);
    const y = groups === 1 ? dense(x, kernel, stride, padding, dilation) : grouped(x, kernel, options, groups);
    return bias ? tf.add(y, bias) : y;
  });
}

/**
 * Which of our kernels is faster than oneDNN's, if any (measured forward and backward, 4³ to 64³ voxels, 1 to 512 channels): Winograd's
 * form for windows of 3×3 that keep the size, from eight channels on, where a vector is filled; rows of taps for other small windows.
 */
function ownKernel(
  kernel: tf.Tensor,
  { stride, padding, dilation }: Record<'stride' | 'padding' | 'dilation', number[]>,
): 'winograd' | 'rows' | undefined {
  const window = kernel.shape.slice(0, -2);
  const [channels, out] = kernel.shape.slice(-2);
  if (!native() || out < 8 || window.some((k) => k > 4) || dilation.some((d) => d > 1)) return undefined;
  const [rows, columns] = window.slice(-2);
  const same = stride.every((s) => s === 1) && padding.every((p, i) => 2 * p === window[i] - 1);
  const winograd = same && rows === 3 && columns === 3 && (window.length === 2 || window[0] === 1 || window[0] === 3);
  if (winograd && channels >= 8) return 'winograd';
  return stride.every((s) => s <= 4) && padding.every((p, i) => p <= window[i]) ? 'rows' : undefined;
}

function dense(x: tf.Tensor, kernel: tf.Tensor, stride: number[], padding: number[], dilation: number[]): tf.Tensor {
  // tfjs has no gradient of a dilated convolution: the window itself is spread instead.
  const wide = dilation.some((d) => d > 1)
    ? tf.reshape(spread(tf.reshape(kernel, [1, ...kernel.shape.slice(0, -2), product(kernel.shape.slice(-2))]), dilation), [
        ...kernel.shape.slice(0, -2).map((k, i) => (k - 1) * dilation[i] + 1),
        ...kernel.shape.slice(-2),
      ])
    : kernel;
  const same = stride.every((s) => s === 1) && padding.every((p, i) => 2 * p === wide.shape[i] - 1);
  const input = same ? x : padSpatial(x, padding, padding);
  const mode = same ? 'same' : 'valid';
  return convolve(input, wide, stride, mode);
}

function grouped(x: tf.Tensor, kernel: tf.Tensor, options: ConvOptions & { dilation?: PerAxis }, groups: number): tf.Tensor {
  const [inPerGroup, out] = kernel.shape.slice(-2);
  const outPerGroup = out / groups;
  const { stride, padding, dilation } = options;
  const dilated = typeof dilation === 'number' ? dilation > 1 : dilation?.some((d) => d > 1);
  if (inPerGroup === 1 && outPerGroup === 1 && !dilated) return depthwiseConv(x, kernel, { stride, padding });
  const pointwise = kernel.shape.slice(0, -2).every((k) => k === 1);
  if (pointwise && (inPerGroup === 1 || outPerGroup === 1)) {
    const geometry = convShape('conv', x.shape, kernel.shape, { ...options, groups });
    const voxels = subsample(padSpatial(x, geometry.padding, geometry.padding), geometry.stride);
    const cells = tf.reshape(voxels, [product(geometry.shape.slice(0, -1)), groups, inPerGroup, 1]);
    const weights = tf.transpose(tf.reshape(kernel, [inPerGroup, groups, outPerGroup]), [1, 0, 2]);
    return tf.reshape(tf.sum(tf.mul(cells, weights), 2), geometry.shape);
  }
  const parts = tf.split(x, groups, -1);
  const kernels = tf.split(kernel, groups, -1);
  return tf.concat(
    parts.map((part, i) => conv(part, kernels[i], { stride, padding, dilation })),
    -1,
  );
}
