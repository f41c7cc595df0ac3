// Pictures side by side on one scale of colours: slices of labels, kernels, maps of an error.
import { VoxelbookError } from '../base/errors.js';
import { plainLabel } from './display.js';
import { Figure } from './figure.js';

/** A picture: its rows from above, each a list of values; NaN is left clear. */
export type Picture = readonly (readonly number[])[];

/** How panels are drawn. */
export interface PanelsOptions {
  /** From the lowest value to the highest; default black to white. */
  colours?: readonly string[];
  /** Values of the first and of the last colour; default the least and the greatest there are. */
  range?: readonly [number, number];
  /** Edge of a value, pixels; default what makes the row about 640 wide. From 31 on, the values are written into it. */
  edge?: number;
}

/** Values between two pictures. */
const gap = 2;

/**
 * Draws pictures side by side, their names below.
 * @param pictures by name; all equally high
 * @throws VoxelbookError for pictures of different heights, or none
 */
export function panels(
  title: string,
  pictures: Readonly<Record<string, Picture>>,
  { colours = ['#000000', '#ffffff'], range, edge }: PanelsOptions = {},
): Figure {
  const [names, list] = [Object.keys(pictures), Object.values(pictures)];
  const heights = [...new Set(list.map((picture) => picture.length))];
  if (heights.length !== 1 || heights[0] === 0)
    throw new VoxelbookError('these pictures cannot stand side by side', {
      code: 'panels',
      path: 'pictures',
      given: list.length === 0 ? 'none' : `heights of ${list.map((picture) => picture.length).join(', ')}`,
      expected: 'at least one, all of the same number of rows',
      fix: 'Cut them to one height.',
    });
  const z = list[0].map((_, row) =>
    list.flatMap((picture, i) => [...(i > 0 ? Array<number>(gap).fill(Number.NaN) : []), ...picture[row]]),
  );
  const [high, wide] = [z.length, z[0].length];
  const side = edge ?? Math.max(1, Math.min(48, Math.floor(640 / wide)));
  const [zmin, zmax] = range ?? ends(z.flat());
  const bare = { type: 'category' as const, tickvals: [] as string[] };
  let at = 0;
  const annotations = list.map((picture, i) => {
    const middle = (at + picture[0].length / 2) / wide;
    at += picture[0].length + gap;
    const place = { xref: 'x domain', yref: 'y domain', xanchor: 'center', yanchor: 'top', showarrow: false } as const;
    return { text: plainLabel(names[i]), x: middle, y: 0, ...place };
  });
  return new Figure(
    [
      {
        type: 'heatmap',
        z,
        x: z[0].map((_, i) => `${i}`),
        y: z.map((_, i) => `${i}`),
        ...{ zmin, zmax, showscale: false },
        colorscale: colours.map((colour, i): [number, string] => [i / (colours.length - 1), colour]),
        texttemplate: side > 30 ? '%{z:.3f}' : undefined,
      },
    ],
    {
      title: { text: plainLabel(title) },
      width: Math.max(57 + wide * side, 8 * title.length),
      height: 92 + high * side,
      xaxis: bare,
      yaxis: { ...bare, autorange: 'reversed' },
      annotations,
    },
    `${title}: ${names.join(', ')}.`,
  );
}

/** Least and greatest value; [0, 1] where there is none. */
function ends(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}
