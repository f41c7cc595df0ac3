// Learning curves from the progress a run wrote: losses and pseudo-Dice over epochs.
import { styleOf } from './colours.js';
import { plainLabel } from './display.js';
import { Figure, type Layout, type Trace } from './figure.js';

/** Progress lines of one run, by epoch; numbers under any name. */
export interface Curve {
  name: string;
  progress: readonly Record<string, unknown>[];
}

export interface LearningCurveOptions {
  title?: string;
  /** Fields drawn against the left panel (losses) and the right panel (scores); by default found by their names. */
  losses?: readonly string[];
  scores?: readonly string[];
}

/**
 * Losses and scores over the epochs of one run or several.
 * @param curves one run's progress lines (objects with `epoch` and numbers), or several runs by name
 */
export function learningCurve(
  curves: readonly Record<string, unknown>[] | readonly Curve[],
  options: LearningCurveOptions = {},
): Figure {
  const list: Curve[] = isCurves(curves) ? [...curves] : [{ name: 'run', progress: curves as Record<string, unknown>[] }];
  const fields = [
    ...new Set(list.flatMap((c) => c.progress.flatMap((p) => Object.keys(p).filter((k) => Number.isFinite(p[k]))))),
  ];
  const losses = options.losses ?? fields.filter((f) => /loss/i.test(f));
  const scores = options.scores ?? fields.filter((f) => /dice|dsc/i.test(f));
  const panels = [
    { label: 'loss', fields: losses },
    { label: 'pseudo-Dice', fields: scores },
  ].filter((p) => p.fields.length > 0);
  const dashes = ['solid', 'dash', 'dot', 'dashdot'];
  const data: Trace[] = [];
  const layout: Layout = { title: { text: plainLabel(options.title ?? 'Learning curve') }, height: 380 };
  panels.forEach((panel, i) => {
    const n = i === 0 ? '' : String(i + 1);
    layout[`xaxis${n}`] = {
      title: { text: 'epoch' },
      domain: [i / panels.length + (i ? 0.12 : 0), (i + 1) / panels.length],
      anchor: `y${n}`,
    };
    layout[`yaxis${n}`] = { title: { text: panel.label }, anchor: `x${n}` };
    for (const { name, progress } of list)
      panel.fields.forEach((field, k) => {
        const points = progress
          .map((p, at) => ({ epoch: Number.isFinite(p.epoch) ? (p.epoch as number) : at, value: p[field] }))
          .filter((p): p is { epoch: number; value: number } => typeof p.value === 'number' && Number.isFinite(p.value));
        if (points.length === 0) return;
        const label = plainLabel(list.length > 1 ? `${name}: ${field}` : field);
        data.push({
          type: 'scatter',
          mode: points.length > 1 ? 'lines' : 'lines+markers',
          name: label,
          x: points.map((p) => p.epoch),
          y: points.map((p) => Number(p.value.toPrecision(6))),
          line: { color: styleOf(list.length > 1 ? name : field).colour, width: 2, dash: dashes[k % dashes.length] },
          xaxis: `x${n}`,
          yaxis: `y${n}`,
        });
      });
  });
  const epochs = Math.max(0, ...list.map((c) => c.progress.length));
  return new Figure(
    data,
    layout,
    `Learning curve of ${list.map((c) => c.name).join(', ')} over ${epochs} records: ${fields.join(', ')}.`,
  );
}

const isCurves = (curves: readonly unknown[]): curves is readonly Curve[] =>
  curves.length > 0 && Array.isArray((curves[0] as Curve).progress);
