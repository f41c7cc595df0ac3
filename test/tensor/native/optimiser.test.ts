// The optimiser's step on our own kernel, written in place, against the plain recurrences.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { nodeArguments } from '../../../src/base/workers.js';
import type { Params } from '../../../src/model/index.js';
import { executeOnList, native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';
import { applyGradients, globalNorm, initialState, optimiserOf, type Recipe, type TrainState } from '../../../src/train/index.js';
import { assertClose, plain, smooth } from './helpers.js';

const adamw = { kind: 'adamw', learningRate: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } as const;
const sgd = { kind: 'sgd', learningRate: 1, momentum: 0.99, nesterov: true, weightDecay: 3e-5 } as const;
const settings: Recipe['optimiser'][] = [adamw, { ...adamw, weightDecay: 0 }, sgd, { ...sgd, nesterov: false, weightDecay: 0 }];

const fresh = (): TrainState => ({
  params: { a: smooth([70, 33], 1, 1), b: smooth([5], 2, 1), late: smooth([40_000], 3, 1), still: smooth([2], 4, 1) },
  optimiser: initialState(),
});
/** `late` has no gradient before the third step. */
const gradientsOf = (step: number): Params => ({
  b: smooth([5], 6 + step, 10),
  ...(step >= 2 ? { late: smooth([40_000], 20 + step, 0.3) } : {}),
  a: smooth([70, 33], 10 + step, 0.1),
});
const valuesOf = ({ params, optimiser }: TrainState) =>
  Object.fromEntries([...Object.entries(params), ...Object.entries(optimiser.slots)].map(([k, t]) => [k, t.dataSync()]));
const dispose = (...states: TrainState[]) => tf.dispose(states.map((s) => [s.params, s.optimiser.slots]));

/** Four steps: the state and the norms. */
function walk(kind: Recipe['optimiser'], clip: number): { state: TrainState; norms: number[] } {
  let state = fresh();
  const norms: number[] = [];
  for (let step = 0; step < 4; step++) {
    const gradients = gradientsOf(step);
    const done = applyGradients(optimiserOf(kind), state, gradients, 1e-2, clip);
    norms.push(done.norm);
    state = done.state!;
    tf.dispose(gradients);
  }
  return { state, norms };
}

describe('native optimiser step', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const kind of settings)
    for (const clip of [1, 1e9, Number.POSITIVE_INFINITY])
      it(`${JSON.stringify(kind)}, norm at most ${clip}: four steps give what the plain ones give`, () => {
        const before = tf.memory().numTensors;
        const ours = walk(kind, clip);
        const reference = plain(() => walk(kind, clip));
        const expected = valuesOf(reference.state);
        assert.deepEqual(Object.keys(valuesOf(ours.state)).sort(), Object.keys(expected).sort());
        for (const [name, values] of Object.entries(valuesOf(ours.state))) assertClose(values, expected[name], 5e-7, name);
        assertClose(ours.norms, reference.norms, 1e-6, 'norms');
        assert.deepEqual(ours.state.optimiser.steps, { b: 4, a: 4, late: 2 });
        assert.deepEqual(ours.state.optimiser.steps, reference.state.optimiser.steps);
        dispose(ours.state, reference.state);
        assert.equal(tf.memory().numTensors, before);
      });

  for (const [what, bad] of [
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
  ] as const)
    for (const first of [true, false])
      it(`${what} in one gradient, ${first ? 'at once' : 'after a step'}: nothing is changed`, () => {
        const optimiser = optimiserOf(adamw);
        let state = fresh();
        if (!first) state = applyGradients(optimiser, state, gradientsOf(3), 1e-2, 12).state!;
        const before = valuesOf(state);
        const gradients = { ...gradientsOf(3), a: tf.concat([smooth([69, 33], 13, 0.1), tf.fill([1, 33], bad)]) };
        const tensors = tf.memory().numTensors;
        const done = applyGradients(optimiser, state, gradients, 1e-2, 12);
        assert.equal(done.state, undefined);
        assert.equal(tf.memory().numTensors, tensors);
        assert.ok(!Number.isFinite(done.norm));
        assert.deepEqual(valuesOf(state), before);
        tf.dispose(gradients);
        dispose(state);
      });

  it('writes in place what it made itself; arrays it was given and clones that were kept stay as they are', () => {
    const array = Float32Array.from({ length: 6 }, (_, i) => i);
    const kept = array.slice();
    const optimiser = optimiserOf(sgd);
    const gradients = () => ({ w: tf.ones([6]) });
    const one = applyGradients(optimiser, { params: { w: tf.tensor1d(array) }, optimiser: initialState() }, gradients(), 0.1, 9);
    assert.deepEqual(array, kept);
    const two = applyGradients(optimiser, one.state!, gradients(), 0.1, 9).state!;
    assert.equal(two.params.w, one.state!.params.w);
    assert.equal(two.optimiser.slots['momentum.w'], one.state!.optimiser.slots['momentum.w']);
    const [clone, before] = [two.params.w.clone(), two.params.w.dataSync()];
    const three = applyGradients(optimiser, two, gradients(), 0.1, 9).state!;
    assert.deepEqual(clone.dataSync(), before);
    assert.notDeepEqual(three.params.w.dataSync(), before);
    tf.dispose(clone);
    dispose(three);
  });

  it('the norm is a sum in double precision, the same for any number of threads', () => {
    const gradients = { a: tf.fill([100_000], 1e25), b: tf.fill([3], -1e25) };
    assert.ok(Math.abs(globalNorm(gradients) / (Math.fround(1e25) * Math.sqrt(100_003)) - 1) < 1e-12);
    const many = { a: smooth([300_001], 1, 1) };
    const norms = [1, 2, 3].map((count) => {
      setNativeThreads(count);
      return globalNorm(many);
    });
    setNativeThreads(threadsOfProcess());
    assert.equal(new Set(norms).size, 1);
    const exact = Math.sqrt([...many.a.dataSync()].reduce((sum, x) => sum + x * x, 0));
    assert.ok(Math.abs(norms[0] / exact - 1) < 1e-12);
    tf.dispose([gradients, many]);
  });

  it('what does not fit comes back as an error that names it', () =>
    tf.tidy(() => {
      const run = (inputs: tf.Tensor[], ints: number[]) => () => executeOnList('VoxelbookOptimiserStep', inputs, 1, ints);
      const [w, g, v, s] = [tf.ones([2, 3]), tf.ones([2, 3]), tf.ones([2, 3]), tf.ones([7])];
      assert.throws(run([w, g, tf.ones([6]), s], [0, 1, 0]), /parameter \[2,3\] and \[6\]/);
      assert.throws(run([w, g, v, s], [1, 1, 0]), /4 tensors for 1 parameters/);
      assert.throws(run([w, g, v, s], [7, 1, 0]), /optimiser 7 is unknown/);
      assert.throws(run([w, g, v, tf.ones([8])], [0, 1, 0]), /settings \[8\], 7 expected/);
      assert.throws(run([w, g, v, s], [0, 1, 1]), /4 tensors for 1 parameters/);
      assert.throws(run([w, g, v, s], [0, -1, 0]), /4 tensors for -1 parameters/);
    }));

  it('steps need four times the parameters’ memory: values, gradients and two slots', async function () {
    this.timeout(120_000);
    if (process.platform !== 'linux') this.skip();
    const child = nodeArguments(new URL('./optimiserMemory.js', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, child);
    const { before, peak, parameters } = JSON.parse(stdout) as Record<'before' | 'peak' | 'parameters', number>;
    const times = (peak - before) / parameters;
    console.log(`      ${times.toFixed(2)} times ${parameters / 1e6} MB`);
    assert.ok(times > 3.9 && times < 4.4, `${times}`);
  });
});
