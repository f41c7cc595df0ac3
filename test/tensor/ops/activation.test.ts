import { recompute } from '../../../src/tensor/ops/customOp.js';
import { gelu } from '../../../src/tensor/ops/gelu.js';
import { leakyRelu } from '../../../src/tensor/ops/leakyRelu.js';
import { linear } from '../../../src/tensor/ops/linear.js';
import { silu } from '../../../src/tensor/ops/silu.js';
import { softplus } from '../../../src/tensor/ops/softplus.js';
import { tf } from '../../../src/tensor/tf.js';
import { close, draw, gradients, leavesNothing } from './check.js';

/** erf by its Taylor series, good to 1e-9 for |x| ≤ 4. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const activations: [string, (x: tf.Tensor) => tf.Tensor, (x: number) => number][] = [
  ['gelu is x·Φ(x)', gelu, (x) => x * 0.5 * (1 + erf(x / Math.SQRT2))],
  ['silu is x·sigmoid(x)', silu, (x) => x / (1 + Math.exp(-x))],
  ['softplus is log(1 + exp(x))', softplus, (x) => Math.log1p(Math.exp(x))],
  ['leakyRelu scales what is below zero', (x) => leakyRelu(x, 0.01), (x) => (x > 0 ? x : 0.01 * x)],
];

describe('activations', () => {
  for (const [law, run, slow] of activations)
    it(`${law}, with its slope`, () =>
      leavesNothing(() => {
        // Away from zero, where a difference quotient would straddle a kink.
        const x = tf.tidy(() => {
          const values = tf.mul(draw([3, 5, 7]), 4);
          return tf.add(values, tf.mul(tf.sign(values), 0.02));
        });
        const [values, y] = [x, run(x)];
        close(y.dataSync(), Float64Array.from(values.dataSync(), slow), 2e-6);
        gradients(run, [x], 0.005, 5e-3);
        tf.dispose([x, y]);
      }));
});

describe('recompute', () => {
  it('gives the same values and gradients as keeping, also when nested and when an input is not used', () =>
    leavesNothing(() => {
      const [x, w, unused] = [draw([6, 4]), draw([4, 4]), draw([2])];
      const body = (x: tf.Tensor, w: tf.Tensor) => gelu(linear(gelu(linear(x, w)), w));
      const kept = tf.grads((x, w) => tf.sum(tf.square(body(body(x, w), w))) as tf.Scalar)([x, w]);
      const inner = (x: tf.Tensor, w: tf.Tensor) => recompute([x, w], body);
      const again = tf.grads(
        (x, w, unused) => tf.sum(tf.square(recompute([x, w, unused], (x, w) => inner(inner(x, w), w)))) as tf.Scalar,
      )([x, w, unused]);
      close(again[0].dataSync(), kept[0].dataSync(), 1e-6);
      close(again[1].dataSync(), kept[1].dataSync(), 1e-6);
      close(again[2].dataSync(), [0, 0], 0);
      tf.dispose([x, w, unused, ...kept, ...again]);
    }));
});
