// A norm over one value gives its shift whatever the value: PyTorch refuses it while training ("Expected more than 1 value per channel
// when training", for instance norm "more than 1 spatial element"), and so do we.
import assert from 'node:assert/strict';
import { Random } from '../../../src/base/random.js';
import { batchNorm, groupNorm, instanceNorm, type Layer } from '../../../src/model/layers/layers.js';
import { Declaration, initialise } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';

function apply(declare: (d: Declaration) => Layer, shape: number[], training: boolean): number[] {
  const d = new Declaration();
  const layer = declare(d);
  const params = initialise(d, new Random(1));
  const updates = {};
  try {
    return tf.tidy(() => [...layer({ params, training, updates }, tf.ones(shape)).shape]);
  } finally {
    tf.dispose([params, updates]);
  }
}

describe('norms over one value', () => {
  // Refused and allowed shapes, four channels last, as torch 2.13.0 answered for each module in training mode.
  const table: [string, (d: Declaration) => Layer, number[][], number[][]][] = [
    [
      'batch norm',
      (d) => batchNorm(d, 'n', 4),
      [
        [1, 1, 1, 1, 4],
        [1, 1, 1, 4],
      ],
      [
        [2, 1, 1, 1, 4],
        [1, 2, 1, 1, 4],
        [1, 1, 2, 4],
      ],
    ],
    [
      'instance norm',
      (d) => instanceNorm(d, 'n', 4),
      [
        [1, 1, 1, 1, 4],
        [3, 1, 1, 4],
      ],
      [
        [1, 2, 1, 1, 4],
        [1, 1, 2, 4],
      ],
    ],
    [
      'group norm of single channels',
      (d) => groupNorm(d, 'n', 4, 4),
      [[1, 1, 1, 1, 4]],
      [
        [2, 1, 1, 1, 4],
        [1, 1, 2, 1, 4],
      ],
    ],
    ['group norm of pairs', (d) => groupNorm(d, 'n', 4, 2), [], [[1, 1, 1, 1, 4]]],
  ];
  for (const [name, declare, refused, allowed] of table)
    it(`${name}: training refuses what PyTorch refuses, and nothing else`, () => {
      for (const shape of refused) {
        assert.throws(
          () => apply(declare, shape, true),
          /n: an input of shape \[[\d,]+\], one value for each channel.*; expected/,
        );
        assert.deepEqual(apply(declare, shape, false), shape);
      }
      for (const shape of allowed) assert.deepEqual(apply(declare, shape, true), shape);
    });
});
