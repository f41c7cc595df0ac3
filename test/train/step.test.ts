// A training step with our kernels is the step with plain operators: loss, norm, weights and slots.
import assert from 'node:assert/strict';
import { Random } from '../../src/base/random.js';
import { labels } from '../../src/dataset/index.js';
import { initialise } from '../../src/model/network.js';
import { native } from '../../src/tensor/native/load.js';
import { tf } from '../../src/tensor/tf.js';
import type { Batch, Recipe } from '../../src/train/index.js';
import { objectiveOf } from '../../src/train/objective.js';
import { initialState, optimiserOf, type TrainState } from '../../src/train/optim/optimiser.js';
import { batchTensors, trainStep, validationStep } from '../../src/train/step.js';
import { assertClose, plain } from '../tensor/native/helpers.js';
import { side, TinyFeed, tinyNetwork, tinyRecipe } from './tiny.js';

const sgd = { kind: 'sgd', learningRate: 0.01, momentum: 0.99, nesterov: true, weightDecay: 3e-5 } as const;
const overLabels = labels({ labels: { background: 0, shell: 1, core: 2 } });
const withIgnore = labels({ labels: { background: 0, shell: 1, ignore: 2 } });
const regions = labels({ labels: { background: 0, whole: [1, 2], core: 2 }, regions_class_order: [1, 2] });

/** Three steps and a validation: everything they gave, as numbers. */
function trained(batches: Batch[], recipe: Recipe, over: typeof overLabels, heads: number): Record<string, ArrayLike<number>> {
  const network = tinyNetwork(1, heads);
  const objective = objectiveOf(recipe, over);
  const shapes = [side, side / 2].map((n) => [n, n, n]);
  const trainable = network.parameters.filter((p) => !p.buffer).map((p) => p.name);
  const settings = {
    network,
    objective,
    optimiser: optimiserOf(recipe.optimiser),
    weights: [2 / 3, 1 / 3],
    gradientClip: 0.5,
    trainable,
  };
  let state: TrainState = { params: initialise(network, new Random(1)), optimiser: initialState() };
  const numbers: number[] = [];
  for (const [step, batch] of batches.entries()) {
    const { x, targets } = batchTensors(batch, shapes, 3, objective);
    const result = trainStep(settings, state, x, targets, 0.01, new Random(step));
    if ('what' in result) throw new Error(result.layer);
    state = result.state;
    numbers.push(result.loss, result.norm);
    if (step === 2) numbers.push(validationStep(settings, state.params, x, targets, null).loss);
    tf.dispose([x, ...targets]);
  }
  const tensors = { ...state.params, ...state.optimiser.slots };
  const values = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.dataSync()]));
  tf.dispose(tensors);
  return { ...values, numbers };
}

describe('train step', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const optimiser of [tinyRecipe.optimiser, sgd])
    for (const [what, over, heads, kind] of [
      ['labels', overLabels, 3, 'dice+ce'],
      ['labels, some of them ignored', withIgnore, 2, 'dice+ce'],
      ['regions', regions, 2, 'dice+bce'],
    ] as const)
      for (const batchDice of [false, true])
        it(`${optimiser.kind} on ${what}, batch Dice ${batchDice}: our kernels and the plain operators agree`, async () => {
          const recipe: Recipe = { ...tinyRecipe, optimiser, loss: { kind, dice: 'nnunetv2', batchDice, smooth: 1e-5 } };
          const before = tf.memory().numTensors;
          const feed = new TinyFeed(3);
          const batches = [await feed.next('train', 0), await feed.next('train', 1), await feed.next('train', 2)];
          const ours = trained(batches, recipe, over, heads);
          const reference = plain(() => trained(batches, recipe, over, heads));
          assert.deepEqual(Object.keys(ours).sort(), Object.keys(reference).sort());
          for (const [name, values] of Object.entries(reference)) assertClose(ours[name], values, 1e-5, name);
          assert.equal(tf.memory().numTensors, before);
        });

  it('the whole loss is one operation and the whole optimiser step another', async () => {
    const batches = [await new TinyFeed(3).next('train', 0), await new TinyFeed(3).next('train', 1)];
    const backend = tf.backend() as unknown as Record<string, (name: string, ...rest: unknown[]) => unknown>;
    const called: string[] = [];
    const names = ['executeSingleOutput', 'executeMultipleOutputs'];
    const originals = names.map((name) => backend[name]);
    for (const [i, name] of names.entries())
      backend[name] = function (this: unknown, operation: string, ...rest: unknown[]) {
        called.push(operation);
        return originals[i].call(this, operation, ...rest);
      };
    try {
      trained(batches, tinyRecipe, overLabels, 3);
    } finally {
      for (const [i, name] of names.entries()) backend[name] = originals[i];
    }
    const times = (name: string) => called.filter((operation) => operation === name).length;
    assert.deepEqual([times('VoxelbookLabelLoss'), times('VoxelbookOptimiserStep')], [2, 2]);
    // What the plain loss, the clip and the plain optimiser are made of.
    for (const name of ['OneHot', 'Softmax', 'LogSoftmax', 'Square', 'Sqrt', 'AddN']) assert.equal(times(name), 0, name);
  });
});
