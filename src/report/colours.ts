// One colour and one marker per model, the same in every figure; distinguishable without colour vision and in print.

/** Okabe and Ito's palette without yellow (too pale on paper), darkest pairs apart. */
const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#5b3a8c', '#7a7a7a'];
const symbols = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'x', 'triangle-down', 'star'] as const;

/** The colour of the n-th thing without a name. */
export const colourAt = (place: number) => palette[place % palette.length];

export interface Style {
  colour: string;
  symbol: (typeof symbols)[number];
  dash: 'solid' | 'dash' | 'dot' | 'dashdot';
}
const dashes = ['solid', 'dash', 'dot', 'dashdot'] as const;

// A session's figures agree because a name keeps the place it first got.
const places = new Map<string, number>();

/** Colour, marker and dash of a model's name. */
export function styleOf(name: string): Style {
  if (!places.has(name)) places.set(name, places.size);
  const place = places.get(name)!;
  return {
    colour: colourAt(place),
    symbol: symbols[(place + Math.floor(place / palette.length)) % symbols.length],
    dash: dashes[Math.floor(place / palette.length) % dashes.length],
  };
}

/** Forgets which name has which colour (for tests and for a fresh report). */
export const resetColours = () => places.clear();

/** A colour with opacity. */
export function faded(colour: string, opacity: number): string {
  const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${opacity})`;
}
