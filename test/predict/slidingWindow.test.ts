import assert from 'node:assert';
import type { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { rollingAxis } from '../../src/base/shape.js';
import { gaussianMap, padToPatch, predictLogits, predictSlabs, tileStarts } from '../../src/predict/index.js';
import { subsets } from '../../src/predict/windows.js';
import { tf } from '../../src/tensor/tf.js';

function imageOf(shape: number[], channels = 1) {
  const random = new Random(`${shape} ${channels}`);
  const n = shape[0] * shape[1] * shape[2] * channels;
  return { data: Float32Array.from({ length: n }, () => random.normal()), shape, channels };
}

/** Repeats the first channel for each head, times 1, 2, 3, …: whatever the tiles, the image comes back. */
const repeat = (heads: number) => (x: tf.Tensor) =>
  tf.tidy(() => {
    const first = tf.slice(x, new Array(x.rank).fill(0), [...x.shape.slice(0, -1), 1]);
    return tf.mul(first, tf.tensor1d(Array.from({ length: heads }, (_, i) => i + 1)));
  });

/** A network that is not symmetric: a 3×3×3 (3×3) convolution with a kernel of its own. */
function convolution(rank: 4 | 5, channels: number, heads: number, seed: string) {
  const random = new Random(seed);
  const shape = [...new Array(rank - 2).fill(3), channels, heads];
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal(0, 0.2));
  return (x: tf.Tensor) =>
    tf.tidy(() => {
      const kernel = tf.tensor(values, shape);
      return (
        rank === 5 ? tf.conv3d(x as never, kernel as never, 1, 'same') : tf.conv2d(x as never, kernel as never, 1, 'same')
      ) as tf.Tensor;
    });
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((m, v, i) => Math.max(m, Math.abs(v - b[i])), a.length === b.length ? 0 : Number.POSITIVE_INFINITY);

describe('tiles', () => {
  it('cover every voxel, are as few as the step allows, and end at the border', () => {
    const random = new Random('tiles');
    for (let i = 0; i < 300; i++) {
      const patch = random.int(1, 40);
      const size = patch + random.int(0, 100);
      const step = random.uniform(0.1, 1);
      const [starts] = tileStarts([size], [patch], step);
      assert.equal(starts[0], 0);
      assert.equal(starts.at(-1)! + patch, size);
      for (let t = 1; t < starts.length; t++) assert.ok(starts[t] - starts[t - 1] <= Math.max(1, Math.ceil(patch * step)));
      assert.equal(starts.length, Math.ceil((size - patch) / (patch * step)) + 1);
    }
  });

  it('a small image is padded evenly, the odd voxel after it', () => {
    assert.deepEqual(padToPatch([5, 8, 3], [8, 6]), {
      padded: [5, 8, 6],
      inside: [
        [0, 5],
        [0, 8],
        [1, 4],
      ],
    });
  });

  it('an image smaller than the patch is refused with what to do', () =>
    assert.throws(() => tileStarts([10, 3], [8, 8], 0.5), {
      name: 'VoxelbookError',
      message:
        'cannot lay tiles\n  patchSize[1]: image [10,3], patch [8,8], step 0.5; expected an image at least as large as the patch, as many axes, and a step in (0, 1]. Pad the image to the patch first (padToPatch), and give a step such as 0.5.',
    }));
});

describe('the importance map', () => {
  it('is largest at patch // 2, symmetric for odd sides, and never 0', () => {
    for (const precision of ['float32', 'float16'] as const) {
      const map = gaussianMap([9, 9, 9], { precision });
      assert.equal(map.indexOf(Math.max(...map)), (4 * 9 + 4) * 9 + 4);
      assert.equal(Math.max(...map), 10);
      assert.ok(map.every((v, i) => v > 0 && v === map[map.length - 1 - i]));
    }
  });
});

describe('subsets', () => {
  it('come by size, then in order', () =>
    assert.deepEqual(subsets([0, 1, 2]), [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]));
});

describe('the sliding window', () => {
  for (const [shape, patchSize, step] of [
    [[9, 10, 11], [4, 6, 5], 0.5],
    [[3, 20, 7], [6, 8, 8], 0.5],
    [[4, 13, 12], [8, 6], 0.3],
    [[1, 5, 30], [8, 8], 1],
    [[8, 8, 8], [8, 8, 8], 0.5],
  ] as [number[], number[], number][])
    for (const gaussian of [true, false])
      it(`gives the image back: ${shape.join('×')}, patch ${patchSize.join('×')}, step ${step}${gaussian ? ', Gaussian' : ''}`, async () => {
        const image = imageOf(shape, 2);
        const before = tf.memory().numTensors;
        const mirrorAxes = [...patchSize.keys()];
        const out = await predictLogits(repeat(3), image, {
          patchSize,
          heads: 3,
          stepSize: step,
          gaussian,
          mirrorAxes,
          batchTiles: 3,
        });
        assert.equal(tf.memory().numTensors, before);
        const expected = Array.from({ length: out.length }, (_, i) => image.data[Math.floor(i / 3) * 2] * ((i % 3) + 1));
        assert.ok(largest(out, expected) < 1e-5);
      });

  it('equals the sum over tiles written out', async () => {
    const [shape, patch] = [
      [7, 9, 8],
      [4, 6, 4],
    ];
    const image = imageOf(shape);
    const network = convolution(5, 1, 2, 'sum');
    const map = gaussianMap(patch);
    const sum = new Float64Array(7 * 9 * 8 * 2);
    const weight = new Float64Array(7 * 9 * 8);
    const [zs, ys, xs] = tileStarts(shape, patch, 0.5);
    for (const z of zs)
      for (const y of ys)
        for (const x of xs) {
          const all = tf.tensor(image.data, [1, ...shape, 1]);
          const y5 = network(tf.slice(all, [0, z, y, x, 0], [1, ...patch, 1])).dataSync();
          for (let v = 0; v < map.length; v++) {
            const [a, b, c] = [Math.floor(v / 24), Math.floor(v / 4) % 6, v % 4];
            const target = ((z + a) * 9 + y + b) * 8 + x + c;
            weight[target] += map[v];
            for (let h = 0; h < 2; h++) sum[2 * target + h] += map[v] * y5[2 * v + h];
          }
        }
    const out = await predictLogits(network, image, { patchSize: patch, heads: 2 });
    assert.ok(
      largest(
        out,
        sum.map((s, i) => s / weight[Math.floor(i / 2)]),
      ) < 1e-5,
    );
  });

  it('slices handed on as they are finished are the whole, in order', async () => {
    const image = imageOf([15, 9, 10]);
    for (const patchSize of [
      [4, 6, 6],
      [6, 6],
      [20, 6, 6],
    ]) {
      const network = convolution(patchSize.length === 3 ? 5 : 4, 1, 2, 'slabs');
      const options = { patchSize, heads: 2, mirrorAxes: [0] };
      const whole = await predictLogits(network, image, options);
      const slabs: number[] = [];
      let next = 0;
      await predictSlabs(network, image, options, (values, from, to) => {
        assert.equal(from, next);
        assert.equal(values.length, (to - from) * 9 * 10 * 2);
        slabs.push(...values);
        next = to;
      });
      assert.equal(next, 15);
      assert.ok(largest(slabs, whole) < 1e-6);
    }
  });

  it('whichever axis the window rolls along, the slices are those of the whole', async () => {
    const shape = [15, 9, 10];
    const image = imageOf(shape);
    for (const average of ['logits', 'probabilities'] as const) {
      const options = { patchSize: [4, 6, 12], heads: 3, mirrorAxes: [0, 2], average };
      const network = convolution(5, 1, 3, 'axes');
      const whole = await predictLogits(network, image, options);
      for (const axis of [0, 1, 2]) {
        const others = [0, 1, 2].filter((a) => a !== axis);
        let next = 0;
        await predictSlabs(network, image, { ...options, axis }, (values, from, to) => {
          assert.equal(from, next);
          next = to;
          const at = [0, 0, 0];
          let i = 0;
          for (at[axis] = from; at[axis] < to; at[axis]++)
            for (at[others[0]] = 0; at[others[0]] < shape[others[0]]; at[others[0]]++)
              for (at[others[1]] = 0; at[others[1]] < shape[others[1]]; at[others[1]]++)
                for (let c = 0; c < 3; c++, i++) {
                  const expected = whole[((at[0] * shape[1] + at[1]) * shape[2] + at[2]) * 3 + c];
                  assert.ok(Math.abs(values[i] - expected) < 1e-6, `axis ${axis} at ${at}`);
                }
          assert.equal(i, values.length);
        });
        assert.equal(next, shape[axis]);
      }
    }
  });

  it('rolls along the axis that holds least, the first one unless another saves a quarter', () => {
    assert.deepEqual(rollingAxis([160, 512, 512], [128, 128, 128]), { axis: 1, voxels: 160 * 128 * 512 });
    assert.deepEqual(rollingAxis([160, 160, 160], [64, 64, 64]), { axis: 0, voxels: 64 * 160 * 160 });
    assert.deepEqual(rollingAxis([100, 120, 120], [64, 64, 64]).axis, 0);
    assert.deepEqual(rollingAxis([40, 40, 400], [40, 40, 40]), { axis: 2, voxels: 40 * 40 * 40 });
  });

  it('how many tiles share a pass changes nothing but rounding', async () => {
    const image = imageOf([15, 9, 20]);
    for (const patchSize of [
      [4, 6, 6],
      [6, 6],
    ])
      for (const precision of ['float32', 'float16'] as const) {
        const network = convolution(patchSize.length === 3 ? 5 : 4, 1, 2, 'batches');
        const of = async (batchTiles?: number) => {
          const slabs: number[] = [];
          const options = { patchSize, heads: 2, mirrorAxes: [0, 1], precision, batchTiles };
          await predictSlabs(network, image, options, (values) => void slabs.push(...values));
          return slabs;
        };
        const one = await of(1);
        for (const tiles of [2, 5, 40, undefined])
          assert.ok(largest(await of(tiles), one) < (precision === 'float16' ? 2e-3 : 1e-6), `${patchSize}, ${tiles} tiles`);
      }
  });

  it('a mirrored image gives the mirrored prediction when mirroring is on', async () => {
    const image = imageOf([8, 8, 8]);
    const mirrored = { ...image, data: Float32Array.from(image.data, (_, i) => image.data[i - (i % 8) + 7 - (i % 8)]) };
    const network = convolution(5, 1, 1, 'mirror');
    const options = { patchSize: [8, 8, 8], heads: 1, mirrorAxes: [2], gaussian: false };
    const [a, b] = [await predictLogits(network, image, options), await predictLogits(network, mirrored, options)];
    assert.ok(
      largest(
        a,
        b.map((_, i) => b[i - (i % 8) + 7 - (i % 8)]),
      ) < 1e-5,
    );
    const plain = await predictLogits(network, image, { ...options, mirrorAxes: [] });
    assert.ok(largest(a, plain) > 1e-2);
  });

  it('several networks are averaged; as probabilities they sum to 1', async () => {
    const image = imageOf([6, 7, 8]);
    const networks = ['a', 'b', 'c'].map((seed) => convolution(5, 1, 3, seed));
    const options = { patchSize: [4, 4, 4], heads: 3 };
    const single = await Promise.all(networks.map((n) => predictLogits(n, image, options)));
    const together = await predictLogits(networks, image, options);
    assert.ok(
      largest(
        together,
        together.map((_, i) => (single[0][i] + single[1][i] + single[2][i]) / 3),
      ) < 1e-5,
    );
    const p = await predictLogits(networks, image, { ...options, average: 'probabilities' });
    for (let i = 0; i < p.length; i += 3) assert.ok(Math.abs(p[i] + p[i + 1] + p[i + 2] - 1) < 1e-5 && p[i] > 0);
    const sigmoid = await predictLogits(networks[0], image, { ...options, average: 'probabilities', activation: 'sigmoid' });
    assert.ok(sigmoid.every((v) => v > 0 && v < 1));
  });

  it('lets other work in between passes, and stops at the next one after an abort', async () => {
    const image = imageOf([8, 16, 16]);
    const stop = new AbortController();
    const before = tf.memory().numTensors;
    let ticks = 0;
    const timer = setInterval(() => ticks++, 0);
    let done = 0;
    await assert.rejects(
      predictLogits(repeat(2), image, {
        patchSize: [4, 4, 4],
        heads: 2,
        batchTiles: 1,
        signal: stop.signal,
        onProgress: (p) => {
          done = p.done;
          if (p.done === 40) stop.abort(new Error('enough'));
        },
      }),
      /enough/,
    );
    clearInterval(timer);
    assert.ok(ticks > 0);
    assert.equal(done, 40);
    assert.equal(tf.memory().numTensors, before);
  });

  it('a network with another number of heads is refused, and leaves no tensor', async () => {
    const before = tf.memory().numTensors;
    await assert.rejects(predictLogits(repeat(2), imageOf([4, 4, 4]), { patchSize: [4, 4, 4], heads: 3 }), {
      message:
        'the network does not fit the prediction\n  forward: output [1,4,4,4,2]; expected [1,4,4,4,3]. Give the number of heads of this network, and a patch its strides divide.',
    });
    assert.equal(tf.memory().numTensors, before);
  });

  it('logits that overflow half precision are refused with the way out', async () => {
    const huge = (x: tf.Tensor) => tf.tidy(() => tf.add(tf.mul(x, 0), 1e5));
    await assert.rejects(predictLogits(huge, imageOf([4, 4, 4]), { patchSize: [4, 4, 4], heads: 1, precision: 'float16' }), {
      message:
        'the prediction is not finite\n  forward: NaN or infinite logits in slices 0…3; expected finite logits. Predict with precision float32.',
    });
    const out = await predictLogits(huge, imageOf([4, 4, 4]), { patchSize: [4, 4, 4], heads: 1 });
    assert.ok(out.every((v) => Math.abs(v - 1e5) < 1));
  });

  it('an image whose shape is not its voxels is refused', () =>
    assert.rejects(
      predictLogits(repeat(1), { data: new Float32Array(5), shape: [1, 2, 2], channels: 1 }, { patchSize: [2, 2], heads: 1 }),
      (error: VoxelbookError) =>
        error.code === 'bad-image' && error.message.includes('5 values for shape [1,2,2] with 1 channels'),
    ));
});
