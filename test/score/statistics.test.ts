import assert from 'node:assert/strict';
import { normalCdf } from '../../src/base/normal.js';
import { Random } from '../../src/base/random.js';
import {
  adjust,
  assign,
  blandAltman,
  bootstrapMean,
  calibration,
  connectedComponents,
  dilate,
  erode,
  fillHoles,
  instanceF1,
  instanceF1OfPicture,
  kendallTau,
  panopticQuality,
  quantile,
  rank,
  rankingStability,
  resamples,
  summarise,
  wilcoxon,
} from '../../src/score/index.js';
import { normalQuantile, studentQuantile, studentTwoSided } from '../../src/score/special.js';

describe('statistics of scores', () => {
  const random = new Random('statistics');
  const sample = (n: number, mean = 0) => Array.from({ length: n }, () => random.normal(mean));

  it('the exact signed-rank p counts all sign patterns', () => {
    const x = sample(9, 0.4);
    const y = sample(9);
    const d = x.map((v, i) => v - y[i]);
    const ranks = d.map((v) => 1 + d.filter((w) => Math.abs(w) < Math.abs(v)).length);
    const plus = ranks.reduce((s, r, i) => s + (d[i] > 0 ? r : 0), 0);
    let [low, high] = [0, 0];
    for (let pattern = 0; pattern < 512; pattern++) {
      const w = ranks.reduce((s, r, i) => s + ((pattern >> i) & 1 ? r : 0), 0);
      if (w <= plus) low++;
      if (w >= plus) high++;
    }
    const { pvalue, method } = wilcoxon(x, y);
    assert.equal(method, 'exact');
    assert.ok(Math.abs(pvalue - Math.min(1, (2 * Math.min(low, high)) / 512)) < 1e-12);
  });

  it('exact and approximate p agree for many pairs', () => {
    const [x, y] = [sample(45, 0.2), sample(45)];
    assert.ok(Math.abs(wilcoxon(x, y, { method: 'exact' }).pvalue - wilcoxon(x, y, { method: 'asymptotic' }).pvalue) < 0.01);
  });

  it('adjusted p-values are never below the given ones and keep their order; NaN is not a test', () => {
    const p = [0.01, 0.04, Number.NaN, 0.03, 0.005];
    for (const method of ['holm', 'bonferroni', 'benjamini-hochberg', 'hochberg'] as const) {
      const a = adjust(p, method);
      assert.ok(Number.isNaN(a[2]));
      p.forEach((v, i) => {
        if (i !== 2) assert.ok(a[i] >= v);
      });
      assert.ok(a[4] <= a[0] && a[0] <= a[3] && a[3] <= a[1]);
    }
    assert.deepEqual(
      adjust(p, 'holm').map((v) => Math.round(v * 1000) / 1000),
      [0.03, 0.06, Number.NaN, 0.06, 0.02],
    );
  });

  it('a 95 % bootstrap interval of the mean covers it about 19 times of 20', () => {
    let covered = 0;
    for (let k = 0; k < 200; k++) {
      const [low, high] = bootstrapMean(sample(40, 3), { indices: resamples(40, 300, random.split(k)) }).bca;
      if (low <= 3 && high >= 3) covered++;
    }
    assert.ok(covered > 178 && covered < 200, `${covered} of 200`);
  });

  it('normal and Student quantiles invert their distributions', () => {
    for (const p of [1e-10, 0.001, 0.025, 0.3, 0.5, 0.9, 0.99999])
      assert.ok(Math.abs(normalCdf(normalQuantile(p)) / p - 1) < 1e-12);
    assert.ok(Math.abs(normalQuantile(0.975) - 1.959963984540054) < 1e-14);
    for (const n of [1, 2, 5, 30, 1000]) assert.ok(Math.abs(studentTwoSided(studentQuantile(0.05, n), n) / 0.05 - 1) < 1e-12);
    assert.ok(Math.abs(studentQuantile(0.05, 1) - 12.706204736174694) < 1e-11);
  });

  it('a summary leaves NaN out and counts it', () => {
    const s = summarise([1, Number.NaN, 3, 2]);
    assert.deepEqual([s.n, s.undefined, s.mean, s.median, s.sd], [3, 1, 2, 2, 1]);
  });

  it('quantiles interpolate linearly', () => assert.equal(quantile([4, 1, 2, 3], 0.4), 2.2));

  it('a variant better in every case ranks first in every resample', () => {
    const base = sample(20);
    const table = [base.map((v) => v + 1), base, base.map((v) => v - 1)];
    const s = rankingStability(table, resamples(20, 50, random));
    assert.deepEqual(s.ranks, [1, 2, 3]);
    assert.ok(s.kendall.every((t) => Math.abs(t - 1) < 1e-12));
    assert.deepEqual(rank(table, 'test-then-rank').ranks, [1, 2, 3]);
    assert.deepEqual(rank(table, 'rank-then-mean', { smallerIsBetter: true }).ranks, [3, 2, 1]);
  });

  it('tau of a list with its reverse is -1', () => assert.equal(kendallTau([1, 2, 3], [3, 2, 1]).toFixed(12), '-1.000000000000'));

  it('Bland-Altman of a constant shift has that bias and no width', () => {
    const a = blandAltman([3, 4, 5], [1, 2, 3]);
    assert.deepEqual([a.bias, ...a.limits], [2, 2, 2]);
  });

  it('probabilities that keep their promise have no calibration error', () => {
    const p = Array.from({ length: 1000 }, (_, i) => (i % 10) / 10 + 0.05);
    const truth = p.map((v, i) => (Math.floor(i / 10) < v * 100 ? 1 : 0));
    assert.ok(calibration(p, truth).expectedError < 0.006);
    assert.ok(
      calibration(
        p.map((v) => 1 - v),
        truth,
      ).expectedError > 0.4,
    );
  });

  it('the assignment costs as little as any permutation', () => {
    for (let k = 0; k < 30; k++) {
      const cost = Array.from({ length: 4 }, () => Array.from({ length: 5 }, () => random.int(0, 9)));
      const best = Math.min(...permutations([0, 1, 2, 3, 4]).map((p) => cost.reduce((s, row, i) => s + row[p[i]], 0)));
      assert.equal(
        assign(cost).reduce((s, [r, c]) => s + cost[r][c], 0),
        best,
      );
    }
  });
});

const permutations = (list: number[]): number[][] =>
  list.length === 0 ? [[]] : list.flatMap((v) => permutations(list.filter((w) => w !== v)).map((p) => [v, ...p]));

describe('components and morphology', () => {
  const random = new Random('components');
  const shape = [6, 7, 8];
  const mask = Uint8Array.from({ length: 6 * 7 * 8 }, () => (random.chance(0.4) ? 1 : 0));

  it('neighbours share a component, others do not', () => {
    const { labels, count, sizes } = connectedComponents(mask, shape, 6);
    const list = Array.from(mask, (_, i) => i);
    const roots = [...list];
    const find = (i: number): number => (roots[i] === i ? i : find(roots[i]));
    for (const i of list)
      for (const step of [1, 8, 56]) {
        const j = i + step;
        const joined = step === 1 ? i % 8 < 7 : step === 8 ? Math.floor(i / 8) % 7 < 6 : j < mask.length;
        if (joined && mask[i] && mask[j]) roots[find(i)] = find(j);
      }
    for (const i of list)
      for (const j of list) if (mask[i] && mask[j]) assert.equal(labels[i] === labels[j], find(i) === find(j));
    assert.equal(sizes.length, count);
    assert.equal(
      sizes.reduce((a, b) => a + b, 0),
      mask.reduce((a, b) => a + b, 0),
    );
  });

  it('more neighbours never make more components', () => {
    const counts = ([6, 18, 26] as const).map((k) => connectedComponents(mask, shape, k).count);
    assert.ok(counts[0] >= counts[1] && counts[1] >= counts[2]);
  });

  it('eroding is dilating the background', () => {
    const background = mask.map((v) => 1 - v);
    assert.deepEqual(
      erode(mask, shape, 18, 1, 'foreground'),
      dilate(background, shape, 18).map((v) => 1 - v),
    );
  });

  it('a shell is filled, a cup is not', () => {
    const shell = Uint8Array.from({ length: 125 }, (_, i) => {
      const at = [Math.floor(i / 25), Math.floor(i / 5) % 5, i % 5];
      return at.some((v) => v === 1 || v === 3) && at.every((v) => v >= 1 && v <= 3) ? 1 : 0;
    });
    assert.equal(
      fillHoles(shell, [5, 5, 5]).reduce((a, b) => a + b, 0),
      27,
    );
    const cup = shell.map((v, i) => (i === 1 * 25 + 2 * 5 + 2 ? 0 : v));
    assert.deepEqual(fillHoles(cup, [5, 5, 5]), cup);
  });
});

describe('instances', () => {
  const square = (id: number, top: number, left: number, size: number, into: Uint8Array) => {
    for (let y = top; y < top + size; y++) for (let x = left; x < left + size; x++) into[y * 40 + x] = id;
    return into;
  };

  it('a map against itself has F1 and panoptic quality 1, whatever the ids', () => {
    const a = square(1, 5, 5, 6, square(2, 20, 20, 6, new Uint8Array(1600)));
    const b = a.map((v) => (v ? 9 - v : 0));
    assert.equal(instanceF1(a, b, [40, 40])[0].f1, 1);
    assert.equal(panopticQuality(a, b).pq, 1);
  });

  it('instances at the border leave both maps', () => {
    const a = square(1, 0, 5, 6, square(2, 20, 20, 6, new Uint8Array(1600)));
    assert.equal(instanceF1(a, a, [40, 40])[0].reference, 1);
    assert.equal(instanceF1(a, a, [40, 40], { border: 'count' })[0].reference, 2);
  });

  it('a merged pair matches at most one', () => {
    const a = square(1, 5, 5, 6, square(2, 5, 11, 6, new Uint8Array(1600)));
    const b = a.map((v) => (v ? 1 : 0));
    assert.equal(instanceF1(a, b, [40, 40])[0].tp, 1);
  });

  it('a large picture is scored in tiles: cells at a tile’s edge leave it, a tile without a prediction counts nothing', () => {
    const [height, width] = [20, 30];
    const square = (map: Int32Array, id: number, y: number, x: number, size = 3) => {
      for (let j = 0; j < size; j++) for (let i = 0; i < size; i++) map[(y + j) * width + x + i] = id;
    };
    const [reference, prediction] = [new Int32Array(height * width), new Int32Array(height * width)];
    square(reference, 1, 3, 3);
    square(prediction, 7, 3, 3); // found, first tile
    square(reference, 2, 13, 13); // missed, in a tile without any prediction
    square(reference, 3, 4, 8); // across the edge of two tiles
    square(prediction, 8, 4, 8);
    square(prediction, 9, 3, 23); // invented, third tile
    const tiled = instanceF1OfPicture(reference, prediction, [height, width], 0.5, { pixels: 600, tile: 10 });
    assert.deepEqual([tiled.tp, tiled.fp, tiled.fn], [1, 1, 0]);
    assert.equal(tiled.f1, 2 / 3);
    const whole = instanceF1OfPicture(reference, prediction, [height, width], 0.5);
    assert.deepEqual(whole, instanceF1(reference, prediction, [height, width])[0]);
    assert.deepEqual([whole.tp, whole.fp, whole.fn], [2, 1, 1]);
  });

  it('two empty maps are no score', () => {
    assert.ok(Number.isNaN(instanceF1(new Uint8Array(1600), new Uint8Array(1600), [40, 40])[0].f1));
  });
});
