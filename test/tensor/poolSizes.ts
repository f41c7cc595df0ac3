// A process that computes in TensorFlow's pool and in our kernels and prints how many threads our
// kernels and the whole process have: threads.test.ts.
import fs from 'node:fs';
import { execute, native } from '../../src/tensor/native/load.js';
import { tf } from '../../src/tensor/tf.js';

const nameOf = (thread: string) => {
  try {
    return fs.readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
  } catch {
    return 'ended';
  }
};
/** All threads but Node's workers, such as the one that loads TypeScript, which ends when it likes. */
const count = () => fs.readdirSync('/proc/self/task').filter((t) => !['WorkerThread', 'ended'].includes(nameOf(t))).length;
/** The number of threads once it has stayed for a while: Node starts some of its own when it finds time. */
async function settled(): Promise<number> {
  for (let last = count(), same = 0; ; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const now = count();
    same = now === last ? same + 1 : 0;
    if (same === 6) return now;
    last = now;
  }
}
if (!native()) throw new Error('no native kernels');
const a = tf.ones([600, 600]);
tf.matMul(a, a).dataSync();
const withTensorflow = await settled();
execute('VoxelbookActivation', [tf.ones([1 << 20])], 1, [1], [0])[0].dataSync();
// The calling thread takes part in our kernels.
const all = await settled();
const kernels = all - withTensorflow + 1;
process.stdout.write(JSON.stringify({ kernels, all }));
