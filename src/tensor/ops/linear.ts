// Fully connected layer on the last axis.

import { product } from '../../base/shape.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { asMatrix } from './spread.js';

/**
 * `x · weight + bias` over the last axis, which is also a convolution with a window of one voxel.
 * @param x `[…, in]`
 * @param weight `[in, out]`
 * @param bias `[out]`
 * @returns `[…, out]`; the caller owns it
 */
export function linear(x: tf.Tensor, weight: tf.Tensor, bias?: tf.Tensor): tf.Tensor {
  const shape = [...x.shape.slice(0, -1), weight.shape[1]!];
  if (isSymbolic()) {
    const macs = product(shape) * weight.shape[0];
    return symbolicOp('linear', bias ? [x, weight, bias] : [x, weight], shape, { macs, gradientMacs: 2 * macs });
  }
  return tf.tidy(() => {
    const y = tf.matMul(asMatrix(x), weight);
    return tf.reshape(bias ? tf.add(y, bias) : y, shape);
  });
}
