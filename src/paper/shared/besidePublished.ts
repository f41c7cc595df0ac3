// A paper's table with this run beside it: the paper's rows and columns in the paper's order, ours next to them.
import { VoxelbookError } from '../../base/errors.js';
import { classNames, isDistance, mean, perCase } from '../../report/aggregate.js';
import { type Cell, type Column, ResultTable, type Variant } from '../../report/index.js';
import { demoTable } from '../studies.js';
import { namesRow, type PaperName, published, rowName } from './claims.js';
import { table } from './publishedTable.js';

/** A column of ours: a score of this run's variants, or values found otherwise (parameters, FLOPs). */
export type OwnColumn = {
  label: string;
  /** The published column ours stands next to; without it ours comes last. */
  beside?: string;
} & (
  | { metric: string /** Default: the mean over all classes. */; classes?: readonly string[] }
  | { /** By the row's name. */ values: Record<string, number | string> }
);

export interface BesideOptions {
  /** This run's rows, as `run.reproduce` gives them. */
  rows?: readonly Variant[];
  columns: readonly OwnColumn[];
  /** Name of our variant for a row of the table, besides those of the paper's study (`paper.study`). */
  as?: Record<string, string>;
  /** Why a row has nothing of ours; default the reason its study gives. By the row's name, or one reason for all. */
  why?: string | Record<string, string>;
  /** What ours was measured on; stands in the heading: `SimGlioma, demo scale`. */
  where: string;
}

/**
 * A published table and this run's numbers side by side. Fractions are shown in the table's own unit (percent where it prints
 * percent); a row we did not run says why; nothing is compared across data sets, for ours are never the paper's at demo scale.
 * @throws VoxelbookError when `as` or `beside` name what is not in the table, or `as` a variant that is not in the run
 */
export function beside(paper: PaperName, id: string, options: BesideOptions): ResultTable {
  const shown = table(paper, id);
  const source = published[paper].tables.find((t) => t.id === id)!;
  const names = source.rows.map((row) => rowName(source, row));
  const { rows = [], why = {}, where } = options;
  check(names, source.columns, options);
  const { as: known = {}, absent = {} } = demoTable(paper, id);
  const as = { ...known, ...options.as };
  const percent = /^percent/.test(source.unit ?? '');
  const reasonFor = (name: string) =>
    typeof why === 'string' ? why : (why[name] ?? absent[name] ?? 'no experiment of this run is this row');
  const classes = classNames(rows);

  const ourCell = (column: OwnColumn, name: string): Cell => {
    if ('values' in column) {
      const value = column.values[name];
      return value === undefined ? { value: null, text: '—', why: reasonFor(name) } : { value, text: String(value) };
    }
    const variant = rows.find((row) => row.name === (as[name] ?? name));
    if (!variant) return { value: null, text: '—', why: reasonFor(name) };
    const values = [...perCase(variant.scores, column.classes ?? classes, column.metric, 'metrics-reloaded').values()];
    if (values.length === 0) return { value: null, text: '—', why: variant.missing ?? 'not scored in these runs' };
    const scale = percent && !isDistance(column.metric) ? 100 : 1;
    const value = mean(values) * scale;
    return { value, text: value.toFixed(isDistance(column.metric) ? 2 : percent ? 1 : 3) };
  };

  const ownAt = (key: string | undefined) =>
    options.columns.flatMap((column, i) => (column.beside === key ? [{ column, key: `ours.${i}` }] : []));
  const columns: Column[] = [
    ...shown.columns.flatMap((published): Column[] => {
      const own = ownAt(published.key);
      const isName = namesRow(source, published.key);
      if (own.length === 0) return [isName ? published : { ...published, group: 'published' }];
      return [
        { ...published, group: published.label, label: 'published' },
        ...own.map(({ column, key }) => ({ key, group: published.label, label: column.label, align: 'right' as const })),
      ];
    }),
    ...ownAt(undefined).map(({ column, key }) => ({
      key,
      group: `this run (${where})`,
      label: column.label,
      align: 'right' as const,
    })),
  ];
  const cells = names.map((name, r) => ({
    ...shown.cells[r],
    ...Object.fromEntries(options.columns.map((column, i) => [`ours.${i}`, ourCell(column, name)])),
  }));
  const runs = rows.flatMap((row) => row.scores);
  const tolerances = [...new Set(runs.map((run) => `NSD at ${run.nsd.toleranceMm} mm, ${run.nsd.definition}.`))];
  const usesScores = options.columns.some((column) => 'metric' in column);
  const notes = [
    ...shown.notes,
    usesScores
      ? `This run: ${where}; mean over cases, a case's seeds averaged first; other data and other size than published: not comparable with the published columns.`
      : `This run: ${where}.`,
    ...(usesScores ? tolerances : []),
  ];
  return new ResultTable(`${shown.caption}: published, and this run`, columns, cells, notes);
}

function check(names: readonly string[], published: readonly string[], { rows = [], columns, as = {} }: BesideOptions): void {
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
    ...columns.flatMap((c) => (!c.beside || published.includes(c.beside) ? [] : [unknown('columns', c.beside, published)])),
  ];
  if (faults.length > 0) throw new VoxelbookError('this run cannot be put beside the table', faults);
}
