// The ablation table: variants × metrics with spread, interval, paired difference to a base, cost and the published value.
import { VoxelbookError } from '../base/errors.js';
import { Random } from '../base/random.js';
import { duration } from '../base/text.js';
import { bootstrap, resamples } from '../score/bootstrap.js';
import { type Adjustment, adjust } from '../score/multipleTesting.js';
import { ruleNotes } from '../score/rule.js';
import { wilcoxon } from '../score/wilcoxon.js';
import {
  averager,
  type Counting,
  classNames,
  countingOf,
  countStates,
  deviation,
  type EmptyPolicy,
  isDistance,
  mean,
  metricsOf,
  nsdNotes,
  numberText,
  overall,
  perCase,
  perRun,
  type SpreadOver,
  signed,
  spreadOf,
  type Variant,
} from './aggregate.js';
import type { Claim } from './claim.js';
import { type Cell, type Column, ResultTable } from './table.js';

/** Which metrics, classes and costs an ablation table shows, and against which row it compares. */
export interface AblationOptions {
  caption?: string;
  /** Default `dsc`, `nsd`. */
  metrics?: readonly string[];
  /** Classes that make the mean and get columns of their own; default all that were scored. */
  classes?: readonly string[];
  /** `false` leaves only the mean over classes. */
  perClass?: boolean;
  /** Name of the variant the others are compared with; default the first. */
  base?: string;
  /** How empty masks count and what is averaged first; default the rule the rows were scored by, else `metrics-reloaded`. */
  empty?: Counting;
  /** What ± is taken over; default runs where there are several, else cases. */
  spread?: SpreadOver;
  /** Bootstrap resamples of cases; default 2000. */
  resamples?: number;
  seed?: number;
  adjustment?: Adjustment;
  /** Cost columns; default true. */
  cost?: boolean;
}

const labels: Record<string, string> = {
  dsc: 'DSC',
  nsd: 'NSD',
  iou: 'IoU',
  hd95: 'HD95 (mm)',
  hd: 'HD (mm)',
  f1: 'F1',
  assd: 'ASSD (mm)',
  masd: 'MASD (mm)',
};
/** Metrics that are shown by a name of their own. */
export const namedMetrics: readonly string[] = Object.keys(labels);
/** What a metric is called in a heading. */
export const metricLabel = (metric: string) => labels[metric] ?? metric;

const missing = (why: string): Cell => ({ value: null, text: '—', why });
const plain = (value: number | string, text = String(value)): Cell => ({ value, text });

/**
 * Variants × metrics. Each score is the mean over cases (a case's seeds averaged first), with the standard deviation over runs
 * (over cases where there is one run) and a bootstrap interval over cases; the difference to the base is paired by case and
 * tested with Wilcoxon's signed-rank test.
 * @throws VoxelbookError when the base or a class is not among the rows
 */
export function ablation(rows: readonly Variant[], options: AblationOptions = {}): ResultTable {
  const { adjustment = 'holm', cost = true } = options;
  const empty = countingOf(rows, options.empty);
  const { metrics = metricsOf(empty, ['dsc', 'nsd']) } = options;
  const classes = options.classes ?? classNames(rows);
  const base = checkBase(rows, classes, options);
  const shown = options.perClass === false || classes.length < 2 ? [] : classes;
  const columns: Column[] = [
    { key: 'variant', label: 'Variant' },
    { key: 'runs', label: 'runs', align: 'right' },
    { key: 'cases', label: 'cases', align: 'right' },
  ];
  const cells: Record<string, Cell>[] = rows.map((row) => ({
    variant: plain(row.name),
    runs: plain(row.scores.length),
    cases: plain(new Set(row.scores.flatMap((r) => r.cases.map((c) => c.id))).size),
  }));
  const tested: string[] = [];
  for (const metric of metrics) {
    const group = metricLabel(metric);
    const add = (key: string, label: string, make: (row: Variant) => Cell) => {
      columns.push({ key: `${metric}.${key}`, label, group, align: 'right' });
      rows.forEach((row, i) => {
        cells[i][`${metric}.${key}`] = make(row);
      });
    };
    add('mean', classes.length > 1 ? 'mean' : classes[0], (row) => summary(row, classes, metric, empty, options, true));
    for (const name of shown) add(name, name, (row) => summary(row, [name], metric, empty, options));
    if (base) {
      add('difference', `Δ to ${base.name}`, (row) => difference(row, base, classes, metric, empty, options));
      const pvalues = rows.map((row) => (row === base ? Number.NaN : signedRank(row, base, classes, metric, empty)));
      const adjusted = adjust(pvalues, adjustment);
      add('p', 'p', (row) => {
        if (row === base) return plain('', '');
        if (row.scores.length === 0) return noRuns(row);
        const p = adjusted[rows.indexOf(row)];
        return Number.isNaN(p) ? missing('no paired cases that differ') : plain(p, p < 0.001 ? '<0.001' : p.toFixed(3));
      });
      tested.push(group);
    }
    if (rows.some((row) => row.published?.some((c) => c.metric === metric))) {
      add('published', 'published', (row) => publishedCell(row, metric, classes));
      add('toPublished', 'Δ to published', (row) => toPublished(row, metric, classes, empty));
    }
    for (const key of ['mean', ...shown])
      markBest(
        cells.map((row) => row[`${metric}.${key}`]),
        isDistance(metric),
      );
  }
  if (cost) addCost(rows, columns, cells);
  return new ResultTable(options.caption ?? 'Ablation', columns, cells, notes(rows, classes, tested, empty, options));
}

function checkBase(rows: readonly Variant[], classes: readonly string[], options: AblationOptions): Variant | null {
  const base = options.base === undefined ? rows[0] : rows.find((row) => row.name === options.base);
  const known = classNames(rows);
  const strangers = classes.filter((name) => known.length > 0 && !known.includes(name));
  const faults = [
    ...(base || rows.length === 0
      ? []
      : [{ path: 'base', given: JSON.stringify(options.base), expected: rows.map((r) => r.name).join(', '), code: 'base' }]),
    ...strangers.map((name) => ({ path: 'classes', given: JSON.stringify(name), expected: known.join(', '), code: 'class' })),
  ].map((fault) => ({ ...fault, fix: 'Choose one of these names.' }));
  if (rows.length === 0)
    faults.push({
      path: 'rows',
      given: 'no row',
      expected: 'at least one variant',
      code: 'rows',
      fix: 'Pass [{ name, scores }].',
    });
  if (faults.length > 0) throw new VoxelbookError('no table can be made of this', faults);
  return rows.length > 1 ? (base ?? null) : null;
}

const decimals = (metric: string) => (isDistance(metric) ? 2 : 3);
const noRuns = (row: Variant) => missing(row.missing ?? 'no finished run');

function summary(
  row: Variant,
  classes: readonly string[],
  metric: string,
  empty: Counting,
  options: AblationOptions,
  withInterval = false,
): Cell {
  if (row.scores.length === 0) return noRuns(row);
  const values = [...perCase(row.scores, classes, metric, empty).values()];
  if (values.length === 0) {
    const scored = row.scores.some((r) => r.cases.some((c) => classes.some((name) => c.classes[name])));
    return missing(scored ? `${metricLabel(metric)} undefined in every case` : 'class not scored in these runs');
  }
  const average = averager(row.scores, classes, metric, empty);
  const center = average();
  const spread = options.spread
    ? spreadOf(row.scores, classes, metric, empty, options.spread)
    : usualSpread(perRun(row.scores, classes, metric, empty), values);
  const digits = decimals(metric);
  let text = numberText(center, digits);
  if (Number.isFinite(spread)) text += ` ± ${spread.toFixed(digits)}`;
  if (withInterval && values.length > 2) {
    const ids = [...perCase(row.scores, classes, metric, empty).keys()];
    const [low, high] = interval(ids, (drawn) => average(drawn), options);
    text += ` [${numberText(low, digits)}, ${numberText(high, digits)}]`;
  }
  return plain(center, text);
}

const usualSpread = (runs: number[], values: number[]) =>
  runs.length > 1 ? deviation(runs) : values.length > 1 ? deviation(values) : Number.NaN;

/** 95 % bootstrap interval over cases of whatever a list of cases gives. */
function interval(
  ids: readonly string[],
  statistic: (ids: string[]) => number,
  { resamples: count = 2000, seed = 0 }: AblationOptions,
) {
  const indices = resamples(ids.length, count, new Random(`report/${seed}`));
  return bootstrap(ids.length, (list) => statistic(Array.from(list, (i) => ids[i])), { indices }).percentile;
}

/** Cases both variants have a value for, and their values. */
function pairs(
  row: Variant,
  base: Variant,
  classes: readonly string[],
  metric: string,
  empty: Counting,
): { ids: string[]; x: number[]; y: number[] } {
  const ours = perCase(row.scores, classes, metric, empty);
  const theirs = perCase(base.scores, classes, metric, empty);
  const ids = [...ours.keys()].filter((id) => theirs.has(id));
  return { ids, x: ids.map((id) => ours.get(id)!), y: ids.map((id) => theirs.get(id)!) };
}

function difference(
  row: Variant,
  base: Variant,
  classes: readonly string[],
  metric: string,
  empty: Counting,
  options: AblationOptions,
): Cell {
  if (row === base) return plain('base', 'base');
  if (row.scores.length === 0) return noRuns(row);
  const { ids } = pairs(row, base, classes, metric, empty);
  if (ids.length === 0) return missing(`no case in common with ${base.name}`);
  const [ours, theirs] = [row, base].map((v) => averager(v.scores, classes, metric, empty));
  // Two infinite means (a miss in each) do not differ.
  const between = (list: string[]) => (ours(list) === theirs(list) ? 0 : ours(list) - theirs(list));
  const digits = decimals(metric);
  const center = between(ids);
  let text = signed(center, digits);
  if (ids.length > 2) {
    const [low, high] = interval(ids, between, options);
    text += ` [${signed(low, digits)}, ${signed(high, digits)}]`;
  }
  return plain(center, text);
}

function signedRank(row: Variant, base: Variant, classes: readonly string[], metric: string, empty: Counting): number {
  const { x, y } = pairs(row, base, classes, metric, empty);
  return x.some((v, i) => v !== y[i]) ? wilcoxon(x, y).pvalue : Number.NaN;
}

/** The claim that speaks of this metric's mean (or of the only class). */
function claimFor(row: Variant, metric: string, classes: readonly string[]): Claim | undefined {
  const list = row.published?.filter((c) => c.metric === metric) ?? [];
  const fitting = list.filter((c) =>
    classes.length === 1 ? c.class === undefined || c.class === classes[0] : c.class === undefined,
  );
  return fitting.find((c) => c.value !== null) ?? fitting[0];
}

/** Per cent become fractions, as our scores are. */
const inOurUnit = (claim: Claim, metric: string) => (isDistance(metric) || !claim.percent ? claim.value! : claim.value! / 100);

function publishedCell(row: Variant, metric: string, classes: readonly string[]): Cell {
  const claim = claimFor(row, metric, classes);
  if (!claim) return missing('no published value for this variant');
  const from = `${claim.paper}, ${claim.table}, row ${claim.row}, ${claim.column}${claim.kind ? `, ${claim.kind}` : ''}: ${claim.source}`;
  if (claim.value === null) return missing(`published, but the number is not in a source at hand (${from})`);
  const value = inOurUnit(claim, metric);
  return { value, text: value.toFixed(decimals(metric)), why: from };
}

function toPublished(row: Variant, metric: string, classes: readonly string[], empty: Counting): Cell {
  const claim = claimFor(row, metric, classes);
  if (!claim || claim.value === null) return plain('', '');
  if (row.scores.length === 0) return noRuns(row);
  const value = overall(row.scores, classes, metric, empty);
  if (Number.isNaN(value)) return missing(`${metricLabel(metric)} undefined in every case`);
  const d = value - inOurUnit(claim, metric);
  return plain(d, signed(d, decimals(metric)));
}

/** Marks the best and, among more than two, the second best value of a column. */
export function markBest(list: readonly (Cell | undefined)[], smaller: boolean): void {
  const values = list.map((cell) => cell?.value).filter((v): v is number => typeof v === 'number' && !Number.isNaN(v));
  const order = [...new Set(values)].sort((a, b) => (smaller ? a - b : b - a));
  if (values.length < 2) return;
  for (const cell of list) {
    if (!cell || typeof cell.value !== 'number') continue;
    if (cell.value === order[0]) cell.mark = 'best';
    else if (values.length > 2 && cell.value === order[1]) cell.mark = 'second';
  }
}

function addCost(rows: readonly Variant[], columns: Column[], cells: Record<string, Cell>[]): void {
  const costs: [string, string, (n: number) => string][] = [
    ['parameters', 'parameters', count],
    ['flops', 'multiply-adds', count],
    ['trainSeconds', 'training', duration],
    ['peakBytes', 'peak memory', bytes],
  ];
  for (const [key, label, format] of costs) {
    columns.push({ key, label, group: 'Cost', align: 'right' });
    rows.forEach((row, i) => {
      const values = row.scores.map((run) => run.cost?.[key as 'flops']).filter((v) => Number.isFinite(v));
      cells[i][key] =
        row.scores.length === 0
          ? noRuns(row)
          : values.length === 0
            ? missing('not measured')
            : plain(mean(values), format(mean(values)));
    });
  }
}

/** 10 321 456 → 10.3 M. */
export function count(n: number): string {
  const step = [1e12, 1e9, 1e6, 1e3].findIndex((s) => n >= s);
  return step < 0 ? String(Math.round(n)) : `${(n / [1e12, 1e9, 1e6, 1e3][step]).toPrecision(3)} ${['T', 'G', 'M', 'k'][step]}`;
}

export function bytes(n: number): string {
  return n < 2 ** 30 ? `${(n / 2 ** 20).toFixed(0)} MiB` : `${(n / 2 ** 30).toFixed(2)} GiB`;
}

const policies: Record<EmptyPolicy, string> = {
  'metrics-reloaded': 'both masks empty counts as best, one empty as worst value (Metrics Reloaded)',
  nnunet: 'both masks empty is left out, one empty counts 0; averaged over cases within each class, then over classes (nnU-Net)',
  undefined: 'undefined values are left out',
};

/** How scores were counted: the rule of a table, or a policy. */
export const countingNotes = (counting: Counting): string[] =>
  typeof counting === 'object' ? ruleNotes(counting) : [`Empty masks: ${policies[counting]}.`];

/** The methods sentence: everything a reader must know to compute the same numbers. */
function notes(
  rows: readonly Variant[],
  classes: readonly string[],
  tested: string[],
  empty: Counting,
  options: AblationOptions,
): string[] {
  const { adjustment = 'holm', resamples: count = 2000, seed = 0 } = options;
  const runs = rows.flatMap((row) => row.scores);
  const states = countStates(runs, classes);
  const list = [
    `Mean over cases (seeds of a case averaged first${classes.length > 1 && typeof empty !== 'object' && empty !== 'nnunet' ? ', then classes' : ''}) ± standard deviation over ${options.spread ?? 'runs, over cases where there is one run'}; [95 % bootstrap interval of the mean over cases, ${count} resamples, seed ${seed}].`,
    ...nsdNotes(runs),
    ...countingNotes(empty),
    `${states.n} scores: ${states['both-empty']} both empty, ${states.missed} missed, ${states['false-alarm']} false alarms.`,
  ];
  if (tested.length > 0)
    list.push(
      `Δ paired by case; p of Wilcoxon's signed-rank test (two-sided, zero differences dropped, exact where possible), ${adjustment}-adjusted over the variants of a column.`,
    );
  return list;
}
