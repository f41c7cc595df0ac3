import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { linearScan, selectiveScan, selectiveScanWithState } from '../../src/tensor/ops/selectiveScan.js';
import { tf } from '../../src/tensor/tf.js';

const random = new Random('selectiveScan test');
const draw = (shape: number[], low = -1, high = 1) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform(low, high)),
    shape,
  );

/** One position after the other, in tfjs's own differentiable operations. */
function slowScan(
  u: tf.Tensor,
  delta: tf.Tensor,
  A: tf.Tensor,
  B: tf.Tensor,
  C: tf.Tensor,
  D: tf.Tensor,
  bias: tf.Tensor,
  z?: tf.Tensor,
) {
  const [batch, length, channels] = u.shape;
  const groups = B.shape[2]!;
  const states = A.shape[1]!;
  const perChannel = (x: tf.Tensor, t: number) =>
    tf.reshape(
      tf.tile(tf.reshape(tf.slice(x, [0, t, 0, 0], [-1, 1, -1, -1]), [batch, groups, 1, states]), [1, 1, channels / groups, 1]),
      [batch, channels, states],
    );
  const at = (x: tf.Tensor, t: number) => tf.reshape(tf.slice(x, [0, t, 0], [-1, 1, -1]), [batch, channels, 1]);
  let h: tf.Tensor = tf.zeros([batch, channels, states]);
  const ys: tf.Tensor[] = [];
  for (let t = 0; t < length; t++) {
    const step = tf.softplus(tf.add(at(delta, t), tf.reshape(bias, [1, channels, 1])));
    h = tf.add(tf.mul(tf.exp(tf.mul(step, A)), h), tf.mul(tf.mul(step, perChannel(B, t)), at(u, t)));
    ys.push(tf.add(tf.sum(tf.mul(h, perChannel(C, t)), 2), tf.mul(tf.reshape(at(u, t), [batch, channels]), D)));
  }
  const y = tf.stack(ys, 1);
  return { y: z ? tf.mul(y, tf.mul(z, tf.sigmoid(z))) : y, state: h };
}

function close(ours: tf.Tensor, reference: tf.Tensor, bound: number, what: string) {
  assert.deepStrictEqual(ours.shape, reference.shape, what);
  const [a, b] = [ours.dataSync<'float32'>(), reference.dataSync<'float32'>()];
  const scale = Math.sqrt(b.reduce((s, x) => s + x * x, 0)) + 1e-12;
  const error = Math.sqrt(a.reduce((s, x, i) => s + (x - b[i]) ** 2, 0)) / scale;
  assert.ok(error <= bound, `${what}: ${error} > ${bound}`);
}

describe('selectiveScan', function () {
  this.timeout(60000);

  for (const backwards of [false, true])
    for (const length of [1, 2, 15, 16, 17, 33, 256, 300])
      it(`linearScan of ${length} positions${backwards ? ' backwards' : ''} equals the recurrence run one by one`, () => {
        const [a, b, start] = [draw([length, 3], 0, 1), draw([length, 3]), draw([1, 3])] as tf.Tensor2D[];
        const got = linearScan(a, b, start, backwards).arraySync();
        const [as, bs] = [a.arraySync(), b.arraySync()];
        let h = start.arraySync()[0];
        for (let i = 0; i < length; i++) {
          const t = backwards ? length - 1 - i : i;
          h = h.map((v, k) => as[t][k] * v + bs[t][k]);
          for (let k = 0; k < 3; k++) assert.ok(Math.abs(h[k] - got[t][k]) < 1e-5);
        }
      });

  const cases = [
    { batch: 2, length: 7, channels: 4, states: 3, groups: 1 },
    { batch: 1, length: 37, channels: 6, states: 2, groups: 2 },
    { batch: 2, length: 50, channels: 8, states: 4, groups: 4, gated: true },
    { batch: 3, length: 1, channels: 2, states: 2, groups: 1, gated: true },
  ];
  for (const c of cases)
    for (const workValues of [undefined, 2 ** 20, c.batch * c.channels * c.states * 20, 1])
      it(`values, last state and all gradients equal the slow scan: ${JSON.stringify(c)}, ${workValues ?? 'any'} values at once`, () => {
        tf.tidy(() => {
          const u = draw([c.batch, c.length, c.channels]);
          const delta = draw([c.batch, c.length, c.channels], -3, 1);
          const A = draw([c.channels, c.states], -4, -0.1);
          const B = draw([c.batch, c.length, c.groups, c.states]);
          const C = draw([c.batch, c.length, c.groups, c.states]);
          const [D, bias] = [draw([c.channels]), draw([c.channels])];
          const z = draw([c.batch, c.length, c.channels]);
          const [ry, rs] = [draw(u.shape), draw([c.batch, c.channels, c.states])];
          const inputs = c.gated ? [u, delta, A, B, C, D, bias, z] : [u, delta, A, B, C, D, bias];
          const loss = (r: { y: tf.Tensor; state: tf.Tensor }) =>
            tf.add(tf.sum(tf.mul(r.y, ry)), tf.sum(tf.mul(r.state, rs))) as tf.Scalar;
          const fast = (...[u, delta, A, B, C, D, deltaBias, z]: tf.Tensor[]) =>
            loss(selectiveScanWithState(u, delta, A, B, C, { D, deltaBias, z, workValues }));
          const slow = (...[u, delta, A, B, C, D, bias, z]: tf.Tensor[]) => loss(slowScan(u, delta, A, B, C, D, bias, z));
          const ours = tf.grads(fast)(inputs);
          const reference = tf.grads(slow)(inputs);
          const names = ['u', 'delta', 'A', 'B', 'C', 'D', 'bias', 'z'];
          const a = selectiveScanWithState(u, delta, A, B, C, { D, deltaBias: bias, z: c.gated ? z : undefined, workValues });
          const b = slowScan(u, delta, A, B, C, D, bias, c.gated ? z : undefined);
          close(a.y, b.y, 1e-5, 'y');
          close(a.state, b.state, 1e-5, 'state');
          for (const [i, gradient] of ours.entries()) close(gradient, reference[i], 1e-5, names[i]);
        });
      });

  it('stays finite when decays underflow to zero and when steps vanish', () => {
    tf.tidy(() => {
      const shape = [1, 100, 2];
      const delta = tf.tensor(
        Float32Array.from({ length: 200 }, (_, i) => (i % 7 === 0 ? 60 : i % 5 === 0 ? -60 : 0)),
        shape,
      );
      const A = tf.tensor2d([
        [-1e4, -1],
        [-50, -1e-6],
      ]);
      const [B, C] = [draw([1, 100, 2]), draw([1, 100, 2])];
      const gradients = tf.grads((...xs: tf.Tensor[]) => tf.sum(selectiveScan(xs[0], xs[1], xs[2], xs[3], xs[4])))([
        draw(shape),
        delta,
        A,
        B,
        C,
      ]);
      for (const g of gradients) assert.ok(g.dataSync().every(Number.isFinite));
    });
  });

  it('leaves nothing behind but its result', () => {
    const inputs = [draw([2, 40, 4]), draw([2, 40, 4]), draw([4, 3], -2, -1), draw([2, 40, 3]), draw([2, 40, 3])];
    const before = tf.memory().numTensors;
    selectiveScan(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], { workValues: 100 }).dispose();
    assert.strictEqual(tf.memory().numTensors, before);
    const gradients = tf.grads((...x: tf.Tensor[]) => tf.sum(selectiveScan(x[0], x[1], x[2], x[3], x[4], { workValues: 100 })))(
      inputs,
    );
    tf.dispose(gradients);
    assert.strictEqual(tf.memory().numTensors, before);
  });

  it('names every shape that does not fit', () => {
    assert.throws(
      () =>
        selectiveScan(tf.zeros([1, 5, 4]), tf.zeros([1, 5, 3]), tf.zeros([4, 2]), tf.zeros([1, 5, 3, 2]), tf.zeros([1, 5, 2])),
      /delta: \[1,5,3\]; expected \[1,5,4\][\s\S]*B: 3 groups; expected a divisor of 4 channels/,
    );
  });
});
