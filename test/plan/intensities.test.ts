import assert from 'node:assert/strict';
import { NumpyRandom } from '../../src/base/numpy/mt19937.js';
import { Random } from '../../src/base/random.js';
import { drawForeground, statistics } from '../../src/plan/index.js';

/** The slow, obvious way: all draws in one sorted list. */
function slow(draws: readonly number[]) {
  const sorted = Float32Array.from(draws).sort();
  const at = (p: number) => {
    const x = (sorted.length - 1) * (p / 100);
    const i = Math.floor(x);
    return sorted[i] + (x - i) * (sorted[Math.min(i + 1, sorted.length - 1)] - sorted[i]);
  };
  const mean = sorted.reduce((a, b) => a + b, 0) / sorted.length;
  const std = Math.sqrt(sorted.reduce((a, b) => a + (b - mean) ** 2, 0) / sorted.length);
  return {
    max: sorted[sorted.length - 1],
    mean,
    median: at(50),
    min: sorted[0],
    percentile_00_5: at(0.5),
    percentile_99_5: at(99.5),
    std,
  };
}

describe('intensity statistics', () => {
  const kinds: Record<string, (r: Random) => number> = {
    'whole numbers, few distinct': (r) => r.int(-30, 30),
    'reals of both signs': (r) => 100 * r.normal(),
    'tiny and huge': (r) => r.normal() * 10 ** r.int(-30, 30),
    'one value': () => -0.5,
  };
  for (const [kind, value] of Object.entries(kinds))
    it(`${kind}: equal to sorting every draw`, () => {
      const random = new Random(kind);
      for (const n of [1, 2, 7, 500]) {
        const voxels = [0, 1, 2].map(() => Float32Array.from({ length: n }, () => value(random)));
        for (const draws of [1, 3, 40, 3000]) {
          const drawn = voxels.map((values) => drawForeground(values, draws, new NumpyRandom(1234)));
          const all = voxels.flatMap((values) => {
            const numpy = new NumpyRandom(1234);
            return Array.from({ length: draws }, () => values[numpy.randint(0, n)]);
          });
          const [found, expected] = [statistics(drawn), slow(all)];
          const scale = Math.max(...all.map(Math.abs));
          for (const [key, want] of Object.entries(expected))
            assert.ok(Math.abs(found[key as keyof typeof found] - want) <= 1e-6 * scale, `${n} voxels, ${draws} draws: ${key}`);
        }
      }
    });

  it('takes at most four bytes a draw, and eight a distinct value where that is less', () => {
    const random = new Random('bytes');
    const size = ({ values, counts }: { values: Float32Array; counts?: Uint32Array }) =>
      values.byteLength + (counts?.byteLength ?? 0);
    const reals = Float32Array.from({ length: 20_000 }, () => random.normal());
    assert.equal(size(drawForeground(reals, 10_000, new NumpyRandom(1))), 40_000);
    const whole = Float32Array.from({ length: 20_000 }, () => random.int(0, 100));
    assert.equal(size(drawForeground(whole, 10_000, new NumpyRandom(1))), 800);
  });
});
