// Two replicas that exchange their gradients before clipping take the step of one with twice the batch.
import assert from 'node:assert/strict';
import { Random } from '../../src/base/random.js';
import { extend } from '../../src/base/registry.js';
import { key, object, whole } from '../../src/base/schema.js';
import { labels } from '../../src/dataset/index.js';
import { initialise, type Params } from '../../src/model/network.js';
import { tf } from '../../src/tensor/tf.js';
import type { Batch } from '../../src/train/feed/batchMemory.js';
import { type HookState, hooksOf } from '../../src/train/hooks.js';
import { objectiveOf } from '../../src/train/objective.js';
import { initialState, type TrainState } from '../../src/train/optim/optimiser.js';
import { batchTensors, lossAndGradients, type StepSettings, settingsOf, trainStep } from '../../src/train/step.js';
import { assertClose } from '../tensor/native/helpers.js';
import { side, TinyFeed, tinyNetwork, tinyRecipe } from './tiny.js';

const mean = (a: Readonly<Params>, b: Readonly<Params>): Params =>
  Object.fromEntries(Object.keys(a).map((name) => [name, tf.tidy(() => tf.div(tf.add(a[name], b[name]), 2))]));

/** Gradients that the other replica has for the coming step. */
let other: Params;
extend({
  hooks: [
    { name: 'replicas-mean', settings: object({}), onGradients: (gradients) => mean(gradients, other) },
    {
      name: 'replicas-wrong',
      settings: object({ of: key(whole(0, 9), 'which fault') }),
      onGradients(given, _state, { of }) {
        const gradients: Params = { ...given };
        const [first, second] = Object.keys(gradients);
        if (of === 0) delete gradients[first];
        else gradients[first] = gradients[second];
        return gradients;
      },
    },
  ],
});

describe('gradients of replicas', () => {
  const network = tinyNetwork();
  const shapes = [side, side / 2].map((n) => [n, n, n]);
  const state = (): TrainState => ({ params: initialise(network, new Random(1)), optimiser: initialState() });
  const prepared = (
    kind: string,
    more = {},
  ): { settings: StepSettings; tensors: (batch: Batch) => ReturnType<typeof batchTensors> } => {
    const recipe = { ...tinyRecipe, gradientClip: 0.05, hooks: kind ? [{ kind, ...more } as never] : [] };
    const objective = objectiveOf(recipe, labels({ labels: { background: 0, shell: 1, core: 2 } }));
    const { gradients } = hooksOf(recipe);
    const onGradients = gradients && ((g: Readonly<Params>) => gradients(g, {} as HookState));
    const trainable = network.parameters.filter((p) => !p.buffer).map((p) => p.name);
    return {
      settings: { ...settingsOf(recipe, network, objective, 2), trainable, onGradients },
      tensors: (batch) => batchTensors(batch, shapes, 3, objective),
    };
  };
  const parts = async () => {
    const whole = await new TinyFeed(7, 4).next('train', 0);
    const cut = <T extends { slice(a: number, b: number): T; length: number }>(a: T, i: number) =>
      a.slice((i * a.length) / 2, ((i + 1) * a.length) / 2);
    const halves = [0, 1].map(
      (i): Batch => ({
        caseIds: cut(whole.caseIds as never, i),
        channels: 1,
        image: cut(whole.image, i) as Float32Array<ArrayBuffer>,
        labels: whole.labels.map((l) => cut(l as Int32Array, i)) as Batch['labels'],
      }),
    );
    return { whole, halves };
  };

  it('exchanged before clipping: weights, slots and norm of one step on twice the batch', async () => {
    const tensorsBefore = tf.memory().numTensors;
    const { whole, halves } = await parts();
    const alone = prepared('');
    const one = alone.tensors(whole);
    const expected = trainStep(alone.settings, state(), one.x, one.targets, 0.02);
    tf.dispose(one as never);
    assert.ok('state' in expected && expected.norm > 0.05, 'the norm is clipped');

    const replica = prepared('replicas-mean');
    const given = halves.map(replica.tensors);
    const both = given.map(({ x, targets }) => {
      const { params } = state();
      const found = lossAndGradients(replica.settings, params, x, targets);
      tf.dispose([params, found.updates]);
      return found.gradients;
    });
    for (const i of [0, 1]) {
      other = both[1 - i];
      const result = trainStep(replica.settings, state(), given[i].x, given[i].targets, 0.02);
      assert.ok('state' in result);
      assertClose([result.norm], [expected.norm], 1e-5, 'norm');
      const { params, optimiser } = result.state;
      for (const { name, buffer } of network.parameters)
        if (!buffer) assertClose(params[name].dataSync(), expected.state.params[name].dataSync(), 1e-5, name);
      for (const [name, slot] of Object.entries(optimiser.slots))
        assertClose(slot.dataSync(), expected.state.optimiser.slots[name].dataSync(), 1e-5, name);
      tf.dispose([params, optimiser.slots] as never);
    }
    tf.dispose([both, given, expected.state.params, expected.state.optimiser.slots] as never);
    assert.equal(tf.memory().numTensors, tensorsBefore);
  });

  for (const [of, message] of [
    [0, /hook replicas-wrong gives gradients of another form back[\s\S]*no gradient/],
    [1, /hook replicas-wrong gives gradients of another form back[\s\S]*float32/],
  ] as const)
    it(`gradients of another form are refused by the hook’s name (${of})`, async () => {
      const { halves } = await parts();
      const { settings, tensors } = prepared('replicas-wrong', { of });
      const { x, targets } = tensors(halves[0]);
      assert.throws(() => trainStep(settings, state(), x, targets, 0.02), message);
    });
});
