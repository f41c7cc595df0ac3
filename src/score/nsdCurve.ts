// NSD over a range of tolerances, from one pair of distance lists.
import type { LabelMap } from '../volume/volume.js';
import { cutMasks } from './masks.js';
import { nsd, surfelDistances } from './surface.js';

/**
 * NSD (area-weighted) of one class at each tolerance; NaN where both masks are empty, 0 where one is.
 * @param labels of the class or region
 * @param tolerancesMm default 0 to 10 mm in steps of 0.5
 */
export function nsdCurve(
  reference: LabelMap,
  prediction: LabelMap,
  labels: readonly number[],
  tolerancesMm: readonly number[] = Array.from({ length: 21 }, (_, i) => i / 2),
): { tolerancesMm: number[]; nsd: number[] } {
  const inside = (map: LabelMap) => Uint8Array.from(map.data, (v) => (labels.includes(v) ? 1 : 0));
  const planar = reference.shape[0] === 1;
  const spacing = planar ? [1, ...reference.spacingMm.slice(1)] : reference.spacingMm;
  const pair = cutMasks(inside(reference), inside(prediction), reference.shape, planar);
  if (!pair) return { tolerancesMm: [...tolerancesMm], nsd: tolerancesMm.map(() => Number.NaN) };
  const surfaces = surfelDistances(pair, spacing);
  return { tolerancesMm: [...tolerancesMm], nsd: tolerancesMm.map((t) => nsd(surfaces, t)) };
}
