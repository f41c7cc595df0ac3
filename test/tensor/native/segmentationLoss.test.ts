// Dice + cross entropy of several outputs on our own kernel against the plain operators, value and gradients.
import assert from 'node:assert/strict';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { type NativeLossSettings, nativeLoss } from '../../../src/tensor/native/segmentationLoss.js';
import { tf } from '../../../src/tensor/tf.js';
import { dcAndBce, dcAndCe, deepSupervision } from '../../../src/train/index.js';
import { assertClose, plain, smooth } from './helpers.js';

type Case = Omit<NativeLossSettings, 'target'> & {
  shapes: number[][];
  classes: number;
  weights: readonly number[];
  scale?: number;
};
const base = { batchDice: false, background: false, variant: 'nnunetv2', smooth: 1e-5, weights: [1] } as const;
const labelCases: Case[] = [
  { ...base, shapes: [[2, 5, 6, 7]], classes: 3 },
  { ...base, shapes: [[2, 5, 6, 7]], classes: 4, batchDice: true, ignoreLabel: 4 },
  { ...base, shapes: [[1, 33, 17]], classes: 2, variant: 'nnunetv1', smooth: 0 },
  // Several pieces; a rest of one voxel behind the vectors.
  { ...base, shapes: [[2, 4097]], classes: 5, background: true, ceWeight: 0.3, diceWeight: 2 },
  { ...base, shapes: [[1, 9, 10, 11]], classes: 14, ignoreLabel: -1, scale: 30 },
  { ...base, shapes: [[2, 4, 5, 6]], classes: 3, classWeights: [0.2, 1, 3] },
  { ...base, shapes: [[2, 4, 5, 6]], classes: 3, classWeights: [0.2, 1, 3], labelSmoothing: 0.1, ignoreLabel: 2 },
  { ...base, shapes: [[2, 4, 5, 6]], classes: 3, labelSmoothing: 0.2 },
  {
    ...base,
    shapes: [
      [2, 8, 8, 8],
      [2, 4, 4, 4],
      [2, 2, 4, 4],
      [2, 1, 1, 2],
    ],
    classes: 3,
    weights: [8 / 15, 4 / 15, 2 / 15, 1 / 15],
  },
  {
    ...base,
    shapes: [
      [2, 16, 16],
      [2, 8, 8],
    ],
    classes: 3,
    weights: [2 / 3, 1 / 3],
    batchDice: true,
    ignoreLabel: 3,
  },
];
const regionCases: Case[] = [
  { ...base, shapes: [[2, 5, 6, 7]], classes: 3, background: true },
  { ...base, shapes: [[2, 5, 6, 7]], classes: 3, background: true, ignore: true, batchDice: true },
  { ...base, shapes: [[1, 4099]], classes: 1, background: true, variant: 'nnunetv1', smooth: 1, scale: 40 },
  {
    ...base,
    shapes: [
      [2, 8, 8],
      [2, 4, 4],
      [2, 2, 2],
    ],
    classes: 4,
    background: true,
    weights: [0.5, 0.3, 0.2],
    ceWeight: 2,
    ignore: true,
  },
];

/** Logits, and labels from −1 (outside of the image) to one above the last class where that is ignored. */
function tensors(c: Case, regions: boolean) {
  const logits = c.shapes.map((shape, i) => smooth([...shape, c.classes], i + 1, c.scale ?? 3));
  const targets = c.shapes.map((shape, i) => {
    if (!regions) {
      const low = c.ignoreLabel === -1 ? -1 : 0;
      const high = Math.max(c.classes - 1, c.ignoreLabel ?? 0);
      return tf.tidy(() =>
        tf.cast(tf.floor(tf.add(tf.mul(tf.add(smooth(shape, i + 50, 1), 1), (high - low + 0.999) / 2), low)), 'int32'),
      );
    }
    return tf.tidy(() => tf.cast(tf.greater(smooth([...shape, c.classes + (c.ignore ? 1 : 0)], i + 50, 1), 0.2), 'float32'));
  });
  return { logits, targets };
}

function compare(c: Case, regions: boolean) {
  tf.tidy(() => {
    const { logits, targets } = tensors(c, regions);
    const { shapes: _s, classes: _c, weights, scale: _f, ...options } = c;
    const one = (l: tf.Tensor, t: tf.Tensor) => (regions ? dcAndBce(l, t, options) : dcAndCe(l, t, options));
    const slow = plain(() => tf.valueAndGrads((...x: tf.Tensor[]) => deepSupervision(one, x, targets, weights))(logits));
    const target = regions ? 'regions' : 'labels';
    const fast = (...x: tf.Tensor[]) => nativeLoss(x, targets, weights, { ...options, target });
    const ours = tf.valueAndGrads(fast)(logits);
    assertClose(ours.value.dataSync(), slow.value.dataSync(), 2e-6, 'value');
    for (const [i, g] of slow.grads.entries()) {
      const expected = g.dataSync();
      const largest = Math.max(...expected.map(Math.abs));
      // Relative to the output's own largest gradient: small ones must not hide behind a tolerance of 1.
      assertClose(
        ours.grads[i].dataSync().map((v) => v / largest),
        expected.map((v) => v / largest),
        1e-5,
        `gradient ${i}`,
      );
    }
    // Without a tape only the value is made, and it is the same.
    assert.equal(fast(...logits).dataSync()[0], ours.value.dataSync()[0]);
    // A slope other than 1.
    const scaled = tf.grads((...x: tf.Tensor[]) => tf.mul(fast(...x), -2.5))(logits);
    assertClose(scaled[0].dataSync(), tf.mul(ours.grads[0], -2.5).dataSync(), 1e-6, 'scaled');
    // The public losses go the same way.
    if (logits.length === 1) assert.equal(one(logits[0], targets[0]).dataSync()[0], ours.value.dataSync()[0]);
  });
}

describe('native segmentation loss', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const c of labelCases) it(`labels ${JSON.stringify(c)}: value and gradients of the plain one`, () => compare(c, false));
  for (const c of regionCases) it(`regions ${JSON.stringify(c)}: value and gradients of the plain one`, () => compare(c, true));

  it('leaves no tensor behind, with or without gradients', () => {
    const { logits, targets } = tensors(labelCases[8], false);
    const before = tf.memory().numTensors;
    const loss = (...x: tf.Tensor[]) => nativeLoss(x, targets, labelCases[8].weights, { ...base, target: 'labels' });
    loss(...logits).dispose();
    tf.dispose(Object.values(tf.valueAndGrads(loss)(logits)));
    assert.equal(tf.memory().numTensors, before);
    tf.dispose([logits, targets]);
  });

  it('every voxel ignored: minus one of an empty Dice, and gradients of zero', () =>
    tf.tidy(() => {
      const logits = smooth([2, 3, 4, 3], 1, 1);
      const all = tf.fill([2, 3, 4], 7, 'int32');
      const settings = { ...base, target: 'labels', ignoreLabel: 7 } as const;
      const { value, grad } = {
        value: nativeLoss([logits], [all], [1], settings),
        grad: tf.grad((x) => nativeLoss([x], [all], [1], settings))(logits),
      };
      assert.ok(Math.abs(value.dataSync()[0] + 1) < 1e-6);
      assert.deepEqual(new Set(grad.dataSync().map(Math.abs)), new Set([0]));
    }));

  it('NaN in one logit comes out of value and gradient', () =>
    tf.tidy(() => {
      const values = smooth([1, 40, 3], 1, 1).dataSync();
      values[77] = Number.NaN;
      const logits = tf.tensor(values, [1, 40, 3]);
      for (const regions of [false, true]) {
        const target = regions ? tf.ones([1, 40, 3]) : tf.ones([1, 40], 'int32');
        const settings = { ...base, background: true, target: regions ? 'regions' : 'labels' } as const;
        const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => nativeLoss([x], [target], [1], settings))(logits);
        assert.ok(Number.isNaN(value.dataSync()[0]));
        assert.ok(Number.isNaN(grad.dataSync()[77]));
      }
    }));

  it('the result does not depend on the number of threads', () =>
    tf.tidy(() => {
      const c = {
        ...labelCases[0],
        shapes: [
          [2, 20, 30, 31],
          [2, 10, 15, 15],
        ],
        weights: [0.7, 0.3],
      };
      const { logits, targets } = tensors(c, false);
      const run = (count: number) => {
        setNativeThreads(count);
        const { value, grads } = tf.valueAndGrads((...x: tf.Tensor[]) =>
          nativeLoss(x, targets, c.weights, { ...base, target: 'labels' }),
        )(logits);
        setNativeThreads(threadsOfProcess());
        return [value, ...grads].map((t) => t.dataSync());
      };
      assert.deepEqual(run(1), run(3));
    }));

  it('what does not fit comes back as an error that names the shapes', () =>
    tf.tidy(() => {
      const call =
        (x: number[], t: tf.Tensor, settings: object = {}) =>
        () =>
          nativeLoss([tf.ones(x)], [t], [1], { ...base, target: 'labels', ...settings });
      assert.throws(call([2, 4, 3], tf.ones([2, 5], 'int32')), /target \[2,5\] of logits \[2,4,3\] must be \[2,4\]/);
      assert.throws(call([2, 4, 1], tf.ones([2, 4], 'int32')), /a single class is all background/);
      assert.throws(call([0, 4, 3], tf.ones([0, 4], 'int32')), /logits \[0,4,3\] must be \[batch, …, class\]/);
      assert.throws(call([2, 4, 3], tf.ones([2, 4], 'int32'), { classWeights: [1, 2] }), /2 weights for 3 classes/);
      assert.throws(
        call([2, 4, 3], tf.ones([2, 4, 3]), { target: 'regions', ignore: true }),
        /target \[2,4,3\] of logits \[2,4,3\] must be \[2,4,4\]/,
      );
    }));
});
