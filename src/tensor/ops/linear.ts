// Fully connected layer on the last axis.
//
// With a bias it runs on our own kernel, which adds it where the products are made: a sum of its own costs as much as the products, and
// TensorFlow.js would keep what goes into it until the backward pass.

import { product } from '../../base/shape.js';
import { nativeStridedConv } from '../native/denseConv.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { asMatrix } from './spread.js';

/**
 * `x · weight + bias` over the last axis, which is also a convolution with a window of one voxel.
 * @param x `[…, in]`
 * @param weight `[in, out]`
 * @param bias `[out]`
 * @returns `[…, out]`; the caller owns it
 * Memory: keeps `x` and `weight`.
 */
export function linear(x: tf.Tensor, weight: tf.Tensor, bias?: tf.Tensor): tf.Tensor {
  const [channels, out] = weight.shape as [number, number];
  const shape = [...x.shape.slice(0, -1), out];
  if (isSymbolic()) {
    const macs = product(shape) * channels;
    return symbolicOp('linear', bias ? [x, weight, bias] : [x, weight], shape, { macs, gradientMacs: 2 * macs });
  }
  const columns = bias && out >= 8 && native() ? columnsOf(product(x.shape.slice(0, -1)), channels) : 0;
  return tf.tidy(() => {
    if (columns >= 8) {
      const picture = tf.reshape(x, [1, x.size / channels / columns, columns, channels]);
      const window = tf.reshape(weight, [1, 1, channels, out]);
      return tf.reshape(nativeStridedConv(picture, window, bias, [1, 1], [0, 0]), shape);
    }
    const y = tf.matMul(asMatrix(x), weight);
    return tf.reshape(bias ? tf.add(y, bias) : y, shape);
  });
}

/** How wide a picture of so many rows is made: a divisor of them, so that a line of it stays in the cache. */
function columnsOf(rows: number, channels: number): number {
  if (rows * channels === 0) return 0;
  let columns = Math.max(16, Math.min(128, Math.floor(16384 / channels)));
  while (rows % columns !== 0) columns--;
  return columns;
}
