// What a run says about a paper's statements: sentences made of its numbers, never of our hopes.
import { VoxelbookError } from '../../base/errors.js';
import { classNames, deviation, isDistance, mean, perRun } from '../../report/aggregate.js';
import { type Cell, ResultTable, type Variant } from '../../report/index.js';
import { pairedEffect } from '../../score/index.js';
import { studentQuantile } from '../../score/special.js';

/** `variant` is better than `base`, says the paper. */
export interface Statement {
  /** The statement in the paper's sense: `UpKern beats training the large kernel from scratch`. */
  says: string;
  variant: string;
  base: string;
  /** Default `dsc`. */
  metric?: string;
  classes?: readonly string[];
}

export interface Finding {
  statement: Statement;
  /** Seeds (fold × seed) both variants were run with. */
  pairs: number;
  /** variant − base, mean over pairs; NaN without a pair. */
  difference: number;
  /** 95 % interval of the mean difference over pairs (Student); NaN with one pair. */
  interval: [number, number];
  /** Two-sided paired t-test over seeds. */
  p: number;
  verdict: 'seen in this run' | 'opposite in this run' | 'not decided by this run' | 'both below the baseline' | 'not run';
}

/**
 * Tests a paper's statements on this run, paired by fold and seed: each pair is the mean over the same held-out cases. A statement
 * counts as seen (or as its opposite) only where the 95 % interval of the difference leaves zero out.
 * It speaks of seeds: of these cases, not of new patients.
 * @param floor a row that knows intensities only (`run.baseline`): where both systems are worse, their difference says nothing yet
 */
export function findings(rows: readonly Variant[], statements: readonly Statement[], floor?: Variant): Finding[] {
  return statements.map((statement): Finding => {
    const { metric = 'dsc', classes = classNames(rows) } = statement;
    const [variant, base] = [statement.variant, statement.base].map((name) => {
      const row = rows.find((r) => r.name === name);
      if (row) return row;
      throw new VoxelbookError('this statement is about a row that is not there', {
        code: 'findings',
        path: 'statements',
        given: JSON.stringify(name),
        expected: rows.map((r) => r.name).join(' | '),
        fix: 'Choose one of these names.',
      });
    });
    const bySeed = (row: Variant) =>
      new Map(
        row.scores.flatMap((s) =>
          perRun([s], classes, metric, 'metrics-reloaded').map((v): [string, number] => [`${s.fold}/${s.seed}`, v]),
        ),
      );
    const [ours, theirs] = [bySeed(variant), bySeed(base)];
    const keys = [...ours.keys()].filter((key) => theirs.has(key));
    const [x, y] = [keys.map((key) => ours.get(key)!), keys.map((key) => theirs.get(key)!)];
    const d = x.map((v, i) => v - y[i]);
    const n = d.length;
    if (n === 0)
      return {
        statement,
        pairs: 0,
        difference: Number.NaN,
        interval: [Number.NaN, Number.NaN],
        p: Number.NaN,
        verdict: 'not run',
      };
    const difference = mean(d);
    const half = n > 1 ? (studentQuantile(0.05, n - 1) * deviation(d)) / Math.sqrt(n) : Number.NaN;
    const interval: [number, number] = [difference - half, difference + half];
    const better = isDistance(metric) ? -1 : 1;
    const [low, high] = better > 0 ? interval : [-interval[1], -interval[0]];
    const least = floor ? mean(perRun(floor.scores, classes, metric, 'metrics-reloaded')) : Number.NaN;
    const untaught = better * (mean(x) - least) < 0 && better * (mean(y) - least) < 0;
    const verdict = untaught
      ? 'both below the baseline'
      : low > 0
        ? 'seen in this run'
        : high < 0
          ? 'opposite in this run'
          : 'not decided by this run';
    return { statement, pairs: n, difference, interval, p: n > 1 ? pairedEffect(x, y).pairedT.p : Number.NaN, verdict };
  });
}

const signed = (x: number, digits: number) => `${x < 0 ? '−' : '+'}${Math.abs(x).toFixed(digits)}`;

/** The findings as a table: what the paper says, what this run measured, and whether that decides it. */
export function findingsTable(
  rows: readonly Variant[],
  statements: readonly Statement[],
  caption = 'What this run says',
  floor?: Variant,
): ResultTable {
  const text = (value: string): Cell => ({ value, text: value });
  const cells = findings(rows, statements, floor).map((f) => {
    const metric = f.statement.metric ?? 'dsc';
    const digits = isDistance(metric) ? 2 : 3;
    const [low, high] = f.interval;
    const interval = Number.isNaN(low) ? '' : ` [${signed(low, digits)}, ${signed(high, digits)}]`;
    const measured: Cell =
      f.pairs === 0
        ? { value: null, text: '—', why: 'no seed was run for both' }
        : { value: f.difference, text: `${signed(f.difference, digits)}${interval}` };
    const p: Cell = Number.isNaN(f.p)
      ? { value: null, text: '—', why: 'a test needs two seeds that differ' }
      : { value: f.p, text: f.p < 0.001 ? '<0.001' : f.p.toFixed(3) };
    return {
      says: text(f.statement.says),
      compared: text(`${f.statement.variant} − ${f.statement.base}`),
      metric: text(metric.toUpperCase()),
      difference: measured,
      seeds: { value: f.pairs, text: String(f.pairs) },
      p,
      verdict: text(f.verdict),
    };
  });
  const columns = [
    { key: 'says', label: 'The paper says' },
    { key: 'verdict', label: 'verdict' },
    { key: 'metric', label: 'metric' },
    { key: 'difference', label: 'difference [95 %]', align: 'right' as const },
    { key: 'seeds', label: 'seeds', align: 'right' as const },
    { key: 'p', label: 'p', align: 'right' as const },
    { key: 'compared', label: 'compared here' },
  ];
  return new ResultTable(caption, columns, cells, [
    'Paired by fold and seed; each pair is a mean over the same held-out cases. Interval and test: Student, paired, over seeds, not adjusted for the number of statements.',
    'A verdict is about narrow networks, trained briefly, on these cases: it neither confirms nor refutes the paper.',
  ]);
}
