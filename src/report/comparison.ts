// Classes × variants: the table a paper prints for a data set.
import { adjust } from '../score/multipleTesting.js';
import { wilcoxon } from '../score/wilcoxon.js';
import { metricLabel } from './ablation.js';
import {
  classNames,
  countStates,
  deviation,
  type EmptyPolicy,
  isDistance,
  mean,
  nsdNotes,
  perCase,
  type Variant,
} from './aggregate.js';
import { type Cell, type Column, ResultTable } from './table.js';

export interface ComparisonOptions {
  caption?: string;
  metrics?: readonly string[];
  classes?: readonly string[];
  /** Marked against this variant with * where Holm-adjusted p < 0.05; default the first. */
  base?: string;
  empty?: EmptyPolicy;
}

/** One line per metric and class (and their mean), one column per variant: mean ± standard deviation over cases. */
export function comparison(rows: readonly Variant[], options: ComparisonOptions = {}): ResultTable {
  const { metrics = ['dsc', 'nsd'], empty = 'metrics-reloaded' } = options;
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
      const spread = values.length > 1 ? ` ± ${deviation(values).toFixed(digits)}` : '';
      line[`v${i}`] = { value: mean(values), text: `${mean(values).toFixed(digits)}${spread}${adjusted[i] < 0.05 ? ' *' : ''}` };
    });
    const means = rows.map((_, i) => line[`v${i}`].value).filter((v): v is number => typeof v === 'number');
    const order = [...new Set(means)].sort((a, b) => (isDistance(metric) ? a - b : b - a));
    rows.forEach((_, i) => {
      if (means.length < 2) return;
      if (line[`v${i}`].value === order[0]) line[`v${i}`].mark = 'best';
      else if (means.length > 2 && line[`v${i}`].value === order[1]) line[`v${i}`].mark = 'second';
    });
    return line;
  });
  const runs = rows.flatMap((row) => row.scores);
  const states = countStates(runs, classes);
  return new ResultTable(options.caption ?? 'Comparison', columns, cells, [
    'Mean ± standard deviation over cases (seeds of a case averaged first).',
    ...nsdNotes(runs),
    `Empty masks: ${empty} policy. ${states.n} scores: ${states['both-empty']} both empty, ${states.missed} missed, ${states['false-alarm']} false alarms.`,
    ...(base && rows.length > 1 ? [`* differs from ${base.name}, Wilcoxon signed-rank test, Holm-adjusted p < 0.05.`] : []),
  ]);
}
