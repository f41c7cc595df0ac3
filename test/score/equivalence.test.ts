// Paired tests, equivalence and power against scipy and statsmodels (test/score/paired/paired.py).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { adjust, equivalence, equivalencePower, notSuperiorPower, pairedEffect, pairedPower } from '../../src/score/index.js';

const golden = JSON.parse(fs.readFileSync(new URL('./paired/paired.json', import.meta.url), 'utf8'));
const near = (own: number, theirs: number, what: string) =>
  assert.ok(Math.abs(own - theirs) <= 1e-9 * Math.max(Math.abs(theirs), 1e-3), `${what}: ${own}, not ${theirs}`);

describe('equivalence and power of paired differences', () => {
  it('are those of scipy and statsmodels', () => {
    for (const { x, y, margin, t, p, interval90, tost, notInferior, notSuperior } of golden.tests) {
      const test = equivalence(
        x.map((v: number, i: number) => v - y[i]),
        margin,
      );
      near(test.p, tost, 'two one-sided tests');
      near(test.notInferior, notInferior, 'not inferior');
      near(test.notSuperior, notSuperior, 'not superior');
      test.interval.forEach((end, i) => {
        near(end, interval90[i], 'interval');
      });
      const paired = pairedEffect(x, y).pairedT;
      near(paired.t, t, 't');
      near(paired.p, p, 'p');
    }
  });

  it('Holm’s correction is statsmodels’', () => {
    const own = adjust(
      golden.tests.map(({ p }: { p: number }) => p),
      'holm',
    );
    own.forEach((p, i) => {
      near(p, golden.holm[i], `p ${i}`);
    });
  });

  it('power is that of the noncentral t, and of an integral for two one-sided tests', () => {
    for (const { paired, equivalent, notSuperior, ...of } of golden.power) {
      near(pairedPower(of), paired, 'paired t');
      near(equivalencePower(of), equivalent, 'equivalence');
      near(notSuperiorPower(of), notSuperior, 'not superior');
    }
  });

  it('the interval lies within the margin exactly where the test says so', () => {
    const d = [0.012, -0.004, 0.009, 0.003, -0.001, 0.006];
    for (const margin of [0.005, 0.008, 0.009, 0.01, 0.02]) {
      const { p, interval } = equivalence(d, margin);
      assert.equal(p < 0.05, interval[0] > -margin && interval[1] < margin);
    }
  });

  it('differences that are all zero are within any margin', () => {
    assert.equal(equivalence([0, 0, 0], 0.01).p, 0);
  });
});
