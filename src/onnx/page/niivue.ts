// What every niivue of ours has in common: a bundle's page, and the live view of a notebook.
import { MULTIPLANAR_TYPE, Niivue, SHOW_RENDER } from '@niivue/niivue';

/** Three planes and a 3-D picture, as a radiologist reads them. */
export const newViewer = (): Niivue =>
  new Niivue({
    dragAndDropEnabled: false,
    isRadiologicalConvention: true,
    multiplanarLayout: MULTIPLANAR_TYPE.GRID,
    multiplanarShowRender: SHOW_RENDER.ALWAYS,
    crosshairWidth: 0.3,
    crosshairWidthUnit: 'percent',
    logLevel: 'error',
  });

/** Colours (`#rrggbb`) as niivue's map of labels takes them, in the order given; labels that are off are clear. */
export function colourMap(
  background: string,
  entries: readonly { label: number; name: string; colour: string }[],
  off: ReadonlySet<number> = new Set(),
) {
  const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [background] };
  for (const { label, name, colour } of entries) {
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
    map.R.push(r);
    map.G.push(g);
    map.B.push(b);
    map.A.push(off.has(label) ? 0 : 255);
    map.I.push(label);
    map.labels.push(name);
  }
  return map;
}
