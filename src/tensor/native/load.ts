// Our C++ kernels inside TensorFlow: whether they are there, and how they are called.
//
// `VOXELBOOK_NATIVE=0` switches them off; `VOXELBOOK_THREADS` says how many threads they use (default: all cores).
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { onGpu, tf } from '../tf.js';

const compiled = fileURLToPath(new URL('../../../environment/native/voxelbook.node', import.meta.url));

let loaded: boolean | undefined;

/** True when the native kernels may be used: compiled, not switched off, and TensorFlow computing on the CPU. */
export function native(): boolean {
  return tf.getBackend() === 'tensorflow' && nativeAvailable();
}

/** The same without asking which backend is at work now: what a run on shapes alone forecasts. */
export function nativeAvailable(): boolean {
  if (plain || process.env.VOXELBOOK_NATIVE === '0') return false;
  loaded ??= load();
  return loaded;
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

function load(): boolean {
  if (onGpu()) return false;
  if (!fs.existsSync(compiled)) {
    console.error('voxelbook: no compiled kernels found, plain TensorFlow is used (slower). "npm run setup" compiles them.');
    return false;
  }
  // Idle threads sleep instead of spinning: TensorFlow's own threads want the cores between our kernels.
  process.env.OMP_WAIT_POLICY ??= 'passive';
  try {
    createRequire(import.meta.url)(compiled);
    return true;
  } catch (error) {
    console.error(`voxelbook: the compiled kernels do not load, plain TensorFlow is used (slower): ${(error as Error).message}`);
    return false;
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
export function execute(
  name: string,
  inputs: tf.Tensor[],
  outputs: number,
  ints: readonly number[] = [],
  floats: readonly number[] = [],
): tf.Tensor[] {
  const backend = tf.backend() as unknown as Backend;
  const { TF_ATTR_INT, TF_ATTR_FLOAT } = backend.binding;
  return backend.executeMultipleOutputs(
    name,
    [
      { name: 'ints', type: TF_ATTR_INT, value: [...ints] },
      { name: 'floats', type: TF_ATTR_FLOAT, value: [...floats] },
    ],
    inputs,
    outputs,
  );
}
