// Transposed depthwise convolution, 2-D and 3-D: zeros between the voxels, then a depthwise convolution with the window reversed.

import { product } from '../../base/shape.js';
import { nativeDepthwiseConvTranspose } from '../native/depthwise.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { depthwiseConv } from './depthwiseConv.js';
import { type ConvOptions, convTransposeShape, type PerAxis } from './shapes.js';
import { padSpatial, spread } from './spread.js';

/**
 * Transposed depthwise convolution as PyTorch's `ConvTranspose2d`/`3d` with `groups` = channels.
 *
 * @param x `[batch, (depth,) height, width, channel]`, float32
 * @param kernel `[…k, 1, channel]`
 * @param options.bias `[channel]`
 * @returns `[batch, …(n − 1)·stride − 2·padding + k + outputPadding, channel]`; the caller owns it
 * @throws VoxelbookError when ranks or channels do not fit
 */
export function depthwiseConvTranspose(
  x: tf.Tensor,
  kernel: tf.Tensor,
  options: ConvOptions & { outputPadding?: PerAxis; bias?: tf.Tensor } = {},
): tf.Tensor {
  const geometry = convTransposeShape('depthwiseConvTranspose', x.shape, kernel.shape, options, true);
  const { shape, window, stride, padding, outputPadding } = geometry;
  const bias = options.bias;
  if (isSymbolic()) {
    const macs = x.size * product(window);
    const inputs = bias ? [x, kernel, bias] : [x, kernel];
    const attributes = { stride, padding, outputPadding, groups: x.shape.at(-1)! };
    return symbolicOp('depthwiseConvTranspose', inputs, shape, { macs, gradientMacs: 2 * macs, attributes });
  }
  if (native()) return nativeDepthwiseConvTranspose(x, kernel, bias, stride, padding, shape);
  return tf.tidy(() => {
    const before = window.map((k, i) => k - 1 - padding[i]);
    const after = before.map((b, i) => b + outputPadding[i]);
    const reversed = tf.reverse(kernel, [...window.keys()]);
    return depthwiseConv(padSpatial(spread(x, stride), before, after), reversed, { bias });
  });
}
