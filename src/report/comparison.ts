// Classes × variants: the table a paper prints for a data set.
import { adjust } from '../score/multipleTesting.js';
import { wilcoxon } from '../score/wilcoxon.js';
import { countingNotes, markBest, metricLabel } from './ablation.js';
import {
  type Counting,
  classNames,
  countingOf,
  countStates,
  deviation,
  isDistance,
  metricsOf,
  nsdNotes,
  numberText,
  overall,
  perCase,
  type Variant,
} from './aggregate.js';
import { type Cell, type Column, ResultTable } from './table.js';

/** Which metrics and classes a comparison shows, and against which variant it tests. */
export interface ComparisonOptions {
  caption?: string;
  metrics?: readonly string[];
  classes?: readonly string[];
  /** Marked against this variant with * where Holm-adjusted p < 0.05; default the first. */
  base?: string;
  empty?: Counting;
}

/** One line per metric and class (and their mean), one column per variant: mean ± standard deviation over cases. */
export function comparison(rows: readonly Variant[], options: ComparisonOptions = {}): ResultTable {
  const empty = countingOf(rows, options.empty);
  const { metrics = metricsOf(empty, ['dsc', 'nsd']) } = options;
  const classes = options.classes ?? classNames(rows);
  const base = rows.find((row) => row.name === options.base) ?? rows[0];
  const columns: Column[] = [
    { key: 'metric', label: 'Metric' },
    { key: 'class', label: 'Class' },
    ...rows.map((row, i) => ({ key: `v${i}`, label: row.name, align: 'right' as const })),
  ];
  const lines = metrics.flatMap((metric) => [
    ...classes.map((name) => ({ metric, label: name, classes: [name] })),
    ...(classes.length > 1 ? [{ metric, label: 'mean', classes: [...classes] }] : []),
  ]);
  const cells = lines.map(({ metric, label, classes: own }) => {
    const line: Record<string, Cell> = {
      metric: { value: metric, text: metricLabel(metric) },
      class: { value: label, text: label },
    };
    const digits = isDistance(metric) ? 2 : 3;
    const lists = rows.map((row) => perCase(row.scores, own, metric, empty));
    const baseList = lists[rows.indexOf(base)];
    const pvalues = lists.map((list, i) => {
      const ids = [...list.keys()].filter((id) => baseList.has(id));
      const [x, y] = [ids.map((id) => list.get(id)!), ids.map((id) => baseList.get(id)!)];
      return rows[i] !== base && x.some((v, k) => v !== y[k]) ? wilcoxon(x, y).pvalue : Number.NaN;
    });
    const adjusted = adjust(pvalues);
    lists.forEach((list, i) => {
      const values = [...list.values()];
      if (values.length === 0) {
        line[`v${i}`] = {
          value: null,
          text: '—',
          why: rows[i].scores.length === 0 ? (rows[i].missing ?? 'no finished run') : 'not scored in these runs',
        };
        return;
      }
      const [center, sd] = [overall(rows[i].scores, own, metric, empty), deviation(values)];
      const spread = Number.isFinite(sd) ? ` ± ${sd.toFixed(digits)}` : '';
      line[`v${i}`] = { value: center, text: `${numberText(center, digits)}${spread}${adjusted[i] < 0.05 ? ' *' : ''}` };
    });
    markBest(
      rows.map((_, i) => line[`v${i}`]),
      isDistance(metric),
    );
    return line;
  });
  const runs = rows.flatMap((row) => row.scores);
  const states = countStates(runs, classes);
  return new ResultTable(options.caption ?? 'Comparison', columns, cells, [
    'Mean ± standard deviation over cases (seeds of a case averaged first).',
    ...nsdNotes(runs),
    ...countingNotes(empty),
    `${states.n} scores: ${states['both-empty']} both empty, ${states.missed} missed, ${states['false-alarm']} false alarms.`,
    ...(base && rows.length > 1 ? [`* differs from ${base.name}, Wilcoxon signed-rank test, Holm-adjusted p < 0.05.`] : []),
  ]);
}
