import assert from 'node:assert';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { execute, native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { conv } from '../../../src/tensor/ops/conv.js';
import { convTranspose } from '../../../src/tensor/ops/convTranspose.js';
import { depthwiseConv } from '../../../src/tensor/ops/depthwiseConv.js';
import { depthwiseConvTranspose } from '../../../src/tensor/ops/depthwiseConvTranspose.js';
import { gelu } from '../../../src/tensor/ops/gelu.js';
import { instanceNorm } from '../../../src/tensor/ops/instanceNorm.js';
import { type MednextBlockWeights, mednextBlock } from '../../../src/tensor/ops/mednextBlock.js';
import { padSpatial } from '../../../src/tensor/ops/spread.js';
import { symbolic, symbolicOutput } from '../../../src/tensor/symbolic.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, plain, smooth } from './helpers.js';

type Kind = 'plain' | 'down' | 'up';

/** The block as the paper draws it, from ordinary operators. */
function composed(x: tf.Tensor, w: MednextBlockWeights, kind: Kind, residual: boolean): tf.Tensor {
  const axes = x.rank - 2;
  const padding = w.kernel.shape.slice(0, -2).map((k) => Math.floor(k / 2));
  const spatial =
    kind === 'up'
      ? depthwiseConvTranspose(x, w.kernel, { stride: 2, padding, bias: w.bias })
      : depthwiseConv(x, w.kernel, { stride: kind === 'down' ? 2 : 1, padding, bias: w.bias });
  const hidden = gelu(conv(instanceNorm(spatial, w.gamma, w.beta), w.expand, { bias: w.expandBias }));
  let y = conv(hidden, w.compress, { bias: w.compressBias });
  if (residual && kind === 'plain') y = tf.add(y, x);
  if (residual && kind === 'down') y = tf.add(y, conv(x, w.shortcut!, { stride: 2, bias: w.shortcutBias }));
  if (residual && kind === 'up') y = tf.add(y, convTranspose(x, w.shortcut!, { stride: 2, bias: w.shortcutBias }));
  return kind === 'up' ? padSpatial(y, Array(axes).fill(1), Array(axes).fill(0)) : y;
}

function weightsOf(kind: Kind, axes: number, k: number, C: number, R: number, O: number, residual: boolean) {
  const one = Array(axes).fill(1);
  const list: tf.Tensor[] = [
    smooth([...Array(axes).fill(k), 1, C], 1, 0.3),
    ...[smooth([C], 2, 0.5), tf.add(smooth([C], 3, 0.5), 1), smooth([C], 4, 0.5)],
    ...[smooth([...one, C, R], 5, 0.5), smooth([R], 6, 0.5), smooth([...one, R, O], 7, 0.5), smooth([O], 8, 0.5)],
  ];
  if (residual && kind !== 'plain')
    list.push(smooth(kind === 'down' ? [...one, C, O] : [...one, O, C], 9, 0.5), smooth([O], 10, 0.5));
  return list;
}
const named = ([kernel, bias, gamma, beta, expand, expandBias, compress, compressBias, shortcut, shortcutBias]: tf.Tensor[]) => ({
  ...{ kernel, bias, gamma, beta, expand, expandBias, compress, compressBias, shortcut, shortcutBias },
});

/** kind, x, kernel, R, O, residual */
const cases: [Kind, number[], number, number, number, boolean][] = [
  ['plain', [1, 8, 8, 8, 32], 3, 64, 32, true],
  ['plain', [2, 5, 6, 7, 16], 5, 48, 16, true],
  ['plain', [1, 3, 4, 5, 20], 3, 40, 20, true],
  ['plain', [2, 4, 3, 9, 7], 7, 14, 7, true],
  ['plain', [1, 2, 3, 17, 3], 3, 9, 3, true],
  ['plain', [1, 4, 5, 6, 8], 3, 16, 5, false],
  ['plain', [2, 9, 11, 24], 5, 48, 24, true],
  ['plain', [1, 1, 1, 2, 33], 3, 70, 33, true],
  ['plain', [1, 6, 6, 6, 18], 9, 20, 18, true],
  ['down', [1, 8, 8, 8, 32], 3, 64, 64, true],
  ['down', [2, 7, 6, 5, 10], 5, 20, 20, true],
  ['down', [1, 9, 12, 16], 3, 32, 32, true],
  ['down', [1, 4, 4, 4, 16], 3, 32, 32, false],
  ['up', [1, 4, 4, 4, 32], 3, 64, 16, true],
  ['up', [2, 3, 2, 5, 12], 5, 24, 6, true],
  ['up', [2, 5, 4, 16], 3, 32, 8, true],
  ['up', [1, 2, 3, 4, 16], 7, 32, 8, false],
  ['up', [1, 1, 1, 1, 17], 3, 34, 8, true],
];

describe('native MedNeXt block', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const [kind, shape, k, R, O, residual] of cases) {
    const title = `${kind} [${shape}] k${k} R${R} O${O}${residual ? '' : ' without shortcut'}`;
    const run = (f: (x: tf.Tensor, w: MednextBlockWeights) => tf.Tensor) =>
      tf.tidy(() => {
        const x = smooth(shape, 20, 1);
        const weights = weightsOf(kind, shape.length - 2, k, shape.at(-1)!, R, O, residual);
        const g = tf.grads((...all) => {
          const y = f(all[0], named(all.slice(1)));
          return tf.sum(tf.mul(y, smooth(y.shape, 30, 1)));
        });
        return [f(x, named(weights)), ...g([x, ...weights])].map((t) => ({ shape: t.shape, data: t.dataSync() as Float32Array }));
      });
    it(`${title}: output and all gradients are those of the composed block`, () => {
      const ours = run((x, w) => mednextBlock(x, w, { kind, residual }));
      const reference = plain(() => run((x, w) => composed(x, w, kind, residual)));
      for (const [i, r] of reference.entries()) {
        assert.deepStrictEqual(ours[i].shape, r.shape, `result ${i}`);
        // The convolution's bias stands before a norm: its gradient is zero, and what the composed block gives is rounding.
        if (i === 3) assert.ok(ours[i].data.every((v) => v === 0));
        else assertClose(ours[i].data, r.data, 2e-5, `result ${i} of ${title}`);
      }
    });
    it(`${title}: multiply-adds counted on shapes are those of the composed block`, () => {
      const count = (f: (x: tf.Tensor, w: MednextBlockWeights) => tf.Tensor) =>
        symbolic(() => {
          const weights = tf.tidy(() => weightsOf(kind, shape.length - 2, k, shape.at(-1)!, R, O, residual).map((w) => w.shape));
          return f(symbolicOutput(shape), named(weights.map((s) => symbolicOutput(s)))).shape;
        });
      const ours = count((x, w) => mednextBlock(x, w, { kind, residual }));
      const reference = count((x, w) => composed(x, w, kind, residual));
      assert.deepStrictEqual([ours.result, ours.macs, ours.normFlops], [reference.result, reference.macs, reference.normFlops]);
    });
  }

  it('a run repeated gives the same bits, and one thread agrees with two within 1e-5', () => {
    const run = (threads: number) => {
      setNativeThreads(threads);
      try {
        return tf.tidy(() => {
          const weights = weightsOf('plain', 3, 3, 32, 64, 32, true);
          const g = tf.grads((...all) => tf.sum(tf.square(mednextBlock(all[0], named(all.slice(1)), { kind: 'plain' }))));
          return g([smooth([1, 16, 16, 16, 32], 20, 1), ...weights]).map((t) => t.dataSync() as Float32Array);
        });
      } finally {
        setNativeThreads(threadsOfProcess());
      }
    };
    const [two, again, one] = [run(2), run(2), run(1)];
    assert.deepStrictEqual(two, again);
    for (const [i, g] of one.entries()) assertClose(two[i], g, 1e-5, `gradient ${i}`);
  });

  it('a volume without voxels gives an empty result and zero gradients', () => {
    tf.tidy(() => {
      const weights = weightsOf('plain', 3, 3, 4, 8, 4, true);
      const g = tf.grads((...all) => tf.sum(mednextBlock(all[0], named(all.slice(1)), { kind: 'plain' })));
      const [dx, ...rest] = g([tf.zeros([1, 0, 4, 4, 4]), ...weights]);
      assert.deepStrictEqual(dx.shape, [1, 0, 4, 4, 4]);
      for (const r of rest) assert.ok((r.dataSync() as Float32Array).every((v) => v === 0));
    });
  });

  it('shapes that do not fit come back as an error that names them', () => {
    tf.tidy(() => {
      const weights = named(weightsOf('plain', 3, 3, 4, 8, 4, true));
      assert.throws(
        () => mednextBlock(tf.zeros([1, 2, 2, 2, 5]), weights, { kind: 'plain' }),
        /VoxelbookMednextBlock: kernel \[3,3,3,1,4\] must be \[\(kd,\) kh, kw, 1, 5\]/,
      );
      assert.throws(
        () => mednextBlock(tf.zeros([1, 2, 2, 2, 4]), { ...weights, gamma: tf.zeros([3]) }, { kind: 'plain' }),
        /scale \[3\] must have 4 values/,
      );
      assert.throws(
        () => execute('VoxelbookMednextBlock', Array(11).fill(tf.zeros([0])), 3),
        /eight integers and one float expected/,
      );
    });
  });

  it('nothing is kept beyond the output', () => {
    const { x, weights } = { x: smooth([1, 4, 4, 4, 8], 1, 1), weights: weightsOf('plain', 3, 3, 8, 16, 8, true) };
    const before = tf.memory().numTensors;
    const y = mednextBlock(x, named(weights), { kind: 'plain' });
    assert.strictEqual(tf.memory().numTensors, before + 1);
    tf.dispose([x, y, weights]);
  });
});
