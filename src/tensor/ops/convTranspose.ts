// Transposed convolution, 2-D and 3-D.
//
// Small windows run on our own kernel, where it is compiled. Else windows no larger than the stride do not overlap: a matrix product per voxel, laid out as cells. Others run
// TensorFlow's gradient-of-convolution kernel, whose own gradients are a convolution and its filter gradient.
import { product } from '../../base/shape.js';
import { nativeConvTranspose } from '../native/denseConv.js';
import { native } from '../native/load.js';
import { isSymbolic, symbolicOp } from '../symbolic.js';
import { convolve, runKernel, tf } from '../tf.js';
import { customOp } from './customOp.js';
import { type ConvOptions, convTransposeShape, type PerAxis } from './shapes.js';
import { asMatrix, interleaved, padSpatial } from './spread.js';

/**
 * Transposed convolution as PyTorch's `ConvTranspose2d`/`3d`.
 *
 * @param x `[batch, (depth,) height, width, in]`, float32
 * @param kernel `[…k, out, in]`
 * @param options.bias `[out]`
 * @returns `[batch, …(n − 1)·stride − 2·padding + k + outputPadding, out]`; the caller owns it
 * @throws VoxelbookError when ranks or channels do not fit
 */
export function convTranspose(
  x: tf.Tensor,
  kernel: tf.Tensor,
  options: ConvOptions & { outputPadding?: PerAxis; bias?: tf.Tensor } = {},
): tf.Tensor {
  const geometry = convTransposeShape('convTranspose', x.shape, kernel.shape, options);
  const { shape, window, stride, padding } = geometry;
  const bias = options.bias;
  if (isSymbolic()) {
    const macs = x.size * product(kernel.shape.slice(0, -1));
    const attributes = { stride, padding, outputPadding: geometry.outputPadding, groups: 1 };
    return symbolicOp('convTranspose', bias ? [x, kernel, bias] : [x, kernel], shape, {
      macs,
      gradientMacs: 2 * macs,
      attributes,
    });
  }
  return tf.tidy(() => {
    const small = window.every((k) => k <= 4) && stride.every((s, i) => s <= 4 && geometry.outputPadding[i] < s);
    if (small && native() && padding.every((p, i) => p <= window[i]) && kernel.shape.at(-2)! >= 8)
      return nativeConvTranspose(x, kernel, bias, stride, padding, shape.slice(1, -1));
    const apart = window.every((k, i) => k <= stride[i]);
    const full = apart ? cells(x, kernel, window, stride) : overlapping(x, kernel, window, stride);
    const before = padding.map((p) => -p);
    const after = shape.slice(1, -1).map((n, i) => n - full.shape[i + 1]! - before[i]);
    const y = padSpatial(full, before, after);
    return bias ? tf.add(y, bias) : y;
  });
}

/** Cells of `stride` voxels, the window in their first corner: `[batch, …n·stride, out]`. */
function cells(x: tf.Tensor, kernel: tf.Tensor, window: number[], stride: number[]): tf.Tensor {
  const spatial = x.shape.slice(1, -1);
  const [out, channels] = kernel.shape.slice(-2);
  const volume = product(window);
  const products = tf.matMul(asMatrix(x), tf.reshape(kernel, [volume * out, channels]), false, true);
  let y: tf.Tensor = products;
  if (window.some((k) => k > 1)) {
    // [batch·n₀, n₁, n₂, k₀, k₁, k₂·out] → [batch·n₀, k₀, n₁, k₁, n₂, k₂·out]
    const last = window.length - 1;
    const split = tf.reshape(products, [
      x.shape[0] * spatial[0],
      ...spatial.slice(1),
      ...window.slice(0, last),
      window[last] * out,
    ]);
    const order = window.flatMap((_, i) => [i, window.length + i]);
    y = tf.transpose(split, order);
  }
  const small = interleaved([x.shape[0], out], spatial, window);
  const large = interleaved([x.shape[0], out], spatial, stride);
  y = tf.reshape(y, small);
  if (small.some((n, i) => n !== large[i]))
    y = tf.pad(
      y,
      large.map((n, i): [number, number] => [0, n - small[i]]),
    );
  return tf.reshape(y, [x.shape[0], ...spatial.map((n, i) => n * stride[i]), out]);
}

/** The whole output without padding: `[batch, …(n − 1)·stride + k, out]`. */
function overlapping(x: tf.Tensor, kernel: tf.Tensor, window: number[], stride: number[]): tf.Tensor {
  const spatial = x.shape.slice(1, -1).map((n, i) => (n - 1) * stride[i] + window[i]);
  const inputShape = [x.shape[0], ...spatial, kernel.shape.at(-2)!];
  const volumetric = x.rank === 5;
  const attributes = { strides: stride, pad: 'valid', ...(volumetric ? {} : { dataFormat: 'NHWC', dilations: [1, 1] }) };
  const run = (name: string, inputs: Record<string, tf.Tensor>, more: object) =>
    runKernel(name, inputs, { ...attributes, ...more });
  return customOp(
    [x, kernel],
    () => ({
      value: run(volumetric ? 'Conv3DBackpropInputV2' : 'Conv2DBackpropInput', { dy: x, filter: kernel }, { inputShape }),
      keep: [x, kernel],
    }),
    (dy, [x, kernel]) => [
      convolve(dy, kernel, stride, 'valid'),
      run(volumetric ? 'Conv3DBackpropFilterV2' : 'Conv2DBackpropFilter', { x: dy, dy: x }, { filterShape: kernel.shape }),
    ],
  );
}
