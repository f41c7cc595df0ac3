// A figure as data: plotly's traces and layout, as far as our figures need them.

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

/** An axis of a figure, in plotly's words. */
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

/** Layout of a figure, in plotly's words. */
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
