// Bland-Altman plot of volumes: difference against mean, with bias and limits of agreement.
import { VoxelbookError } from '../base/errors.js';
import { blandAltman as agreement } from '../score/effect.js';
import { classNames, type Variant } from './aggregate.js';
import { styleOf } from './colours.js';
import { plainLabel } from './display.js';
import { Figure, type Layout, type Trace } from './figure.js';

/** What a Bland-Altman plot compares. */
export interface BlandAltmanOptions {
  title?: string;
  /** Class whose volume is compared; default the first. */
  class?: string;
}

/** Predicted against reference volume (ml) of each case and variant; scores must hold `volumeReferenceMm3` and `volumePredictionMm3`. */
export function blandAltman(rows: readonly Variant[], options: BlandAltmanOptions = {}): Figure {
  const name = options.class ?? classNames(rows)[0];
  const data: Trace[] = [];
  const layout: Layout = {
    title: { text: plainLabel(options.title ?? `Volume of ${name}`) },
    height: 400,
    xaxis: { title: { text: 'mean of reference and prediction (ml)' } },
    yaxis: { title: { text: 'prediction − reference (ml)' } },
    shapes: [{ type: 'line', xref: 'x domain', x0: 0, x1: 1, y0: 0, y1: 0, line: { color: '#888888' } }],
    annotations: [],
  };
  const texts: string[] = [];
  for (const row of rows) {
    const points = row.scores
      .flatMap((run) => run.cases)
      .flatMap(({ id, classes }) => {
        const [r, p] = [classes[name]?.volumeReferenceMm3, classes[name]?.volumePredictionMm3];
        return typeof r === 'number' && typeof p === 'number' ? [{ id, r: r / 1000, p: p / 1000 }] : [];
      });
    if (points.length === 0) continue;
    const { colour, symbol } = styleOf(row.name);
    data.push({
      type: 'scatter',
      mode: 'markers',
      name: plainLabel(row.name),
      x: points.map((q) => Number(((q.r + q.p) / 2).toPrecision(6))),
      y: points.map((q) => Number((q.p - q.r).toPrecision(6))),
      text: points.map((q) => plainLabel(q.id)),
      hovertemplate: '%{text}: %{y:.2f} ml',
      marker: { color: colour, symbol, size: 7, opacity: 0.8 },
    });
    if (points.length < 3) continue;
    const a = agreement(
      points.map((q) => q.p),
      points.map((q) => q.r),
    );
    for (const [value, dash] of [
      [a.bias, 'solid'],
      [a.limits[0], 'dash'],
      [a.limits[1], 'dash'],
    ] as const)
      layout.shapes!.push({
        type: 'line',
        xref: 'x domain',
        x0: 0,
        x1: 1,
        y0: value,
        y1: value,
        line: { color: colour, width: 1.5, dash },
      });
    texts.push(`${row.name}: bias ${a.bias.toFixed(2)} ml, limits ${a.limits[0].toFixed(2)} to ${a.limits[1].toFixed(2)} ml`);
  }
  if (data.length === 0)
    throw new VoxelbookError('no volumes to draw', {
      code: 'no-volumes',
      path: 'scores',
      given: `no volumes of ${name}`,
      expected: 'volumeReferenceMm3 and volumePredictionMm3 in the scores',
      fix: "Score with metrics: [..., 'volumeReferenceMm3', 'volumePredictionMm3'].",
    });
  return new Figure(
    data,
    layout,
    `Bland-Altman plot of the volume of ${name}. ${texts.join('; ')}. Dashed: bias ± 1.96 standard deviations.`,
  );
}
