// A value that is not a number comes out as one: a kernel that turned it into a number would hide where training broke.
import assert from 'node:assert/strict';
import { execute, native } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';
import { smooth } from './helpers.js';

/** `smooth` with the value at `index` replaced. */
const holed = (shape: number[], index: number): tf.Tensor => {
  const values = smooth(shape, 1, 1).dataSync();
  values[index] = Number.NaN;
  return tf.tensor(values, shape);
};
const nans = (t: tf.Tensor) => [...t.dataSync()].flatMap((v, i) => (Number.isNaN(v) ? [i] : []));

describe('native kernels and values that are not numbers', () => {
  before(function () {
    if (!native()) this.skip();
  });

  // Places in the vectors and in the rest behind them.
  for (const at of [0, 5, 37, 66])
    for (const kind of [0, 1, 2])
      it(`activation ${kind}, value ${at}: it stays, alone, forward and in the gradient`, () =>
        tf.tidy(() => {
          const x = holed([67], at);
          assert.deepEqual(nans(execute('VoxelbookActivation', [x], 1, [kind], [0.01])[0]), [at]);
          const flat = kind === 0 ? holed([67], at) : smooth([67], 2, 1);
          const slopes = kind === 0 ? flat : smooth([67], 2, 1);
          const gradient = execute(
            'VoxelbookActivationGradient',
            [kind === 0 ? smooth([67], 3, 1) : x, slopes],
            1,
            [kind],
            [0.01],
          );
          assert.deepEqual(nans(gradient[0]), [at]);
        }));

  const scan = (change: number, at: number, softplus: number) => {
    const shapes = [[1, 70, 21], [1, 70, 21], [21, 4], [1, 70, 1, 4], [1, 70, 1, 4], [21], [21]];
    const inputs = shapes.map((shape, i) => (i === change ? holed(shape, at) : smooth(shape, i, 0.5)));
    const outputs = execute('VoxelbookSelectiveScan', inputs, 3, [1, 1, softplus, 0, 0]);
    return { inputs, outputs };
  };
  for (const softplus of [0, 1])
    for (const [name, change, at] of [
      ['u', 0, 33 * 21 + 20],
      ['delta', 1, 33 * 21 + 3],
      ['A', 2, 18],
      ['B', 3, 33 * 4],
      ['C', 4, 33 * 4],
      ['D', 5, 20],
      ['bias', 6, 17],
    ] as const)
      it(`selective scan, ${name}${softplus ? ', softplus' : ''}: it comes out, and out of the gradient`, () =>
        tf.tidy(() => {
          const { inputs, outputs } = scan(change, at, softplus);
          assert.ok(nans(outputs[0]).length > 0);
          const dy = tf.ones(outputs[0].shape);
          const gradients = execute('VoxelbookSelectiveScanGradient', [...inputs, outputs[2], dy, tf.zeros([0])], 7, [
            1,
            1,
            softplus,
            0,
            0,
          ]);
          // What is only added to the result (D · u) reaches no gradient but u's.
          assert.ok(gradients.some((g) => nans(g).length > 0));
        }));

  it('norms and layer norm: the whole group is lost, and no other', () =>
    tf.tidy(() => {
      const x = holed([2, 3, 3, 3, 8], 5);
      const [y] = execute('VoxelbookNorm', [x, tf.zeros([0]), tf.zeros([0]), tf.zeros([0])], 2, [2, 8], [1e-5, 0.01]);
      assert.deepEqual(
        nans(y),
        Array.from({ length: 27 }, (_, v) => v * 8 + 5),
      );
      const [rows] = execute('VoxelbookLayerNorm', [holed([3, 19], 20), tf.zeros([0]), tf.zeros([0])], 2, [], [1e-5]);
      assert.deepEqual(
        nans(rows),
        Array.from({ length: 19 }, (_, i) => 19 + i),
      );
    }));

  it('depthwise convolution: the window’s positions in that channel', () =>
    tf.tidy(() => {
      const [y] = execute(
        'VoxelbookDepthwise',
        [holed([1, 3, 3, 3, 5], 13 * 5 + 2), tf.ones([3, 3, 3, 1, 5]), tf.zeros([0])],
        1,
        [1, 1, 1, 1, 1, 1],
      );
      assert.deepEqual(
        nans(y),
        Array.from({ length: 27 }, (_, v) => v * 5 + 2),
      );
    }));

  it('MedNeXt block: it comes out, and out of the gradients', () =>
    tf.tidy(() => {
      const shapes = [[1, 3, 4, 5, 6], [3, 3, 3, 1, 6], [6], [6], [6], [1, 1, 1, 6, 7], [7], [1, 1, 1, 7, 6], [6]];
      const ints = [0, 1, 1, 1, 1, 1, 1, 1];
      for (const change of [0, 1, 3, 4, 5, 6, 7, 8]) {
        const inputs = [
          ...shapes.map((shape, i) => (i === change ? holed(shape, 1) : smooth(shape, i, 1))),
          tf.zeros([0]),
          tf.zeros([0]),
        ];
        const [y, mid, stats] = execute('VoxelbookMednextBlock', inputs, 3, ints, [1e-5]);
        assert.ok(nans(y).length > 0, `input ${change}`);
        const gradients = execute('VoxelbookMednextBlockGradient', [...inputs, mid, stats, tf.ones(y.shape)], 11, ints, [1e-5]);
        // The last bias is only added: no gradient depends on it.
        assert.equal(
          gradients.some((g) => nans(g).length > 0),
          change !== 8,
          `input ${change}`,
        );
      }
    }));
});

describe('native kernels and ranks', () => {
  before(function () {
    if (!native()) this.skip();
  });
  const x = [2, 9, 7, 33];
  const kernel = [4, 7, 1, 33];
  const empty = () => tf.zeros([0]);

  it('an input without depth takes no settings that give it one', () =>
    tf.tidy(() => {
      const message = /an input of rank 4 has no depth; the settings give one of /;
      const depths = [
        [1, 2, 2, 0, 0, 0, 1000, 3, 6],
        [1, 2, 2, 0, 0, 0, 0, 3, 6],
      ];
      for (const ints of depths)
        assert.throws(() => execute('VoxelbookDepthwiseTransposed', [tf.ones(x), tf.ones(kernel), empty()], 1, ints), message);
      for (const ints of [
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 500, 0, 0],
      ])
        assert.throws(() => execute('VoxelbookDepthwise', [tf.ones(x), tf.ones(kernel), empty()], 1, ints), message);
      const deep = [[1, 4, 4, 6], [3, 3, 1, 6], [6], [6], [6], [1, 1, 6, 7], [7], [1, 1, 7, 6], [6]].map((s) => tf.ones(s));
      assert.throws(
        () => execute('VoxelbookMednextBlock', [...deep, empty(), empty()], 3, [0, 0, 1, 1, 1, 3, 1, 1], [1e-5]),
        message,
      );
      assert.throws(
        () => execute('VoxelbookMednextBlock', [...deep, empty(), empty()], 3, [2, 0, 2, 2, 2, 0, 1, 1], [1e-5]),
        message,
      );
    }));

  it('settings whose products no number can hold are refused', () =>
    tf.tidy(() => {
      const big = 2 ** 30;
      const inputs = () => [tf.ones(x), tf.ones(kernel), empty()];
      assert.throws(() => execute('VoxelbookDepthwise', inputs(), 1, [1, big, 1, 0, 0, 0]), /stride must be 1 to 64/);
      assert.throws(() => execute('VoxelbookDepthwise', inputs(), 1, [1, 1, 1, 0, big, 0]), /padding must be 0 to 1048576/);
      assert.throws(
        () => execute('VoxelbookDepthwiseTransposed', inputs(), 1, [1, 2, 2, 0, 0, 0, 1, big, big]),
        /an output of \[2,1073741824,1073741824,33\]/,
      );
      const scan = [[1, 12, 2], [1, 12, 4], [4, 4], [1, 12, 2, 4], [1, 12, 2, 4], [4], [4]].map((s) => tf.ones(s));
      assert.throws(() => execute('VoxelbookSelectiveScan', scan, 3, [2, 1, 1, -3, -4]), /a grid of -3 × -4 for a length of 12/);
    }));
});
