// Where each class is: random foreground voxels remembered for oversampling (nnU-Net v2 `_sample_foreground_locations`).
import { NumpyRandom } from '../base/numpy/mt19937.js';
import type { LabelOrRegion, Labels } from '../dataset/index.js';

const most = 10000;
const smallestShare = 0.01;

/** Name of a class or region in files and maps: `3`, `1_2_3`. */
export const locationKey = (entry: LabelOrRegion) => [entry].flat().join('_');

/** Key of all annotated voxels of a data set with an ignore label; undefined without one. */
export const annotatedKey = ({ ignoreLabel, all }: Labels) => (ignoreLabel === null ? undefined : locationKey([-1, ...all]));

/** Classes or regions whose locations are kept, in nnU-Net's order. */
export function locationEntries({ regions, foreground, ignoreLabel, all }: Labels): LabelOrRegion[] {
  const entries: LabelOrRegion[] = regions ?? foreground;
  return ignoreLabel === null ? entries : [...entries, [-1, ...all]];
}

/**
 * Draws up to 10 000 voxels (at least 1 %) of every class or region.
 * @param seg `[depth, height, width]`
 * @returns by `locationKey`: (z, y, x) triples in drawn order; empty for what is not there
 */
export function classLocations(
  seg: Int16Array,
  [, height, width]: readonly number[],
  entries: readonly LabelOrRegion[],
): Map<string, Int32Array> {
  const voxels = voxelsByLabel(seg, new Set(entries.flat()));
  const random = new NumpyRandom(1234);
  const found = new Map<string, Int32Array>();
  for (const entry of entries) {
    const parts = [entry].flat().map((label) => voxels.get(label) ?? new Int32Array(0));
    const n = parts.reduce((sum, part) => sum + part.length, 0);
    if (n === 0) {
      found.set(locationKey(entry), new Int32Array(0));
      continue;
    }
    const k = Math.max(Math.min(most, n), Math.ceil(n * smallestShare));
    const chosen = random.permutation(n).subarray(0, k);
    const places = new Int32Array(3 * k);
    chosen.forEach((index, i) => {
      let part = 0;
      let at = index;
      while (at >= parts[part].length) at -= parts[part++].length;
      const voxel = parts[part][at];
      places[3 * i] = Math.floor(voxel / (height * width));
      places[3 * i + 1] = Math.floor(voxel / width) % height;
      places[3 * i + 2] = voxel % width;
    });
    found.set(locationKey(entry), places);
  }
  return found;
}

/** Index of every voxel of the wanted labels, ascending. */
function voxelsByLabel(seg: Int16Array, wanted: Set<number>): Map<number, Int32Array> {
  const counts = new Uint32Array(65536);
  for (let i = 0; i < seg.length; i++) counts[seg[i] + 32768]++;
  const lists: (Int32Array | undefined)[] = new Array(65536);
  const out = new Map<number, Int32Array>();
  for (const label of wanted) {
    const list = new Int32Array(counts[label + 32768]);
    lists[label + 32768] = list;
    out.set(label, list);
  }
  counts.fill(0);
  for (let i = 0; i < seg.length; i++) {
    const slot = seg[i] + 32768;
    const list = lists[slot];
    if (list) list[counts[slot]++] = i;
  }
  return out;
}
