import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { type AttentionOptions, attention } from '../../src/tensor/ops/attention.js';
import { tf } from '../../src/tensor/tf.js';

const random = new Random('attention test');
const draw = (shape: number[], low = -1, high = 1) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform(low, high)),
    shape,
  );

/** Head by head and entry by entry. */
function slow(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, o: AttentionOptions): tf.Tensor {
  const entries = tf.unstack(q).map((_, b) => {
    const heads = Array.from({ length: o.heads }, (_, h) => {
      const part = (x: tf.Tensor) => {
        const width = x.shape[2]! / o.heads;
        return tf.reshape(tf.slice(x, [b, 0, h * width], [1, -1, width]), [x.shape[1]!, width]) as tf.Tensor2D;
      };
      let scores: tf.Tensor = tf.mul(tf.matMul(part(q), part(k), false, true), o.scale ?? (q.shape[2]! / o.heads) ** -0.5);
      if (o.bias) scores = tf.add(scores, tf.reshape(tf.slice(o.bias, [h, 0, 0], [1, -1, -1]), scores.shape));
      if (o.mask) scores = tf.add(scores, tf.reshape(tf.slice(o.mask, [b % o.mask.shape[0], 0, 0], [1, -1, -1]), scores.shape));
      let weights = tf.softmax(scores);
      if (o.keep) weights = tf.mul(weights, tf.reshape(tf.slice(o.keep, [b, h, 0, 0], [1, 1, -1, -1]), scores.shape));
      return tf.matMul(weights as tf.Tensor2D, part(v));
    });
    return tf.concat(heads, 1);
  });
  return tf.stack(entries);
}

function close(ours: tf.Tensor, reference: tf.Tensor, what: string) {
  assert.deepStrictEqual(ours.shape, reference.shape, what);
  const [a, b] = [ours.dataSync<'float32'>(), reference.dataSync<'float32'>()];
  for (const [i, x] of a.entries()) assert.ok(Math.abs(x - b[i]) < 1e-5, `${what}[${i}]: ${x}, ${b[i]}`);
}

describe('attention', () => {
  const cases = {
    plain: {},
    'another scale': { scale: 0.3 },
    'bias of each head': { bias: draw([2, 5, 4]) },
    'mask of each window': { mask: draw([3, 5, 4], -9, 0) },
    'bias, mask and dropout': { bias: draw([2, 5, 4]), mask: draw([2, 5, 4], -9, 0), keep: draw([6, 2, 5, 4], 0, 2) },
  };
  for (const [name, options] of Object.entries(cases))
    for (const workValues of [2 ** 23, 90, 1])
      it(`${name}: values and gradients equal the loop over entries and heads, ${workValues} weights at once`, () => {
        tf.tidy(() => {
          const [q, k, v] = [draw([6, 5, 6]), draw([6, 4, 6]), draw([6, 4, 8])];
          const settings: AttentionOptions = { ...options, heads: 2 };
          const extra = (['bias', 'mask'] as const).filter((name) => settings[name]);
          const inputs = [q, k, v, ...extra.map((name) => settings[name]!)];
          const r = draw([6, 5, 8]);
          const run = (f: typeof attention) =>
            tf.grads((q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, ...more: tf.Tensor[]) => {
              const given = Object.fromEntries(extra.map((name, i) => [name, more[i]]));
              return tf.sum(tf.mul(r, f(q, k, v, { ...settings, ...given, workValues })));
            })(inputs);
          close(attention(q, k, v, { ...settings, workValues }), slow(q, k, v, settings), 'y');
          const [ours, reference] = [run(attention), run(slow)];
          for (const [i, g] of ours.entries()) close(g, reference[i], `gradient ${i}`);
        });
      });

  it('regions are the mask that is −100 between positions of different regions', () => {
    tf.tidy(() => {
      const x = draw([6, 5, 8]);
      const regions = tf.tensor2d([
        [0, 0, 1, 1, 2],
        [3, 3, 3, 3, 3],
        [0, 1, 0, 1, 0],
      ]);
      const rows = regions.arraySync() as number[][];
      const mask = tf.tensor(rows.map((row) => row.map((a) => row.map((b) => (a === b ? 0 : -100)))));
      for (const workValues of [2 ** 23, 60])
        close(attention(x, x, x, { heads: 2, regions, workValues }), attention(x, x, x, { heads: 2, mask }), 'y');
    });
  });

  it('regions and dropout made inside a scope that ends before the backward pass are kept', () => {
    const x = draw([2, 3, 4]);
    const f = (x: tf.Tensor) =>
      tf.sum(tf.tidy(() => attention(x, x, x, { heads: 2, regions: draw([2, 3]), keep: draw([2, 2, 3, 3]) }))) as tf.Scalar;
    assert.ok(tf.grad(f)(x).dataSync<'float32'>().every(Number.isFinite));
  });

  it('leaves nothing behind but its result', () => {
    const [q, k, v] = [draw([4, 5, 6]), draw([4, 5, 6]), draw([4, 5, 6])];
    const before = tf.memory().numTensors;
    attention(q, k, v, { heads: 3, workValues: 30 }).dispose();
    tf.dispose(tf.grads((q: tf.Tensor) => tf.sum(attention(q, k, v, { heads: 3, workValues: 30 })))([q]));
    assert.strictEqual(tf.memory().numTensors, before);
  });

  it('names every shape that does not fit', () => {
    assert.throws(
      () => attention(tf.zeros([2, 5, 6]), tf.zeros([2, 4, 5]), tf.zeros([2, 3, 6]), { heads: 4 }),
      /k: \[2,4,5\]; expected \[2,\*,6\][\s\S]*v: \[2,3,6\]; expected \[2,4,\*\][\s\S]*6 channels, 4 heads/,
    );
  });
});
