// One thing done with STU-Net L or H in a process of its own: `largeNetwork.ts STEP SIZE FOLDER` prints JSON.
// STEP: refuse (a training that cannot fit), save, saveMomentum, resume (with one training step for L), predict.
import { peakResidentBytes } from '../../src/base/memory.js';
import { Random } from '../../src/base/random.js';
import { product } from '../../src/base/shape.js';
import { labels } from '../../src/dataset/index.js';
import { initialise, network as networkOf, type Params } from '../../src/model/index.js';
import { stuNetPretraining } from '../../src/paper/recipes.js';
import { forwardOf, predictLogits } from '../../src/predict/slidingWindow.js';
import { tf } from '../../src/tensor/tf.js';
import {
  type Checkpoint,
  CheckpointFolder,
  deepSupervisionWeights,
  forecast,
  initialState,
  objectiveOf,
  optimiserOf,
  refuseIfTooLarge,
  startPosition,
  trainStep,
} from '../../src/train/index.js';
import { openWeights, toParams } from '../../src/weights/index.js';

const [what, size, folder] = process.argv.slice(2) as [string, 'L' | 'H', string];
const classes = 105;
const { network } = networkOf({ network: 'stunet', size }, undefined, { inputChannels: 1, classes, deepSupervision: true });
const names = Array.from({ length: classes }, (_, i) => [i === 0 ? 'background' : `organ${i}`, i]);
const objective = objectiveOf(stuNetPretraining, labels({ labels: Object.fromEntries(names) }));
const trained = network.parameters.filter((p) => !p.buffer && !p.aliasOf).map((p) => p.name);
const input = (edge: number, batchSize: number) => ({
  network,
  recipe: stuNetPretraining,
  objective,
  patch: [edge, edge, edge],
  batchSize,
  inputChannels: 1,
});

/** Per tensor its sum and its first value: another order or another tensor is seen. */
const marks = (params: Params) =>
  tf.tidy(() =>
    Object.fromEntries(
      Object.entries(params).map(([name, x]) => [
        name,
        [...tf.sum(x).dataSync(), ...tf.slice(tf.reshape(x, [-1]), [0], [1]).dataSync()],
      ]),
    ),
  );

/** Where a run with SGD stands after its first step: a momentum for every weight. */
function checkpoint(momentum: boolean): Checkpoint {
  const params = initialise(network, new Random(1));
  const slots: Params = {};
  if (momentum) for (const name of trained) slots[`momentum.${name}`] = tf.mul(params[name], 0.5);
  return {
    params,
    optimiser: { ...initialState(), step: momentum ? 1 : 0, slots },
    position: { ...startPosition(1), step: 1, done: 1 },
  };
}

function save(momentum: boolean) {
  const checkpoints = new CheckpointFolder(folder, size, network);
  const made = checkpoint(momentum);
  const madeBytes = peakResidentBytes();
  const file = momentum ? checkpoints.save(made) : checkpoints.saveParams('final', made);
  return { file, madeBytes, marks: { ...marks(made.params), ...marks(made.optimiser.slots) } };
}

/** Loads, and where the gradients fit as well, goes on by a step. */
function resume() {
  const found = new CheckpointFolder(folder, size, network).load()!;
  const seen = { ...marks(found.params), ...marks(found.optimiser.slots) };
  const loadedBytes = peakResidentBytes();
  if (size !== 'L') return { marks: seen, loadedBytes };
  const { outputShapes, bytes } = forecast(input(64, 1));
  const random = new Random(2);
  const x = tf.tensor(
    Float32Array.from({ length: 64 ** 3 }, () => random.normal()),
    [1, 64, 64, 64, 1],
  );
  const targets = outputShapes.map((shape) =>
    objective.target(
      tf.tensor(
        Int32Array.from({ length: product(shape) }, () => random.int(0, classes)),
        [1, ...shape],
        'int32',
      ),
    ),
  );
  const result = trainStep(
    {
      network,
      optimiser: optimiserOf(stuNetPretraining.optimiser),
      objective,
      weights: deepSupervisionWeights(stuNetPretraining.deepSupervision, outputShapes.length),
      gradientClip: 12,
      trainable: trained,
    },
    found,
    x,
    targets,
    1e-3,
    random,
  );
  if ('what' in result) throw new Error(`not finite: ${result.layer}`);
  return { marks: seen, loadedBytes, step: result.state.optimiser.step, totalBytes: bytes.total };
}

async function predict() {
  const file = new CheckpointFolder(folder, size, network).file('final');
  const params = toParams(network, openWeights(file).tensors);
  const loadedBytes = peakResidentBytes();
  const image = Float32Array.from({ length: 64 ** 3 }, (_, i) => Math.sin(i / 50));
  const forward = forwardOf(network, params);
  let passedBytes = 0;
  const logits = await predictLogits(
    (x) => {
      const y = forward(x);
      passedBytes = peakResidentBytes();
      return y;
    },
    { data: image, shape: [64, 64, 64], channels: 1 },
    { patchSize: [64, 64, 64], heads: classes },
  );
  const { bytes } = forecast(input(64, 1));
  return {
    marks: marks(params),
    loadedBytes,
    passedBytes,
    logits: logits.length,
    finite: logits.every(Number.isFinite),
    stepBytes: bytes.prediction + 4 * logits.length,
  };
}

/** The published patch and batch, on this machine. */
function refuse() {
  const asked = input(128, 2);
  const found = forecast(asked);
  try {
    refuseIfTooLarge(asked, found);
    return { refusal: '' };
  } catch (error) {
    return { refusal: (error as Error).message };
  }
}

const steps = { refuse, save: () => save(false), saveMomentum: () => save(true), resume, predict };
const begin = performance.now();
const found = await steps[what as keyof typeof steps]();
const seconds = (performance.now() - begin) / 1000;
process.stdout.write(
  JSON.stringify({
    ...found,
    parameters: 4 * network.parameters.reduce((n, p) => n + (p.aliasOf ? 0 : product(p.shape)), 0),
    largestBytes: 4 * Math.max(...network.parameters.map((p) => product(p.shape))),
    seconds,
    peakBytes: peakResidentBytes(),
  }),
);
