// Which patch of which case: foreground oversampling by position, and the patch's place (nnU-Net v2 data loader).
import { roundHalfEven } from '../../base/numpy/round.js';
import type { StoredLocations } from '../../preprocess/index.js';

/** Draws whole numbers: `Random`, or numpy's generator where a test wants nnU-Net's own sequence. */
export interface IntegerDraws {
  /** Uniform integer in [low, high). */
  int(low: number, high: number): number;
}

/** Whether sample `position` of a batch must contain foreground: the last `share` of the positions, rounded as nnU-Net does. */
export const isForced = (position: number, batchSize: number, share: number): boolean =>
  position >= roundHalfEven(batchSize * (1 - share));

/** Voxels that a class (or region) was found at: `[[z, y, x], …]` flattened; from memory or, when asked for, from disk. */
export type ClassLocations = StoredLocations;

/** Locations that are in memory. */
export const locationsOf = (map: ReadonlyMap<string, Int32Array>): ClassLocations => ({
  keys: () => map.keys(),
  count: (key) => (map.get(key)?.length ?? 0) / 3,
  get: (key) => map.get(key),
});

/** What decides where in a case a patch may lie; sizes in voxels. */
export interface PatchPlace {
  /** Shape of the preprocessed case. */
  shape: readonly number[];
  /** Size of the patch that is cut out, before augmentation. */
  patch: readonly number[];
  /** Size of the patch the network gets: the difference may lie outside the image. */
  finalPatch: readonly number[];
  forced: boolean;
  locations: ClassLocations;
  /** Key in `locations` of all annotated voxels, when the data set has an ignore label. */
  annotatedKey?: string;
}

/**
 * First voxel of the patch along each axis; may be negative or reach over the end (there the image is padded).
 * A forced patch is centred on a random voxel of a class drawn uniformly among those present.
 */
export function patchPlace(draws: IntegerDraws, place: PatchPlace): number[] {
  const { shape, patch, finalPatch } = place;
  const need = shape.map((size, i) => Math.max(patch[i] - finalPatch[i], patch[i] - size));
  const low = need.map((n) => Math.floor(-n / 2));
  const high = need.map((n, i) => shape[i] + Math.floor(n / 2) + (((n % 2) + 2) % 2) - patch[i]);
  const voxels = chosenVoxels(draws, place);
  if (!voxels) return low.map((l, i) => draws.int(l, high[i] + 1));
  const axes = shape.length;
  const at = draws.int(0, voxels.length / axes) * axes;
  return low.map((l, i) => Math.max(l, voxels[at + i] - Math.floor(patch[i] / 2)));
}

function chosenVoxels(draws: IntegerDraws, { forced, locations, annotatedKey }: PatchPlace): Int32Array | undefined {
  if (!forced) {
    if (annotatedKey === undefined || locations.count(annotatedKey) === 0) return undefined;
    return locations.get(annotatedKey);
  }
  let eligible = [...locations.keys()].filter((key) => locations.count(key) > 0);
  if (eligible.length > 1) eligible = eligible.filter((key) => key !== annotatedKey);
  return eligible.length === 0 ? undefined : locations.get(eligible[draws.int(0, eligible.length)]);
}
