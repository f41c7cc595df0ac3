// Draws our figures as static SVG: boxes, points, lines, bars and maps on linear, logarithmic and category axes.
import { escapeText } from './display.js';
import type { Axis, Layout, Trace } from './trace.js';

interface Scale {
  /** Data → pixels. */
  at: (value: number | string) => number;
  ticks: { at: number; text: string }[];
  categories?: string[];
  /** Pixels one category takes. */
  step: number;
}

const font = 'font-family="Helvetica, Arial, sans-serif"';

/** Deterministic: the same figure gives the same bytes. */
export function drawSvg(traces: readonly Trace[], layout: Layout, description: string): string {
  const width = layout.width ?? 720;
  const height = layout.height ?? 420;
  const legend = legendEntries(traces, layout);
  const legendLines = layoutLegend(legend, width - 80);
  const margin = {
    left: leftMargin(traces, layout),
    right: 20,
    top: (layout.title ? 34 : 14) + legendLines.length * 18,
    bottom: 58,
  };
  const plot = {
    x: margin.left,
    y: margin.top,
    width: width - margin.left - margin.right,
    height: height - margin.top - margin.bottom,
  };
  const parts: string[] = [];
  const panels = [...new Set(traces.map((t) => `${t.xaxis ?? 'x'}|${t.yaxis ?? 'y'}`))];
  for (const panel of panels) {
    const [xid, yid] = panel.split('|');
    const own = traces.filter((t) => (t.xaxis ?? 'x') === xid && (t.yaxis ?? 'y') === yid);
    const xaxis: Axis = layout[`xaxis${xid.slice(1)}`] ?? {};
    const yaxis: Axis = layout[`yaxis${yid.slice(1)}`] ?? {};
    const [dx0, dx1] = xaxis.domain ?? [0, 1];
    const [dy0, dy1] = yaxis.domain ?? [0, 1];
    const box = {
      x: plot.x + dx0 * plot.width,
      y: plot.y + (1 - dy1) * plot.height,
      width: (dx1 - dx0) * plot.width,
      height: (dy1 - dy0) * plot.height,
    };
    const xs = scaleOf(own, 'x', xaxis, box.x, box.x + box.width);
    const ys = scaleOf(own, 'y', yaxis, box.y + box.height, box.y);
    parts.push(...axes(box, xs, ys, xaxis, yaxis));
    // An inner svg clips to the panel without an id, which could collide with another figure's on the same page.
    parts.push(`<svg ${rect(box)} viewBox="${px(box.x)} ${px(box.y)} ${px(box.width)} ${px(box.height)}">`);
    const groups = [
      ...new Set(own.filter((t) => t.type === 'box' || t.type === 'bar').map((t) => t.offsetgroup ?? t.name ?? '')),
    ];
    for (const shape of layout.shapes ?? [])
      if ((shape.xref ?? 'x').split(' ')[0] === xid && (shape.yref ?? 'y').split(' ')[0] === yid)
        parts.push(guide(shape, box, xs, ys));
    for (const trace of own) parts.push(...drawTrace(trace, xs, ys, groups, layout, own));
    parts.push('</svg>');
    for (const note of layout.annotations ?? [])
      if ((note.xref ?? 'x').split(' ')[0] === xid) parts.push(annotation(note, box, xs, ys));
  }
  const title = layout.title
    ? `<text x="${width / 2}" y="20" text-anchor="middle" font-size="15" fill="#222">${escapeText(layout.title.text)}</text>`
    : '';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ${font} font-size="12">`,
    `<title>${escapeText(description)}</title>`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    title,
    ...legendLines.flatMap((line, i) => line.map((entry) => legendMark(entry, (layout.title ? 38 : 16) + i * 18))),
    ...parts,
    '</svg>',
  ].join('\n');
}

/** Room for the longest name on a category axis at the left. */
function leftMargin(traces: readonly Trace[], layout: Layout): number {
  const axis = layout.yaxis;
  if (axis?.type !== 'category') return 62;
  const names = axis.categoryarray ?? traces.flatMap((t) => (t.y ?? []).map(String));
  return 24 + Math.min(longestLabel, Math.max(0, ...names.map((n) => n.length))) * 6.2;
}
const longestLabel = 34;

const px = (x: number) => (Math.round(x * 10) / 10).toString();
const rect = (b: { x: number; y: number; width: number; height: number }) =>
  `x="${px(b.x)}" y="${px(b.y)}" width="${px(b.width)}" height="${px(b.height)}"`;
const isNumber = (v: unknown): v is number => typeof v === 'number' && Number.isFinite(v);

function scaleOf(traces: readonly Trace[], which: 'x' | 'y', axis: Axis, from: number, to: number): Scale {
  const values = traces.flatMap((t) => t[which] ?? []);
  const textual = axis.type === 'category' || values.some((v) => typeof v === 'string');
  if (textual) {
    const categories = axis.categoryarray ?? [...new Set(values.map(String))];
    const reversed = axis.autorange === 'reversed';
    const step = (to - from) / Math.max(1, categories.length);
    const place = (i: number) => from + ((reversed ? categories.length - 1 - i : i) + 0.5) * step;
    const index = new Map(categories.map((c, i) => [c, i]));
    const most = Math.abs(step) / 6.2;
    const ticks = categories.map((c, i) => ({
      at: place(i),
      text: which === 'x' ? shorten(c, Math.max(4, most)) : shorten(c, longestLabel),
    }));
    if (axis.tickvals?.length === 0) ticks.length = 0;
    return {
      at: (v) => (typeof v === 'number' ? from + (v + 0.5) * step : place(index.get(String(v)) ?? 0)),
      ticks,
      categories,
      step: Math.abs(step),
    };
  }
  const log = axis.type === 'log';
  let [low, high] = axis.range ?? extent(traces, which, values.filter(isNumber), log);
  if (!axis.range && log) [low, high] = [Math.log10(low), Math.log10(high)];
  if (high <= low) [low, high] = [low - 0.5, high + 0.5];
  if (!axis.range) {
    const margin = (high - low) * 0.05;
    [low, high] = [low - margin, high + margin];
  }
  // Bars stand on 0, which a logarithmic axis does not have: far below it.
  const place = (v: number | string) => (log ? Math.log10(Math.max(Number(v), Number.MIN_VALUE)) : Number(v));
  const at = (v: number | string) => from + ((place(v) - low) / (high - low)) * (to - from);
  const ticks = axis.tickvals
    ? axis.tickvals.map((v, i) => ({ at: at(v), text: axis.ticktext?.[i] ?? String(v) }))
    : (log ? logTicks(low, high) : linearTicks(low, high)).map((v) => ({ at: at(v), text: number(v) }));
  return { at, ticks, step: Math.abs(to - from) / 10 };
}

function extent(traces: readonly Trace[], which: 'x' | 'y', values: number[], log: boolean): [number, number] {
  const all = [...values];
  for (const t of traces) {
    if (which === 'y' && t.error_y)
      t.y?.forEach((v, i) => {
        const up = t.error_y!.array[i] ?? 0;
        if (isNumber(v)) all.push(v + up, v - (t.error_y!.arrayminus?.[i] ?? up));
      });
    if (which === 'y' && t.type === 'bar') all.push(0);
  }
  const usable = all.filter((v) => Number.isFinite(v) && (!log || v > 0));
  if (usable.length === 0) return log ? [1, 10] : [0, 1];
  return usable.reduce<[number, number]>(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
}

function linearTicks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough * 0.999)!;
  const ticks: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(k * step);
  return ticks;
}

function logTicks(low: number, high: number): number[] {
  const factors = high - low > 2.2 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++)
    for (const f of factors) {
      const v = f * 10 ** power;
      if (Math.log10(v) >= low - 1e-9 && Math.log10(v) <= high + 1e-9) ticks.push(v);
    }
  // Within one octave ordinary steps say more than 1, 2, 5.
  return ticks.length > 2 ? ticks : linearTicks(10 ** low, 10 ** high).filter((v) => v > 0);
}

function number(v: number): string {
  const size = Math.abs(v);
  if (size < 1e-12) return '0';
  if (size >= 1e9) return `${+(v / 1e9).toPrecision(3)}G`;
  if (size >= 1e6) return `${+(v / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(v / 1e3).toPrecision(3)}k`;
  return String(+v.toPrecision(3)).replace('-', '−');
}

const shorten = (text: string, most: number) =>
  text.length <= most ? text : `${[...text].slice(0, Math.max(1, Math.floor(most) - 1)).join('')}…`;

type Box = { x: number; y: number; width: number; height: number };

function axes(box: Box, xs: Scale, ys: Scale, xaxis: Axis, yaxis: Axis): string[] {
  const bottom = box.y + box.height;
  const parts: string[] = [];
  for (const t of ys.ticks) {
    parts.push(`<line x1="${px(box.x)}" x2="${px(box.x + box.width)}" y1="${px(t.at)}" y2="${px(t.at)}" stroke="#e5e5e5"/>`);
    parts.push(
      `<text x="${px(box.x - 6)}" y="${px(t.at + 4)}" text-anchor="end" font-size="11" fill="#222">${escapeText(t.text)}</text>`,
    );
  }
  const crowded = xs.ticks.length * 34 > box.width && !xs.categories;
  xs.ticks.forEach((t, i) => {
    if (!xs.categories)
      parts.push(`<line x1="${px(t.at)}" x2="${px(t.at)}" y1="${px(box.y)}" y2="${px(bottom)}" stroke="#efefef"/>`);
    if (crowded && i % 2) return;
    parts.push(
      `<text x="${px(t.at)}" y="${px(bottom + 16)}" text-anchor="middle" font-size="11" fill="#222">${escapeText(t.text)}</text>`,
    );
  });
  parts.push(`<path d="M${px(box.x)} ${px(box.y)}V${px(bottom)}H${px(box.x + box.width)}" fill="none" stroke="#444"/>`);
  if (xaxis.title)
    parts.push(
      `<text x="${px(box.x + box.width / 2)}" y="${px(bottom + 38)}" text-anchor="middle" fill="#222">${escapeText(xaxis.title.text)}</text>`,
    );
  if (yaxis.title) {
    const [x, y] = [px(box.x - 44), px(box.y + box.height / 2)];
    parts.push(
      `<text x="${x}" y="${y}" text-anchor="middle" transform="rotate(-90 ${x} ${y})" fill="#222">${escapeText(yaxis.title.text)}</text>`,
    );
  }
  return parts;
}

const dashOf = (dash?: string) => {
  const pattern = { dash: '7 4', dot: '2 3', dashdot: '7 3 2 3' }[dash ?? ''];
  return pattern ? ` stroke-dasharray="${pattern}"` : '';
};

function guide(shape: NonNullable<Layout['shapes']>[number], box: Box, xs: Scale, ys: Scale): string {
  const x = (v: number) => (shape.xref?.endsWith('domain') ? box.x + v * box.width : xs.at(v));
  const y = (v: number) => (shape.yref?.endsWith('domain') ? box.y + (1 - v) * box.height : ys.at(v));
  return `<line x1="${px(x(shape.x0))}" x2="${px(x(shape.x1))}" y1="${px(y(shape.y0))}" y2="${px(y(shape.y1))}" stroke="${escapeText(shape.line.color)}" stroke-width="${shape.line.width ?? 1}"${dashOf(shape.line.dash)}/>`;
}

function annotation(note: NonNullable<Layout['annotations']>[number], box: Box, xs: Scale, ys: Scale): string {
  const x = note.xref?.endsWith('domain') ? box.x + note.x * box.width : xs.at(note.x);
  const y = note.yref?.endsWith('domain') ? box.y + (1 - note.y) * box.height : ys.at(note.y);
  const anchor = { left: 'start', right: 'end' }[note.xanchor ?? ''] ?? 'middle';
  const lift = note.yanchor === 'bottom' ? -4 : note.yanchor === 'top' ? 12 : 4;
  return `<text x="${px(x)}" y="${px(y + lift)}" text-anchor="${anchor}" font-size="11" fill="#222">${escapeText(note.text)}</text>`;
}

function drawTrace(trace: Trace, xs: Scale, ys: Scale, groups: string[], layout: Layout, all: readonly Trace[]): string[] {
  if (trace.type === 'box') return drawBoxes(trace, xs, ys, groups);
  if (trace.type === 'bar') return drawBars(trace, xs, ys, groups, layout, all);
  if (trace.type === 'heatmap') return drawMap(trace, xs, ys);
  return drawScatter(trace, xs, ys);
}

const colourOf = (trace: Trace) => trace.marker?.color ?? trace.line?.color ?? '#0072b2';

function drawBoxes(trace: Trace, xs: Scale, ys: Scale, groups: string[]): string[] {
  const parts: string[] = [];
  const place = groups.indexOf(trace.offsetgroup ?? trace.name ?? '');
  const slot = (xs.step * 0.86) / groups.length;
  const colour = escapeText(colourOf(trace));
  const fill = escapeText(trace.fillcolor ?? 'none');
  const byCategory = new Map<number | string, number[]>();
  trace.y?.forEach((v, i) => {
    const x = trace.x?.[i] ?? '';
    if (isNumber(v)) byCategory.set(x, [...(byCategory.get(x) ?? []), v]);
  });
  for (const [category, values] of byCategory) {
    const middle = xs.at(category) + (place - (groups.length - 1) / 2) * slot;
    const sorted = values.slice().sort((a, b) => a - b);
    const q = (p: number) => {
      const k = (sorted.length - 1) * p;
      const low = Math.floor(k);
      return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (k - low);
    };
    const [q1, q2, q3] = [q(0.25), q(0.5), q(0.75)];
    const reach = 1.5 * (q3 - q1);
    const low = sorted.find((v) => v >= q1 - reach) ?? q1;
    const high = sorted.findLast((v) => v <= q3 + reach) ?? q3;
    const half = Math.min(22, slot * 0.42);
    const [left, right] = [px(middle - half), px(middle + half)];
    parts.push(
      `<path d="M${px(middle)} ${px(ys.at(low))}V${px(ys.at(q1))}M${px(middle)} ${px(ys.at(q3))}V${px(ys.at(high))}M${left} ${px(ys.at(low))}H${right}M${left} ${px(ys.at(high))}H${right}" stroke="${colour}" fill="none"/>`,
      `<rect x="${left}" y="${px(ys.at(q3))}" width="${px(2 * half)}" height="${px(Math.abs(ys.at(q1) - ys.at(q3)))}" fill="${fill}" stroke="${colour}"/>`,
      `<path d="M${left} ${px(ys.at(q2))}H${right}" stroke="${colour}" stroke-width="2"/>`,
    );
    if (trace.boxpoints === 'all')
      values.forEach((v, i) => {
        // a fixed jitter, so that a figure is the same every time
        const shift = (((i * 0.618034) % 1) - 0.5) * half * 1.5;
        parts.push(symbol(middle + shift, ys.at(v), trace.marker?.symbol, (trace.marker?.size ?? 5) / 2, colour, 0.75));
      });
  }
  return parts;
}

function drawBars(trace: Trace, xs: Scale, ys: Scale, groups: string[], layout: Layout, all: readonly Trace[]): string[] {
  const stacked = layout.barmode === 'stack';
  const place = stacked ? 0 : groups.indexOf(trace.offsetgroup ?? trace.name ?? '');
  const count = stacked ? 1 : groups.length;
  const slot = (xs.step * 0.8) / count;
  const before = stacked ? all.slice(0, all.indexOf(trace)).filter((t) => t.type === 'bar') : [];
  return (trace.y ?? []).flatMap((v, i) => {
    if (!isNumber(v)) return [];
    const x = trace.x?.[i] ?? i;
    const start = before.reduce((sum, t) => {
      const k = t.x?.indexOf(x as never) ?? -1;
      return sum + (k >= 0 && isNumber(t.y?.[k]) ? (t.y![k] as number) : 0);
    }, 0);
    const middle = xs.at(x) + (place - (count - 1) / 2) * slot;
    const [top, bottom] = [ys.at(start + v), ys.at(start)];
    return `<rect x="${px(middle - slot / 2)}" y="${px(Math.min(top, bottom))}" width="${px(slot)}" height="${px(Math.abs(top - bottom))}" fill="${escapeText(colourOf(trace))}" stroke="white" stroke-width="0.5"/>`;
  });
}

function drawMap(trace: Trace, xs: Scale, ys: Scale): string[] {
  const scale = trace.colorscale ?? [
    [0, '#ffffff'],
    [1, '#0072b2'],
  ];
  const flat = trace.z!.flat().filter(isNumber);
  const low = trace.zmin ?? Math.min(...flat);
  const high = trace.zmax ?? Math.max(...flat);
  // A table has room for numbers and gaps; a picture has neither.
  const picture = xs.step < 18;
  return trace.z!.flatMap((row, j) =>
    row.flatMap((v, i) => {
      if (!isNumber(v)) return [];
      const t = high > low ? Math.max(0, Math.min(1, (v - low) / (high - low))) : 0;
      const cell = {
        x: xs.at(trace.x?.[i] ?? i) - xs.step / 2,
        y: ys.at(trace.y?.[j] ?? j) - ys.step / 2,
        width: xs.step,
        height: ys.step,
      };
      const colour = mix(scale, t);
      if (picture) return [`<rect ${rect(cell)} fill="${colour}" stroke="${colour}"/>`];
      const dark = brightness(colour) < 140;
      return [
        `<rect ${rect(cell)} fill="${colour}" stroke="white"/>`,
        `<text x="${px(cell.x + cell.width / 2)}" y="${px(cell.y + cell.height / 2 + 4)}" text-anchor="middle" font-size="11" fill="${dark ? 'white' : '#222'}">${escapeText(number(v))}</text>`,
      ];
    }),
  );
}

function mix(scale: [number, string][], t: number): string {
  const k = Math.max(
    1,
    scale.findIndex(([at]) => at >= t),
  );
  const [[t0, a], [t1, b]] = [scale[k - 1], scale[k]];
  const u = t1 > t0 ? (t - t0) / (t1 - t0) : 0;
  const channel = (i: number) => {
    const [p, q] = [a, b].map((c) => Number.parseInt(c.slice(i, i + 2), 16));
    return Math.round(p + (q - p) * u);
  };
  return `rgb(${channel(1)},${channel(3)},${channel(5)})`;
}

/** How bright `rgb(…)` looks, 0 to 255. */
function brightness(colour: string): number {
  const [r, g, b] = colour.match(/\d+/g)!.map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b;
}

function drawScatter(trace: Trace, xs: Scale, ys: Scale): string[] {
  const colour = escapeText(colourOf(trace));
  const mode = trace.mode ?? 'markers';
  const points = (trace.x ?? [])
    .map((x, i) => ({ x, y: trace.y?.[i], i }))
    .filter((p) => isNumber(p.y) || typeof p.y === 'string');
  const parts: string[] = [];
  if (mode.includes('lines')) {
    const path = points.map((p, k) => `${k === 0 ? 'M' : 'L'}${px(xs.at(p.x))} ${px(ys.at(p.y!))}`).join('');
    if (path)
      parts.push(
        `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${trace.line?.width ?? 2}"${dashOf(trace.line?.dash)}/>`,
      );
  }
  if (trace.error_y)
    for (const p of points) {
      const up = trace.error_y.array[p.i];
      const down = trace.error_y.arrayminus?.[p.i] ?? up;
      if (!isNumber(up)) continue;
      const x = xs.at(p.x);
      const [top, bottom] = [ys.at(Number(p.y) + up), ys.at(Number(p.y) - down)];
      parts.push(
        `<path d="M${px(x)} ${px(top)}V${px(bottom)}M${px(x - 4)} ${px(top)}H${px(x + 4)}M${px(x - 4)} ${px(bottom)}H${px(x + 4)}" stroke="${colour}" fill="none"/>`,
      );
    }
  if (mode.includes('markers'))
    for (const p of points)
      parts.push(
        symbol(
          xs.at(p.x),
          ys.at(p.y!),
          trace.marker?.symbol,
          (trace.marker?.size ?? 7) / 2,
          colour,
          trace.marker?.opacity ?? 0.9,
        ),
      );
  if (mode.includes('text'))
    for (const p of points)
      parts.push(
        `<text x="${px(xs.at(p.x))}" y="${px(ys.at(p.y!) - 9)}" text-anchor="middle" font-size="11" fill="#222">${escapeText(trace.text?.[p.i] ?? '')}</text>`,
      );
  return parts;
}

function symbol(x: number, y: number, kind: string | undefined, r: number, colour: string, opacity: number): string {
  const style = `fill="${colour}" fill-opacity="${opacity}"`;
  const star = (n: number, inner: number, turn = -90) =>
    Array.from({ length: n * 2 }, (_, i) => {
      const a = ((turn + (i * 180) / n) * Math.PI) / 180;
      const radius = i % 2 ? inner * r : 1.25 * r;
      return `${i ? 'L' : 'M'}${px(x + radius * Math.cos(a))} ${px(y + radius * Math.sin(a))}`;
    }).join('');
  const paths: Record<string, string> = {
    square: `M${px(x - r * 0.9)} ${px(y - r * 0.9)}h${px(r * 1.8)}v${px(r * 1.8)}h${px(-r * 1.8)}z`,
    diamond: `M${px(x)} ${px(y - r * 1.2)}L${px(x + r * 1.2)} ${px(y)}L${px(x)} ${px(y + r * 1.2)}L${px(x - r * 1.2)} ${px(y)}z`,
    'triangle-up': `M${px(x)} ${px(y - r * 1.2)}L${px(x + r * 1.1)} ${px(y + r * 0.8)}H${px(x - r * 1.1)}z`,
    'triangle-down': `M${px(x)} ${px(y + r * 1.2)}L${px(x + r * 1.1)} ${px(y - r * 0.8)}H${px(x - r * 1.1)}z`,
    cross: `${star(4, 0.45)}z`,
    x: `${star(4, 0.45, -45)}z`,
    star: `${star(5, 0.5)}z`,
  };
  return paths[kind ?? '']
    ? `<path d="${paths[kind!]}" ${style}/>`
    : `<circle cx="${px(x)}" cy="${px(y)}" r="${px(r)}" ${style}/>`;
}

interface LegendEntry {
  name: string;
  trace: Trace;
  x: number;
}

function legendEntries(traces: readonly Trace[], layout: Layout): LegendEntry[] {
  if (layout.showlegend === false) return [];
  const seen = new Set<string>();
  return traces
    .filter((t) => t.name && t.showlegend !== false && t.type !== 'heatmap' && !seen.has(t.name) && seen.add(t.name))
    .map((trace) => ({ name: trace.name!, trace, x: 0 }));
}

function layoutLegend(entries: LegendEntry[], width: number): LegendEntry[][] {
  const lines: LegendEntry[][] = [];
  let x = width;
  for (const entry of entries) {
    const wide = 30 + Math.min(entry.name.length, 40) * 6.6;
    if (x + wide > width) {
      lines.push([]);
      x = 0;
    }
    lines.at(-1)!.push({ ...entry, x: 62 + x });
    x += wide;
  }
  return lines;
}

function legendMark({ name, trace, x }: LegendEntry, y: number): string {
  const colour = escapeText(colourOf(trace));
  const line = trace.mode?.includes('lines')
    ? `<path d="M${px(x)} ${y - 4}h18" stroke="${colour}" stroke-width="2"${dashOf(trace.line?.dash)}/>`
    : '';
  const mark =
    trace.type === 'bar'
      ? `<rect x="${px(x + 3)}" y="${y - 10}" width="12" height="12" fill="${colour}"/>`
      : trace.type === 'box' || trace.mode?.includes('markers') || !line
        ? symbol(x + 9, y - 4, trace.marker?.symbol, 4.5, colour, 1)
        : '';
  return `${line}${mark}<text x="${px(x + 22)}" y="${y}" fill="#222">${escapeText(shorten(name, 40))}</text>`;
}
