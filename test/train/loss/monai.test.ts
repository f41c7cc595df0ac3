// Focal, Tversky and Dice against the values in MONAI's own tests (tests/losses of Project-MONAI/MONAI), and their gradients.
import assert from 'node:assert/strict';
import { tf } from '../../../src/tensor/tf.js';
import { focal, monaiDice, tversky } from '../../../src/train/index.js';
import { draw, gradients, leavesNothing } from '../../tensor/ops/check.js';

const near = (ours: tf.Tensor, expected: readonly number[], tolerance: number) => {
  const values = Array.from(ours.dataSync());
  assert.equal(values.length, expected.length);
  for (const [i, v] of values.entries()) assert.ok(Math.abs(v - expected[i]) <= tolerance, `${values} is not ${expected}`);
};

/** `[batch, channel, …]` as MONAI writes it, channels last. */
const last = (values: number[][][]) => tf.transpose(tf.tensor3d(values), [0, 2, 1]);

// One channel of four voxels; two samples of two channels and three voxels.
const four = last([[[1, -1, -1, 1]]]);
const truth = last([[[1, 0, 1, 1]]]);
const logits = last([
  [
    [-1, 0, 1],
    [1, 0, -1],
  ],
  [
    [0, 0, 0],
    [0, 0, 0],
  ],
]);
const labels = last([
  [
    [0, 1, 1],
    [1, 0, 0],
  ],
  [
    [0, 0, 1],
    [1, 1, 0],
  ],
]);
const smooth = (value: number) => ({ smoothNumerator: value, smoothDenominator: value });

describe('the Tversky loss', () => {
  it('is MONAI’s, with its weights of false positives and negatives', () => {
    const at = (alpha?: number, beta?: number) => tversky(four, truth, { activation: 'sigmoid', alpha, beta, ...smooth(1e-6) });
    near(at(), [0.307576], 1e-4);
    near(at(0.3, 0.7), [0.3589], 1e-4);
    near(at(0.7, 0.3), [0.247366], 1e-4);
  });

  it('is MONAI’s under each activation and reduction', () => {
    near(tversky(logits, labels, { activation: 'sigmoid', ...smooth(1e-4) }), [0.43505], 1e-4);
    near(tversky(logits, labels, { activation: 'sigmoid', batch: true }), [0.422979], 1e-4);
    near(tversky(logits, labels, { activation: 'sigmoid', reduction: 'sum', ...smooth(1e-4) }), [1.74013], 2e-4);
    near(tversky(logits, labels, { activation: 'softmax', ...smooth(1e-4) }), [0.383713], 1e-4);
    const each = [0.210961, 0.295339, 0.599952, 0.428547];
    near(tversky(logits, labels, { activation: 'softmax', reduction: 'none', ...smooth(1e-4) }), each, 1e-4);
  });

  it('with equal weights of a half it is the Dice loss', () =>
    near(
      tversky(logits, labels, { activation: 'softmax', includeBackground: false }),
      [...monaiDice(logits, labels, { activation: 'softmax', includeBackground: false }).dataSync()],
      1e-5,
    ));
});

describe('MONAI’s Dice loss', () => {
  it('has the reductions sum and none', () => {
    near(monaiDice(logits, labels, { activation: 'softmax', reduction: 'sum', ...smooth(1e-4) }), [1.534853], 1e-5);
    const each = [0.296529, 0.415136, 0.599976, 0.428559];
    near(monaiDice(logits, labels, { activation: 'sigmoid', reduction: 'none', ...smooth(1e-4) }), each, 1e-5);
  });
});

describe('the focal loss', () => {
  const row = [1, 1, 0.5, 0];
  const x = last([[row, row, row]]);
  const y = last([
    [
      [1, 0, 0, 1],
      [0, 1, 0, 0],
      [0, 0, 1, 0],
    ],
  ]);
  /** MONAI's order: channel by channel. */
  const byChannel = (values: tf.Tensor) => tf.transpose(values, [0, 2, 1]);

  it('is MONAI’s over independent regions', () => {
    near(focal(x, y, { activation: 'sigmoid' }), [0.34959], 1e-4);
    near(focal(x, y, { activation: 'sigmoid', includeBackground: false }), [0.36498], 1e-4);
    near(focal(x, y, { activation: 'sigmoid', alpha: 0.8 }), [0.08423], 1e-4);
    const rows = [
      [0.02266, 0.70187, 0.37741, 0.17329],
      [0.70187, 0.02266, 0.37741, 0.17329],
      [0.70187, 0.70187, 0.06757, 0.17329],
    ];
    near(byChannel(focal(x, y, { activation: 'sigmoid', reduction: 'none' })), rows.flat(), 1e-4);
    near(focal(x, y, { activation: 'sigmoid', reduction: 'sum' }), [rows.flat().reduce((a, b) => a + b, 0) / 4], 1e-4);
    const weight = [0.5, 0.1, 0.2];
    const weighted = [
      [0.01133, 0.35093, 0.18871, 0.08664],
      [0.07019, 0.00227, 0.03774, 0.01733],
      [0.14037, 0.14037, 0.01352, 0.03466],
    ];
    near(byChannel(focal(x, y, { activation: 'sigmoid', weight, reduction: 'none' })), weighted.flat(), 1e-4);
  });

  it('is MONAI’s over classes', () => {
    near(focal(x, y, { activation: 'softmax' }), [0.16276], 1e-4);
    near(focal(x, y, { activation: 'softmax', alpha: 0.8 }), [0.08138], 1e-4);
  });

  it('of logits that are sure and right is 0, and finite where they are wrong', () => {
    for (const activation of ['softmax', 'sigmoid'] as const) {
      const sure = tf.sub(tf.mul(y, 1000), 500);
      near(focal(sure, y, { activation }), [0], 1e-6);
      assert.ok(Number.isFinite(focal(tf.neg(sure), y, { activation }).dataSync()[0]));
    }
  });
});

describe('these losses', () => {
  it('have the gradients of finite differences and leave nothing behind', () => {
    const x = draw([2, 3, 2, 3]);
    const y = tf.oneHot(tf.tensor3d([0, 1, 2, 1, 0, 0, 2, 2, 1, 0, 1, 2], [2, 3, 2], 'int32'), 3).toFloat();
    for (const loss of [
      (a: tf.Tensor) => tversky(a, y, { activation: 'softmax', alpha: 0.3, beta: 0.7 }),
      (a: tf.Tensor) => focal(a, y, { activation: 'softmax', alpha: 0.7 }),
      (a: tf.Tensor) => focal(a, y, { activation: 'sigmoid', gamma: 1.5 }),
      (a: tf.Tensor) => monaiDice(a, y, { activation: 'sigmoid', reduction: 'sum' }),
    ]) {
      gradients(loss, [x]);
      leavesNothing(() => loss(x).dispose());
    }
    tf.dispose([x, y]);
  });
});
