// What a desk study's analysis makes of scores: each verdict from scores made for it.
import assert from 'node:assert/strict';
import { aboveFloor, decide, decisionTable, planTable, seedDifferences } from '../../src/paper/index.js';
import type { Variant } from '../../src/report/index.js';
import type { RunScores } from '../../src/train/index.js';
import { deskPlan as plan } from './deskPlan.js';

/** Twelve cases in three folds, two seeds: a base of 0.6 with a case's own ease, plus the system's own gain. */
function system(name: string, gain: (c: number, seed: number) => number): Variant {
  const run = (fold: number, seed: number) =>
    ({
      experiment: name,
      fold,
      seed,
      nsd: { toleranceMm: 1, definition: 'none' },
      cases: [0, 1, 2, 3].map((k) => {
        const c = 4 * fold + k;
        const dsc = 0.6 + 0.02 * Math.sin(c) + gain(c, seed);
        return { id: `case_${c}`, classes: { tumour: { state: 'ok', dsc, nsd: dsc, hd95: 1 } } };
      }),
    }) as unknown as RunScores;
  return { name, scores: [0, 1, 2].flatMap((fold) => [0, 1].map((seed) => run(fold, seed))) };
}

const wobble = (size: number) => (c: number) => size * Math.cos(2.4 * c);
const rows = [
  system('base', () => 0),
  system('better', (c, seed) => 0.05 + wobble(0.02)(c) + (seed ? 0.01 : -0.01)),
  system('worse', (c) => -0.05 + wobble(0.02)(c)),
  system('same', wobble(0.004)),
  system('noisy', wobble(0.2)),
];
const against = (variant: string, asks: 'better' | 'no better' = 'better') => ({
  says: `${variant} ${asks}`,
  variant,
  base: 'base',
  asks,
});

describe('the analysis of a desk study', () => {
  const all = plan([
    against('better'),
    against('worse'),
    against('same'),
    against('noisy'),
    against('same', 'no better'),
    against('better', 'no better'),
    against('noisy', 'no better'),
  ]);

  it('decides each claim by its own test, and says where nothing is decided', () => {
    const found = decide(all, rows);
    assert.deepEqual(
      found.map((d) => d.verdict),
      ['seen', 'opposite', 'no difference', 'not decided', 'seen', 'opposite', 'not decided'],
    );
    const [better] = found;
    assert.equal(better.cases, 12);
    assert.ok(better.interval[0] > 0 && better.interval[0] < better.difference && better.difference < better.interval[1]);
    assert.deepEqual(
      better.seeds.map((s) => [s.seed, Number((s.difference - better.difference).toFixed(6))]),
      [
        [0, -0.01],
        [1, 0.01],
      ],
    );
    // Holm over seven claims: the smallest p times seven.
    const least = found.reduce((a, b) => (a.p < b.p ? a : b));
    assert.ok(Math.abs(least.adjusted - 7 * least.p) < 1e-12);
  });

  it('does not decide between systems that are not above the intensity table', () => {
    const floor = system('intensity table', () => 0.02);
    assert.deepEqual(
      decide(plan([against('better'), against('worse')]), rows, floor).map((d) => d.verdict),
      ['below the baseline', 'below the baseline'],
    );
  });

  it('runs above the intensity table are counted for each system', () => {
    const floor = system('intensity table', () => 0.02);
    assert.match(aboveFloor(rows, floor)[1], /^better: better than intensity table \(0\.62\d\) in 6 of 6 runs \(0\.6\d\d, /);
    assert.match(aboveFloor(rows, floor)[2], / in 0 of 6 runs /);
  });

  it('says which system is missing, and that one case is too few', () => {
    assert.throws(() => decide(plan([against('larger')]), rows), /no row "larger"[\s\S]*"base", "better"/);
    const one = rows.map((row) => ({
      ...row,
      scores: row.scores.slice(0, 1).map((run) => ({ ...run, cases: run.cases.slice(0, 1) })),
    }));
    assert.throws(() => decide(plan([against('better')]), one), /1 cases scored for both "better" and "base"/);
  });

  it('shows decisions, plan with power, and every seed', () => {
    const found = decide(all, rows);
    const table = decisionTable(all, found);
    assert.match(`${table}`, /better better +seen +\+0\.0\d\d \[\+0\.0\d\d, \+0\.0\d\d\] +<0\.001/);
    assert.match(`${table}`, /same better +no difference .* yes, <0\.001/);
    const told = planTable(plan([{ ...against('better'), pilot: { difference: 0.059, sd: 0.048 } }, against('same')]), 12);
    // statsmodels: TTestPower().power(0.059 / 0.048, 12, 0.025, alternative='two-sided') = 0.9341
    assert.match(`${told}`, /better better +Δ ≠ 0 +\+0\.059 \(0\.048\) +93 %/);
    assert.match(`${told}`, /same better +Δ ≠ 0 +—/);
    const figure = seedDifferences(all, found);
    assert.equal(figure.data.length, 7);
    assert.deepEqual(figure.data[0].x!.length, 2);
    assert.match(figure.toSvg(), /better − base/);
  });
});
