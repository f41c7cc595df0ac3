import assert from 'node:assert/strict';
import { Random } from '../../src/base/random.js';
import {
  distanceTransform,
  metricNames,
  nsdCurve,
  type ScoreOptions,
  surfelAreas,
  volume,
  volumeInThreads,
} from '../../src/score/index.js';
import { identityDirection, type LabelMap } from '../../src/volume/volume.js';

type Triple = [number, number, number];

const map = (shape: Triple, spacingMm: Triple, fill: (z: number, y: number, x: number) => number): LabelMap => {
  const data = new Uint8Array(shape[0] * shape[1] * shape[2]);
  for (let z = 0, i = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++) for (let x = 0; x < shape[2]; x++, i++) data[i] = fill(z, y, x);
  return { data, shape, channels: 1, spacingMm, originMm: [0, 0, 0], direction: [...identityDirection] };
};
const all = [...metricNames];
const scored = (a: LabelMap, b: LabelMap, options: Partial<ScoreOptions> = {}) =>
  volume(a, b, { classes: { it: 1 }, metrics: all, ...options }).it as any;

/** Boundary voxels and their distances by the definition, every pair compared. */
function slowBoundary(a: LabelMap, b: LabelMap) {
  const points = (m: LabelMap) => {
    const [d, h, w] = m.shape;
    const at = (z: number, y: number, x: number) =>
      z >= 0 && z < d && y >= 0 && y < h && x >= 0 && x < w ? m.data[(z * h + y) * w + x] : 0;
    const list: Triple[] = [];
    for (let z = 0; z < d; z++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++) {
          if (!at(z, y, x)) continue;
          const sides = [at(z, y - 1, x), at(z, y + 1, x), at(z, y, x - 1), at(z, y, x + 1)];
          if (d > 1) sides.push(at(z - 1, y, x), at(z + 1, y, x));
          if (sides.some((v) => !v)) list.push([z, y, x]);
        }
    return list;
  };
  const [p, q] = [points(a), points(b)];
  const nearest = (from: Triple[], to: Triple[]) =>
    from.map((f) => Math.min(...to.map((t) => Math.hypot(...f.map((v, k) => (v - t[k]) * a.spacingMm[k])))));
  return { there: nearest(p, q), back: nearest(q, p) };
}

const percentile = (list: number[], q: number) => {
  const s = [...list].sort((x, y) => x - y);
  const k = (s.length - 1) * q;
  return s[Math.floor(k)] + (s[Math.ceil(k)] - s[Math.floor(k)]) * (k - Math.floor(k));
};

describe('scores of a label map', () => {
  const random = new Random('score');
  const noise = (shape: Triple, spacing: Triple, p: number) => map(shape, spacing, () => (random.chance(p) ? 1 : 0));
  const ball = (shape: Triple, spacing: Triple, c: Triple, r: number) =>
    map(shape, spacing, (z, y, x) => (Math.hypot(z - c[0], y - c[1], x - c[2]) < r ? 1 : 0));

  it('surface metrics equal the comparison of every pair of boundary voxels', () => {
    const settings: [Triple, Triple, number][] = [
      [[7, 8, 9], [1, 1, 1], 0.1],
      [[5, 11, 6], [2.5, 0.7, 1.3], 0.5],
      [[1, 15, 17], [1, 0.8, 1.2], 0.3],
      [[9, 9, 9], [1, 1, 1], 0.02],
    ];
    for (const [shape, spacing, p] of settings) {
      const [a, b] = [noise(shape, spacing, p), noise(shape, spacing, p)];
      const { there, back } = slowBoundary(a, b);
      const s = scored(a, b, { definition: 'voxel', nsdToleranceMm: 1.1 });
      const both = [...there, ...back];
      const near = (name: string, value: number) => assert.ok(Math.abs(s[name] - value) < 1e-9, `${name} ${s[name]} ${value}`);
      near('hd95', Math.max(percentile(there, 0.95), percentile(back, 0.95)));
      near('hd', Math.max(...both));
      near('assd', both.reduce((x, y) => x + y, 0) / both.length);
      near('nsd', both.filter((d) => d <= 1.1).length / both.length);
    }
  });

  it('a distance longer than the search of near rows is still exact', () => {
    const shape: Triple = [90, 90, 20];
    const [a, b] = [ball(shape, [1, 1, 1], [4, 4, 4], 3), ball(shape, [1, 1, 1], [84, 83, 15], 3)];
    const { there, back } = slowBoundary(a, b);
    assert.ok(Math.abs(scored(a, b).hd - Math.max(...there, ...back)) < 1e-9);
  });

  it('a map against itself scores 1 and 0 mm under every definition and spacing', () => {
    for (const definition of ['default', 'deepmind', 'voxel', 'medpy', 'mednext', 'umamba-abdomen'] as const) {
      const a = ball([12, 13, 14], [2, 0.5, 1], [6, 6, 6], 4);
      const s = scored(a, a, { definition, nsdToleranceMm: 0 });
      assert.deepEqual([s.dsc, s.nsd, s.hd95, s.assd, s.state], [1, 1, 0, 0, 'ok'], definition);
    }
  });

  it('DSC, NSD and HD95 do not change when reference and prediction change places', () => {
    const [a, b] = [ball([14, 15, 16], [1, 1.5, 0.8], [6, 7, 8], 5), ball([14, 15, 16], [1, 1.5, 0.8], [7, 7, 6], 4)];
    const [s, t] = [scored(a, b), scored(b, a)];
    for (const m of ['dsc', 'nsd', 'hd95', 'hd', 'assd', 'iou']) assert.ok(Math.abs(s[m] - t[m]) < 1e-12, m);
    assert.deepEqual([s.sensitivity, s.precision], [t.precision, t.sensitivity]);
  });

  it('doubling the spacing and the tolerance doubles distances and leaves NSD', () => {
    const at = (k: number) => {
      const spacing: Triple = [k, 1.5 * k, 0.75 * k];
      return scored(ball([14, 15, 16], spacing, [6, 7, 8], 5), ball([14, 15, 16], spacing, [7, 7, 6], 4), { nsdToleranceMm: k });
    };
    assert.ok(Math.abs(at(2).hd95 - 2 * at(1).hd95) < 1e-12);
    assert.ok(Math.abs(at(2).nsd - at(1).nsd) < 1e-12);
    assert.equal(at(2).volumeReferenceMm3, 8 * at(1).volumeReferenceMm3);
  });

  it('NSD never falls with the tolerance', () => {
    const [a, b] = [ball([14, 15, 16], [1, 1, 1], [6, 7, 8], 5), ball([14, 15, 16], [1, 1, 1], [8, 7, 6], 4)];
    const { nsd } = nsdCurve(a, b, [1]);
    for (let i = 1; i < nsd.length; i++) assert.ok(nsd[i] >= nsd[i - 1]);
    assert.equal(nsd.at(-1), 1);
  });

  it('an empty mask is told apart, and never a number in disguise', () => {
    const [empty, some] = [map([4, 4, 4], [1, 1, 1], () => 0), ball([4, 4, 4], [1, 1, 1], [1, 1, 1], 1.5)];
    assert.deepEqual(
      [scored(empty, empty), scored(some, empty), scored(empty, some)].map((s) => [s.state, s.dsc, s.nsd, s.hd95]),
      [
        ['both-empty', Number.NaN, Number.NaN, Number.NaN],
        ['missed', 0, 0, Number.POSITIVE_INFINITY],
        ['false-alarm', 0, 0, Number.POSITIVE_INFINITY],
      ],
    );
  });

  it('a region is the union of its labels, and other labels change nothing', () => {
    const [a, b] = [map([6, 7, 8], [1, 1, 1], () => random.int(0, 4)), map([6, 7, 8], [1, 1, 1], () => random.int(0, 4))];
    const joined = (m: LabelMap) => ({ ...m, data: m.data.map((v) => (v === 1 || v === 3 ? 1 : 0)) });
    const region = volume(a, b, { regions: { TC: [1, 3] }, metrics: all }).TC;
    assert.deepEqual(region, scored(joined(a), joined(b)));
  });

  it('ignored voxels count nowhere', () => {
    const a = map([3, 4, 5], [1, 1, 1], (z) => (z === 0 ? 9 : 1));
    const b = map([3, 4, 5], [1, 1, 1], () => 1);
    const s = scored(a, b, { ignoreLabel: 9 });
    assert.deepEqual([s.tp, s.fp, s.fn, s.tn], [40, 0, 0, 0]);
  });

  it('threads give the same scores', async () => {
    const labels = map(
      [30, 31, 33],
      [1, 2, 0.5],
      (z, y, x) => (Math.floor(z / 10) + Math.floor(y / 12) + Math.floor(x / 15)) % 5,
    );
    const moved = { ...labels, data: labels.data.map((_, i) => labels.data[(i + 37) % labels.data.length]) };
    const options: ScoreOptions = { classes: { a: 1, b: 2, c: 3, d: 4, bc: [2, 3] }, metrics: all };
    assert.deepEqual(await volumeInThreads(labels, moved, options, { threads: 2 }), volume(labels, moved, options));
  });

  it('every fault of a question is told at once', () => {
    const a = map([4, 4, 4], [1, 1, 1], () => 1);
    const b = map([4, 4, 5], [1, 1, 1], () => 1);
    assert.throws(
      () =>
        volume(a, b, {
          classes: { it: -1 },
          metrics: ['dice' as never],
          nsdToleranceMm: { other: 1 },
          definition: 'best' as never,
        }),
      {
        name: 'VoxelbookError',
        message: [
          'this prediction cannot be scored',
          "  prediction.shape: [4,4,5]; expected the reference's [4,4,4]. Resample the prediction to the grid of the reference.",
          '  definition: "best"; expected default, deepmind, voxel, medpy, nnunet-v1, mednext, mednext-directed, kaist-brats21, umamba-abdomen, umamba-endoscopy, totalsegmentator, transunet, nnformer, brats. Choose one of these names, or pass a definition of your own.',
          '  classes.it: -1; expected whole numbers from 0 to 65535. List its labels.',
          `  metrics: "dice"; expected ${metricNames.join(', ')}. Choose among these.`,
          '  nsdToleranceMm.it: undefined; expected a length of at least 0 mm. Give one for each class.',
        ].join('\n'),
      },
    );
  });
});

describe('distance transform', () => {
  it('equals the comparison with every background voxel', () => {
    const random = new Random('edt');
    for (const [shape, spacing] of [
      [
        [5, 6, 7],
        [1, 1, 1],
      ],
      [
        [4, 9, 3],
        [3, 0.7, 1.1],
      ],
      [
        [11, 12],
        [0.5, 2],
      ],
    ]) {
      const full = shape.length === 2 ? [1, ...shape] : shape;
      const mm = shape.length === 2 ? [1, ...spacing] : spacing;
      const mask = Uint8Array.from({ length: full[0] * full[1] * full[2] }, () => (random.chance(0.8) ? 1 : 0));
      const at = (i: number) => [Math.floor(i / (full[1] * full[2])), Math.floor(i / full[2]) % full[1], i % full[2]];
      const slow = Array.from(mask, (v, i) =>
        v === 0
          ? 0
          : Math.min(...Array.from(mask, (w, j) => (w ? Infinity : Math.hypot(...at(i).map((p, k) => (p - at(j)[k]) * mm[k]))))),
      );
      distanceTransform(mask, shape, spacing).forEach((d, i) => {
        assert.ok(Math.abs(d - slow[i]) < 1e-12 || d === slow[i], `${i}: ${d} ${slow[i]}`);
      });
    }
  });

  it('is infinite where there is no background', () => {
    assert.ok(distanceTransform(new Uint8Array(8).fill(1), [2, 2, 2], [1, 1, 1]).every((d) => d === Number.POSITIVE_INFINITY));
  });
});

describe('surface elements', () => {
  it('a code and its complement have the same area', () => {
    const areas = surfelAreas([1, 2, 3]);
    for (let code = 0; code < 256; code++) assert.ok(Math.abs(areas[code] - areas[255 - code]) < 1e-12);
  });

  it('a flat face of one voxel has the area of the face', () => {
    const areas = surfelAreas([2, 3, 5]);
    assert.ok(Math.abs(areas[0b11110000] - 15) < 1e-12);
    assert.ok(Math.abs(areas[0b11001100] - 10) < 1e-12);
    assert.ok(Math.abs(areas[0b10101010] - 6) < 1e-12);
  });
});
