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
