// Names, colours and volumes of what a bundle segments.
import type { Bundle } from '../bundle.js';

/** A label or region as the page shows it. */
export interface Entry {
  name: string;
  /** Labels it stands for. */
  labels: number[];
  /** The label in whose place its name and colour are shown. */
  shown: number;
  colour: string;
}

/** What is no background, in the order of the outputs. */
export function entriesOf({ labels, regionsClassOrder }: Bundle): Entry[] {
  const foreground = labels.filter(({ colour }) => colour !== undefined);
  return foreground.map(({ name, label, colour }, i) => {
    const own = [label].flat() as number[];
    return { name, labels: own, shown: regionsClassOrder?.[i] ?? own[0], colour: colour! };
  });
}

/** Volume of an entry in ml, from the voxels of each label. */
export function millilitres({ labels }: Entry, counts: readonly (readonly [number, number])[], voxelMm3: number): number {
  const voxels = counts.reduce((sum, [label, n]) => sum + (labels.includes(label) ? n : 0), 0);
  return (voxels * voxelMm3) / 1000;
}

/** The colours as niivue's map of labels takes them. */
export function colourMap(entries: readonly Entry[]) {
  const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: ['background'] };
  for (const { name, shown, colour } of [...entries].sort((a, b) => a.shown - b.shown)) {
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
    map.R.push(r);
    map.G.push(g);
    map.B.push(b);
    map.A.push(255);
    map.I.push(shown);
    map.labels.push(name);
  }
  return map;
}
