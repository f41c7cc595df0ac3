import assert from 'node:assert';
import { applyBlur } from '../../src/augment/blur.js';
import { applyRemove } from '../../src/augment/cascade.js';
import { applyContrast, statistics } from '../../src/augment/contrast.js';
import { elasticOffsets } from '../../src/augment/elastic.js';
import { applyGamma } from '../../src/augment/gamma.js';
import { fromPlanes, initialPatchSize, type Planes, patchRules, toPlanes, toRegions } from '../../src/augment/index.js';
import { applyLowResolution } from '../../src/augment/lowResolution.js';
import { applyMirror } from '../../src/augment/mirror.js';
import { applyOperator, ball, binaryOperators } from '../../src/augment/morphology.js';
import { applyNoise } from '../../src/augment/noise.js';
import { affineMatrix, applySpatial, type SpatialDraw } from '../../src/augment/spatial.js';
import { Random } from '../../src/base/random.js';

function planes(shape: [number, number, number], channels = 1, seed = 'planes'): Planes {
  const random = new Random(seed);
  const n = shape[0] * shape[1] * shape[2];
  return {
    shape,
    channels: Array.from({ length: channels }, () => Float32Array.from({ length: n }, () => random.normal(2, 3))),
    seg: Int16Array.from({ length: n }, () => random.int(0, 4)),
  };
}

const spatial = (patchSize: [number, number, number], rest: Partial<SpatialDraw> = {}): SpatialDraw => ({
  transform: 'spatial',
  patchSize,
  inPlane: false,
  interpolation: 'linear',
  angles: null,
  scale: null,
  elastic: null,
  ...rest,
});

describe('samples and planes', () => {
  it('are each other turned around', () => {
    const p = planes([3, 4, 5], 3);
    assert.deepEqual(toPlanes(fromPlanes(p)).channels, p.channels);
  });
});

describe('mirroring', () => {
  for (const axes of [[0], [1], [2], [0, 2], [0, 1, 2]])
    it(`along ${axes} twice is the identity`, () => {
      const [p, q] = [planes([3, 4, 5], 2), planes([3, 4, 5], 2)];
      const once = applyMirror({ transform: 'mirror', axes }, q);
      assert.notDeepEqual(once.channels, p.channels);
      const twice = applyMirror({ transform: 'mirror', axes }, once);
      assert.deepEqual([twice.channels, twice.seg], [p.channels, p.seg]);
    });
});

describe('the spatial transform', () => {
  it('without rotation, scale and deformation cuts the middle', () => {
    const p = planes([5, 6, 7]);
    const out = applySpatial(spatial([3, 2, 3]), p);
    const index = (z: number, y: number, x: number) => (z * 6 + y) * 7 + x;
    assert.equal(out.channels[0][0], p.channels[0][index(1, 2, 2)]);
    assert.equal(out.seg.at(-1), p.seg[index(3, 3, 4)]);
  });

  it('turned by nothing is the same as not turned, but for the rounding of places to float32', () => {
    const p = planes([6, 6, 6]);
    const out = applySpatial(spatial([6, 6, 6], { angles: [0, 0, 0] }), p);
    assert.deepEqual(out.seg, p.seg);
    out.channels[0].forEach((v, i) => {
      assert.ok(Math.abs(v - p.channels[0][i]) < 1e-5);
    });
  });

  it('four quarter turns bring every voxel back', () => {
    const p = planes([5, 5, 5]);
    let out = p;
    for (let i = 0; i < 4; i++) out = applySpatial(spatial([5, 5, 5], { angles: [0, 0, Math.PI / 2] }), out);
    out.channels[0].forEach((v, i) => {
      assert.ok(Math.abs(v - p.channels[0][i]) < 1e-4);
    });
    assert.deepEqual(out.seg, p.seg);
  });

  it('agrees with reading every voxel the slow way', () => {
    const p = planes([7, 8, 9]);
    const draw = spatial([6, 7, 8], { angles: [0.3, -0.4, 0.2], scale: [0.9, 1.1, 1.2] });
    const m = affineMatrix(draw);
    const out = applySpatial(draw, p);
    const at = (z: number, y: number, x: number) =>
      z < 0 || y < 0 || x < 0 || z > 6 || y > 7 || x > 8 ? 0 : p.channels[0][(z * 8 + y) * 9 + x];
    let o = 0;
    for (let z = 0; z < 6; z++)
      for (let y = 0; y < 7; y++)
        for (let x = 0; x < 8; x++) {
          const g = [z - 2.5, y - 3, x - 3.5];
          const c = [3, 3.5, 4].map((middle, i) => m[3 * i] * g[0] + m[3 * i + 1] * g[1] + m[3 * i + 2] * g[2] + middle);
          let sum = 0;
          for (let t = 0; t < 8; t++) {
            const corner = c.map((v, i) => Math.floor(v) + ((t >> i) & 1));
            const weight = c.reduce((w, v, i) => w * (1 - Math.abs(v - corner[i])), 1);
            sum += weight * at(corner[0], corner[1], corner[2]);
          }
          assert.ok(Math.abs(out.channels[0][o++] - sum) < 1e-4);
        }
  });

  it('outside of the image is 0 and label -1', () => {
    const p = planes([4, 4, 4]);
    const out = applySpatial(spatial([4, 4, 4], { scale: [3, 3, 3] }), p);
    assert.deepEqual([out.channels[0][0], out.seg[0]], [0, -1]);
  });

  it('a scale above 1 shows more of the image, below 1 less', () => {
    const p = planes([9, 9, 9]);
    p.seg.fill(-1);
    for (let z = 3; z < 6; z++) for (let y = 3; y < 6; y++) p.seg.fill(1, (z * 9 + y) * 9 + 3, (z * 9 + y) * 9 + 6);
    const size = (scale: number) =>
      applySpatial(spatial([9, 9, 9], { scale: [scale, scale, scale] }), p).seg.filter((v) => v === 1).length;
    assert.ok(size(0.6) > 27 && size(1.5) < 27);
  });
});

describe('elastic deformation', () => {
  it('moves voxels as far as the magnitude, smoothly, and the same way for the same seed', () => {
    const shape = [12, 20, 24];
    const fields = elasticOffsets(shape, [3, 5, 6], [1.2, 2, 0], 7);
    assert.deepEqual(elasticOffsets(shape, [3, 5, 6], [1.2, 2, 0], 7), fields);
    assert.notDeepEqual(elasticOffsets(shape, [3, 5, 6], [1.2, 2, 0], 8)[0], fields[0]);
    const largest = fields.map((f) => f.reduce((m, v) => Math.max(m, Math.abs(v)), 0));
    assert.ok(largest[0] <= 1.2 && largest[0] > 0.6 && largest[1] <= 2 && largest[1] > 1 && largest[2] === 0);
    let step = 0;
    for (let i = 1; i < fields[1].length; i++) if (i % 24 !== 0) step = Math.max(step, Math.abs(fields[1][i] - fields[1][i - 1]));
    assert.ok(step < 2 * (2 / 6), `neighbours differ by ${step}`);
  });
});

describe('intensities', () => {
  it('contrast keeps mean (nearly) and range', () => {
    const p = planes([6, 6, 6]);
    const before = statistics(p.channels[0]);
    applyContrast({ transform: 'contrast', factors: [1.3], preserveRange: true }, p);
    const after = statistics(p.channels[0]);
    assert.ok(after.min >= before.min && after.max <= before.max && Math.abs(after.mean - before.mean) < 0.1);
  });

  for (const inverted of [false, true])
    it(`gamma keeps mean and deviation, and order${inverted ? ', inverted' : ''}`, () => {
      const p = planes([6, 6, 6]);
      const original = p.channels[0].slice();
      const before = statistics(original);
      applyGamma({ transform: 'gamma', inverted, retainStatistics: true, gammas: [1.4] }, p);
      const after = statistics(p.channels[0]);
      assert.ok(Math.abs(after.mean - before.mean) < 1e-4 && Math.abs(after.sd - before.sd) < 1e-4);
      const order = (a: Float32Array) => Array.from(a.keys()).sort((i, j) => original[i] - original[j] || i - j)[0];
      assert.equal(order(p.channels[0]), order(original));
    });

  it('gamma of a constant image is the image', () => {
    const p = planes([2, 2, 2]);
    p.channels[0].fill(3);
    applyGamma({ transform: 'gamma', inverted: true, retainStatistics: true, gammas: [0.7] }, p);
    assert.ok(p.channels[0].every((v) => v === 3));
  });

  it('noise has the deviation asked for and depends on its seed alone', () => {
    const noise = (seed: number) => {
      const p = planes([20, 20, 20]);
      p.channels[0].fill(0);
      return applyNoise({ transform: 'noise', sd: 0.1, seed }, p).channels[0];
    };
    assert.deepEqual(noise(1), noise(1));
    assert.notDeepEqual(noise(1), noise(2));
    assert.ok(Math.abs(statistics(noise(1)).sd - 0.1) < 0.005);
  });

  it('blur leaves a constant image and the channels not drawn alone', () => {
    const p = planes([5, 6, 7], 2);
    p.channels[0].fill(4);
    const second = p.channels[1].slice();
    applyBlur({ transform: 'blur', sigmas: [[0.8, 0.9, 1], null] }, p);
    assert.ok(p.channels[0].every((v) => Math.abs(v - 4) < 1e-6));
    assert.deepEqual(p.channels[1], second);
  });

  it('low resolution makes the image coarser, but not along a kept axis', () => {
    const p = planes([4, 8, 8]);
    const before = p.channels[0].slice();
    applyLowResolution({ transform: 'lowResolution', scales: [0.5], keepAxes: [0], interpolation: 'linear' }, p);
    assert.ok(statistics(p.channels[0]).sd < statistics(before).sd);
    for (let z = 0; z < 4; z++) {
      const slice = new Set(before.subarray(z * 64, (z + 1) * 64));
      // A corner of the upsampled slice is one of the slice's own values.
      assert.ok(slice.has(p.channels[0][z * 64]));
    }
  });
});

describe('morphology', () => {
  it('a whole radius gives the ball everybody knows', () => {
    assert.deepEqual([...ball(1, 2).inside], [0, 1, 0, 1, 1, 1, 0, 1, 0]);
    assert.equal(ball(1.7).side, 4);
  });

  for (const radius of [1, 1.7, 2, 3.4])
    for (const shape of [
      [6, 7, 8],
      [1, 9, 10],
    ])
      it(`rows at a time is voxel by voxel: radius ${radius}, ${shape.join('×')}`, () => {
        const random = new Random(`${radius}`);
        const mask = Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, () => (random.chance(0.05) ? 1 : 0));
        assert.deepEqual(applyOperator('dilation', mask, shape, radius), slowDilation(mask, shape, radius));
      });

  it('erosion ⊂ opening ⊂ mask ⊂ closing ⊂ dilation away from the border', () => {
    const shape = [14, 14, 14];
    const random = new Random('laws');
    const mask = new Uint8Array(14 ** 3);
    for (let i = 0; i < mask.length; i++) {
      const [z, y, x] = [Math.floor(i / 196), Math.floor(i / 14) % 14, i % 14];
      if ([z, y, x].every((v) => v > 3 && v < 10) && random.chance(0.8)) mask[i] = 1;
    }
    const [dilation, erosion, closing, opening] = binaryOperators.map((o) => applyOperator(o, mask, shape, 1));
    for (let i = 0; i < mask.length; i++)
      assert.ok(erosion[i] <= opening[i] && opening[i] <= mask[i] && mask[i] <= closing[i] && closing[i] <= dilation[i]);
  });
});

function slowDilation(mask: Uint8Array, [depth, height, width]: number[], radius: number): Uint8Array {
  const flat = depth === 1;
  const { side, inside } = ball(radius, flat ? 2 : 3);
  const middle = Math.floor((side - 1) / 2);
  return mask.map((_, o) => {
    const [z, y, x] = [Math.floor(o / (height * width)), Math.floor(o / width) % height, o % width];
    for (let k = 0; k < inside.length; k++) {
      if (!inside[k]) continue;
      const dz = flat ? 0 : Math.floor(k / (side * side)) - middle;
      const [dy, dx] = [(Math.floor(k / side) % side) - middle, (k % side) - middle];
      const [a, b, c] = [z + dz, y + dy, x + dx];
      if (a >= 0 && b >= 0 && c >= 0 && a < depth && b < height && c < width && mask[(a * height + b) * width + c]) return 1;
    }
    return 0;
  });
}

describe('removing a component', () => {
  it('takes one small component away and never a large one', () => {
    const plane = new Float32Array(10 * 10 * 10);
    plane.fill(1, 0, 300); // 30 %: too large to go
    plane[995] = 1;
    plane[600] = 1;
    const p: Planes = { shape: [10, 10, 10], channels: [plane], seg: new Int16Array(1000) };
    applyRemove({ transform: 'removeComponent', steps: [{ label: 0, which: 0.99 }] }, p, 1);
    assert.deepEqual([plane[995], plane[600], plane[0]], [0, 1, 1]);
  });
});

describe('patch rules', () => {
  it('an isotropic patch turns by 30°, an anisotropic one in its slices', () => {
    assert.deepEqual(patchRules([128, 128, 128]).initialPatchSize, [205, 205, 205]);
    const flat = patchRules([28, 256, 256]);
    assert.ok(flat.dummy2d && flat.rotation === Math.PI);
    assert.equal(patchRules([20, 40]).rotation, Math.PI / 12);
  });

  it('no rotation leaves only the scale', () => assert.deepEqual(initialPatchSize([10, 20, 30], 0, 1), [10, 20, 30]));
});

describe('regions', () => {
  it('are one channel each, labels may be in several', () => {
    assert.deepEqual([...toRegions([0, 1, 2, 3], [[1, 2, 3], [2, 3], 3])], [0, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1]);
  });
});
