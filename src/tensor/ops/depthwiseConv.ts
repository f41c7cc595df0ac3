// Depthwise convolution, 2-D and 3-D: every channel has its own window.
//
// tfjs has the 2-D one only. The 3-D one is the sum over the window's depth of 2-D ones on the shifted planes; the
// gradient is written out so that the planes are cut again in the backward pass instead of being kept.
import { product } from '../../base/shape.js';
import { nativeDepthwiseConv } from '../native/depthwise.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { depthwise2d, runKernel, tf } from '../tf.js';
import { customOp } from './customOp.js';
import { type ConvOptions, convShape } from './shapes.js';
import { padSpatial, spread, subsample } from './spread.js';

/**
 * Depthwise convolution as PyTorch's `Conv2d`/`Conv3d` with `groups` = channels.
 *
 * @param x `[batch, (depth,) height, width, channel]`, float32
 * @param kernel `[…k, 1, channel]`
 * @param options.bias `[channel]`
 * @returns `[batch, …floor((n + 2·padding − k)/stride) + 1, channel]`; the caller owns it
 * @throws VoxelbookError when ranks or channels do not fit
 *
 * Memory: keeps `x` and `kernel` for the backward pass.
 */
export function depthwiseConv(x: tf.Tensor, kernel: tf.Tensor, options: ConvOptions & { bias?: tf.Tensor } = {}): tf.Tensor {
  const groups = x.shape.at(-1)!;
  const { shape, stride, padding } = convShape('depthwiseConv', x.shape, kernel.shape, { ...options, groups });
  const bias = options.bias;
  if (isSymbolic()) {
    const macs = product(shape) * product(kernel.shape.slice(0, -2));
    const attributes = { stride, padding, groups };
    return symbolicOp('depthwiseConv', bias ? [x, kernel, bias] : [x, kernel], shape, {
      macs,
      gradientMacs: 2 * macs,
      attributes,
    });
  }
  if (native()) return nativeDepthwiseConv(x, kernel, bias, stride, padding);
  return tf.tidy(() => {
    const y = x.rank === 4 ? planar(x, kernel, stride, padding) : volumetric(x, kernel, stride, padding);
    return bias ? tf.add(y, bias) : y;
  });
}

/** 2-D. TensorFlow's kernel wants equal strides; others are reached by computing every position and dropping some. */
function planar(x: tf.Tensor, kernel: tf.Tensor, stride: number[], padding: number[]): tf.Tensor {
  const [kh, kw, , channels] = kernel.shape;
  const filter = tf.reshape(kernel, [kh, kw, channels!, 1]);
  const same = 2 * padding[0] === kh - 1 && 2 * padding[1] === kw! - 1 && stride[0] === 1 && stride[1] === 1;
  if (same) return depthwise2d(x, filter, 1, 'same');
  const input = padSpatial(x, padding, padding);
  if (stride[0] === stride[1]) return depthwise2d(input, filter, stride[0], 'valid');
  return subsample(depthwise2d(input, filter, 1, 'valid'), stride);
}

function volumetric(x: tf.Tensor, kernel: tf.Tensor, stride: number[], padding: number[]): tf.Tensor {
  const [kd, kh, kw, , channels] = kernel.shape;
  const equal = stride[1] === stride[2];
  const inPlane = equal ? stride[1] : 1;
  /** Planes `offset, offset + stride, …` of the padded volume as a stack `[batch·depth, height, width, channel]`. */
  const stack = (padded: tf.Tensor, offset: number, depth: number): tf.Tensor => {
    const length = (depth - 1) * stride[0] + 1;
    const part = tf.slice(padded, [0, offset, 0, 0, 0], [-1, length, -1, -1, -1]);
    const planes = subsample(part, [stride[0], 1, 1]);
    return tf.reshape(planes, [planes.shape[0] * depth, ...planes.shape.slice(2)]);
  };
  const filterAt = (k: tf.Tensor, z: number) =>
    tf.reshape(tf.slice(k, [z, 0, 0, 0, 0], [1, -1, -1, -1, -1]), [kh, kw, channels!, 1]);
  const depthOf = (padded: tf.Tensor) => Math.floor((padded.shape[1]! - kd) / stride[0]) + 1;
  const strides = [inPlane, inPlane];

  const full = customOp(
    [x, kernel],
    () => {
      const padded = padSpatial(x, padding, padding);
      const depth = depthOf(padded);
      let sum: tf.Tensor | undefined;
      for (let z = 0; z < kd; z++)
        sum = tf.tidy(() => {
          const plane = depthwise2d(stack(padded, z, depth), filterAt(kernel, z), inPlane, 'valid');
          if (!sum) return plane;
          const next = tf.add(sum, plane);
          sum.dispose();
          return next;
        });
      const value = tf.reshape(sum!, [x.shape[0], depth, ...sum!.shape.slice(1)]);
      return { value, keep: [x, kernel] };
    },
    (dy, [x, kernel]) => {
      const padded = padSpatial(x, padding, padding);
      const depth = depthOf(padded);
      const flat = tf.reshape(dy, [dy.shape[0] * depth, ...dy.shape.slice(2)]);
      const planeShape = [x.shape[0] * depth, ...padded.shape.slice(2)];
      let dPadded: tf.Tensor = tf.zerosLike(padded);
      const dFilters: tf.Tensor[] = [];
      const settings = { strides, pad: 'valid', dilations: [1, 1] };
      for (let z = 0; z < kd; z++) {
        dPadded = tf.tidy(() => {
          const dPlanes = runKernel(
            'DepthwiseConv2dNativeBackpropInput',
            { dy: flat, filter: filterAt(kernel, z) },
            { ...settings, inputShape: planeShape },
          );
          const planes = spread(tf.reshape(dPlanes, [x.shape[0], depth, ...padded.shape.slice(2)]), [stride[0], 1, 1]);
          const rest = padded.shape[1]! - z - planes.shape[1]!;
          const next = tf.add(dPadded, padSpatial(planes, [z, 0, 0], [rest, 0, 0]));
          dPadded.dispose();
          return next;
        });
        dFilters.push(
          tf.tidy(() =>
            tf.reshape(
              runKernel(
                'DepthwiseConv2dNativeBackpropFilter',
                { x: stack(padded, z, depth), dy: flat },
                { ...settings, filterShape: [kh, kw, channels, 1] },
              ),
              [1, kh, kw!, 1, channels!],
            ),
          ),
        );
      }
      const cut = padding.map((p) => -p);
      return [padSpatial(dPadded, cut, cut), tf.concat(dFilters, 0)];
    },
  );
  return equal ? full : subsample(full, [1, stride[1], stride[2]]);
}
