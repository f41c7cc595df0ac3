// A figure: plotly traces and layout as data, with a static SVG drawn from the same data.

import { colourAt } from './colours.js';
import { type MimeBundle, NotebookOutput, plainText } from './display.js';
import { drawSvg } from './svg.js';
import type { Layout, Trace } from './trace.js';

export type { Axis, Layout, Trace } from './trace.js';

/** A figure: interactive where scripts may run, a still picture elsewhere. */
export class Figure extends NotebookOutput {
  readonly data: Trace[];

  constructor(
    data: Trace[],
    readonly layout: Layout,
    /** What the figure says, for readers without a picture. */
    readonly description: string,
  ) {
    super();
    this.data = data.map(withColour);
  }

  /** The same figure as a self-contained picture. */
  toSvg(): string {
    return drawSvg(this.data, this.layout, this.description);
  }

  bundle(): MimeBundle {
    return {
      'application/vnd.plotly.v1+json': {
        data: this.data,
        layout: { template: printTemplate, ...this.layout },
        config: { responsive: true, displaylogo: false },
      },
      'image/svg+xml': this.toSvg(),
      'text/plain': this.toString(),
    };
  }

  override toString(): string {
    return plainText(this.description);
  }
}

/** A trace without a colour gets that of its place, so that the page and the notebook show the same. */
function withColour(trace: Trace, place: number): Trace {
  if (trace.type === 'heatmap' || trace.marker?.color || trace.line?.color) return trace;
  return { ...trace, marker: { ...trace.marker, color: colourAt(place) } };
}

/** White paper, thin grid, dark text: as it will be printed. */
const printTemplate = {
  layout: {
    font: { family: 'Helvetica, Arial, sans-serif', size: 12, color: '#222' },
    paper_bgcolor: 'white',
    plot_bgcolor: 'white',
    xaxis: { gridcolor: '#e5e5e5', linecolor: '#444', ticks: 'outside', zerolinecolor: '#bbb' },
    yaxis: { gridcolor: '#e5e5e5', linecolor: '#444', ticks: 'outside', zerolinecolor: '#bbb' },
    margin: { l: 60, r: 20, t: 45, b: 55 },
    title: { x: 0.01, xanchor: 'left', font: { size: 15 } },
    legend: { orientation: 'h', x: 0, y: -0.27, yanchor: 'top' },
    hovermode: 'closest',
  },
};
