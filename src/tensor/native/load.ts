// Our C++ kernels inside TensorFlow: whether they are there, which of them run, and how they are called.
//
// base/native/load.ts says which variant of them that is.
import { VoxelbookError } from '../../base/errors.js';
import { chosenVariant, compiled, isCompiled } from '../../base/native/load.js';
import { threads } from '../../base/threads.js';
import { onGpu, tf } from '../tf.js';

/** module.cc */
interface Host {
  usesOneDnn(): boolean;
}
interface Kernels {
  setThreads(count: number): void;
}

/** What TensorFlow's library says: do dense operators run in oneDNN? Undefined where the native code is not compiled. */
export function usesOneDnn(): boolean | undefined {
  return isCompiled('voxelbook') ? (compiled('voxelbook') as Host).usesOneDnn() : undefined;
}

let kernels: Kernels | undefined | null = null;
let loadedVariant: string | undefined;

/** True when the native kernels may be used: compiled, not switched off, and TensorFlow computing on the CPU. */
export function native(): boolean {
  return tf.getBackend() === 'tensorflow' && nativeAvailable();
}

/** The same without asking which backend is at work now: what a run on shapes alone forecasts. */
export function nativeAvailable(): boolean {
  if (plain || process.env.VOXELBOOK_NATIVE === '0') return false;
  if (kernels === null) kernels = load();
  return kernels !== undefined;
}

let plain = false;

/** What `work` gives with the plain operators alone, as on a GPU: for forecasts, on shapes. */
export function withPlainOperators<T>(work: () => T): T {
  const before = plain;
  plain = true;
  try {
    return work();
  } finally {
    plain = before;
  }
}

/** The variant at work, undefined where no kernels are loaded. */
export const nativeVariant = () => (native() ? loadedVariant : undefined);

/** Threads the kernels use from now on; at first as many as `threads()` says. */
export const setNativeThreads = (count: number) => kernels?.setThreads(count);

function load(): Kernels | undefined {
  if (onGpu()) return undefined;
  if (!isCompiled('voxelbook')) {
    console.error('voxelbook: no compiled kernels found, plain TensorFlow is used (slower). "npm run setup" compiles them.');
    return undefined;
  }
  // Idle threads sleep instead of spinning: TensorFlow's own threads want the cores between our kernels.
  process.env.OMP_WAIT_POLICY ??= 'passive';
  try {
    compiled('voxelbook');
    const wanted = chosenVariant();
    if (!wanted) {
      console.error('voxelbook: this processor has no AVX2, plain TensorFlow is used (slower).');
      return undefined;
    }
    const found = compiled(`kernels-${wanted}`) as Kernels;
    found.setThreads(threads());
    loadedVariant = wanted;
    return found;
  } catch (error) {
    if (error instanceof VoxelbookError) throw error;
    console.error(`voxelbook: the compiled kernels do not load, plain TensorFlow is used (slower): ${(error as Error).message}`);
    return undefined;
  }
}

interface Attribute {
  name: string;
  type: number;
  value: unknown;
}
interface Backend {
  binding: { TF_ATTR_INT: number; TF_ATTR_FLOAT: number };
  executeMultipleOutputs(name: string, attributes: Attribute[], inputs: tf.Tensor[], outputs: number): tf.Tensor[];
}

/** Runs a native operator, outside the gradient tape. The caller owns the outputs; a fault names the shapes. */
export const execute = (
  name: string,
  inputs: tf.Tensor[],
  outputs: number,
  ints: readonly number[] = [],
  floats: readonly number[] = [],
): tf.Tensor[] => run(name, inputs, outputs, ints, floats);

/** The same for an operator that takes a list of tensors, or several lists of `length`. */
export const executeOnList = (
  name: string,
  inputs: tf.Tensor[],
  outputs: number,
  ints: readonly number[] = [],
  floats: readonly number[] = [],
  length = inputs.length,
): tf.Tensor[] => run(name, inputs, outputs, ints, floats, length);

function run(
  name: string,
  inputs: tf.Tensor[],
  outputs: number,
  ints: readonly number[],
  floats: readonly number[],
  list?: number,
): tf.Tensor[] {
  const backend = tf.backend() as unknown as Backend;
  const { TF_ATTR_INT, TF_ATTR_FLOAT } = backend.binding;
  const attributes = [
    { name: 'ints', type: TF_ATTR_INT, value: [...ints] },
    { name: 'floats', type: TF_ATTR_FLOAT, value: [...floats] },
    ...(list === undefined ? [] : [{ name: 'N', type: TF_ATTR_INT, value: list }]),
  ];
  return backend.executeMultipleOutputs(name, attributes, inputs, outputs);
}
