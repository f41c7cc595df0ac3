import assert from 'node:assert';
import { batchNorm, batchStatistics } from '../../../src/tensor/ops/batchNorm.js';
import { groupNorm } from '../../../src/tensor/ops/groupNorm.js';
import { instanceNorm } from '../../../src/tensor/ops/instanceNorm.js';
import { joinChannels } from '../../../src/tensor/ops/joinChannels.js';
import { layerNorm } from '../../../src/tensor/ops/layerNorm.js';
import { leakyRelu } from '../../../src/tensor/ops/leakyRelu.js';
import { symbolic, symbolicOutput } from '../../../src/tensor/symbolic.js';
import { tf } from '../../../src/tensor/tf.js';
import { close, draw, gradients, indices, leavesNothing, offset } from './check.js';

/** Mean and variance over all places that share a key, then scale and shift by channel. */
function slowNorm(
  x: tf.Tensor,
  key: (index: number[]) => string,
  gamma: ArrayLike<number>,
  beta: ArrayLike<number>,
  epsilon: number,
) {
  const values = x.dataSync();
  const groups = new Map<string, number[]>();
  for (const at of indices(x.shape)) {
    const k = key(at);
    if (!groups.has(k)) groups.set(k, []);
    groups.get(k)!.push(values[offset(x.shape, at)]);
  }
  const y = new Float64Array(values.length);
  for (const at of indices(x.shape)) {
    const group = groups.get(key(at))!;
    const mean = group.reduce((a, b) => a + b, 0) / group.length;
    const variance = group.reduce((a, b) => a + (b - mean) ** 2, 0) / group.length;
    const i = offset(x.shape, at);
    y[i] = ((values[i] - mean) / Math.sqrt(variance + epsilon)) * gamma[at.at(-1)!] + beta[at.at(-1)!];
  }
  return y;
}

type Norm = (x: tf.Tensor, gamma?: tf.Tensor, beta?: tf.Tensor) => tf.Tensor;
const cases: [string, number[], Norm, (at: number[]) => string][] = [
  ['instanceNorm', [2, 3, 4, 5, 3], (x, g, b) => instanceNorm(x, g, b, 1e-5), (at) => `${at[0]},${at[4]}`],
  ['instanceNorm', [2, 5, 3, 4], (x, g, b) => instanceNorm(x, g, b, 1e-5), (at) => `${at[0]},${at[3]}`],
  ['groupNorm 2', [2, 3, 4, 3, 6], (x, g, b) => groupNorm(x, 2, g, b, 1e-5), (at) => `${at[0]},${Math.floor(at[4] / 3)}`],
  ['groupNorm 1', [2, 3, 5, 4], (x, g, b) => groupNorm(x, 1, g, b, 1e-5), (at) => `${at[0]}`],
  ['groupNorm C', [2, 3, 4, 3, 4], (x, g, b) => groupNorm(x, 4, g, b, 1e-5), (at) => `${at[0]},${at[4]}`],
  ['layerNorm', [2, 3, 4, 3, 5], (x, g, b) => layerNorm(x, g, b, 1e-5), (at) => at.slice(0, -1).join()],
  ['layerNorm of tokens', [2, 7, 6], (x, g, b) => layerNorm(x, g, b, 1e-5), (at) => at.slice(0, -1).join()],
  ['batchNorm', [3, 3, 4, 2, 3], (x, g, b) => batchNorm(x, g, b, 1e-5), (at) => `${at[4]}`],
];

describe('norms', () => {
  for (const [name, shape, run, key] of cases)
    it(`${name} of [${shape}] agrees with its definition, with and without weights, forward and backward`, () =>
      leavesNothing(() => {
        const channels = shape.at(-1)!;
        const inputs = [draw(shape), draw([channels]), draw([channels])];
        const [x, gamma, beta] = inputs;
        const shifted = tf.add(x, 3);
        const y = run(shifted, gamma, beta);
        close(y.dataSync(), slowNorm(shifted, key, gamma.dataSync(), beta.dataSync(), 1e-5), 1e-5);
        const plain = run(x);
        const ones = Array(channels).fill(1);
        close(plain.dataSync(), slowNorm(x, key, ones, Array(channels).fill(0), 1e-5), 1e-5);
        gradients(run, inputs, 0.02, 3e-3);
        gradients((x) => run(x), [x], 0.02, 3e-3);
        tf.dispose([...inputs, shifted, y, plain]);
      }));

  for (const slope of [1, 0.01, 0])
    it(`a sum and a leaky ReLU (slope ${slope}) in the norm's pass are what they are behind it, with all gradients`, () =>
      leavesNothing(() => {
        const inputs = [draw([2, 3, 4, 2, 5]), draw([5]), draw([5]), draw([2, 3, 4, 2, 5]), draw([2, 3, 4, 2, 5])];
        const statistics = { mean: draw([5]), variance: tf.ones([5]) };
        const dy = draw([2, 3, 4, 2, 5]);
        const apart = (y: tf.Tensor, added: tf.Tensor) => {
          const sum = tf.add(y, added);
          return slope === 1 ? sum : leakyRelu(sum, slope);
        };
        type Run = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, added: tf.Tensor) => tf.Tensor;
        const pairs: [Run, Run][] = [
          [(x, g, b, added) => instanceNorm(x, g, b, 1e-5, { slope, added }), (x, g, b, r) => apart(instanceNorm(x, g, b), r)],
          [
            (x, g, b, added) => batchNorm(x, g, b, 1e-5, undefined, { slope, added }),
            (x, g, b, r) => apart(batchNorm(x, g, b), r),
          ],
          [
            (x, g, b, added) => batchNorm(x, g, b, 1e-5, statistics, { slope, added }),
            (x, g, b, r) => apart(batchNorm(x, g, b, 1e-5, statistics), r),
          ],
        ];
        tf.tidy(() => {
          for (const [ours, reference] of pairs) {
            close(
              ours(inputs[0], inputs[1], inputs[2], inputs[3]).dataSync(),
              reference(inputs[0], inputs[1], inputs[2], inputs[3]).dataSync(),
              1e-6,
            );
            const [mine, other] = [ours, reference].map((f) =>
              tf.grads((...t) => f(t[0], t[1], t[2], t[3]))(inputs.slice(0, 4), dy),
            );
            for (const [k, gradient] of mine.entries()) close(gradient.dataSync(), other[k].dataSync(), 1e-5, `gradient ${k}`);
          }
        });
        tf.dispose([...inputs, dy, statistics.mean, statistics.variance]);
      }));

  it('joined channels are the parts side by side, and so are their gradients', () =>
    leavesNothing(() => {
      const parts = [draw([2, 3, 2, 4]), draw([2, 3, 2, 1])];
      const [joined, expected] = [joinChannels(parts), tf.concat(parts, -1)];
      close(joined.dataSync(), expected.dataSync(), 0);
      gradients((a, b) => joinChannels([a, b]), parts);
      tf.dispose([...parts, joined, expected]);
    }));

  it('batch norm in evaluation uses the statistics it is given', () =>
    leavesNothing(() => {
      const [x, gamma, beta] = [draw([2, 3, 3, 2, 4]), draw([4]), draw([4])];
      const { mean, variance } = batchStatistics(x);
      const [own, given] = [batchNorm(x, gamma, beta), batchNorm(x, gamma, beta, 1e-5, { mean, variance })];
      close(given.dataSync(), own.dataSync(), 1e-6);
      gradients((x, g, b) => batchNorm(x, g, b, 1e-5, { mean, variance }), [x, gamma, beta], 0.1);
      tf.dispose([x, gamma, beta, mean, variance, own, given]);
    }));

  it('norms are charged as fvcore does: 5 a value with weights, 4 without, 2 for fixed statistics', () => {
    const charge = (f: (x: tf.Tensor, c: tf.Tensor) => tf.Tensor) =>
      symbolic(() => f(symbolicOutput([1, 4, 4, 4, 8]), symbolicOutput([8])).shape).normFlops / 512;
    assert.strictEqual(
      charge((x, c) => groupNorm(x, 8, c, c)),
      5,
    );
    assert.strictEqual(
      charge((x) => instanceNorm(x)),
      4,
    );
    assert.strictEqual(
      charge((x, c) => batchNorm(x, c, c, 1e-5, { mean: c, variance: c })),
      2,
    );
  });

  it('refuses groups that do not divide the channels', () =>
    assert.throws(
      () =>
        tf.tidy(() => {
          groupNorm(tf.zeros([1, 2, 2, 6]), 4);
        }),
      /groups: 4 groups for 6 channels; expected a divisor of the channels/,
    ));
});
