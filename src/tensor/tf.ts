// TensorFlow start-up: the one place that loads the binding. Every other file says `import { tf } from '…/tensor/tf.js'`.
//
// What TensorFlow reads while it is loaded (oneDNN, the level of its log) beforeTensorflow.c sets, as far as nobody did.
// Node 23 removed util.isNullOrUndefined, which tfjs-node 4.22 still calls.
import { createRequire } from 'node:module';
import type * as TF from '@tensorflow/tfjs-node-gpu';

// One setting for all arithmetic: our kernels read it themselves. Results are the same to the bit for a given number.
if (process.env.VOXELBOOK_THREADS) process.env.TF_NUM_INTRAOP_THREADS ??= process.env.VOXELBOOK_THREADS;
const require = createRequire(import.meta.url);
const util = require('node:util') as { isNullOrUndefined?: (v: unknown) => boolean; isArray?: (v: unknown) => boolean };
util.isNullOrUndefined ??= (v) => v == null;
util.isArray ??= Array.isArray;

/** The tfjs namespace, on TensorFlow's C library. Values here, types in the namespace of the same name below. */
export const tf: typeof TF = require('@tensorflow/tfjs-node-gpu');

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
