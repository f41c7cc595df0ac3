// Curves over one quantity: NSD against tolerance, calibration, score against the share of training data, score against cost.
import { Random } from '../base/random.js';
import { bootstrap, resamples } from '../score/bootstrap.js';
import type { Calibration } from '../score/calibration.js';
import type { Rule } from '../score/rule.js';
import type { RunScores } from '../train/experiment.js';
import { metricLabel } from './ablation.js';
import { averager, type Counting, classNames, countingOf, mean, perCase, type Variant } from './aggregate.js';
import { styleOf } from './colours.js';
import { plainLabel } from './display.js';
import { Figure, type Trace } from './figure.js';

const six = (v: number) => Number(v.toPrecision(6));

function line(name: string, x: number[], y: number[], markers: boolean): Trace {
  const { colour, symbol, dash } = styleOf(name);
  return {
    type: 'scatter',
    mode: markers ? 'lines+markers' : 'lines',
    name: plainLabel(name),
    x: x.map(six),
    y: y.map(six),
    line: { color: colour, width: 2, dash },
    marker: { color: colour, symbol, size: 7 },
  };
}

/** A variant's NSD at each tolerance, in mm. */
export interface ToleranceCurve {
  name: string;
  tolerancesMm: readonly number[];
  /** One value per tolerance, or one such list per case (their mean is drawn). */
  nsd: readonly number[] | readonly (readonly number[])[];
}

/** NSD against tolerance, with the mean over cases; the area under a curve stands in the legend. */
export function nsdTolerance(curves: readonly ToleranceCurve[], { title = 'NSD against tolerance' } = {}): Figure {
  const lists = curves.map(({ name, tolerancesMm, nsd }) => {
    const cases = (Array.isArray(nsd[0]) ? nsd : [nsd]) as readonly (readonly number[])[];
    const y = tolerancesMm.map((_, i) => mean(cases.map((c) => c[i]).filter((v) => !Number.isNaN(v))));
    const span = tolerancesMm[tolerancesMm.length - 1] - tolerancesMm[0];
    let area = 0;
    for (let i = 1; i < y.length; i++) area += ((y[i] + y[i - 1]) / 2) * (tolerancesMm[i] - tolerancesMm[i - 1]);
    return { name, x: [...tolerancesMm], y, area: span > 0 ? area / span : Number.NaN };
  });
  return new Figure(
    lists.map(({ name, x, y, area }) => ({ ...line(name, x, y, true), name: plainLabel(`${name} (area ${area.toFixed(3)})`) })),
    {
      title: { text: plainLabel(title) },
      height: 400,
      xaxis: { title: { text: 'tolerance (mm)' } },
      yaxis: { title: { text: 'NSD' }, range: [-0.02, 1.02] },
    },
    `NSD against tolerance: ${lists.map((l) => `${l.name} area ${l.area.toFixed(3)}`).join(', ')}.`,
  );
}

/** Reliability: observed share of the class against predicted probability. */
export function calibrationPlot(
  curves: readonly { name: string; calibration: Calibration }[],
  { title = 'Calibration' }: { title?: string } = {},
): Figure {
  const data = curves.map(({ name, calibration }) => {
    const used = calibration.bins.filter((b) => b.count > 0);
    return {
      ...line(
        name,
        used.map((b) => b.confidence),
        used.map((b) => b.accuracy),
        true,
      ),
      name: plainLabel(`${name} (ECE ${calibration.expectedError.toFixed(3)})`),
      text: used.map((b) => `${b.count} voxels`),
      hovertemplate: '%{text}: predicted %{x:.2f}, observed %{y:.2f}',
    };
  });
  return new Figure(
    data,
    {
      title: { text: plainLabel(title) },
      height: 420,
      width: 560,
      xaxis: { title: { text: 'predicted probability' }, range: [-0.02, 1.02] },
      yaxis: { title: { text: 'observed share' }, range: [-0.02, 1.02] },
      shapes: [{ type: 'line', x0: 0, y0: 0, x1: 1, y1: 1, line: { color: '#888888', dash: 'dash' } }],
    },
    `Calibration: ${curves.map((c) => `${c.name} expected error ${c.calibration.expectedError.toFixed(3)}`).join(', ')}.`,
  );
}

/** Mean over cases with the half-widths of its 95 % bootstrap interval. */
function meanWithInterval(scores: RunScores[], classes: readonly string[], metric: string, empty: Counting) {
  const ids = [...perCase(scores, classes, metric, empty).keys()];
  if (ids.length === 0) return null;
  const average = averager(scores, classes, metric, empty);
  const center = average();
  // A mean with a miss at an unknown distance has no place on an axis.
  if (!Number.isFinite(center)) return null;
  if (ids.length < 3) return { center, up: 0, down: 0 };
  const indices = resamples(ids.length, 1000, new Random('report/0'));
  const [low, high] = bootstrap(ids.length, (drawn) => average(Array.from(drawn, (i) => ids[i])), { indices }).percentile;
  return { center, up: high - center, down: center - low };
}

/** Which score is drawn against which cost. */
export interface ScalingOptions {
  title?: string;
  /** What stands on the horizontal axis, logarithmic. */
  cost?: 'flops' | 'parameters' | 'trainSeconds' | 'peakBytes';
  metric?: string;
  classes?: readonly string[];
  empty?: Counting;
}

const costLabels = {
  flops: 'multiply-adds of one patch',
  parameters: 'parameters',
  trainSeconds: 'training time (s)',
  peakBytes: 'peak memory (bytes)',
};

/** The scaling figure: score against cost, one point per variant, with its 95 % bootstrap interval. */
export function scaling(rows: readonly Variant[], options: ScalingOptions = {}): Figure {
  const { cost = 'flops', metric = 'dsc' } = options;
  const empty = countingOf(rows, options.empty);
  const classes = options.classes ?? classNames(rows);
  const points = rows.flatMap((row) => {
    const value = meanWithInterval(row.scores, classes, metric, empty);
    const spent = row.scores.map((run) => run.cost?.[cost]).filter((v) => Number.isFinite(v) && v > 0);
    return value && spent.length > 0 ? [{ row, x: mean(spent), ...value }] : [];
  });
  const absent = rows.filter((row) => !points.some((p) => p.row === row)).map((row) => row.name);
  return new Figure(
    points.map(({ row, x, center, up, down }) => {
      const { colour, symbol } = styleOf(row.name);
      return {
        type: 'scatter',
        mode: 'markers',
        name: plainLabel(row.name),
        x: [six(x)],
        y: [six(center)],
        error_y: { type: 'data', symmetric: false, array: [six(up)], arrayminus: [six(down)], color: colour },
        marker: { color: colour, symbol, size: 11 },
        hovertemplate: '%{x:.3s}: %{y:.3f}',
      };
    }),
    {
      title: { text: plainLabel(options.title ?? `${metricLabel(metric)} against ${costLabels[cost]}`) },
      height: 420,
      xaxis: { title: { text: costLabels[cost] }, type: 'log' },
      yaxis: { title: { text: `${metricLabel(metric)}, mean with 95 % interval` } },
    },
    `${metricLabel(metric)} against ${costLabels[cost]}: ${points.map((p) => `${p.row.name} ${p.center.toFixed(3)} at ${p.x.toPrecision(3)}`).join(', ')}.${absent.length > 0 ? ` Not drawn, without score or cost: ${absent.join(', ')}.` : ''}`,
  );
}

/** A variant's scores at shares of the training data from 0 to 1. */
export interface DataShareCurve {
  name: string;
  points: readonly { share: number; scores: RunScores[] }[];
  /** The rule its scores are counted by. */
  rule?: Rule;
}

/** Score against the share of training data used, one line per model. */
export function dataShare(
  curves: readonly DataShareCurve[],
  {
    title = 'Score against share of training data',
    metric = 'dsc',
    empty = curves.find((curve) => curve.rule)?.rule ?? ('metrics-reloaded' as Counting),
    classes = undefined as readonly string[] | undefined,
  } = {},
): Figure {
  const data = curves.map(({ name, points }) => {
    const used = classes ?? classNames([{ name, scores: points.flatMap((p) => p.scores) }]);
    const list = points
      .map((p) => ({ share: p.share, value: meanWithInterval(p.scores, used, metric, empty) }))
      .filter((p) => p.value !== null)
      .sort((a, b) => a.share - b.share);
    const trace = line(
      name,
      list.map((p) => p.share * 100),
      list.map((p) => p.value!.center),
      true,
    );
    return {
      ...trace,
      error_y: {
        type: 'data' as const,
        symmetric: false,
        array: list.map((p) => six(p.value!.up)),
        arrayminus: list.map((p) => six(p.value!.down)),
        color: trace.line!.color,
      },
    };
  });
  return new Figure(
    data,
    {
      title: { text: plainLabel(title) },
      height: 400,
      xaxis: { title: { text: 'share of training cases (%)' } },
      yaxis: { title: { text: `${metricLabel(metric)}, mean with 95 % interval` } },
    },
    `${metricLabel(metric)} against the share of training data of ${curves.map((c) => c.name).join(', ')}.`,
  );
}
