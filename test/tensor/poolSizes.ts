// A process that computes in TensorFlow's pool and in our kernels and prints how many threads our
// kernels and the whole process have: threads.test.ts.
import fs from 'node:fs';
import { execute, native } from '../../src/tensor/native/load.js';
import { tf } from '../../src/tensor/tf.js';

const count = () => fs.readdirSync('/proc/self/task').length;
if (!native()) throw new Error('no native kernels');
const a = tf.ones([600, 600]);
tf.matMul(a, a).dataSync();
const withTensorflow = count();
execute('VoxelbookActivation', [tf.ones([1 << 20])], 1, [1], [0])[0].dataSync();
// The calling thread takes part in our kernels.
const kernels = count() - withTensorflow + 1;
process.stdout.write(JSON.stringify({ kernels, all: count() }));
