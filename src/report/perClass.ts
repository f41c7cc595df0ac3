// Per-class scores as boxes with every case as a point, several variants side by side.

import { metricLabel, namedMetrics } from './ablation.js';
import { type Counting, classNames, countingOf, isDistance, longRows, metricsOf, perCase, type Variant } from './aggregate.js';
import { faded, styleOf } from './colours.js';
import { display, type MimeBundle, plainLabel } from './display.js';
import { Figure, type Layout, type Trace } from './figure.js';
import { services } from './kernel.js';

/** Which metrics and classes are drawn. */
export interface PerClassOptions {
  title?: string;
  /** One panel each; default `dsc`, `nsd`. */
  metrics?: readonly string[];
  classes?: readonly string[];
  empty?: Counting;
  /**
   * With controls beneath it for one metric of all that were scored, and for each variant, where the notebook has the voxelbook
   * kernel and Jupyter has anywidget; elsewhere the figure stands as it is.
   */
  live?: boolean;
}

/**
 * One panel per metric: box (quartiles, whiskers to 1.5 interquartile ranges) and all cases of each class and variant. A point is a
 * case, its seeds averaged.
 */
export function perClass(rows: readonly Variant[], options: PerClassOptions = {}): Figure {
  const figure = still(rows, options);
  return options.live ? new LivePerClass(figure, rows, options) : figure;
}

class LivePerClass extends Figure {
  constructor(
    { data, layout, description }: Figure,
    private readonly rows: readonly Variant[],
    private readonly options: PerClassOptions,
  ) {
    super(data, layout, description);
  }

  override [display](): MimeBundle {
    const kernel = services();
    if (!kernel) return this.bundle();
    const { rows, options } = this;
    const empty = countingOf(rows, options.empty);
    const first = options.metrics ?? metricsOf(empty, ['dsc', 'nsd']);
    const isScored = (metric: string) =>
      rows.some(({ scores }) =>
        scores.some((run) => run.cases.some((c) => Object.values(c.classes).some((score) => Number.isFinite(score[metric])))),
      );
    const choices = new Map([
      [first.map(metricLabel).join(' and '), first],
      ...[...new Set([...first, ...namedMetrics])].filter(isScored).map((metric) => [metricLabel(metric), [metric]] as const),
    ]);
    let controls: MimeBundle = {};
    kernel.interact(
      {
        metric: kernel.select([...choices.keys()], { label: 'metric' }),
        ...Object.fromEntries(rows.map(({ name }, i) => [`variant ${i}`, kernel.check({ value: true, label: name })])),
      },
      ({ metric, ...shown }) =>
        still(
          rows.filter((_, i) => shown[`variant ${i}`]),
          { ...options, metrics: choices.get(String(metric)), classes: options.classes ?? classNames(rows), empty },
        ),
      {
        show(bundle) {
          controls = bundle;
        },
      },
    );
    return controls;
  }
}

function still(rows: readonly Variant[], options: PerClassOptions): Figure {
  const empty = countingOf(rows, options.empty);
  const { metrics = metricsOf(empty, ['dsc', 'nsd']) } = options;
  const classes = options.classes ?? classNames(rows);
  const data: Trace[] = [];
  const layout: Layout = {
    title: { text: plainLabel(options.title ?? 'Scores per class') },
    boxmode: 'group',
    height: 420,
    width: Math.max(720, Math.min(1200, metrics.length * (80 + classes.length * rows.length * 34))),
  };
  metrics.forEach((metric, panel) => {
    const n = panel === 0 ? '' : String(panel + 1);
    const [from, to] = [panel / metrics.length, (panel + 1) / metrics.length];
    layout[`xaxis${n}`] = {
      type: 'category',
      categoryorder: 'array',
      categoryarray: classes.map(plainLabel),
      domain: [from + (panel ? 0.1 : 0), to],
      anchor: `y${n}`,
    };
    layout[`yaxis${n}`] = {
      title: { text: metricLabel(metric) },
      anchor: `x${n}`,
      ...(isDistance(metric) ? {} : { range: [-0.02, 1.02] as [number, number] }),
    };
    for (const row of rows) {
      const { colour, symbol } = styleOf(row.name);
      const points = classes.flatMap((name) =>
        [...perCase(row.scores, [name], metric, empty)].map(([id, value]) => ({ name, id, value })),
      );
      if (points.length === 0) continue;
      data.push({
        type: 'box',
        name: plainLabel(row.name),
        legendgroup: plainLabel(row.name),
        offsetgroup: plainLabel(row.name),
        showlegend: panel === 0,
        x: points.map((p) => plainLabel(p.name)),
        y: points.map((p) => Math.round(p.value * 1e5) / 1e5),
        text: points.map((p) => plainLabel(p.id)),
        hovertemplate: '%{text}<br>%{x}: %{y:.3f}',
        boxpoints: 'all',
        jitter: 0.6,
        pointpos: 0,
        marker: { color: colour, symbol, size: 5, opacity: 0.75 },
        line: { color: colour, width: 1.2 },
        fillcolor: faded(colour, 0.15),
        xaxis: `x${n}`,
        yaxis: `y${n}`,
      });
    }
  });
  const cases = new Set(longRows(rows, metrics, empty).map((r) => r.case)).size;
  return new Figure(
    data,
    layout,
    `${metrics.map(metricLabel).join(' and ')} per class (${classes.join(', ')}) of ${rows.map((r) => r.name).join(', ')}: box and every one of ${cases} cases.`,
  );
}
