// TensorFlow start-up: the one place that loads the binding. Every other file says `import { tf } from '…/tensor/tf.js'`.
//
// The library is read when something of it is first used: a process that plans, prepares or watches a run never needs its half gigabyte.
//
// What TensorFlow reads while it is loaded (oneDNN, the level of its log) beforeTensorflow.c sets, as far as nobody did.
// Node 23 removed util.isNullOrUndefined, which tfjs-node 4.22 still calls.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import type * as TF from '@tensorflow/tfjs';
import { VoxelbookError } from '../base/errors.js';
import { commandText, places } from '../base/paths.js';
import { threads } from '../base/threads.js';

// One setting for all arithmetic: our kernels get the same number. Results are the same to the bit for a given number.
// Operators run one after the other: a second pool for several at once would only hold idle threads.
process.env.TF_NUM_INTRAOP_THREADS = `${threads()}`;
process.env.TF_NUM_INTEROP_THREADS = '1';
const require = createRequire(import.meta.url);
const util = require('node:util') as { isNullOrUndefined?: (v: unknown) => boolean; isArray?: (v: unknown) => boolean };
util.isNullOrUndefined ??= (v) => v == null;
util.isArray ??= Array.isArray;

/** The tfjs namespace, on TensorFlow's C library. Values here, types in the namespace of the same name below. */
export const tf: typeof TF = new Proxy({} as typeof TF, {
  get: (_, name) => Reflect.get(loaded(), name),
  set: () => false,
  has: (_, name) => Reflect.has(loaded(), name),
  ownKeys: () => Reflect.ownKeys(loaded()),
  getOwnPropertyDescriptor: (_, name) => {
    const found = Reflect.getOwnPropertyDescriptor(loaded(), name);
    return found && { ...found, configurable: true };
  },
});

let namespace: typeof TF | undefined;
const changes: (() => void)[] = [];

function loaded(): typeof TF {
  if (namespace) return namespace;
  namespace = load();
  for (const change of changes) change();
  return namespace;
}

/** Loads TensorFlow where it is not there yet: before memory is measured. */
export const loadTensorflow = (): void => void loaded();

/** Does something to TensorFlow as soon as it is there. */
export function whenLoaded(change: () => void): void {
  if (namespace) change();
  else changes.push(change);
}

function load(): typeof TF {
  const { binding, home } = places();
  const file = `${binding}/lib/napi-v8/tfjs_binding.node`;
  if (!fs.existsSync(file))
    throw new VoxelbookError('TensorFlow is not set up', {
      code: 'no-tensorflow',
      path: file,
      given: 'no such file',
      expected: `what set-up leaves in ${home}`,
      fix: `${commandText('setup')}; VOXELBOOK_HOME says where it was done, if elsewhere.`,
    });
  return require(binding);
}

export declare namespace tf {
  type Tensor<R extends TF.Rank = TF.Rank> = TF.Tensor<R>;
  type Scalar = TF.Scalar;
  type Tensor1D = TF.Tensor1D;
  type Tensor2D = TF.Tensor2D;
  type Tensor3D = TF.Tensor3D;
  type Tensor4D = TF.Tensor4D;
  type Tensor5D = TF.Tensor5D;
  type Rank = TF.Rank;
  type DataType = TF.DataType;
  type NamedTensorMap = TF.NamedTensorMap;
  type GradSaveFunc = TF.GradSaveFunc;
}

/** True where TensorFlow computes on a GPU. */
export function onGpu(): boolean {
  const backend = tf.engine().findBackend('tensorflow') as unknown as { binding: { isUsingGpuDevice(): boolean } };
  return backend.binding.isUsingGpuDevice();
}

// Operators of one name for both ranks. The casts that tfjs's types ask for stand here and nowhere else.

/** Convolution of `[batch, …spatial, in]` with `[…k, in, out]`, one stride an axis. */
export const convolve = (x: tf.Tensor, kernel: tf.Tensor, stride: readonly number[], pad: 'same' | 'valid'): tf.Tensor =>
  x.rank === 5
    ? tf.conv3d(x as tf.Tensor5D, kernel as tf.Tensor5D, stride as Three, pad)
    : tf.conv2d(x as tf.Tensor4D, kernel as tf.Tensor4D, stride as Two, pad);

/** Means over windows of `size` voxels, `stride` apart, no window over the border. */
export const averagePool = (x: tf.Tensor, size: readonly number[], stride: readonly number[] = size): tf.Tensor =>
  x.rank === 5
    ? tf.avgPool3d(x as tf.Tensor5D, size as Three, stride as Three, 'valid')
    : tf.avgPool(x as tf.Tensor4D, size as Two, stride as Two, 'valid');

/** Largest values over windows of a picture `[batch, height, width, channel]`. */
export const maxPool = (x: tf.Tensor, size: number, stride: number): tf.Tensor =>
  tf.maxPool(x as tf.Tensor4D, size, stride, 'valid');

/** 2-D depthwise convolution of `[batch, height, width, channel]` with `[kh, kw, channel, 1]`, the same stride on both axes. */
export const depthwise2d = (x: tf.Tensor, kernel: tf.Tensor, stride: number, pad: 'same' | 'valid'): tf.Tensor =>
  tf.depthwiseConv2d(x as tf.Tensor4D, kernel as tf.Tensor4D, stride, pad);

/** A kernel of TensorFlow by its name, with one output. */
export const runKernel = (name: string, inputs: Record<string, tf.Tensor>, attributes: object): tf.Tensor =>
  tf.engine().runKernel(name, inputs, { ...attributes }) as tf.Tensor;

type Two = [number, number];
type Three = [number, number, number];
