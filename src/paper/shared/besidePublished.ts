// A paper's table with this run beside it: the paper's rows and columns in the paper's order, ours next to them.
import { VoxelbookError } from '../../base/errors.js';
import { classNames, isDistance, numberText, overall, spreadOf } from '../../report/aggregate.js';
import { type Cell, type Column, type Counting, ResultTable, type Variant } from '../../report/index.js';
import { type Rule, ruleNotes } from '../../score/index.js';
import { demoTable } from '../studies.js';
import { type PaperName, type PublishedTable, rowName } from './claims.js';
import { scoredOn } from './protocol.js';
import { table } from './publishedTable.js';
import { protocolOf, publishedTable, ruleOf } from './rules.js';

/** A column of ours: a score of this run's variants, or values found otherwise (parameters, FLOPs). */
export type OwnColumn = {
  label: string;
  /** The published column ours stands next to; without it ours comes last. */
  beside?: string;
} & (
  | { metric: string /** Default: the mean over all classes. */; classes?: readonly string[] }
  | { /** By the row's name. */ values: Record<string, number | string> }
);

/** Which rows and columns of this run stand beside a published table. */
export interface BesideOptions {
  /** This run's rows, as `run.reproduce` gives them. */
  rows?: readonly Variant[];
  columns: readonly OwnColumn[];
  /** Published columns that are shown, where all of them are wider than a page; default all. Their order stays the table's. */
  published?: readonly string[];
  /** Name of our variant for a row of the table, besides those of the paper's study (`paper.study`). */
  as?: Record<string, string>;
  /** Why a row has nothing of ours; default the reason its study gives. By the row's name, or one reason for all. */
  why?: string | Record<string, string>;
  /** What ours was measured on; stands in the heading: `SimGlioma, demo scale`. */
  where: string;
}

/**
 * A published table and this run's numbers side by side, counted by the table's rule. Fractions are shown in the table's own unit (percent
 * where it prints percent); a row we did not run says why, and a row scored on other cases than the paper's says on which. Where the table
 * prints a ±, ours of the same kind stands beside it and none of another kind.
 * @throws VoxelbookError when `as` or `beside` name what is not in the table, or `as` a variant that is not in the run
 */
export function beside(paper: PaperName, id: string, options: BesideOptions): ResultTable {
  const shown = table(paper, id);
  const source = publishedTable(paper, id);
  const names = source.rows.map((row) => rowName(source, row));
  const { rows = [] } = options;
  check(names, source.columns, options);
  const left = options.published ? source.columns.filter((key) => source.cells[key] && !options.published!.includes(key)) : [];
  const cellOf = ownCells(paper, id, source, options);
  const ownAt = (key: string | undefined) =>
    options.columns.flatMap((column, i) => (column.beside === key ? [{ column, key: `ours.${i}` }] : []));
  const columns: Column[] = [
    ...shown.columns.flatMap((published): Column[] => {
      if (left.includes(published.key)) return [];
      const own = ownAt(published.key);
      if (own.length === 0) return [source.cells[published.key] ? { ...published, group: 'published' } : published];
      return [
        { ...published, group: published.label, label: 'published' },
        ...own.map(({ column, key }) => ({ key, group: published.label, label: column.label, align: 'right' as const })),
      ];
    }),
    ...ownAt(undefined).map(({ column, key }) => ({
      key,
      group: `this run (${options.where})`,
      label: column.label,
      align: 'right' as const,
    })),
  ];
  const cells = names.map((name, r) => ({
    ...shown.cells[r],
    ...Object.fromEntries(options.columns.map((column, i) => [`ours.${i}`, cellOf(column, name)])),
  }));
  const hidden = left.length > 0 ? [`Not shown here: ${left.map((key) => key.replaceAll('_', ' ')).join(', ')}.`] : [];
  const notes = [...shown.notes, ...hidden, ...runNotes(rows, ruleOf(paper, id), source, options)];
  return new ResultTable(`${shown.caption}: published, and this run`, columns, cells, notes);
}

/** What stands in a cell of ours. */
function ownCells(paper: PaperName, id: string, source: PublishedTable, options: BesideOptions) {
  const { rows = [], why = {} } = options;
  const { as: known = {}, absent = {} } = demoTable(paper, id);
  const as = { ...known, ...options.as };
  const protocol = protocolOf(paper, id);
  const classes = classNames(rows);
  const missing = (reason: string): Cell => ({ value: null, text: '—', why: reason });
  const reasonFor = (name: string) =>
    typeof why === 'string' ? why : (why[name] ?? absent[name] ?? 'no experiment of this run is this row');
  const rule = ruleOf(paper, id);
  return (column: OwnColumn, name: string): Cell => {
    if ('values' in column) {
      const value = column.values[name];
      return value === undefined ? missing(reasonFor(name)) : { value, text: String(value) };
    }
    const variant = rows.find((row) => row.name === (as[name] ?? name));
    if (!variant) return missing(reasonFor(name));
    const counting: Counting = variant.rule ?? rule ?? 'metrics-reloaded';
    const [own, distance] = [column.classes ?? classes, isDistance(column.metric)];
    const found = overall(variant.scores, own, column.metric, counting);
    if (Number.isNaN(found)) return missing(variant.missing ?? 'not scored in these runs');
    const scale = source.percent && !distance ? 100 : 1;
    const digits = distance ? 2 : source.percent ? 1 : 3;
    const spread = source.spread ? spreadOf(variant.scores, own, column.metric, counting, source.spread) : Number.NaN;
    const more = Number.isFinite(spread) ? ` ± ${(spread * scale).toFixed(digits)}` : '';
    const on = scoredOn(protocol, variant.dataset ?? '', variant.scores);
    return {
      value: found * scale,
      text: `${numberText(found * scale, digits)}${more}`,
      ...(on.same ? {} : { why: `scored on ${on.text}` }),
    };
  };
}

/** What must be known of this run's numbers. */
function runNotes(
  rows: readonly Variant[],
  rule: Rule | undefined,
  { spread }: PublishedTable,
  { columns, where }: BesideOptions,
): string[] {
  const metrics = columns.flatMap((column) => ('metric' in column ? [column.metric] : []));
  if (metrics.length === 0) return [`This run: ${where}.`];
  const others = [...new Set(rows.flatMap((row) => (row.rule && row.rule.label !== rule?.label ? [row.rule] : [])))];
  const unruled = rows.filter((row) => row.scores.length > 0 && !row.rule);
  const surface = metrics.some((metric) => metric !== 'dsc');
  const scoredBy = [...new Set(unruled.flatMap((row) => row.scores.map((s) => s.nsd.definition)))];
  return [
    `This run: ${where}; a case's seeds averaged first. A number scored on other cases than the paper's says so and is not comparable with it.`,
    ...(spread ? [`± of this run: over ${spread}, as published; none where its runs do not vary so.`] : []),
    ...others.slice(0, 1).flatMap((other) => ['This run is scored by another rule than the table:', ...ruleNotes(other)]),
    ...(unruled.length > 0 && surface
      ? [`${unruled.length} rows of this run are averaged by the table's rule but scored by their own: ${scoredBy.join('; ')}.`]
      : []),
    ...(rule ? [] : ['The rule of the published table is not at hand: empty masks of this run count as in Metrics Reloaded.']),
  ];
}

function check(names: readonly string[], published: readonly string[], options: BesideOptions): void {
  const { rows = [], columns, as = {}, published: wanted = published } = options;
  const variants = rows.map((row) => row.name);
  const unknown = (path: string, given: string, expected: readonly string[]) => ({
    code: 'beside',
    path,
    given: JSON.stringify(given),
    expected: expected.join(' | '),
    fix: 'Choose one of these.',
  });
  const faults = [
    ...Object.keys(as).flatMap((name) => (names.includes(name) ? [] : [unknown('as', name, names)])),
    ...Object.values(as).flatMap((name) => (variants.includes(name) ? [] : [unknown('as', name, variants)])),
    ...wanted.flatMap((key) => (published.includes(key) ? [] : [unknown('published', key, published)])),
    ...columns.flatMap((c) => (!c.beside || wanted.includes(c.beside) ? [] : [unknown('columns', c.beside, wanted)])),
  ];
  if (faults.length > 0) throw new VoxelbookError('this run cannot be put beside the table', faults);
}
