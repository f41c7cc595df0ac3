// What a run says about a paper's statements: sentences made of its numbers, never of our hopes.
import { VoxelbookError } from '../../base/errors.js';
import { countingNotes } from '../../report/ablation.js';
import { classNames, countingOf, deviation, isDistance, mean, overall, perRun, signed } from '../../report/aggregate.js';
import { type Cell, type Counting, ResultTable, type Variant } from '../../report/index.js';
import { pairedEffect } from '../../score/index.js';
import { studentQuantile } from '../../score/special.js';
import type { RunScores } from '../../train/experiment.js';

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

/** One statement of a paper with what this run says about it. */
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
  verdict: Verdict;
}

/** What a statement's comparison came to, in the order a reader asks. */
export const verdictKinds = [
  'seen in this run',
  'opposite in this run',
  'not decided by this run',
  'both below the baseline',
  'not run',
] as const;
/** What a run says about a statement. */
export type Verdict = (typeof verdictKinds)[number];

/**
 * Tests a paper's statements on this run, paired by fold and seed: each pair is the mean over the same held-out cases. A statement
 * counts as seen (or as its opposite) only where the 95 % interval of the difference leaves zero out.
 * It speaks of seeds: of these cases, not of new patients.
 * @param floor a row that knows intensities only (`run.baseline`): where both systems are worse, their difference says nothing yet
 * @param counting how scores are averaged; default the rule the rows were scored by, else Metrics Reloaded
 */
export function findings(
  rows: readonly Variant[],
  statements: readonly Statement[],
  floor?: Variant,
  counting: Counting = countingOf(rows),
): Finding[] {
  return statements.map((statement): Finding => {
    const { metric = 'dsc', classes = classNames(rows) } = statement;
    const value = (run: RunScores) => overall([run], classes, metric, counting);
    const { x, y } = paired(rowNamed(rows, statement.variant), rowNamed(rows, statement.base), value);
    const least = floor ? mean(perRun(floor.scores, classes, metric, counting)) : Number.NaN;
    return { statement, ...decide(x, y, least, isDistance(metric) ? -1 : 1) };
  });
}

/**
 * How many runs of each system are above a row that knows intensities only, and by what: lines to read before any comparison.
 * @param floor as `findings` takes it
 */
export function aboveFloor(
  rows: readonly Variant[],
  floor: Variant,
  metric = 'dsc',
  counting: Counting = countingOf(rows),
): string[] {
  const classes = classNames(rows);
  const better = isDistance(metric) ? -1 : 1;
  const least = mean(perRun(floor.scores, classes, metric, counting));
  return rows.map(({ name, scores }) => {
    const values = perRun(scores, classes, metric, counting);
    const above = values.filter((v) => better * (v - least) > 0).length;
    return `${name}: better than ${floor.name} (${least.toFixed(3)}) in ${above} of ${values.length} runs (${values.map((v) => v.toFixed(3)).join(', ')})`;
  });
}

function rowNamed(rows: readonly Variant[], name: string): Variant {
  const row = rows.find((r) => r.name === name);
  if (row) return row;
  throw new VoxelbookError('this statement is about a row that is not there', {
    code: 'findings',
    path: 'statements',
    given: JSON.stringify(name),
    expected: rows.map((r) => r.name).join(' | '),
    fix: 'Choose one of these names.',
  });
}

/** Values of the runs that both rows have, by fold and seed. */
function paired(variant: Variant, base: Variant, value: (run: RunScores) => number): { x: number[]; y: number[] } {
  const bySeed = (row: Variant) => new Map(row.scores.map((run) => [`${run.fold}/${run.seed}`, value(run)]));
  const [ours, theirs] = [bySeed(variant), bySeed(base)];
  const keys = [...ours.keys()].filter((key) => !Number.isNaN(ours.get(key)!) && !Number.isNaN(theirs.get(key) ?? Number.NaN));
  return { x: keys.map((key) => ours.get(key)!), y: keys.map((key) => theirs.get(key)!) };
}

/** The interval of the paired difference and what it decides. @param better 1 where more is better, else −1 */
function decide(x: number[], y: number[], least: number, better: 1 | -1): Omit<Finding, 'statement'> {
  const d = x.map((v, i) => (v === y[i] ? 0 : v - y[i]));
  const n = d.length;
  const nothing = { pairs: 0, difference: Number.NaN, interval: [Number.NaN, Number.NaN] as [number, number], p: Number.NaN };
  if (n === 0) return { ...nothing, verdict: 'not run' };
  const difference = mean(d);
  const half = n > 1 ? (studentQuantile(0.05, n - 1) * deviation(d)) / Math.sqrt(n) : Number.NaN;
  const interval: [number, number] = [difference - half, difference + half];
  const [low, high] = better > 0 ? interval : [-interval[1], -interval[0]];
  const untaught = better * (mean(x) - least) < 0 && better * (mean(y) - least) < 0;
  const verdict = untaught
    ? 'both below the baseline'
    : low > 0
      ? 'seen in this run'
      : high < 0
        ? 'opposite in this run'
        : 'not decided by this run';
  return { pairs: n, difference, interval, p: n > 1 ? pairedEffect(x, y).pairedT.p : Number.NaN, verdict };
}

/** How many findings came to each verdict, and which: lines to read below a table. */
export function verdicts(list: readonly Finding[]): string[] {
  return verdictKinds.map((verdict) => {
    const which = list
      .filter((f) => f.verdict === verdict)
      .map(({ statement: { says, metric = 'dsc' } }) => (metric === 'dsc' ? says : `${says} (${metric.toUpperCase()})`));
    return `${verdict}: ${which.length} of ${list.length}${which.length > 0 ? ` (${which.join('; ')})` : ''}`;
  });
}

/** The findings as a table: what the paper says, what this run measured, and whether that decides it. */
export function findingsTable(
  rows: readonly Variant[],
  statements: readonly Statement[],
  caption = 'What this run says',
  floor?: Variant,
  counting: Counting = countingOf(rows),
): ResultTable {
  const text = (value: string): Cell => ({ value, text: value });
  const cells = findings(rows, statements, floor, counting).map((f) => {
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
    ...countingNotes(counting),
    'Paired by fold and seed; each pair is a mean over the same held-out cases. Interval and test: Student, paired, over seeds, not adjusted for the number of statements.',
    'A verdict is about narrow networks, trained briefly, on these cases: it neither confirms nor refutes the paper.',
  ]);
}
