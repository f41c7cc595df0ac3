// Statistics of values that are no numbers: misses are infinitely far, and what was not scored is NaN.
import assert from 'node:assert/strict';
import { ablation, perClass, scaling, type Variant } from '../../src/report/index.js';
import {
  bootstrapMean,
  pairedEffect,
  quantile,
  rank,
  rankingStability,
  ranksPerCase,
  summarise,
  wilcoxon,
} from '../../src/score/index.js';
import type { ClassScore } from '../../src/train/experiment.js';

const [nan, inf] = [Number.NaN, Number.POSITIVE_INFINITY];

describe('statistics of what is no number', () => {
  it('a median with misses is a number or infinity, never NaN', () => {
    assert.equal(summarise([1, 2, inf]).median, 2);
    assert.equal(summarise([1, inf, inf]).median, inf);
    assert.equal(summarise([1, inf]).median, inf);
    assert.equal(summarise([inf, inf]).median, inf);
    assert.equal(quantile([1, 2, 3, inf], 0.5), 2.5);
    assert.equal(quantile([-inf, inf], 0.5), nan);
    const { mean, mad, iqr, box } = summarise([1, 2, 3, 4, inf]);
    assert.deepEqual([mean, mad, iqr], [inf, 1, 2]);
    assert.deepEqual(box.outliers, [inf]);
    assert.deepEqual([summarise([inf, inf]).mad, summarise([inf, inf]).iqr], [0, 0]);
  });

  it('a quantile of values with NaN among them is NaN; a summary counts them and leaves them out', () => {
    assert.equal(quantile([1, nan, 3], 0.5), nan);
    const { n, median, undefined: left } = summarise([1, nan, 3]);
    assert.deepEqual([n, median, left], [2, 2, 1]);
  });

  it('what is not a number is never first in a ranking', () => {
    const table = [
      [nan, 0.5, 0.5],
      [0.4, 0.4, 0.4],
      [0.6, 0.6, nan],
    ];
    assert.deepEqual(ranksPerCase(table), [
      [3, 2, 1],
      [2, 3, 2],
      [1, 1, 3],
    ]);
    for (const smallerIsBetter of [false, true])
      for (const method of ['mean-then-rank', 'median-then-rank'] as const)
        assert.deepEqual(rank(table, method, { smallerIsBetter }).ranks, [2, 1, 2]);
    // A miss is the worst distance, not the best.
    assert.deepEqual(
      rank(
        [
          [1, inf],
          [2, 2],
        ],
        'mean-then-rank',
        { smallerIsBetter: true },
      ).ranks,
      [2, 1],
    );
    assert.deepEqual(rankingStability(table, [[0, 1, 2]]).bootstrapRanks, [[2, 1, 2]]);
  });

  it('Wilcoxon leaves pairs with NaN out and says how many; two misses do not differ', () => {
    const x = [0.1, 0.2, nan, 0.5, inf, 0.9];
    const y = [0.2, 0.1, 0.3, nan, inf, 0.4];
    const whole = wilcoxon([0.1, 0.2, 0, 0.9], [0.2, 0.1, 0, 0.4]);
    const found = wilcoxon(x, y);
    assert.deepEqual([found.pairs, found.dropped], [4, 2]);
    assert.equal(found.pvalue, whole.pvalue);
    assert.equal(found.statistic, whole.statistic);
    assert.equal(wilcoxon([nan], [1]).pvalue, nan);
    const effect = pairedEffect([1, 2, nan], [0, 1, 1]);
    assert.deepEqual([effect.pairs, effect.dropped, effect.meanDifference], [2, 1, 1]);
  });

  it('BCa of one case, or of equal ones, is no interval; the others collapse to the value', () => {
    for (const values of [[0.7], [0.7, 0.7, 0.7]]) {
      const { bca, percentile, estimate } = bootstrapMean(values);
      assert.deepEqual(bca, [nan, nan]);
      assert.ok([...percentile, estimate].every((v) => Math.abs(v - 0.7) < 1e-12));
    }
  });

  it('HD95 of a miss counts as far even where no worst distance was asked for', () => {
    const score = (hd95: number, state: ClassScore['state']): ClassScore => ({ dsc: 0, nsd: 0, hd95, state });
    const row = (name: string, classes: ClassScore[]): Variant => ({
      name,
      scores: [
        {
          experiment: name,
          fold: 0,
          seed: 0,
          nsd: { toleranceMm: 1, definition: 'x' },
          cases: classes.map((lesion, i) => ({ id: `c${i}`, classes: { lesion } })),
          cost: { parameters: 1, flops: 1, trainSeconds: 1, predictSeconds: 1, peakBytes: 1, forecastBytes: 1 },
        },
      ],
    });
    const rows = [
      row('misses one', [score(1, 'ok'), score(inf, 'missed'), score(2, 'ok')]),
      row('misses none', [score(3, 'ok'), score(3, 'ok'), score(3, 'ok')]),
      row('false alarm', [score(3, 'ok'), { ...score(inf, 'false-alarm'), worstDistanceMm: 40 }, score(3, 'ok')]),
    ];
    const table = ablation(rows, { metrics: ['hd95'], cost: false });
    assert.equal(table.cells[0]['hd95.mean'].value, inf);
    assert.match(table.cells[0]['hd95.mean'].text, /^∞/);
    assert.equal(table.cells[1]['hd95.mean'].mark, 'best');
    assert.equal(table.cells[2]['hd95.mean'].value, 46 / 3);
    assert.doesNotMatch(String(table), /NaN|Infinity|undefined/);
    assert.doesNotMatch(perClass(rows, { metrics: ['hd95'] }).toSvg(), /NaN|Infinity/);
    assert.match(String(scaling(rows, { metric: 'hd95' })), /Not drawn, without score or cost: misses one/);
  });
});
