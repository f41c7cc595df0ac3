// Blocks taken apart give what the networks compute.
import assert from 'node:assert';
import { build, Declaration } from '../../src/model/index.js';
import { axialAttention } from '../../src/model/papers/kaistUnet.js';
import { kaistBrats21 } from '../../src/paper/index.js';
import { tf } from '../../src/tensor/tf.js';

const maxDifference = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);

/** A small network with attention on two stages, for patches of one size. */
const attending = (volume: number[]) =>
  build(
    {
      ...{ network: 'kaist-unet', width: 8, maxWidth: 32, strides: Array(3).fill([2, 2, 2]), inputChannels: 1, classes: 2 },
      attention: { where: 'decoder', heads: 2, headWidth: 4, without: [2], volume },
    } as never,
    undefined,
    { seed: 1 },
  );

describe('blocks taken apart', () => {
  it('three axes one after another are the axial attention; every row of weights sums to 1', () => {
    const spec = {
      network: 'kaist-unet',
      norm: 'batch',
      width: 8,
      maxWidth: 32,
      strides: Array(3).fill([2, 2, 2]),
      inputChannels: 2,
      classes: 3,
    };
    const attention = { where: 'decoder', heads: 2, headWidth: 4, without: [2], volume: [16, 16, 16] };
    const { params } = build({ ...spec, attention } as never, undefined, { seed: 1 });
    const name = 'axial_attention.1';
    const channels = params[`${name}.axial_attentions.0.fn.to_q.weight`].shape[0];
    const x = tf.randomNormal([1, 4, 5, 6, channels], 0, 1, 'float32', 3) as tf.Tensor5D;
    const whole = axialAttention(new Declaration(), name, channels, 3, { heads: 4, headWidth: 8, sum: false })(
      { params, training: false, updates: {} },
      x,
    );
    let y = x;
    for (const axis of [0, 1, 2]) {
      const step = kaistBrats21.attendAlong(params, name, axis, y, 4);
      const sums = tf.sum(step.weights, -1);
      assert.ok(maxDifference(sums, tf.onesLike(sums)) < 1e-5);
      y = step.value;
    }
    assert.ok(maxDifference(y, whole) < 1e-5);
  });

  it('attention of a whole network: what the module is given inside it asks, rows sum to 1, nothing is left behind', () => {
    const { network, params } = attending([16, 16, 16]);
    const [x, y] = [1, 2].map((seed) => tf.randomNormal([1, 16, 16, 16, 1], 0, 1, 'float32', seed));
    const before = tf.memory().numTensors;
    const of = (patch: tf.Tensor) => kaistBrats21.attentionMaps(network, params, 1, patch, { heads: 4, title: '' }).maps;
    const [maps, others] = [of(x), of(y)];
    assert.equal(tf.memory().numTensors, before);
    assert.equal(maps.length, 4);
    for (const { values, width, height } of maps) {
      assert.deepEqual([width, height], [8, 8]);
      for (let row = 0; row < 8; row++) {
        const sum = Array.from(values)
          .slice(8 * row, 8 * row + 8)
          .reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - 1) < 1e-5);
      }
    }
    assert.notDeepEqual(maps[0].values, others[0].values);
    tf.dispose([params, x, y]);
  });

  it('a patch for which the position embedding was not made is refused by name', () => {
    const { params, forward } = attending([32, 32, 32]);
    const x = tf.zeros([1, 24, 24, 24, 1]);
    assert.throws(
      () => forward({ params, training: false, updates: {} }, x),
      /another patch size[\s\S]*24×24×24; expected 32×32×32/,
    );
    tf.dispose([params, x]);
  });

  it('a voxel is heard on its line, then its plane, then everywhere', () => {
    const spec = {
      network: 'kaist-unet',
      norm: 'batch',
      width: 8,
      maxWidth: 32,
      strides: Array(3).fill([2, 2, 2]),
      inputChannels: 2,
      classes: 3,
    };
    const attention = { where: 'decoder', heads: 2, headWidth: 4, without: [2], volume: [16, 16, 16] };
    const { params } = build({ ...spec, attention } as never, undefined, { seed: 1 });
    const channels = params['axial_attention.1.axial_attentions.0.fn.to_q.weight'].shape[0];
    const { maps } = kaistBrats21.reach(params, 'axial_attention.1', [6, 6, 6], channels, 4);
    const heard = maps.map((m) => Array.from(m.values).filter((v) => v > Math.log(1e-6)).length);
    // Pairs of planes: height × width through the voxel, depth × height through the voxel.
    assert.deepStrictEqual(heard, [1, 6, 6, 36, 36, 36]);
  });
});
