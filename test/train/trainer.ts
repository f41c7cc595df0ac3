// A process that trains a few steps of one network on noise and prints what it needed: forecast.test.ts, soak.test.ts.
import { createHash } from 'node:crypto';
import { peakResidentBytes } from '../../src/base/memory.js';
import { Random } from '../../src/base/random.js';
import { labels } from '../../src/dataset/index.js';
import { initialise, type ModelSpec, network as networkOf } from '../../src/model/index.js';
import { mednext } from '../../src/paper/recipes.js';
import { loadTensorflow, tf } from '../../src/tensor/tf.js';
import {
  batchTensors,
  deepSupervisionWeights,
  forecast,
  initialState,
  objectiveOf,
  optimiserOf,
  type TrainState,
  trainStep,
} from '../../src/train/index.js';

interface Order {
  model: ModelSpec;
  patch: number[];
  batchSize: number;
  steps: number;
}

const { model, patch, batchSize, steps } = JSON.parse(process.argv[2]) as Order;
const inputChannels = 2;
const recipe = { ...mednext, deepSupervision: 'all' as const };
const { network } = networkOf(model, undefined, { inputChannels, classes: 3, deepSupervision: true });
const objective = objectiveOf(recipe, labels({ labels: { background: 0, a: 1, b: 2 } }));
loadTensorflow();
const found = forecast({ network, recipe, objective, patch, batchSize, inputChannels, processBytes: process.memoryUsage.rss() });
const shapes = found.outputShapes.map((s) => (s.length === 2 ? [1, ...s] : s));
const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
const random = new Random(1);
const batch = {
  caseIds: Array<string>(batchSize).fill('noise'),
  image: Float32Array.from({ length: batchSize * size(shapes[0]) * inputChannels }, () => random.normal()),
  channels: inputChannels,
  labels: shapes.map((s) => Int32Array.from({ length: batchSize * size(s) }, () => random.int(0, 3))),
};
const settings = {
  network,
  optimiser: optimiserOf(recipe.optimiser),
  objective,
  weights: deepSupervisionWeights('all', shapes.length),
  gradientClip: 12,
  trainable: network.parameters.filter((p) => !p.buffer && !p.aliasOf).map((p) => p.name),
};
let state: TrainState = { params: initialise(network, random), optimiser: initialState() };
const tensors: number[] = [];
const rss: number[] = [];
const milliseconds: number[] = [];
for (let step = 0; step < steps; step++) {
  const begin = performance.now();
  const { x, targets } = batchTensors(batch, shapes, patch.length as 2 | 3, objective);
  const result = trainStep(settings, state, x, targets, 1e-4, random.split(step));
  tf.dispose([x, ...targets]);
  if ('what' in result) throw new Error(`not finite: ${result.layer}`);
  state = result.state;
  // As training does between steps: Node from 22 on frees what a collected array held in its event loop.
  await new Promise(setImmediate);
  // Garbage that JavaScript has not collected yet is no leak.
  if (step % 25 === 0) globalThis.gc?.();
  tensors.push(tf.memory().numTensors);
  rss.push(process.memoryUsage.rss());
  milliseconds.push(performance.now() - begin);
}
const peakBytes = peakResidentBytes();
const hash = createHash('sha256');
for (const name of Object.keys(state.params).sort())
  hash.update(new Uint8Array(state.params[name].dataSync().buffer as ArrayBuffer));
const digest = hash.digest('hex');
process.stdout.write(JSON.stringify({ forecast: found.bytes, peakBytes, tensors, rss, milliseconds, digest }));
