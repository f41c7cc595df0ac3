// What every operator's test asks: equal to a slow reference, gradients as finite differences, nothing left behind.
import assert from 'node:assert';
import { Random } from '../../../src/base/random.js';
import { tf } from '../../../src/tensor/tf.js';

const random = new Random('operators');

/** Uniform in [-1, 1), from one stream of all tests here. */
export const draw = (shape: number[]): tf.Tensor =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform(-1, 1)),
    shape,
  );

export function close(ours: ArrayLike<number>, reference: ArrayLike<number>, tolerance: number, what = 'values') {
  assert.strictEqual(ours.length, reference.length, `${what}: lengths`);
  let worst = 0;
  for (let i = 0; i < ours.length; i++) {
    const error = Math.abs(ours[i] - reference[i]);
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }
  assert.ok(worst <= tolerance, `${what}: off by ${worst}, allowed ${tolerance}`);
}

/**
 * Compares the gradient of sum(f · r) for each input with central differences of `step` and of half of it, at up to 40 places an input.
 * Together they are exact but for the fourth power of the step (Richardson), so that a bend of f is not taken for a wrong gradient.
 */
export function gradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[], step = 0.05, tolerance = 2e-3) {
  const shape = tf.tidy(() => f(...inputs).shape);
  const weights = draw(shape);
  const loss = (...xs: tf.Tensor[]) => tf.tidy(() => tf.sum(tf.mul(f(...xs), weights)) as tf.Scalar);
  const ours = tf.grads(loss)(inputs);
  for (const [i, input] of inputs.entries()) {
    const values = input.dataSync() as Float32Array;
    const gradient = ours[i].dataSync();
    assert.deepStrictEqual(ours[i].shape, input.shape, `shape of gradient ${i}`);
    const largest = Array.from(gradient).reduce((m, v) => Math.max(m, Math.abs(v)), 1);
    const every = Math.max(1, Math.floor(values.length / 40));
    for (let at = 0; at < values.length; at += every) {
      const moved = (by: number) => {
        const changed = Float32Array.from(values);
        changed[at] += by;
        return tf.tidy(() => {
          const x = tf.tensor(changed, input.shape);
          return loss(...inputs.map((other, j) => (j === i ? x : other))).dataSync()[0];
        });
      };
      const quotient = (by: number) => (moved(by) - moved(-by)) / (2 * by);
      const slope = (4 * quotient(step / 2) - quotient(step)) / 3;
      const error = Math.abs(slope - gradient[at]) / largest;
      assert.ok(error <= tolerance, `gradient of input ${i} at ${at}: ${gradient[at]}, difference quotient ${slope}`);
    }
  }
  tf.dispose([...ours, weights]);
}

/** Runs `f`, and says when it leaves tensors. */
export function leavesNothing(f: () => void) {
  const before = tf.memory().numTensors;
  f();
  assert.strictEqual(tf.memory().numTensors, before, 'tensors left behind');
}

export const shapeSize = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Visits every index of `shape` in order. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const index = shape.map(() => 0);
  const total = shapeSize(shape);
  for (let i = 0; i < total; i++) {
    yield index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

export const offset = (shape: readonly number[], index: readonly number[]) =>
  index.reduce((sum, n, axis) => sum * shape[axis] + n, 0);
