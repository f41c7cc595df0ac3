// A process that takes a few AdamW steps of large parameters and prints what they needed: optimiser.test.ts.
import { peakResidentBytes } from '../../../src/base/memory.js';
import { execute, native } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';
import { applyGradients, initialState, optimiserOf, type TrainState } from '../../../src/train/optim/optimiser.js';

if (!native()) throw new Error('no native kernels');
const optimiser = optimiserOf({ kind: 'adamw', learningRate: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });
// Filled by a kernel: an array of JavaScript would stay until it is collected.
const values = (n: number) => execute('VoxelbookActivation', [tf.fill([n], 0.5)], 1, [0], [0.1])[0];
const take = (count: number, n: number) => {
  let state: TrainState = {
    params: Object.fromEntries(Array.from({ length: count }, (_, i) => [`w${i}`, tf.tidy(() => values(n))])),
    optimiser: initialState(),
  };
  for (let step = 0; step < 3; step++) {
    const gradients = Object.fromEntries(Object.keys(state.params).map((name) => [name, tf.tidy(() => values(n))]));
    state = applyGradients(optimiser, state, gradients, 1e-3, 12).state!;
    tf.dispose(gradients);
  }
  tf.dispose([state.params, state.optimiser.slots]);
};
take(2, 1000);
const before = process.memoryUsage.rss();
take(40, 2 ** 20);
process.stdout.write(JSON.stringify({ before, peak: peakResidentBytes(), parameters: 40 * 2 ** 22 }));
