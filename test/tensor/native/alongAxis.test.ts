import assert from 'node:assert';
import { execute, native } from '../../../src/tensor/native/load.js';
import { resize } from '../../../src/tensor/ops/resize.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, plain, smooth } from './helpers.js';

const cases: { shape: number[]; size: number[]; mode: 'nearest' | 'linear'; alignCorners?: boolean }[] = [
  { shape: [1, 4, 5, 6, 16], size: [8, 10, 12], mode: 'linear' },
  { shape: [2, 4, 5, 6, 3], size: [7, 3, 6], mode: 'linear' },
  { shape: [2, 7, 9, 5], size: [3, 20], mode: 'linear', alignCorners: true },
  { shape: [1, 7, 9, 5], size: [5, 13], mode: 'nearest' },
  { shape: [1, 1, 1, 1, 2], size: [3, 3, 3], mode: 'linear' },
];

describe('native resize', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const { shape, size, mode, alignCorners } of cases)
    it(`[${shape}] → [${size}] ${mode}${alignCorners ? ', corners aligned' : ''}: output and gradient are the plain operator's`, () =>
      tf.tidy(() => {
        const run = () => {
          const f = (x: tf.Tensor) => resize(x, size, mode, { alignCorners });
          const x = smooth(shape, 1, 1);
          const y = f(x);
          return [y, tf.grad((x) => tf.sum(tf.mul(f(x), smooth(y.shape, 2, 1))))(x)].map((t) => t.dataSync());
        };
        const [ours, reference] = [run(), plain(run)];
        for (const [i, r] of reference.entries()) assertClose(ours[i], r, 2e-6, `result ${i}`);
      }));

  it('a row without entries is zero, and a bad index is an error', () =>
    tf.tidy(() => {
      const call = (start: number[], index: number[]) =>
        execute(
          'VoxelbookAlongAxis',
          [tf.ones([2, 3, 4]), tf.tensor1d(start), tf.tensor1d(index), tf.onesLike(tf.tensor1d(index))],
          1,
        )[0];
      assert.deepStrictEqual([...call([0, 0, 1], [2]).slice([0, 0, 0], [1, 2, 1]).dataSync()], [0, 1]);
      assert.throws(() => call([0, 1], [3]), /index 3 on an axis of 3/);
      assert.throws(() => call([0, 2], [0]), /start must rise to at most 1/);
    }));
});
