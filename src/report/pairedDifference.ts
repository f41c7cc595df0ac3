// Difference of two variants, case by case, with its mean, interval and test.
import { VoxelbookError } from '../base/errors.js';
import { Random } from '../base/random.js';
import { bootstrapMean, resamples } from '../score/bootstrap.js';
import { wilcoxon } from '../score/wilcoxon.js';
import { metricLabel } from './ablation.js';
import { type Counting, classNames, countingOf, mean, perCase, type Variant } from './aggregate.js';
import { styleOf } from './colours.js';
import { plainLabel } from './display.js';
import { Figure, type Layout } from './figure.js';

/** Which two variants are compared case by case, and by what. */
export interface PairedDifferenceOptions {
  title?: string;
  /** Names of the variants; default the second and the first row. */
  variant?: string;
  base?: string;
  metric?: string;
  classes?: readonly string[];
  empty?: Counting;
}

/** `variant - base` of every case, sorted, with mean, 95 % bootstrap interval and Wilcoxon's p. */
export function pairedDifference(rows: readonly Variant[], options: PairedDifferenceOptions = {}): Figure {
  const { metric = 'dsc' } = options;
  const empty = countingOf(rows, options.empty);
  const base = find(rows, options.base ?? rows[0]?.name);
  const variant = find(rows, options.variant ?? rows.find((r) => r !== base)?.name);
  const classes = options.classes ?? classNames(rows);
  const ours = perCase(variant.scores, classes, metric, empty);
  const theirs = perCase(base.scores, classes, metric, empty);
  const list = [...ours.keys()]
    .filter((id) => theirs.has(id))
    .map((id) => ({ id, x: ours.get(id)!, y: theirs.get(id)! }))
    .sort((a, b) => a.x - a.y - (b.x - b.y));
  if (list.length === 0)
    throw new VoxelbookError('no difference can be drawn', {
      code: 'no-pairs',
      path: 'rows',
      given: `no case scored by both ${variant.name} and ${base.name}`,
      expected: 'the same cases',
      fix: 'Compare runs of the same folds.',
    });
  const differences = list.map((p) => p.x - p.y);
  const [low, high] =
    list.length > 2
      ? bootstrapMean(differences, { indices: resamples(list.length, 2000, new Random('report/0')) }).percentile
      : [Number.NaN, Number.NaN];
  const center = mean(differences);
  const test = differences.some((d) => d !== 0)
    ? wilcoxon(
        list.map((p) => p.x),
        list.map((p) => p.y),
      )
    : null;
  const { colour, symbol } = styleOf(variant.name);
  const across = (y: number, color: string, dash?: string) => ({
    type: 'line' as const,
    xref: 'x domain',
    x0: 0,
    x1: 1,
    y0: y,
    y1: y,
    line: { color, width: 1.5, dash },
  });
  const p = test ? (test.pvalue < 0.001 ? 'p < 0.001' : `p = ${test.pvalue.toFixed(3)}`) : 'no case differs';
  const layout: Layout = {
    title: { text: plainLabel(options.title ?? `${variant.name} − ${base.name}`) },
    height: 380,
    showlegend: false,
    xaxis: { title: { text: `case, sorted (n = ${list.length})` } },
    yaxis: { title: { text: `Δ ${metricLabel(metric)}` } },
    shapes: [
      across(0, '#888888'),
      across(center, colour),
      ...(Number.isNaN(low) ? [] : [across(low, colour, 'dash'), across(high, colour, 'dash')]),
    ],
    annotations: [
      {
        text: `mean ${center.toFixed(3)}${Number.isNaN(low) ? '' : ` [${low.toFixed(3)}, ${high.toFixed(3)}]`}, ${p} (Wilcoxon)`,
        x: 0.02,
        y: 0.97,
        xref: 'x domain',
        yref: 'y domain',
        showarrow: false,
        xanchor: 'left',
      },
    ],
  };
  return new Figure(
    [
      {
        type: 'scatter',
        mode: 'markers',
        name: plainLabel(variant.name),
        x: list.map((_, i) => i + 1),
        y: differences.map((d) => Number(d.toPrecision(6))),
        text: list.map((q) => plainLabel(q.id)),
        hovertemplate: '%{text}: %{y:.3f}<extra></extra>',
        marker: { color: colour, symbol, size: 8 },
      },
    ],
    layout,
    `${metricLabel(metric)} of ${variant.name} minus ${base.name}, ${list.length} cases: mean ${center.toFixed(4)}, ${p}.`,
  );
}

function find(rows: readonly Variant[], name: string | undefined): Variant {
  const row = rows.find((r) => r.name === name);
  if (row) return row;
  throw new VoxelbookError('no difference can be drawn', {
    code: 'variant',
    path: 'rows',
    given: JSON.stringify(name ?? null),
    expected: rows.map((r) => r.name).join(', ') || 'two variants',
    fix: 'Choose two of the variants by name.',
  });
}
