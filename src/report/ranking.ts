// Ranking of variants and how stable it is: podium counts of the cases, and ranks over bootstrap samples of the cases.
import { Random } from '../base/random.js';
import { resamples } from '../score/bootstrap.js';
import { rankingStability, ranksPerCase } from '../score/ranking.js';
import { metricLabel } from './ablation.js';
import { type Counting, classNames, countingOf, isDistance, perCase, type Variant } from './aggregate.js';
import { plainLabel } from './display.js';
import { Figure } from './figure.js';

/** Which scores rank the variants, and over how many resamples. */
export interface RankingFigureOptions {
  title?: string;
  metric?: string;
  classes?: readonly string[];
  empty?: Counting;
  resamples?: number;
  seed?: number;
}

/** Left: in how many cases a variant came first, second, …; right: share of bootstrap samples in which its mean ranked first, second, … */
export function ranking(rows: readonly Variant[], options: RankingFigureOptions = {}): Figure {
  const { metric = 'dsc', resamples: count = 1000, seed = 0 } = options;
  const empty = countingOf(rows, options.empty);
  const classes = options.classes ?? classNames(rows);
  const lists = rows
    .filter((row) => row.scores.length > 0)
    .map((row) => ({ name: row.name, values: perCase(row.scores, classes, metric, empty) }));
  const ids = [...(lists[0]?.values.keys() ?? [])].filter((id) => lists.every((l) => l.values.has(id)));
  const table = lists.map((l) => ids.map((id) => l.values.get(id)!));
  const smallerIsBetter = isDistance(metric);
  const places = lists.map((_, i) => i + 1);
  const perCaseRanks = ids.length > 0 ? ranksPerCase(table, { smallerIsBetter }) : [];
  const podium = perCaseRanks.map((ranks) => places.map((p) => ranks.filter((r) => r === p).length));
  const stable =
    ids.length > 0
      ? rankingStability(table, resamples(ids.length, count, new Random(`report/${seed}`)), 'mean-then-rank', { smallerIsBetter })
      : null;
  const order = lists.map((_, i) => i).sort((a, b) => (stable ? stable.ranks[a] - stable.ranks[b] : 0));
  const names = order.map((i) => plainLabel(lists[i].name));
  const labels = places.map((p) => `rank ${p}`);
  const shared = { type: 'heatmap' as const, x: labels, y: names, showscale: false, texttemplate: '%{z}' };
  const scale: [number, string][] = [
    [0, '#ffffff'],
    [1, '#0072b2'],
  ];
  const kendall = stable ? stable.kendall.filter((v) => !Number.isNaN(v)) : [];
  const tau = kendall.reduce((a, b) => a + b, 0) / kendall.length;
  const yaxis = {
    type: 'category' as const,
    autorange: 'reversed' as const,
    categoryarray: names,
    categoryorder: 'array' as const,
  };
  return new Figure(
    [
      {
        ...shared,
        z: order.map((i) => podium[i] ?? []),
        colorscale: scale,
        zmin: 0,
        zmax: ids.length,
        hovertemplate: '%{y}, %{x}: %{z} cases<extra></extra>',
      },
      {
        ...shared,
        z: order.map((i) => (stable?.frequency[i] ?? []).map((n) => Math.round((n / count) * 1000) / 10)),
        colorscale: scale,
        zmin: 0,
        zmax: 100,
        hovertemplate: '%{y}, %{x}: %{z} %<extra></extra>',
        xaxis: 'x2',
        yaxis: 'y2',
      },
    ],
    {
      title: { text: plainLabel(options.title ?? `Ranking by ${metricLabel(metric)}`) },
      height: 160 + 46 * lists.length,
      showlegend: false,
      xaxis: {
        type: 'category',
        categoryarray: labels,
        domain: [0, 0.48],
        anchor: 'y',
        title: { text: `cases (of ${ids.length})` },
      },
      yaxis: { ...yaxis, anchor: 'x', automargin: true },
      xaxis2: {
        type: 'category',
        categoryarray: labels,
        domain: [0.52, 1],
        anchor: 'y2',
        title: { text: `% of ${count} bootstrap samples` },
      },
      yaxis2: { ...yaxis, anchor: 'x2', tickvals: [] },
    },
    `Ranking of ${names.join(', ')} by mean ${metricLabel(metric)} over ${ids.length} cases; mean Kendall tau-b of ${count} bootstrap rankings with it ${tau.toFixed(2)}.`,
  );
}
