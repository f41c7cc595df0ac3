// The compiled functions against the plain code, on random settings and shapes.
import assert from 'node:assert';
import { applyBlur } from '../../src/augment/blur.js';
import { applyBrightness } from '../../src/augment/brightness.js';
import { applyContrast } from '../../src/augment/contrast.js';
import { elasticOffsets } from '../../src/augment/elastic.js';
import { applyGamma } from '../../src/augment/gamma.js';
import { fromPlanes, type PipelineName, type Planes, pipeline, pipelines, toPlanes } from '../../src/augment/index.js';
import { applyLowResolution } from '../../src/augment/lowResolution.js';
import { maskOutside, outsideToBackground } from '../../src/augment/mask.js';
import { applyMedian } from '../../src/augment/median.js';
import { applyMirror } from '../../src/augment/mirror.js';
import { applyNoise } from '../../src/augment/noise.js';
import { applySpatial, type SpatialDraw } from '../../src/augment/spatial.js';
import { nativeFunctions } from '../../src/base/native/load.js';
import { Random } from '../../src/base/random.js';

/** What `work` gives with the compiled functions switched off. */
function plainly<T>(work: () => T): T {
  const before = process.env.VOXELBOOK_NATIVE;
  process.env.VOXELBOOK_NATIVE = '0';
  try {
    return work();
  } finally {
    if (before === undefined) delete process.env.VOXELBOOK_NATIVE;
    else process.env.VOXELBOOK_NATIVE = before;
  }
}

type Shape = [number, number, number];

/** Odd sides, one slice, one line, one voxel and nothing are among them. */
const shapes: Shape[] = [
  ...([
    [7, 9, 11],
    [16, 16, 16],
    [5, 40, 33],
    [50, 6, 45],
    [1, 17, 20],
    [1, 64, 64],
    [3, 1, 19],
    [1, 1, 30],
  ] as Shape[]),
  ...([
    [1, 1, 1],
    [2, 2, 2],
    [0, 4, 4],
  ] as Shape[]),
];

/** Smooth blobs with three labels, a part of them outside. */
function sample(shape: Shape, channels: number, random: Random, labels = 3): Planes {
  const n = shape[0] * shape[1] * shape[2];
  const scale = random.uniform(2, 9);
  const seg = Int16Array.from({ length: n }, (_, i) => {
    const [z, y, x] = [Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]];
    return Math.floor((Math.sin(z / scale) + Math.cos(y / scale) + Math.sin(x / scale + y)) * (labels / 2)) % labels;
  });
  for (let i = 0; i < n; i++) if (seg[i] < -1) seg[i] = -1;
  return {
    shape,
    channels: Array.from({ length: channels }, () => Float32Array.from({ length: n }, () => random.normal(1, 2))),
    seg,
    previous: seg.map((v) => Math.max(v, 0)),
  };
}

const copy = (p: Planes): Planes => ({
  ...p,
  channels: p.channels.map((c) => c.slice()),
  seg: p.seg.slice(),
  previous: p.previous?.slice(),
});

/** Both give the same; `ulps`: how far values may lie apart where logarithms and sines of two libraries are behind them. */
function agree(work: () => Planes, name: string, tolerance = 0): void {
  const [ours, plain] = [work(), plainly(work)];
  assert.deepEqual(ours.shape, plain.shape);
  assert.deepEqual(ours.seg, plain.seg, `${name}: labels`);
  assert.deepEqual(ours.previous, plain.previous, `${name}: labels of the previous stage`);
  for (const [c, plane] of ours.channels.entries()) {
    const other = plain.channels[c];
    assert.equal(plane.length, other.length);
    for (let i = 0; i < plane.length; i++)
      if (!Object.is(plane[i], other[i]) && !(Math.abs(plane[i] - other[i]) <= tolerance * Math.max(1, Math.abs(other[i]))))
        assert.fail(`${name}: channel ${c}, voxel ${i}: ${plane[i]}, plain ${other[i]}`);
  }
}

const each = (what: string, check: (shape: Shape, channels: number, random: Random) => void) => {
  for (const shape of shapes)
    it(`${what} of ${shape.join(' × ')}`, () => {
      for (const channels of [1, 2, 3, 4, 7, 9]) check(shape, channels, new Random(`${what} ${shape} ${channels}`));
    });
};

describe('compiled augmentation', () => {
  before(() => assert.ok(nativeFunctions(), 'nothing is compiled: npm run setup'));

  each('spatial transform', (shape, channels, random) => {
    for (const interpolation of ['linear', 'cubic', 'nearest'] as const)
      for (const inPlane of [false, true])
        for (const labels of ['linear', 'nearest'] as const) {
          const p = sample(shape, channels, random, random.int(2, 5));
          const axes = inPlane ? 2 : 3;
          const patchSize = shape.map((side, axis) =>
            inPlane && axis === 0 ? side : side === 0 ? 0 : random.int(1, side + 3),
          ) as Shape;
          const elastic = random.chance(0.4)
            ? {
                sigmas: patchSize.map((side) => random.uniform(0, 0.25) * side),
                magnitudes: patchSize.map((_, axis) => (inPlane && axis === 0 ? 0 : random.uniform(0, 3))),
                seed: random.bits(),
              }
            : null;
          const draw: SpatialDraw = {
            ...{ transform: 'spatial', patchSize, inPlane, interpolation, labels, elastic },
            angles: random.chance(0.8) ? Array.from({ length: inPlane ? 1 : 3 }, () => random.uniform(-3, 3)) : null,
            scale: random.chance(0.8) ? Array.from({ length: axes }, () => random.uniform(0.6, 1.6)) : null,
          };
          agree(() => applySpatial(draw, p), JSON.stringify(draw));
        }
  });

  each('blur', (shape, channels, random) => {
    const p = sample(shape, channels, random);
    const sigmas = p.channels.map(() => (random.chance(0.7) ? [0, 1, 2].map(() => random.uniform(0.3, 2)) : null));
    agree(() => applyBlur({ transform: 'blur', sigmas }, copy(p)), 'blur');
  });

  each('low resolution', (shape, channels, random) => {
    const p = sample(shape, channels, random);
    const scales = p.channels.map(() => (random.chance(0.8) ? random.uniform(0.3, 1) : null));
    for (const interpolation of ['linear', 'cubic'] as const)
      for (const keepAxes of [[], [0]])
        if (shape[0] > 0)
          agree(
            () => applyLowResolution({ transform: 'lowResolution', scales, keepAxes, interpolation }, copy(p)),
            interpolation,
          );
  });

  each('brightness, contrast, mirroring, masks', (shape, channels, random) => {
    const p = sample(shape, channels, random);
    const values = p.channels.map(() => (random.chance(0.8) ? random.uniform(0.5, 1.5) : null));
    for (const transform of ['multiply', 'shift'] as const)
      agree(() => applyBrightness({ transform, values }, copy(p)), transform);
    for (const preserveRange of [true, false])
      agree(() => applyContrast({ transform: 'contrast', factors: values, preserveRange }, copy(p)), 'contrast');
    for (const axes of [[0], [1], [2], [0, 2], [0, 1, 2]])
      agree(() => applyMirror({ transform: 'mirror', axes }, copy(p)), 'mirror');
    agree(
      () =>
        outsideToBackground(
          maskOutside(
            copy(p),
            p.channels.map((_, i) => i % 2 === 0),
          ),
        ),
      'mask',
    );
    agree(() => ({ ...p, channels: toPlanes(fromPlanes(p)).channels }), 'planes');
  });

  each('gamma and noise', (shape, channels, random) => {
    const p = sample(shape, channels, random);
    const gammas = p.channels.map(() => (random.chance(0.9) ? random.uniform(0.5, 1.6) : null));
    for (const inverted of [true, false])
      for (const retainStatistics of [true, false])
        agree(() => applyGamma({ transform: 'gamma', inverted, retainStatistics, gammas }, copy(p)), 'gamma', 2.5e-7);
    agree(() => applyNoise({ transform: 'noise', sd: 0.1, seed: random.split('n').bits() }, copy(p)), 'noise', 2.5e-7);
  });

  each('median filter', (shape, channels, random) => {
    const p = sample(shape, Math.min(channels, 2), random);
    for (const [c, plane] of p.channels.entries())
      for (let i = c; i < plane.length; i += 5) plane[i] = [Number.NaN, 0, -0, Number.POSITIVE_INFINITY, 1][i % 4];
    for (const size of [2, 3, 6])
      agree(
        () => applyMedian({ transform: 'median', sizes: p.channels.map((_, c) => (c === 0 ? size : null)) }, copy(p)),
        'median',
      );
  });

  it('elastic fields', () => {
    const random = new Random('fields');
    for (const shape of [
      [12, 20, 24],
      [1, 33, 40],
      [9, 1, 7],
    ]) {
      const sigmas = shape.map((side) => random.uniform(0, 0.25) * side);
      const work = () => elasticOffsets(shape, sigmas, [1, 2, 0], 5);
      assert.deepEqual(work(), plainly(work));
    }
  });

  for (const name of Object.keys(pipelines) as PipelineName[])
    for (const patchSize of [
      [12, 14, 10],
      [4, 24, 20],
      [16, 18],
    ])
      it(`pipeline ${name}, patch ${patchSize.join(' × ')}`, () => {
        const made = pipeline(name, { patchSize, cascadeLabels: [1, 2], useMaskForNorm: [true, false, false] });
        const initial = (patchSize.length === 2 ? [1, ...made.initialPatchSize] : made.initialPatchSize) as Shape;
        for (let i = 0; i < 12; i++) {
          const p = sample(initial, 3, new Random(`${name} ${i}`));
          const from = { ...fromPlanes(p), previous: p.previous };
          const work = () => toPlanes(made.apply(made.draw(new Random(i), from), from));
          agree(work, `sample ${i}`, 5e-6);
        }
      });

  it('values that are no numbers stay so, and infinite ones harm no others', () => {
    const p = sample([6, 7, 8], 2, new Random('nan'));
    p.channels[0][17] = Number.NaN;
    p.channels[1][40] = Number.POSITIVE_INFINITY;
    agree(
      () =>
        applyBlur(
          {
            transform: 'blur',
            sigmas: [
              [0.8, 0.8, 0.8],
              [1, 1, 1],
            ],
          },
          copy(p),
        ),
      'blur',
    );
    agree(() => applyContrast({ transform: 'contrast', factors: [1.2, 0.8], preserveRange: true }, copy(p)), 'contrast');
  });
});

describe('bulk draws', () => {
  const counts = [0, 1, 2, 3, 31, 4095, 4096, 5001, 70001];

  it('are those of one after another, and leave the generator where they would', () => {
    for (const count of counts) {
      const [ours, other] = [new Random(`u ${count}`), new Random(`u ${count}`)];
      assert.deepEqual(
        ours.uniforms(count, -1, 3),
        Float64Array.from({ length: count }, () => other.uniform(-1, 3)),
      );
      assert.deepEqual(ours.state(), other.state());
      assert.deepEqual(
        ours.mask(count, 0.3, 1 / 0.7),
        Float32Array.from({ length: count }, () => (other.chance(0.3) ? 0 : 1 / 0.7)),
      );
      assert.deepEqual(ours.state(), other.state());
    }
  });

  it('of normal deviates agree to the rounding, whether a spare one is left or not', () => {
    for (const count of counts)
      for (const before of [0, 1]) {
        const [ours, other] = [new Random(`n ${count}`), new Random(`n ${count}`)];
        for (const random of [ours, other]) for (let i = 0; i < before; i++) random.normal();
        const values = new Float32Array(count).fill(0.5);
        ours.addNormal(values, 2);
        for (let i = 0; i < count; i++) {
          const wanted = Math.fround(0.5 + other.normal(0, 2));
          assert.ok(Math.abs(values[i] - wanted) <= 2 ** -23 * Math.max(1, Math.abs(wanted)), `${i}: ${values[i]}, ${wanted}`);
        }
        assert.deepEqual(ours.state().words, other.state().words);
        assert.equal(ours.state().spare === null, other.state().spare === null);
      }
  });

  it('cut into pieces are the same draws', () => {
    const whole = new Random('pieces').mask(50000, 0.1, 1);
    const random = new Random('pieces');
    assert.deepEqual(whole, Float32Array.from([7001, 20000, 22999].flatMap((n) => [...random.mask(n, 0.1, 1)])));
  });
});

describe('compiled functions refuse what does not fit', () => {
  const f = () => nativeFunctions()!;
  const floats = (n: number) => new Float32Array(n);
  const shorts = (n: number) => new Int16Array(n);
  const unit = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const spatial = (change: Record<number, unknown>) => {
    const fits: unknown[] = [
      floats(16),
      [2, 2, 2],
      [1, 1, 1],
      unit,
      null,
      false,
      1,
      [floats(1), floats(1)],
      [shorts(8)],
      [shorts(1)],
      false,
    ];
    for (const [i, value] of Object.entries(change)) fits[Number(i)] = value;
    return () => (f().spatial as (...given: unknown[]) => void)(...fits);
  };
  const wrong: [string, () => void][] = [
    ['an image too small', spatial({ 0: floats(15) })],
    ['an image of doubles', spatial({ 0: new Float64Array(16) })],
    ['a plane too small', spatial({ 7: [floats(1), floats(0)] })],
    ['labels too few', spatial({ 8: [shorts(7)] })],
    ['a map without its result', spatial({ 9: [] })],
    ['fields too small', spatial({ 4: [floats(1), floats(1), floats(0)] })],
    ['two fields', spatial({ 4: [floats(1), floats(1)] })],
    ['a matrix of 8', spatial({ 3: unit.slice(1) })],
    ['negative sides', spatial({ 1: [-2, -2, 2] })],
    ['sides that overflow', spatial({ 1: [2 ** 30, 2 ** 30, 2 ** 30] })],
    ['a kind that is none', spatial({ 6: 3 })],
    ['two sides', spatial({ 2: [1, 1] })],
    ['an index beyond the line', () => f().blurAxis(floats(4), 4, 1, Int32Array.of(0, 1, 2, 4), Float64Array.of(1), null)],
    ['lines that do not divide', () => f().blurAxis(floats(6), 4, 1, Int32Array.of(0, 1, 2, 3), Float64Array.of(1), null)],
    ['totals too few', () => f().blurAxis(floats(2), 2, 1, Int32Array.of(0, 1), Float64Array.of(1), Float64Array.of(1))],
    ['a box outside', () => f().splitBox(floats(8), [2, 2, 2], [1, 0, 0], [2, 1, 1], [floats(2)])],
    ['a box before the start', () => f().splitBox(floats(8), [2, 2, 2], [-1, 0, 0], [1, 1, 1], [floats(1)])],
    ['planes of two sizes', () => f().joinPlanes([floats(2), floats(1)], floats(3))],
    ['mirrored beyond its end', () => f().flip(floats(4), [1, 1, 5], [2])],
    ['an axis that is none', () => f().flip(floats(1), [1, 1, 1], [3])],
    ['too few labels for a mask', () => f().maskOutside(floats(2), shorts(1))],
    ['statistics of nothing', () => f().statistics(floats(0), new Float64Array(4))],
    [
      'a place beyond the grid',
      () =>
        f().readGrid(
          floats(8),
          [2, 2, 2],
          ...([2, 0, 0].map((i) => Int32Array.of(i)) as [Int32Array, Int32Array, Int32Array]),
          floats(1),
        ),
    ],
    ['a neighbour beyond the line', () => f().linearAxis(floats(2), 2, 1, Int32Array.of(1), Float64Array.of(0.5), floats(1))],
    [
      'a median beyond the line',
      () =>
        f().medianFilter(
          floats(2),
          [1, 1, 2],
          [[0], [0], [0, 1, 2]].map((i) => Int32Array.from(i)),
          floats(2),
        ),
    ],
    [
      'a median over less than a line',
      () =>
        f().medianFilter(
          floats(2),
          [1, 1, 2],
          [[0], [0], [0]].map((i) => Int32Array.from(i)),
          floats(2),
        ),
    ],
    ['a line of one', () => f().splineAxis(floats(2), 1, 1, 1)],
    ['a state of three', () => f().fillKept(new Int32Array(3), floats(1), 0.5, 1)],
    ['an odd number of deviates', () => f().addNormal(new Int32Array(4), floats(3), 1)],
  ];
  for (const [name, call] of wrong) it(name, () => assert.throws(call, RangeError));

  it('places that are no numbers read nothing', () => {
    const plane = floats(1).fill(5);
    const label = shorts(1);
    spatial({ 3: unit.map(() => Number.NaN), 7: [plane, floats(1)], 9: [label] })();
    assert.deepEqual([plane[0], label[0]], [0, -1]);
  });
});
