import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Random } from '../../../src/base/random.js';
import type { Params } from '../../../src/model/index.js';
import { tf } from '../../../src/tensor/tf.js';
import {
  adamW,
  applyGradients,
  clipByGlobalNorm,
  cosine,
  initialState,
  isFrozen,
  learningRate,
  type OptimiserState,
  optimiserOf,
  poly,
  sgd,
  type TrainState,
} from '../../../src/train/index.js';

const random = new Random('optimiser');
const numbers = (n: number) => Array.from({ length: n }, () => Math.fround(random.normal()));
const close = (a: ArrayLike<number>, b: number[]) => {
  for (let i = 0; i < b.length; i++) assert.ok(Math.abs(a[i] - b[i]) < 1e-5, `${a[i]} is not ${b[i]}`);
};

describe('train optimisers', () => {
  it('AdamW equals the recurrence written out number by number', () => {
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 0.05 };
    let p = numbers(5);
    const m = p.map(() => 0);
    const v = p.map(() => 0);
    let params = { w: tf.tensor1d(p) as tf.Tensor };
    let state: OptimiserState = initialState();
    for (let t = 1; t <= 6; t++) {
      const g = numbers(5);
      p = p.map((x, i) => {
        m[i] = 0.9 * m[i] + 0.1 * g[i];
        v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2;
        const decayed = x * (1 - 0.01 * 0.05);
        return decayed - (0.01 / (1 - 0.9 ** t)) * (m[i] / (Math.sqrt(v[i]) / Math.sqrt(1 - 0.999 ** t) + 1e-4));
      });
      const stepped = adamW(params, { w: tf.tensor1d(g) }, state, 0.01, settings);
      params = stepped.params as typeof params;
      state = stepped.state;
      close(params.w.dataSync(), p);
    }
    assert.equal(state.step, 6);
  });

  it('AdamW equals torch where a parameter is frozen at first: it counts its own steps', () => {
    const golden = JSON.parse(fs.readFileSync(new URL('./unfrozen.json', import.meta.url), 'utf8'));
    const optimiser = optimiserOf({ kind: 'adamw', ...golden.settings });
    const start = () => ({ encoder: tf.tensor1d(golden.start.encoder), decoder: tf.tensor1d(golden.start.decoder) });
    let params: Params = start();
    let state = initialState();
    // The step that training takes, written in place.
    let trained: TrainState = { params: start(), optimiser: initialState() };
    for (const [t, { encoder, decoder }] of golden.gradients.entries()) {
      const gradients: Params = { decoder: tf.tensor1d(decoder) };
      if (t >= golden.frozenSteps) gradients.encoder = tf.tensor1d(encoder);
      const { learningRate: rate } = golden.settings;
      const stepped = adamW(params, gradients, state, rate, golden.settings);
      params = { ...params, ...stepped.params };
      state = { ...stepped.state, slots: { ...state.slots, ...stepped.state.slots } };
      trained = applyGradients(optimiser, trained, gradients, rate, Number.POSITIVE_INFINITY).state!;
      for (const name of ['encoder', 'decoder'])
        for (const reached of [params, trained.params])
          for (const [i, value] of reached[name].dataSync().entries())
            assert.ok(Math.abs(value - golden.after[t][name][i]) < 1e-6, `${name} after step ${t + 1}: ${value}`);
    }
    assert.deepEqual(trained.optimiser.steps, golden.steps);
    assert.deepEqual(state.steps, golden.steps);
  });

  for (const nesterov of [true, false])
    it(`SGD equals the recurrence, Nesterov ${nesterov}`, () => {
      let p = numbers(4);
      const velocity: number[] = [];
      let params = { w: tf.tensor1d(p) as tf.Tensor };
      let state = initialState();
      for (let t = 0; t < 5; t++) {
        const g = numbers(4);
        p = p.map((x, i) => {
          const d = g[i] + 3e-5 * x;
          velocity[i] = t === 0 ? d : 0.99 * velocity[i] + d;
          return x - 0.01 * (nesterov ? d + 0.99 * velocity[i] : velocity[i]);
        });
        const stepped = sgd(params, { w: tf.tensor1d(g) }, state, 0.01, { momentum: 0.99, nesterov, weightDecay: 3e-5 });
        params = stepped.params as typeof params;
        state = stepped.state;
        close(params.w.dataSync(), p);
      }
    });

  it('is pure: what was passed in is neither changed nor disposed, and a parameter without a gradient is not in the result', () => {
    const params = { a: tf.ones([3]), b: tf.ones([2]) };
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
    const stepped = adamW(params, { a: tf.ones([3]) }, initialState(), 0.1, settings);
    assert.deepEqual(Object.keys(stepped.params), ['a']);
    assert.deepEqual([...params.a.dataSync()], [1, 1, 1]);
    assert.deepEqual(Object.keys(stepped.state.slots).sort(), ['m.a', 'v.a']);
  });

  it('clips to the norm of all gradients together, and leaves smaller ones as they are', () => {
    const gradients = { a: tf.tensor1d([3, 0]), b: tf.tensor1d([0, 4]) };
    const { norm, gradients: clipped } = clipByGlobalNorm(gradients, 1);
    assert.ok(Math.abs(norm - 5) < 1e-6);
    close(clipped.a.dataSync(), [0.6, 0]);
    close(clipped.b.dataSync(), [0, 0.8]);
    close(clipByGlobalNorm(gradients, 12).gradients.b.dataSync(), [0, 4]);
  });

  it('schedules begin at the initial rate and end where they should', () => {
    assert.equal(poly(0.01, 0, 1000), 0.01);
    assert.ok(poly(0.01, 999, 1000) < 3e-5);
    assert.equal(cosine(1e-4, 0, 1000, 1e-6), 1e-4);
    assert.ok(Math.abs(cosine(1e-4, 1000, 1000, 1e-6) - 1e-6) < 1e-12);
    const optimiser = { kind: 'adamw', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, weightDecay: 0.05 } as const;
    // Swin-UMamba stops at epoch 100 of a cosine laid out over 1000.
    const recipe = { optimiser, schedule: { kind: 'cosine', total: 1000, minimum: 1e-6 }, epochs: 100 } as const;
    assert.ok(learningRate(recipe, 99) > 0.97e-4);
  });

  it('freezes by prefix, for the epochs it says', () => {
    const freeze = { prefixes: ['encoder'], except: ['encoder.patch_embed'], epochs: 10 };
    assert.equal(isFrozen(freeze, 'encoder.layers.0.weight', 9), true);
    assert.equal(isFrozen(freeze, 'encoder.layers.0.weight', 10), false);
    assert.equal(isFrozen(freeze, 'encoder.patch_embed.0.weight', 0), false);
    assert.equal(isFrozen(freeze, 'decoder.weight', 0), false);
    assert.equal(isFrozen(undefined, 'encoder', 0), false);
  });
});
