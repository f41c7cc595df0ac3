// One measurement of ours, in a process of its own: a training step or a prediction, repeated; one line of JSON.
// Arguments: the case, the repetitions.
import fs from 'node:fs';
import { Random } from '../../src/base/random.js';
import { build } from '../../src/model/index.js';
import { nativeVariant, usesOneDnn } from '../../src/tensor/native/load.js';
import { tf } from '../../src/tensor/tf.js';
import { dcAndCe } from '../../src/train/loss/compound.js';
import { initialState, optimiserOf } from '../../src/train/optim/optimiser.js';
import { trainStep } from '../../src/train/step.js';
import type { Case } from './cases.js';

const settings = JSON.parse(process.argv[2]) as Case;
const repetitions = Number(process.argv[3]);
const status = (key: string) =>
  Number(fs.readFileSync('/proc/self/status', 'utf8').match(new RegExp(`${key}:\\s+(\\d+)`))![1]) * 1024;

tf.backend();
const version = `Node ${process.version}, oneDNN ${usesOneDnn() ? 'on' : 'off'}, kernels ${nativeVariant() ?? 'off'}`;
tf.ones([8]).dispose();
const baseline = status('VmRSS');

const model = build(settings.spec, undefined, { inputChannels: settings.channels, classes: settings.classes });
const random = new Random('bench');
const size = settings.patch.reduce((a, b) => a * b, 1);
const x = tf.tensor(
  Float32Array.from({ length: size * settings.channels }, () => random.normal(0, 1)),
  [1, ...settings.patch, settings.channels],
);
const labels = tf.tensor(
  Int32Array.from({ length: size }, () => Math.floor(random.uniform(0, settings.classes))),
  [1, ...settings.patch],
  'int32',
);

const optimiser = { kind: 'adamw', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-2 } as const;
const step = {
  network: model.network,
  optimiser: optimiserOf(optimiser),
  objective: {
    target: (t: tf.Tensor) => t,
    loss: (logits: tf.Tensor, target: tf.Tensor) =>
      dcAndCe(logits, target, { batchDice: false, background: false, smooth: 1e-5, variant: 'nnunetv2' }),
    counts: () => {
      throw new Error('not used');
    },
  },
  weights: [1],
  gradientClip: 12,
  trainable: model.network.parameters.filter((p) => !p.buffer && !p.aliasOf).map((p) => p.name),
};
let state = { params: model.params, optimiser: initialState() };
const losses: number[] = [];

function once() {
  if (settings.mode === 'predict') {
    const outputs = model.forward({ params: model.params, training: false, updates: {} }, x);
    outputs[0]
      .slice(
        outputs[0].shape.map(() => 0),
        outputs[0].shape.map(() => 1),
      )
      .dataSync();
    tf.dispose(outputs);
    return;
  }
  const result = trainStep(step, state, x, [labels], optimiser.learningRate, random);
  if (!('state' in result)) throw new Error(`${result.what} is not finite at ${result.layer}`);
  losses.push(result.loss);
  state = result.state;
}

once();
const seconds: number[] = [];
const cpuSeconds: number[] = [];
for (let i = 0; i < repetitions; i++) {
  const start = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  once();
  seconds.push(Number(process.hrtime.bigint() - start) / 1e9);
  const used = process.cpuUsage(cpu);
  cpuSeconds.push((used.user + used.system) / 1e6);
}
console.log(JSON.stringify({ seconds, cpuSeconds, peakBytes: status('VmHWM') - baseline, losses, version }));
