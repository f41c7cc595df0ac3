// Real voxels with published labels, cut into disjoint blocks of one hemisphere: folds measure generalisation to another place
// in ONE average brain, not to another patient. Human (ICBM 152, 1 mm) and macaque (INIA19, 0.5 mm).
import type { Volume } from '../volume/volume.js';
import { icbmHemisphere, macaqueHemisphere } from './anatomy.js';

export interface Block {
  /** uint8 T1. */
  image: Uint8Array;
  /** 0 background, 1 CSF, 2 grey matter, 3 white matter. */
  label: Uint8Array;
  shape: [number, number, number];
}

/**
 * ICBM blocks: the most probable of CSF, GM, WM, where CSF is what is left of the brain.
 * @param size of a block, in voxels
 */
export function icbmBlocks(size: Block['shape'] = [52, 46, 37]): Block[] {
  const [t1, gm, wm] = (['t1', 'gm', 'wm'] as const).map(icbmHemisphere);
  const label = Uint8Array.from(t1.data, (v, i) => {
    if (v === 0) return 0;
    const csf = 255 - gm.data[i] - wm.data[i];
    return csf > gm.data[i] && csf > wm.data[i] ? 1 : gm.data[i] >= wm.data[i] ? 2 : 3;
  });
  return blocks(t1, label, size);
}

/**
 * INIA19 blocks: parcels grouped into tissues by their mean T1 (the package has no table of names), on the scale of the embedded
 * file; voxels without a parcel are background.
 */
export function macaqueBlocks(): Block[] {
  const t1 = macaqueHemisphere('t1');
  const parcels = macaqueHemisphere('parcels').data;
  const sum = new Map<number, [number, number]>();
  for (let i = 0; i < parcels.length; i++) {
    const s = sum.get(parcels[i]) ?? [0, 0];
    sum.set(parcels[i], [s[0] + t1.data[i], s[1] + 1]);
  }
  const tissue = new Map([...sum].map(([id, [total, n]]) => [id, total / n < csfBelow ? 1 : total / n < whiteFrom ? 2 : 3]));
  const label = Uint8Array.from(parcels, (id) => (id === 0 ? 0 : tissue.get(id)!));
  return blocks(t1, label, [38, 38, 30]);
}

/** Mean T1 of a parcel on the embedded 0–255 scale; the parcels' means have gaps there. */
const csfBelow = 41;
const whiteFrom = 67;

/** Disjoint blocks on a grid over the volume, those that are at least a quarter brain. */
function blocks(t1: Volume, label: Uint8Array, size: [number, number, number]): Block[] {
  const out: Block[] = [];
  const start = t1.shape.map((n, a) => Math.floor((n % size[a]) / 2));
  for (let z = start[0]; z + size[0] <= t1.shape[0]; z += size[0])
    for (let y = start[1]; y + size[1] <= t1.shape[1]; y += size[1])
      for (let x = start[2]; x + size[2] <= t1.shape[2]; x += size[2]) {
        const cut = (source: ArrayLike<number>) => {
          const part = new Uint8Array(size[0] * size[1] * size[2]);
          let k = 0;
          for (let i = 0; i < size[0]; i++)
            for (let j = 0; j < size[1]; j++)
              for (let l = 0; l < size[2]; l++) part[k++] = source[((z + i) * t1.shape[1] + y + j) * t1.shape[2] + x + l];
          return part;
        };
        const block = { image: cut(t1.data), label: cut(label), shape: size };
        if (block.label.filter((v) => v > 0).length >= block.label.length / 4) out.push(block);
      }
  return out;
}
