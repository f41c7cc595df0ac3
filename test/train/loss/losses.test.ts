// Losses against slow loops over voxels, and their gradients against finite differences.
import assert from 'node:assert/strict';
import { Random } from '../../../src/base/random.js';
import { tf } from '../../../src/tensor/tf.js';
import { dcAndBce, dcAndCe, deepSupervisionWeights, downsampleLabels, monaiDice } from '../../../src/train/index.js';

const random = new Random('losses');
const [batch, depth, height, width] = [2, 3, 4, 2];
const voxels = depth * height * width;
const near = (a: number, b: number, tolerance = 1e-5) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);

function sample(classes: number, highest: number) {
  const logits = Float32Array.from({ length: batch * voxels * classes }, () => random.normal());
  const labels = Int32Array.from({ length: batch * voxels }, () => random.int(0, highest + 1));
  return {
    logits,
    labels,
    x: tf.tensor5d(logits, [batch, depth, height, width, classes]),
    y: tf.tensor(labels, [batch, depth, height, width], 'int32'),
  };
}

/** Dice + cross entropy, voxel by voxel. */
function slow(logits: Float32Array, labels: Int32Array, classes: number, batchDice: boolean, smooth: number, ignore?: number) {
  let ce = 0;
  let counted = 0;
  const sums = Array.from({ length: batch }, () => Array.from({ length: classes }, () => ({ i: 0, p: 0, y: 0 })));
  for (let b = 0; b < batch; b++)
    for (let v = 0; v < voxels; v++) {
      const at = b * voxels + v;
      const label = labels[at];
      if (label === ignore) continue;
      counted++;
      const row = logits.subarray(at * classes, (at + 1) * classes);
      const e = Array.from(row, (l) => Math.exp(l));
      const total = e.reduce((s, n) => s + n, 0);
      ce -= Math.log(e[label] / total);
      for (let c = 0; c < classes; c++) {
        sums[b][c].p += e[c] / total;
        if (c === label) {
          sums[b][c].y++;
          sums[b][c].i += e[c] / total;
        }
      }
    }
  const dices: number[] = [];
  for (let c = 1; c < classes; c++) {
    const groups = batchDice ? [sums.map((s) => s[c])] : sums.map((s) => [s[c]]);
    for (const g of groups) {
      const add = (k: 'i' | 'p' | 'y') => g.reduce((t, s) => t + s[k], 0);
      dices.push((2 * add('i') + smooth) / Math.max(add('p') + add('y') + smooth, 1e-8));
    }
  }
  return (counted > 0 ? ce / counted : 0) - dices.reduce((a, b) => a + b, 0) / dices.length;
}

describe('train losses', () => {
  for (const batchDice of [false, true])
    for (const ignoreLabel of [undefined, 3])
      it(`Dice and cross entropy equal the loop over voxels, batch Dice ${batchDice}, ignore ${ignoreLabel}`, () => {
        const { logits, labels, x, y } = sample(3, ignoreLabel ?? 2);
        const options = { batchDice, background: false, smooth: 1e-5, variant: 'nnunetv2', ignoreLabel } as const;
        near(dcAndCe(x, y, options).dataSync()[0], slow(logits, labels, 3, batchDice, 1e-5, ignoreLabel));
      });

  it('is finite with every voxel ignored, and with no foreground at all', () => {
    const { x } = sample(3, 2);
    const options = { batchDice: false, background: false, smooth: 1e-5, variant: 'nnunetv2', ignoreLabel: 3 } as const;
    const all = tf.fill([batch, depth, height, width], 3, 'int32');
    near(dcAndCe(x, all, options).dataSync()[0], -1);
    const none = tf.zeros([batch, depth, height, width], 'int32');
    assert.ok(Number.isFinite(dcAndCe(x, none, options).dataSync()[0]));
  });

  it('leaves no tensor behind', () => {
    const { x, y } = sample(3, 2);
    const before = tf.memory().numTensors;
    dcAndCe(x, y, { batchDice: true, background: false, smooth: 1e-5, variant: 'nnunetv1' }).dispose();
    assert.equal(tf.memory().numTensors, before);
  });

  it('v1 without smoothing rewards nothing for a correctly empty region, v2 does', () => {
    const x = tf.fill([1, 2, 2, 2, 1], -20);
    const y = tf.zeros([1, 2, 2, 2, 1]);
    const options = { batchDice: false, background: true } as const;
    near(dcAndBce(x, y, { ...options, smooth: 0, variant: 'nnunetv1' }).dataSync()[0], 0, 1e-3);
    near(dcAndBce(x, y, { ...options, smooth: 1e-5, variant: 'nnunetv2' }).dataSync()[0], -1, 1e-2);
  });

  it('gradients agree with finite differences', () => {
    const { x, y } = sample(3, 2);
    const one = tf.oneHot(y as tf.Tensor1D, 3, 1, 0, 'float32') as tf.Tensor;
    const losses: [string, (l: tf.Tensor) => tf.Scalar][] = [
      ['dcAndCe', (l) => dcAndCe(l, y, { batchDice: false, background: false, smooth: 1e-5, variant: 'nnunetv2' })],
      ['dcAndBce', (l) => dcAndBce(l, one, { batchDice: true, background: true, smooth: 1e-5, variant: 'nnunetv1' })],
      ['monaiDice', (l) => monaiDice(l, one, { activation: 'softmax', squaredPrediction: true })],
    ];
    for (const [name, loss] of losses) {
      const gradient = tf
        .grad((l: tf.Tensor) => loss(l))(x)
        .dataSync();
      const values = x.dataSync() as Float32Array;
      for (let t = 0; t < 12; t++) {
        const i = random.int(0, values.length);
        const at = (d: number) => {
          const moved = values.slice();
          moved[i] += d;
          return loss(tf.tensor(moved, x.shape)).dataSync()[0];
        };
        near((at(1e-2) - at(-1e-2)) / 2e-2, gradient[i], 2e-4);
      }
      assert.ok(name);
    }
  });

  it('deep supervision weights sum to 1 and halve at every resolution', () => {
    assert.deepEqual(deepSupervisionWeights('nnunet', 3), [2 / 3, 1 / 3, 0]);
    assert.deepEqual(
      deepSupervisionWeights('all', 5).map((w) => w * 31),
      [16, 8, 4, 2, 1],
    );
    assert.deepEqual(deepSupervisionWeights('none', 3), [1, 0, 0]);
    assert.deepEqual(deepSupervisionWeights([4, 2, 1, 0], 4), [4 / 7, 2 / 7, 1 / 7, 0]);
  });

  it('labels at half the resolution are those of the later of two voxels', () => {
    const labels = Int16Array.from({ length: 4 * 4 * 4 }, (_, i) => i);
    const half = downsampleLabels(labels, [4, 4, 4], [2, 2, 2]);
    assert.deepEqual([...half], [21, 23, 29, 31, 53, 55, 61, 63]);
    const whole = downsampleLabels(labels, [4, 4, 4], [4, 4, 4]);
    assert.deepEqual(whole, labels);
    assert.notEqual(whole, labels);
  });
});
