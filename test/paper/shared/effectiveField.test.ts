import assert from 'node:assert/strict';
import { build } from '../../../src/model/index.js';
import { effectiveField, effectiveFields } from '../../../src/paper/index.js';
import { forwardOf } from '../../../src/predict/index.js';
import { tf } from '../../../src/tensor/tf.js';

describe('effective receptive field', () => {
  const ones = (...shape: number[]) => tf.ones(shape);

  it('two 3×3 convolutions of ones: the gradient counts the ways from the middle', () => {
    const [x, kernel] = [ones(1, 7, 9, 2), ones(3, 3, 2, 2) as tf.Tensor4D];
    const twice = (t: tf.Tensor) => tf.conv2d(tf.conv2d(t as tf.Tensor4D, kernel, 1, 'same'), kernel, 1, 'same');
    const { values, space, halfWithin } = effectiveField(twice, [x]);
    // 1 2 3 2 1 along each axis; 2 inputs, 2 channels between, 2 outputs.
    const along = [0, 0, 1, 2, 3, 2, 1, 0, 0];
    const expected = along.slice(1, -1).flatMap((a) => along.map((b) => 8 * a * b));
    assert.deepEqual([...values], expected);
    assert.deepEqual(space, [7, 9]);
    // Of 81 the middle has 9, its four neighbours 24, the next four 16: half is reached at the diagonal.
    assert.equal(halfWithin, Math.SQRT2);
    const maps = effectiveFields('Two convolutions', { twice: effectiveField(twice, [x, x]) });
    assert.match(`${maps}`, /twice: 7 × 9, -4\.00 to 0\.00, half within 1\.4 pixels/);
    tf.dispose([x, kernel]);
  });

  it('in three dimensions, of a network as it predicts, and it depends on the weights', () => {
    const spec = { network: 'mednext', size: 'S', kernel: 3, width: 4, blocks: Array(9).fill(1), expansion: 2 } as const;
    const x = tf.randomNormal([1, 16, 16, 16, 1], 0, 1, 'float32', 1);
    const before = tf.memory().numTensors;
    const fields = [0, 1].map((seed) => {
      const { network, params } = build(spec, undefined, { seed, inputChannels: 1, classes: 2 });
      const field = effectiveField(forwardOf(network, params), [x]);
      tf.dispose(params);
      return field;
    });
    assert.equal(tf.memory().numTensors, before);
    for (const { values, space, halfWithin } of fields) {
      assert.deepEqual(space, [16, 16, 16]);
      assert.ok(values.every(Number.isFinite) && values.some((v) => v > 0));
      assert.ok(halfWithin > 1 && halfWithin < 14);
    }
    assert.notDeepEqual(fields[0].values, fields[1].values);
    assert.match(`${effectiveFields('', { one: fields[0] })}`, /one: 16 × 16, .* voxels/);
    x.dispose();
  });

  it('pictures of several shapes, or none, are refused', () => {
    const pictures = [ones(1, 8, 8, 1), ones(1, 8, 9, 1)];
    assert.throws(() => effectiveField((x) => x, pictures), /shapes 1×8×8×1, 1×8×9×1; expected .*all of one shape/);
    assert.throws(() => effectiveField((x) => x, []), /given none|none; expected/);
    assert.throws(() => effectiveField(async (x) => x, pictures.slice(1)), /computed elsewhere[\s\S]*has gradients/);
    tf.dispose(pictures);
  });
});
