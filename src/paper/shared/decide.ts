// What a desk study says about its claims, by the analysis that was written down before it was run.
import { VoxelbookError } from '../../base/errors.js';
import { classNames, countingOf, deviation, mean, overall, perCase, signed } from '../../report/aggregate.js';
import { type Cell, Figure, ResultTable, styleOf, type Variant } from '../../report/index.js';
import {
  adjust,
  type Equivalence,
  equivalence,
  equivalencePower,
  notSuperiorPower,
  pairedEffect,
  pairedPower,
} from '../../score/index.js';
import { studentQuantile } from '../../score/special.js';
import type { DeskClaim, DeskPlan } from './desk.js';

/** What a claim's test came to. */
export const deskVerdicts = ['seen', 'opposite', 'no difference', 'not decided', 'below the baseline'] as const;
/** One of the verdicts above. */
export type DeskVerdict = (typeof deskVerdicts)[number];

/** A claim with the difference that was found, its interval and its verdict. */
export interface Decision {
  claim: DeskClaim;
  /** Held-out cases that both systems have; each is a mean over seeds. */
  cases: number;
  /** variant − base over cases: mean, standard deviation, 95 % interval (Student). */
  difference: number;
  sd: number;
  interval: [number, number];
  /** Of the claim's own test, and corrected for the number of claims. */
  p: number;
  adjusted: number;
  /** Two one-sided tests against ± margin; `equivalent` is their p, corrected for the number of claims. */
  equivalence: Equivalence;
  equivalent: number;
  /** The same difference for every seed, over the same cases. */
  seeds: { seed: number; difference: number }[];
  verdict: DeskVerdict;
}

/**
 * Decides every claim of a plan. A case's score is the mean over its classes and over seeds; systems are compared case by case.
 *
 * `better` is seen, or its opposite, where the two-sided paired t-test is significant after Holm's correction; `no better` is seen where
 * the one-sided test puts the difference below +margin, and its opposite where the 95 % interval lies above 0. Where neither is so,
 * `no difference` needs both one-sided tests against ± margin, corrected over the claims.
 * @param rows as `run.reproduce` or a recording gives them
 * @param floor a row that knows intensities only: a claim about a system that is not above it is not decided
 * @throws VoxelbookError naming a system that is not there, or one with fewer than two cases in common with its base
 */
export function decide(plan: DeskPlan, rows: readonly Variant[], floor?: Variant): Decision[] {
  const classes = classNames(rows);
  const counting = countingOf(rows);
  const scoresOf = (row: Variant) => perCase(row.scores, classes, plan.metric, counting);
  const least = floor ? mean([...scoresOf(floor).values()]) : Number.NEGATIVE_INFINITY;
  const tested = plan.claims.map((claim) => {
    const [variant, base] = [rowNamed(rows, claim.variant), rowNamed(rows, claim.base)];
    const [ours, theirs] = [scoresOf(variant), scoresOf(base)];
    const ids = [...ours.keys()].filter((id) => theirs.has(id));
    if (ids.length < 2) throw tooFew(claim, ids.length);
    const [x, y] = [ids.map((id) => ours.get(id)!), ids.map((id) => theirs.get(id)!)];
    const d = x.map((v, i) => v - y[i]);
    const against = equivalence(d, plan.margin, plan.alpha);
    const p = claim.asks === 'better' ? pairedEffect(x, y).pairedT.p : against.notSuperior;
    const half = (studentQuantile(0.05, d.length - 1) * deviation(d)) / Math.sqrt(d.length);
    const difference = mean(d);
    return {
      claim,
      cases: ids.length,
      difference,
      sd: deviation(d),
      interval: [difference - half, difference + half] as [number, number],
      p,
      equivalence: against,
      seeds: perSeed(variant, base, (runs) => overall(runs, classes, plan.metric, counting)),
      untaught: Math.min(mean(x), mean(y)) <= least,
    };
  });
  const adjusted = adjust(
    tested.map(({ p }) => p),
    plan.correction,
  );
  const equivalent = adjust(
    tested.map((t) => t.equivalence.p),
    plan.correction,
  );
  return tested.map(({ untaught, ...test }, i): Decision => {
    const made = { ...test, adjusted: adjusted[i], equivalent: equivalent[i] };
    return { ...made, verdict: untaught ? 'below the baseline' : verdictOf(plan, made) };
  });
}

function verdictOf({ alpha }: DeskPlan, test: Omit<Decision, 'verdict'>): DeskVerdict {
  const { claim, adjusted, difference, interval, equivalent } = test;
  if (claim.asks === 'better' && adjusted < alpha) return difference > 0 ? 'seen' : 'opposite';
  if (claim.asks === 'no better' && adjusted < alpha) return 'seen';
  if (claim.asks === 'no better' && interval[0] > 0) return 'opposite';
  return equivalent < alpha ? 'no difference' : 'not decided';
}

/** The difference of every seed that both have, over the folds that both have of it. */
function perSeed(variant: Variant, base: Variant, value: (runs: Variant['scores']) => number): Decision['seeds'] {
  const seeds = [...new Set(variant.scores.map((run) => run.seed))].sort((a, b) => a - b);
  return seeds.flatMap((seed) => {
    const [ours, theirs] = [variant, base].map((row) => row.scores.filter((run) => run.seed === seed));
    const folds = ours.map((run) => run.fold).filter((fold) => theirs.some((run) => run.fold === fold));
    if (folds.length === 0) return [];
    const kept = (runs: Variant['scores']) => runs.filter((run) => folds.includes(run.fold));
    return [{ seed, difference: value(kept(ours)) - value(kept(theirs)) }];
  });
}

function rowNamed(rows: readonly Variant[], name: string): Variant {
  const row = rows.find((r) => r.name === name);
  if (row && row.scores.length > 0) return row;
  throw new VoxelbookError('this claim cannot be decided', {
    code: 'desk-row',
    path: 'rows',
    given: row ? `"${name}" without scores${row.missing ? `: ${row.missing}` : ''}` : `no row "${name}"`,
    expected: `one of ${rows.map((r) => `"${r.name}"`).join(', ') || 'none'} with scores`,
    fix: 'Run the whole study, or take the claim out of the plan.',
  });
}

const tooFew = (claim: DeskClaim, cases: number) =>
  new VoxelbookError('this claim cannot be decided', {
    code: 'desk-cases',
    path: claim.says,
    given: `${cases} cases scored for both "${claim.variant}" and "${claim.base}"`,
    expected: 'at least 2',
    fix: 'Run both systems on the same folds.',
  });

const text = (value: string): Cell => ({ value, text: value });
const number = (value: number, shown: string): Cell => ({ value, text: shown });
const pText = (p: number) => (Number.isNaN(p) ? '—' : p < 0.001 ? '<0.001' : p.toFixed(3));
const share = (value: number) => `${Math.round(100 * value)} %`;

/** The decisions as a table: claim, verdict, difference with interval, both corrected p, how many seeds agree. */
export function decisionTable(plan: DeskPlan, decisions: readonly Decision[], caption = 'What the desk study says'): ResultTable {
  const cells = decisions.map((d) => {
    const same = d.seeds.filter((s) => Math.sign(s.difference) === Math.sign(d.difference)).length;
    const [low, high] = d.interval;
    return {
      says: text(d.claim.says),
      verdict: text(d.verdict),
      difference: number(d.difference, `${signed(d.difference, 3)} [${signed(low, 3)}, ${signed(high, 3)}]`),
      p: number(d.adjusted, pText(d.adjusted)),
      equivalent: number(d.equivalent, `${d.equivalent < plan.alpha ? 'yes' : 'no'}, ${pText(d.equivalent)}`),
      seeds: number(same, `${same} of ${d.seeds.length}`),
    };
  });
  return new ResultTable(
    caption,
    [
      { key: 'says', label: 'The paper says' },
      { key: 'verdict', label: 'verdict' },
      { key: 'difference', label: `Δ ${plan.metric.toUpperCase()} [95 %]`, align: 'right' },
      { key: 'p', label: 'p', align: 'right' },
      { key: 'equivalent', label: `within ±${plan.margin}?`, align: 'right' },
      { key: 'seeds', label: 'seeds of this sign', align: 'right' },
    ],
    cells,
    [
      ...decisions.map(({ claim, cases }) => `${claim.says}: ${claim.variant} − ${claim.base}, ${cases} held-out cases.`),
      testNote(plan),
      'Cases of one fold were segmented by the same networks, so they are less independent than the test takes them to be; the seeds stand beside for that.',
    ],
  );
}

const meanings: Record<DeskVerdict, string> = {
  seen: 'seen at this size',
  opposite: 'the opposite is seen at this size',
  'no difference': 'no difference beyond the margin',
  'not decided': 'not decided',
  'below the baseline': 'not decided: a system is not above the intensity table',
};

/** One sentence a claim: what the paper says, what was found, by how much, and in how many seeds. */
export const decisionSentences = ({ metric }: DeskPlan, decisions: readonly Decision[]): string[] =>
  decisions.map(({ claim, verdict, difference, seeds }) => {
    const same = seeds.filter((s) => Math.sign(s.difference) === Math.sign(difference)).length;
    return `${meanings[verdict]}: "${claim.says}" (${signed(difference, 3)} ${metric.toUpperCase()}, of this sign in ${same} of ${seeds.length} seeds)`;
  });

const testNote = ({ alpha, claims, margin }: DeskPlan) => {
  const oneSided = claims.some((c) => c.asks === 'no better') ? `, of "does not beat" one-sided against a gain of ${margin}` : '';
  return `Student’s paired test over cases, each the mean over its classes and over seeds: two-sided against no difference${oneSided}; Holm over ${claims.length} claims at ${alpha}. Within ±${margin}: two one-sided tests, Holm.`;
};

/** The analysis as it was written down, and what it can see: power by the pilot's spread, at the hardest step of Holm's correction. */
export function planTable(plan: DeskPlan, cases: number, caption = 'The analysis, written down before the run'): ResultTable {
  const alpha = plan.alpha / plan.claims.length;
  const cells = plan.claims.map((claim) => {
    const said = { says: text(claim.says), asks: text(claim.asks === 'better' ? 'Δ ≠ 0' : `Δ < ${plan.margin}`) };
    const none: Cell = { value: null, text: '—', why: 'no pilot had both systems' };
    if (!claim.pilot) return { ...said, pilot: none, seen: none, least: none, none };
    const { difference, sd } = claim.pilot;
    const of = { sd, pairs: cases, alpha, margin: plan.margin };
    const powerAt = (d: number) =>
      claim.asks === 'better' ? pairedPower({ ...of, difference: d }) : notSuperiorPower({ ...of, difference: d });
    const assumed = claim.asks === 'better' ? plan.margin : 0;
    const at = (value: number) => number(value, share(value));
    return {
      ...said,
      pilot: number(difference, `${signed(difference, 3)} (${sd.toFixed(3)})`),
      seen: at(powerAt(difference)),
      least: number(powerAt(assumed), `${share(powerAt(assumed))} (Δ ${signed(assumed, 2)})`),
      none: at(equivalencePower({ ...of, difference: 0 })),
    };
  });
  return new ResultTable(
    caption,
    [
      { key: 'says', label: 'The paper says' },
      { key: 'asks', label: 'tested' },
      { key: 'pilot', label: 'pilot Δ (sd)', align: 'right' },
      { key: 'seen', label: 'power at that Δ', align: 'right' },
      { key: 'least', label: 'at the margin', align: 'right' },
      { key: 'none', label: 'to show no difference', align: 'right' },
    ],
    cells,
    [
      `Written on ${plan.writtenOn}. Power with ${cases} cases and the pilot’s spread, at the hardest step of the correction (${plan.alpha} / ${plan.claims.length}).`,
      testNote(plan),
      `The margin: ${plan.marginWhy}`,
    ],
  );
}

/** Every claim's difference for every seed, its mean with the 95 % interval over cases, and the margin. */
export function seedDifferences(plan: DeskPlan, decisions: readonly Decision[], title = 'Every seed’s difference'): Figure {
  const place = (i: number) => decisions.length - i;
  const named = (d: Decision) => `${d.claim.variant} − ${d.claim.base}`;
  const line = (x0: number, x1: number, y0: number, y1: number, color: string, width = 1, dash?: string) => ({
    type: 'line' as const,
    x0,
    x1,
    y0,
    y1,
    line: { color, width, dash },
  });
  const [bottom, top] = [0.5, decisions.length + 0.5];
  const reach =
    1.15 *
    Math.max(1.5 * plan.margin, ...decisions.flatMap((d) => [...d.interval, ...d.seeds.map((s) => s.difference)].map(Math.abs)));
  return new Figure(
    decisions.map((d, i) => ({
      type: 'scatter',
      mode: 'markers',
      name: named(d),
      x: d.seeds.map((s) => Number(s.difference.toPrecision(6))),
      y: d.seeds.map((_, k) => place(i) - 0.02 + (0.16 * k) / Math.max(1, d.seeds.length - 1)),
      text: d.seeds.map((s) => `seed ${s.seed}`),
      hovertemplate: '%{text}: %{x:.3f}<extra></extra>',
      marker: { color: styleOf(d.claim.variant).colour, size: 7 },
    })),
    {
      title: { text: title },
      height: 120 + 62 * decisions.length,
      showlegend: false,
      xaxis: { title: { text: `Δ ${plan.metric.toUpperCase()}` }, range: [-reach, reach] },
      yaxis: { range: [bottom, top], tickvals: [], ticktext: [] },
      annotations: decisions.map((d, i) => ({
        text: named(d),
        x: 0.01,
        y: place(i) + 0.38,
        xref: 'x domain',
        showarrow: false,
        xanchor: 'left',
      })),
      shapes: [
        line(0, 0, bottom, top, '#888888', 1.5),
        line(-plan.margin, -plan.margin, bottom, top, '#bbbbbb', 1, 'dash'),
        line(plan.margin, plan.margin, bottom, top, '#bbbbbb', 1, 'dash'),
        ...decisions.flatMap((d, i) => [
          line(d.interval[0], d.interval[1], place(i) - 0.2, place(i) - 0.2, '#222222', 2),
          line(d.difference, d.difference, place(i) - 0.32, place(i) - 0.08, '#222222', 2),
        ]),
      ],
    },
    `${decisions.map((d) => `${named(d)}: ${d.seeds.map((s) => signed(s.difference, 3)).join(', ')}`).join('. ')}.`,
  );
}
