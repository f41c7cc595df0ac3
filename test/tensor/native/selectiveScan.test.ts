import assert from 'node:assert';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { execute, native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { nativeScan } from '../../../src/tensor/native/selectiveScan.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, plain, smooth } from './helpers.js';

interface Setting {
  batch: number;
  length: number;
  d: number;
  groups: number;
  states: number;
  softplus: boolean;
  ways?: number;
  height?: number;
}
const settings: Setting[] = [
  { batch: 1, length: 130, d: 32, groups: 1, states: 16, softplus: true },
  { batch: 2, length: 65, d: 24, groups: 2, states: 16, softplus: true },
  { batch: 2, length: 64, d: 7, groups: 1, states: 3, softplus: false },
  { batch: 1, length: 1, d: 16, groups: 1, states: 16, softplus: true },
  { batch: 1, length: 9, d: 66, groups: 3, states: 5, softplus: true },
  { batch: 1, length: 80, d: 16, groups: 1, states: 16, softplus: true, ways: 4, height: 8 },
  { batch: 2, length: 35, d: 18, groups: 1, states: 4, softplus: true, ways: 4, height: 5 },
  { batch: 1, length: 21, d: 5, groups: 1, states: 2, softplus: true, ways: 2, height: 7 },
];

/** The recurrence, one number at a time. */
function reference(s: Setting, [u, delta, A, B, C, D, bias]: ArrayLike<number>[], wantState: boolean): Float64Array {
  const { batch, length, d, groups, states, ways = 1, height = 1 } = s;
  const width = length / height;
  const y = new Float64Array(batch * length * d);
  const last = new Float64Array(batch * ways * d * states);
  const row = (k: number, t: number) => {
    const i = k >= 2 ? length - 1 - t : t;
    return k % 2 === 1 ? (i % height) * width + Math.floor(i / height) : i;
  };
  for (let e = 0; e < batch; e++)
    for (let k = 0; k < ways; k++)
      for (let c = 0; c < d; c++) {
        const h = new Float64Array(states);
        const all = k * d + c;
        const group = k * groups + Math.floor(c / (d / groups));
        for (let t = 0; t < length; t++) {
          const r = e * length + row(k, t);
          const raw = delta[r * ways * d + all] + bias[all];
          const step = s.softplus ? Math.log1p(Math.exp(raw)) : raw;
          const x = u[r * d + c];
          let sum = D[all] * x;
          for (let n = 0; n < states; n++) {
            const at = (r * ways * groups + group) * states + n;
            h[n] = Math.exp(step * A[all * states + n]) * h[n] + step * B[at] * x;
            sum += C[at] * h[n];
          }
          y[r * d + c] += sum;
        }
        last.set(h, (e * ways * d + all) * states);
      }
  return wantState ? Float64Array.from([...y, ...last]) : y;
}

function tensorsOf({ batch, length, d, groups, states, softplus, ways = 1 }: Setting): tf.Tensor[] {
  const all = ways * d;
  return [
    smooth([batch, length, d], 1, 1),
    // Without softplus a step width must be positive itself.
    softplus ? smooth([batch, length, all], 2, 1) : tf.abs(smooth([batch, length, all], 2, 0.5)),
    tf.neg(tf.exp(smooth([all, states], 3, 1.5))),
    smooth([batch, length, ways * groups, states], 4, 1),
    smooth([batch, length, ways * groups, states], 5, 1),
    smooth([all], 6, 1),
    softplus ? tf.sub(smooth([all], 7, 1), 1) : tf.abs(smooth([all], 7, 0.5)),
  ];
}
const names = ['u', 'delta', 'A', 'B', 'C', 'D', 'bias'];

describe('native selective scan', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const s of settings) {
    const title = JSON.stringify(s);
    const call = (inputs: tf.Tensor[], wantState: boolean) =>
      nativeScan(inputs, {
        deltaSoftplus: s.softplus,
        wantState,
        ways: s.ways,
        height: s.height,
        width: s.height && s.length / s.height,
      });

    it(`${title}: output and last state are the recurrence's`, () =>
      tf.tidy(() => {
        const inputs = tensorsOf(s);
        const values = inputs.map((t) => t.dataSync());
        assertClose(call(inputs, true).dataSync(), reference(s, values, true), 2e-6, 'y and state');
        assertClose(call(inputs, false).dataSync(), reference(s, values, false), 2e-6, 'y');
      }));

    it(`${title}: gradients are the finite differences of the recurrence`, () =>
      tf.tidy(() => {
        const inputs = tensorsOf(s);
        const values = inputs.map((t) => Float64Array.from(t.dataSync()));
        const weights = smooth([reference(s, values, true).length], 8, 1);
        const w = weights.dataSync();
        const gradients = tf.grads((...x) => tf.sum(tf.mul(call(x, true), weights)))(inputs);
        const loss = () => reference(s, values, true).reduce((sum, y, i) => sum + y * w[i], 0);
        const h = 1e-5;
        for (const [i, gradient] of gradients.entries()) {
          const g = gradient.dataSync();
          const scale = (g as Float32Array).reduce((a: number, b: number) => Math.max(a, Math.abs(b)), 1);
          for (let j = 0; j < g.length; j += Math.max(1, Math.floor(g.length / 6))) {
            const at = values[i][j];
            values[i][j] = at + h;
            const up = loss();
            values[i][j] = at - h;
            const numeric = (up - loss()) / (2 * h);
            values[i][j] = at;
            assert.ok(Math.abs(numeric - g[j]) < 2e-5 * scale, `d${names[i]}[${j}] = ${g[j]}, finite difference ${numeric}`);
          }
        }
      }));
  }

  it('thread counts 1, 2 and 3 agree within 1e-5, and a count agrees with itself to the bit', () =>
    tf.tidy(() => {
      const inputs = tensorsOf(settings[5]);
      const run = (threads: number) => {
        setNativeThreads(threads);
        const scan = (x: tf.Tensor[]) => nativeScan(x, { deltaSoftplus: true, ways: 4, height: 8, width: 10 });
        const g = tf
          .grads((...x) => tf.sum(tf.square(scan(x))))(inputs)
          .map((t) => t.dataSync() as Float32Array);
        setNativeThreads(threadsOfProcess());
        return g;
      };
      const two = run(2);
      assert.deepStrictEqual(run(2), two);
      for (const threads of [1, 3]) for (const [i, g] of run(threads).entries()) assertClose(g, two[i], 1e-5, `d${names[i]}`);
    }));

  it('decays that underflow give zero, not garbage', () =>
    tf.tidy(() => {
      const one = (v: number) => tf.fill([1, 3, 1], v);
      const inputs = [one(1), one(50), tf.fill([1, 1], -1000), one(1), one(1), tf.zeros([1]), tf.zeros([1])];
      inputs[3] = tf.reshape(inputs[3], [1, 3, 1, 1]);
      inputs[4] = tf.reshape(inputs[4], [1, 3, 1, 1]);
      assertClose(nativeScan(inputs, { deltaSoftplus: false }).dataSync(), [50, 50, 50], 1e-6, 'y');
    }));

  it('an empty sequence gives an empty result', () =>
    tf.tidy(() => {
      const inputs = tensorsOf({ batch: 1, length: 0, d: 4, groups: 1, states: 2, softplus: true });
      assert.deepStrictEqual(nativeScan(inputs, { deltaSoftplus: true }).shape, [1, 0, 4]);
    }));

  it('what does not fit comes back as an error that names the shapes', () =>
    tf.tidy(() => {
      const inputs = tensorsOf(settings[2]);
      assert.throws(
        () => execute('VoxelbookSelectiveScan', inputs.with(2, tf.zeros([6, 3])), 3, [1, 1, 1, 0, 0]),
        /A \[6,3\] must be \[7,3\]/,
      );
      assert.throws(() => execute('VoxelbookSelectiveScan', inputs, 3, [1, 2, 1, 0, 0]), /1 ways and 2 groups for 7 channels/);
      assert.throws(() => execute('VoxelbookSelectiveScan', inputs, 3, [4, 1, 1, 5, 5]), /a grid of 5 × 5 for a length of 64/);
    }));

  it('the switch works: with VOXELBOOK_NATIVE=0 no kernel is used', () => {
    assert.strictEqual(plain(native), false);
  });
});
