// A process that loads TensorFlow in one of three ways, computes dense convolutions with both gradients, and prints as
// JSON what the library says of oneDNN, the setting it found, and the bits of every result: oneDnn.test.ts.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { isMainThread, parentPort } from 'node:worker_threads';
import { startWorker } from '../../src/base/workers.js';

export interface Answer {
  oneDnn: boolean;
  setting: string | undefined;
  bits: Record<string, string>;
}

const way = process.argv[2] as 'room' | 'plain' | 'worker';
const require = createRequire(import.meta.url);

async function compute(): Promise<Answer> {
  if (way === 'plain') {
    // Node 23 removed what tfjs-node still calls.
    const util = require('node:util');
    util.isNullOrUndefined ??= (v: unknown) => v == null;
    require('@tensorflow/tfjs-node-gpu');
  }
  const { conv, convTranspose, tf } = await import('../../src/tensor/index.js');
  const values = (shape: number[], phase: number) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return tf.tensor(
      Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7 + phase) + 0.3 * Math.cos(i * 1.9)),
      shape,
    );
  };
  const bits: Record<string, string> = {};
  const digest = (t: { dataSync(): ArrayLike<number> }) => {
    const data = t.dataSync() as Float32Array;
    return createHash('sha256')
      .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      .digest('hex')
      .slice(0, 16);
  };
  type Tensor = ReturnType<typeof values>;
  const one = (name: string, x: number[], kernel: number[], f: (x: Tensor, k: Tensor) => Tensor) =>
    tf.tidy(() => {
      const inputs = [values(x, 0), values(kernel, 1)];
      const { value, grads } = tf.valueAndGrads((a, k) => tf.sum(tf.square(f(a, k)).mul(0.5)))(inputs);
      value.dispose();
      bits[`${name}, forward`] = digest(f(inputs[0], inputs[1]));
      bits[`${name}, data gradient`] = digest(grads[0]);
      bits[`${name}, filter gradient`] = digest(grads[1]);
    });
  // Sums long enough that the two paths add up in different orders.
  one('3³, stride 1', [1, 8, 8, 8, 64], [3, 3, 3, 64, 80], (x, k) => conv(x, k, { padding: 1 }));
  one('3³, stride 2', [1, 8, 8, 8, 64], [3, 3, 3, 64, 80], (x, k) => conv(x, k, { padding: 1, stride: 2 }));
  one('2³, stride 2', [1, 8, 8, 8, 96], [2, 2, 2, 96, 640], (x, k) => conv(x, k, { stride: 2 }));
  one('transposed 3³, stride 2', [1, 4, 4, 4, 64], [3, 3, 3, 80, 64], (x, k) => convTranspose(x, k, { stride: 2 }));
  one('patches of 8³', [1, 16, 16, 16, 3], [8, 8, 8, 3, 640], (x, k) => conv(x, k, { stride: 8 }));
  one('3², stride 1', [2, 16, 16, 96], [3, 3, 96, 128], (x, k) => conv(x, k, { padding: 1 }));
  one('3², stride 2', [2, 48, 48, 96], [3, 3, 96, 128], (x, k) => conv(x, k, { padding: 1, stride: 2 }));
  one('transposed 3², stride 2', [2, 12, 12, 96], [3, 3, 80, 96], (x, k) => convTranspose(x, k, { stride: 2 }));
  one('patches of 8²', [2, 64, 64, 16], [8, 8, 16, 640], (x, k) => conv(x, k, { stride: 8 }));
  // Windows that do not overlap are matrix products.
  one('transposed 2³, stride 2', [2, 4, 4, 4, 640], [2, 2, 2, 80, 640], (x, k) => convTranspose(x, k, { stride: 2 }));
  one('transposed 2², stride 2', [2, 12, 12, 640], [2, 2, 160, 640], (x, k) => convTranspose(x, k, { stride: 2 }));
  const native = require('../../environment/native/voxelbook.node') as { usesOneDnn(): boolean };
  return { oneDnn: native.usesOneDnn(), setting: undefined, bits };
}

// The main thread's environment is the process's own, with what was set from C; a thread's is a copy.
const say = (answer: Answer) => process.stdout.write(JSON.stringify({ ...answer, setting: process.env.TF_ENABLE_ONEDNN_OPTS }));
if (!isMainThread) parentPort!.postMessage(await compute());
else if (way === 'worker') {
  const worker = startWorker(new URL('./oneDnnCases.js', import.meta.url), { argv: ['room'] });
  worker.once('message', say);
  worker.once('error', (error) => {
    throw error;
  });
} else say(await compute());
