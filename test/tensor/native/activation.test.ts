import assert from 'node:assert';
import { execute, native } from '../../../src/tensor/native/load.js';
import { gelu } from '../../../src/tensor/ops/gelu.js';
import { leakyRelu } from '../../../src/tensor/ops/leakyRelu.js';
import { silu } from '../../../src/tensor/ops/silu.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose } from './helpers.js';

/** Φ by its series near zero, by the continued fraction of its tail beyond 3. */
function normalCdf(x: number): number {
  if (Math.abs(x) > 3) {
    let fraction = Math.abs(x);
    for (let n = 60; n > 0; n--) fraction = Math.abs(x) + n / fraction;
    const tail = density(x) / fraction;
    return x > 0 ? 1 - tail : tail;
  }
  let term = x;
  let sum = x;
  for (let n = 1; n < 60; n++) {
    term *= (-x * x) / 2 / n;
    sum += term / (2 * n + 1);
  }
  return 0.5 + sum / Math.sqrt(2 * Math.PI);
}
const logistic = (x: number) => 1 / (1 + Math.exp(-x));
const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

const activations = {
  leakyRelu: {
    op: (x: tf.Tensor) => leakyRelu(x, 0.2),
    value: (x: number) => (x > 0 ? x : 0.2 * x),
    slope: (x: number) => (x > 0 ? 1 : 0.2),
  },
  gelu: { op: gelu, value: (x: number) => x * normalCdf(x), slope: (x: number) => normalCdf(x) + x * density(x) },
  silu: {
    op: silu,
    value: (x: number) => x * logistic(x),
    slope: (x: number) => logistic(x) * (1 + x * (1 - logistic(x))),
  },
};

describe('native activations', () => {
  before(function () {
    if (!native()) this.skip();
  });

  // Dense where the function bends, far out on both sides, and a length that fills no vector.
  const points = Float32Array.from({ length: 40001 }, (_, i) => (i - 20000) / 2500);
  const far = Float32Array.from([-1e30, -200, -90, -30, -12, 0, 12, 30, 90, 200, 1e30]);

  for (const [name, { op, value, slope }] of Object.entries(activations)) {
    it(`${name} is the definition's to float accuracy, everywhere`, () =>
      tf.tidy(() => {
        const y = op(tf.tensor1d(points)).dataSync();
        for (const [i, x] of points.entries()) assert.ok(Math.abs(y[i] - value(x)) < 1.5e-6, `at ${x}: ${y[i]}, not ${value(x)}`);
        assertClose(op(tf.tensor1d(far)).dataSync(), far.map(value), 1e-6, 'far out');
      }));
    it(`${name}: the gradient is the derivative`, () =>
      tf.tidy(() => {
        const dy = tf.linspace(-2, 2, points.length);
        const [w, dx] = [
          dy.dataSync(),
          tf
            .grad((x) => tf.sum(tf.mul(op(x), dy)))(tf.tensor1d(points))
            .dataSync(),
        ];
        for (const [i, x] of points.entries())
          assert.ok(Math.abs(dx[i] - w[i] * slope(x)) < 2e-6, `at ${x}: ${dx[i]}, not ${w[i] * slope(x)}`);
      }));
    it(`${name} of nothing is nothing, and the shape stays`, () =>
      tf.tidy(() => {
        assert.deepStrictEqual(op(tf.zeros([2, 0, 3])).shape, [2, 0, 3]);
        assert.deepStrictEqual(op(tf.zeros([2, 5, 3])).shape, [2, 5, 3]);
      }));
  }

  it('gelu far below zero is exactly zero, far above exactly x', () =>
    tf.tidy(() => {
      assert.deepStrictEqual(
        [...gelu(tf.tensor1d([-7, -50, 7, 50])).dataSync()].map((v) => v + 0),
        [0, 0, 7, 50],
      );
    }));

  it('what does not fit comes back as an error that names it', () =>
    tf.tidy(() => {
      assert.throws(() => execute('VoxelbookActivation', [tf.zeros([1])], 1, [7], [0]), /activation 7 is unknown/);
      assert.throws(
        () => execute('VoxelbookActivationGradient', [tf.zeros([1]), tf.zeros([2])], 1, [0], [0]),
        /gradient \[2\] for \[1\]/,
      );
    }));
});
