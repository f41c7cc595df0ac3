import assert from 'node:assert';
import { execute, native } from '../../../src/tensor/native/load.js';
import { layerNorm } from '../../../src/tensor/ops/layerNorm.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, plain, smooth } from './helpers.js';

const cases: { shape: number[]; gamma: boolean; beta: boolean; offset?: number }[] = [
  { shape: [2, 7, 5, 96], gamma: true, beta: true },
  { shape: [1, 3, 4, 5, 33], gamma: true, beta: true },
  { shape: [700, 16], gamma: false, beta: false },
  { shape: [9, 5], gamma: true, beta: false },
  { shape: [4, 2], gamma: true, beta: true },
  { shape: [5, 40], gamma: true, beta: true, offset: 50 },
];

describe('native layer norm', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const { shape, gamma, beta, offset = 0 } of cases)
    it(`${JSON.stringify(shape)}${gamma ? ' γ' : ''}${beta ? ' β' : ''}: output and gradients are those of the plain operator`, () =>
      tf.tidy(() => {
        const C = shape.at(-1)!;
        const parameters = [
          tf.add(smooth(shape, 1, 1), offset),
          ...(gamma ? [tf.add(smooth([C], 2, 0.5), 1)] : []),
          ...(beta ? [smooth([C], 3, 1)] : []),
        ];
        const weights = smooth(shape, 4, 1);
        const run = () => {
          const f = (...p: tf.Tensor[]) => layerNorm(p[0], gamma ? p[1] : undefined, beta ? p[gamma ? 2 : 1] : undefined);
          return [f(...parameters), ...tf.grads((...p) => tf.sum(tf.mul(f(...p), weights)))(parameters)].map((t) => t.dataSync());
        };
        const [ours, reference] = [run(), plain(run)];
        // Far from zero the mean itself is rounded to 4e-6.
        for (const [i, r] of reference.entries()) assertClose(ours[i], r, offset ? 2e-5 : 4e-6, `result ${i}`);
      }));

  it('what does not fit comes back as an error that names it', () =>
    tf.tidy(() => {
      const call = () => execute('VoxelbookLayerNorm', [tf.zeros([2, 6]), tf.zeros([5]), tf.zeros([5])], 2, [], [1e-5]);
      assert.throws(call, /scale \[5\] and shift \[5\] for 6 channels/);
    }));
});
