// A figure: plotly traces and layout as data, with a static SVG drawn from the same data.

import { colourAt } from './colours.js';
import { type MimeBundle, plainText, Shown } from './display.js';
import { drawSvg } from './svg.js';

/** The few kinds of plotly traces our figures are made of. */
export interface Trace {
  type: 'scatter' | 'box' | 'bar' | 'heatmap';
  name?: string;
  x?: (number | string)[];
  y?: (number | string)[];
  z?: number[][];
  text?: string[];
  mode?: 'lines' | 'markers' | 'lines+markers' | 'text';
  marker?: { color?: string; symbol?: string; size?: number; opacity?: number; line?: { color?: string; width?: number } };
  line?: { color?: string; width?: number; dash?: string };
  fillcolor?: string;
  error_y?: {
    type: 'data';
    array: number[];
    arrayminus?: number[];
    symmetric?: boolean;
    color?: string;
    thickness?: number;
    width?: number;
  };
  boxpoints?: 'all' | false;
  jitter?: number;
  pointpos?: number;
  offsetgroup?: string;
  legendgroup?: string;
  showlegend?: boolean;
  xaxis?: string;
  yaxis?: string;
  hovertemplate?: string;
  hoverinfo?: string;
  colorscale?: [number, string][];
  zmin?: number;
  zmax?: number;
  showscale?: boolean;
  texttemplate?: string;
  width?: number | number[];
}

export interface Axis {
  title?: { text: string };
  type?: 'linear' | 'log' | 'category';
  range?: [number, number];
  domain?: [number, number];
  anchor?: string;
  categoryorder?: 'array';
  categoryarray?: string[];
  tickvals?: (number | string)[];
  ticktext?: string[];
  zeroline?: boolean;
  autorange?: boolean | 'reversed';
  automargin?: boolean;
}

export interface Layout {
  title?: { text: string };
  width?: number;
  height?: number;
  boxmode?: 'group';
  barmode?: 'group' | 'stack';
  showlegend?: boolean;
  shapes?: {
    type: 'line';
    xref?: string;
    yref?: string;
    x0: number;
    x1: number;
    y0: number;
    y1: number;
    line: { color: string; width?: number; dash?: string };
  }[];
  annotations?: {
    text: string;
    x: number;
    y: number;
    xref?: string;
    yref?: string;
    showarrow: false;
    xanchor?: string;
    yanchor?: string;
  }[];
  [axis: `xaxis${string}` | `yaxis${string}`]: Axis;
}

export class Figure extends Shown {
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
