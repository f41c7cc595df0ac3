import assert from 'node:assert';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { execute, native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { nativeNorm } from '../../../src/tensor/native/norm.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, smooth } from './helpers.js';

interface Setting {
  shape: number[];
  groups: number;
  gamma: boolean;
  beta: boolean;
  slope: number;
  /** Statistics over the whole batch. */
  together?: boolean;
  /** Added to x: means far from zero must not cost digits. */
  offset?: number;
  /** Something of x's shape is added before the activation. */
  added?: boolean;
}
const settings: Setting[] = [
  { shape: [1, 8, 8, 8, 32], groups: 32, gamma: true, beta: true, slope: 1 },
  { shape: [2, 5, 6, 7, 16], groups: 16, gamma: true, beta: true, slope: 0.01 },
  { shape: [2, 5, 6, 7, 20], groups: 5, gamma: true, beta: true, slope: 1 },
  { shape: [1, 3, 5, 7, 3], groups: 1, gamma: false, beta: false, slope: 1 },
  { shape: [2, 9, 11, 17], groups: 17, gamma: false, beta: false, slope: 0.01 },
  { shape: [3, 4, 5, 6], groups: 2, gamma: true, beta: false, slope: 0.2 },
  { shape: [3, 4, 4, 4, 33], groups: 33, gamma: true, beta: true, slope: 1, together: true },
  { shape: [1, 40, 41, 4], groups: 4, gamma: true, beta: true, slope: 1, offset: 100 },
  { shape: [2, 1, 2, 8], groups: 8, gamma: true, beta: true, slope: 1 },
  { shape: [2, 5, 6, 7, 20], groups: 20, gamma: true, beta: true, slope: 0.01, added: true },
  { shape: [1, 5, 7, 3], groups: 3, gamma: false, beta: false, slope: 1, added: true },
  { shape: [3, 4, 4, 4, 33], groups: 33, gamma: true, beta: true, slope: 0.2, together: true, added: true },
];

/** Mean and variance of a group, written out in double precision. */
function reference(
  s: Setting,
  x: ArrayLike<number>,
  gamma: ArrayLike<number>,
  beta: ArrayLike<number>,
  added: ArrayLike<number>,
): Float64Array {
  const C = s.shape.at(-1)!;
  const batch = s.together ? 1 : s.shape[0];
  const voxels = x.length / batch / C;
  const per = C / s.groups;
  const y = new Float64Array(x.length);
  for (let e = 0; e < batch; e++)
    for (let g = 0; g < s.groups; g++) {
      const indices: number[] = [];
      for (let v = 0; v < voxels; v++) for (let c = g * per; c < (g + 1) * per; c++) indices.push((e * voxels + v) * C + c);
      const mean = indices.reduce((sum, i) => sum + x[i], 0) / indices.length;
      const variance = indices.reduce((sum, i) => sum + (x[i] - mean) ** 2, 0) / indices.length;
      for (const i of indices) {
        const z =
          ((x[i] - mean) / Math.sqrt(variance + 1e-5)) * (s.gamma ? gamma[i % C] : 1) +
          (s.beta ? beta[i % C] : 0) +
          (s.added ? added[i] : 0);
        y[i] = z > 0 ? z : z * s.slope;
      }
    }
  return y;
}

describe('native norm', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const s of settings) {
    const title = JSON.stringify(s);
    const C = s.shape.at(-1)!;
    const tensors = () => {
      const x = tf.add(smooth(s.shape, 1, 1), s.offset ?? 0);
      return { x, gamma: tf.add(smooth([C], 2, 0.5), 1), beta: smooth([C], 3, 0.5), added: smooth(s.shape, 5, 1) };
    };
    const call = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, added: tf.Tensor, usedUp?: boolean) =>
      nativeNorm(
        x,
        s.together ? 1 : s.shape[0],
        s.groups,
        s.gamma ? gamma : undefined,
        s.beta ? beta : undefined,
        1e-5,
        s.slope,
        s.added ? added : undefined,
        usedUp,
      );

    it(`${title}: output is the definition's`, () =>
      tf.tidy(() => {
        const { x, gamma, beta, added } = tensors();
        const expected = reference(s, x.dataSync(), gamma.dataSync(), beta.dataSync(), added.dataSync());
        assertClose(call(x, gamma, beta, added).dataSync(), expected, s.offset ? 2e-5 : 2e-6, 'output');
      }));

    it(`${title}: an input that is used up holds the same output, to the bit`, () =>
      tf.tidy(() => {
        const { x, gamma, beta, added } = tensors();
        const own = tf.add(x, 0);
        const result = call(own, gamma, beta, added, true);
        assert.equal(result, own);
        assert.deepEqual(result.dataSync(), call(x, gamma, beta, added).dataSync());
      }));

    it(`${title}: gradients are the finite differences of the definition`, () =>
      tf.tidy(() => {
        const { x, gamma, beta, added } = tensors();
        const weights = smooth(s.shape, 4, 1);
        const parameters = [x, ...(s.gamma ? [gamma] : []), ...(s.beta ? [beta] : []), ...(s.added ? [added] : [])];
        const gradients = tf.grads((...p) => {
          const [g, b] = [s.gamma ? p[1] : gamma, s.beta ? p[s.gamma ? 2 : 1] : beta];
          return tf.sum(tf.mul(call(p[0], g, b, s.added ? p.at(-1)! : added), weights));
        })(parameters);
        const w = weights.dataSync();
        const values = [x, gamma, beta, added].map((t) => Float64Array.from(t.dataSync()));
        const loss = () => reference(s, values[0], values[1], values[2], values[3]).reduce((sum, y, i) => sum + y * w[i], 0);
        for (const [i, gradient] of gradients.entries()) {
          const order = [0, ...(s.gamma ? [1] : []), ...(s.beta ? [2] : []), ...(s.added ? [3] : [])];
          const target = values[order[i]];
          const g = gradient.dataSync();
          const h = 1e-4;
          for (let k = 0; k < target.length; k += Math.max(1, Math.floor(target.length / 7))) {
            const at = target[k];
            target[k] = at + h;
            const up = loss();
            target[k] = at - h;
            const numeric = (up - loss()) / (2 * h);
            target[k] = at;
            const tolerance = 1e-4 * Math.max(1, Math.abs(numeric));
            assert.ok(Math.abs(numeric - g[k]) < tolerance, `gradient ${i}[${k}]: ${g[k]}, finite difference ${numeric}`);
          }
        }
      }));
  }

  it('while a gradient is recorded an input that is used up stays as it is', () =>
    tf.tidy(() => {
      const x = smooth([1, 4, 5, 6, 9], 1, 1);
      const before = x.dataSync().slice();
      tf.grad((x) => tf.sum(nativeNorm(x, 1, 9, undefined, undefined, 1e-5, 0.01, undefined, true)))(x);
      assert.deepEqual(x.dataSync(), before);
    }));

  it('the result does not depend on the number of threads', () =>
    tf.tidy(() => {
      const x = smooth([2, 9, 17, 19, 32], 1, 1);
      const run = (threads: number) => {
        setNativeThreads(threads);
        const g = tf
          .grad((x) => tf.sum(tf.square(nativeNorm(x, 2, 8, undefined, undefined, 1e-5, 0.01))))(x)
          .dataSync();
        setNativeThreads(threadsOfProcess());
        return g;
      };
      assert.deepStrictEqual(run(1), run(3));
    }));

  it('an empty batch gives an empty result', () =>
    tf.tidy(() => {
      assert.deepStrictEqual(nativeNorm(tf.zeros([0, 3, 3, 4]), 0, 4, undefined, undefined, 1e-5).shape, [0, 3, 3, 4]);
    }));

  it('what does not fit comes back as an error that names it', () =>
    tf.tidy(() => {
      for (const [name, outputs] of [
        ['VoxelbookNorm', 2],
        ['VoxelbookNormInPlace', 1],
      ] as const) {
        const call =
          (x: number[], affine: number, ints: number[], added = [0]) =>
          () =>
            execute(name, [tf.zeros(x), tf.zeros([affine]), tf.zeros([affine]), tf.zeros(added)], outputs, ints, [1e-5, 1]);
        assert.throws(call([1, 2, 2, 6], 0, [1, 4]), /4 groups for 6 channels/);
        assert.throws(call([1, 2, 2, 6], 5, [1, 6]), /scale \[5\] and shift \[5\] for 6 channels/);
        assert.throws(call([1, 5, 1, 6], 0, [2, 6]), /input \[1,5,1,6\] in 2 equal parts/);
        assert.throws(call([1, 2, 2, 6], 6, [1, 6], [1, 2, 3, 6]), /sum with \[1,2,3,6\] for an input of \[1,2,2,6\]/);
      }
    }));
});
