// The colour of a label, the same in every picture, viewer and exported bundle.

/** 8-bit red, green, blue. */
export type Colour = readonly [number, number, number];

/** Okabe and Ito's palette, bright on grey. */
const palette: readonly Colour[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [204, 121, 167],
  [213, 94, 0],
  [0, 114, 178],
];

/** As many colours as are told apart at all; labels above begin again. */
const most = 256;
const steps = [0, 51, 102, 153, 204, 255];

let known: Colour[] | undefined;

/** The colour of label 1, 2, …: the palette's, then always the one farthest from all before it. White, grey and black are the image's. */
export function colourOfLabel(label: number): Colour {
  known ??= farthest();
  return known[(label - 1) % known.length];
}

function farthest(): Colour[] {
  const free = steps
    .flatMap((r) => steps.flatMap((g) => steps.map((b): [number, number, number] => [r, g, b])))
    .filter((c) => Math.max(...c) - Math.min(...c) > 70 && Math.max(...c) > 120)
    .map((colour) => ({ colour, distance: Number.POSITIVE_INFINITY }));
  const chosen: Colour[] = [];
  const take = (next: Colour) => {
    chosen.push(next);
    for (const f of free) f.distance = Math.min(f.distance, Math.hypot(...f.colour.map((v, i) => v - next[i])));
  };
  for (const colour of palette) take(colour);
  while (chosen.length < most) {
    const best = free.reduce((a, b) => (b.distance > a.distance ? b : a));
    if (best.distance === 0) break;
    take(best.colour);
  }
  return chosen;
}

/** `#rrggbb`. */
export const hex = (colour: Colour): string => `#${colour.map((c) => c.toString(16).padStart(2, '0')).join('')}`;
