// Surface metrics of a pair of masks: distances both ways once, any metric from them.
import type { MaskPair } from './masks.js';
import { boundary, nearestDistances, surfels } from './points.js';
import { pairwiseSum, quantileSorted } from './quantile.js';

/** Distances (mm) of reference points to the predicted surface and the other way round, with the points' areas. */
export interface Surfaces {
  /** Reference → prediction. */
  reference: Float64Array;
  /** Prediction → reference. */
  prediction: Float64Array;
  /** Areas in mm² (lengths in mm for a picture); absent for boundary voxels. */
  referenceArea?: Float64Array;
  predictionArea?: Float64Array;
}

/** Surface elements on the corners of the voxel grid, as DeepMind's surface-distance. */
export function surfelDistances(pair: MaskPair, spacingMm: readonly number[]): Surfaces {
  const [r, p] = surfels(pair, spacingMm);
  return {
    reference: nearestDistances(r, p, spacingMm),
    prediction: nearestDistances(p, r, spacingMm),
    referenceArea: r.weight,
    predictionArea: p.weight,
  };
}

/** Boundary voxels, as MONAI, medpy and Metrics Reloaded. */
export function boundaryDistances(pair: MaskPair, spacingMm: readonly number[]): Surfaces {
  const [r, p] = boundary(pair);
  return { reference: nearestDistances(r, p, spacingMm), prediction: nearestDistances(p, r, spacingMm) };
}

const within = (distances: Float64Array, tolerance: number, area?: Float64Array) => {
  let sum = 0;
  for (let i = 0; i < distances.length; i++) if (distances[i] <= tolerance) sum += area ? area[i] : 1;
  return sum;
};
// Added in the same order as the part, so that a share is never above 1.
const total = (distances: Float64Array, area?: Float64Array) => within(distances, Number.POSITIVE_INFINITY, area);

/** Share of both surfaces that lies within `toleranceMm` of the other one: by area where the points have one, else by count. */
export function nsd(s: Surfaces, toleranceMm: number): number {
  return (
    (within(s.reference, toleranceMm, s.referenceArea) + within(s.prediction, toleranceMm, s.predictionArea)) /
    (total(s.reference, s.referenceArea) + total(s.prediction, s.predictionArea))
  );
}

/** Share of the reference surface and of the predicted surface within tolerance. */
export function overlaps(s: Surfaces, toleranceMm: number): { reference: number; prediction: number } {
  return {
    reference: within(s.reference, toleranceMm, s.referenceArea) / total(s.reference, s.referenceArea),
    prediction: within(s.prediction, toleranceMm, s.predictionArea) / total(s.prediction, s.predictionArea),
  };
}

/** nnU-Net 1's surface Dice: the mean of the two directed fractions of boundary voxels, 1e-8 added to their number. */
export function directedMeanNsd(s: Surfaces, toleranceMm: number): number {
  const fraction = (d: Float64Array) => within(d, toleranceMm) / d.length;
  return (fraction(s.reference) + fraction(s.prediction)) / (2 + 1e-8);
}

/** Larger of the two directed percentiles with linear interpolation (Metrics Reloaded, MONAI). `percent` 100 is the Hausdorff distance. */
export function hausdorff(s: Surfaces, percent: number): number {
  return Math.max(percentile(s.reference, percent), percentile(s.prediction, percent));
}

/** Percentile of the distances of both directions together (medpy). */
export function hausdorffPooled(s: Surfaces, percent: number): number {
  const all = new Float64Array(s.reference.length + s.prediction.length);
  all.set(s.reference);
  all.set(s.prediction, s.reference.length);
  return percentile(all, percent);
}

function percentile(distances: Float64Array, percent: number): number {
  if (percent === 100) return distances.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return quantileSorted(distances.slice().sort(), percent / 100);
}

/** First distance at which the cumulated area reaches `percent`, larger of the two directions (DeepMind's robust Hausdorff distance). */
export function hausdorffByArea(s: Surfaces, percent: number): number {
  return Math.max(
    percentileByArea(s.reference, s.referenceArea!, percent),
    percentileByArea(s.prediction, s.predictionArea!, percent),
  );
}

function percentileByArea(distances: Float64Array, areas: Float64Array, percent: number): number {
  const n = distances.length;
  if (n === 0) return Number.POSITIVE_INFINITY;
  const { ids, values } = rankOf(distances);
  const kinds = rankOf(areas);
  // Points that agree in distance and area are counted, not sorted: a surface has few different ones.
  const counts = new Int32Array(values.length * kinds.values.length);
  for (let i = 0; i < n; i++) counts[ids[i] * kinds.values.length + kinds.ids[i]]++;
  const sorted = new Float64Array(n);
  for (let cell = 0, i = 0; cell < counts.length; cell++) {
    const area = kinds.values[cell % kinds.values.length];
    for (let k = counts[cell]; k > 0; k--) sorted[i++] = area;
  }
  const whole = pairwiseSum(sorted);
  let running = 0;
  let last = 0;
  for (let distance = 0, i = 0; distance < values.length; distance++) {
    let here = 0;
    for (let kind = 0; kind < kinds.values.length; kind++) here += counts[distance * kinds.values.length + kind];
    if (here > 0) last = values[distance];
    for (let k = 0; k < here; k++, i++) {
      running += sorted[i];
      if (running / whole >= percent / 100) return values[distance];
    }
  }
  return last;
}

/** Different values ascending, and the rank of each element among them. */
function rankOf(data: Float64Array): { ids: Int32Array; values: number[] } {
  const rank = new Map<number, number>();
  const ids = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    let id = rank.get(data[i]);
    if (id === undefined) {
      id = rank.size;
      rank.set(data[i], id);
    }
    ids[i] = id;
  }
  const values = [...rank.keys()].sort((a, b) => a - b);
  const place = new Int32Array(values.length);
  values.forEach((v, i) => {
    place[rank.get(v)!] = i;
  });
  for (let i = 0; i < ids.length; i++) ids[i] = place[ids[i]];
  return { ids, values };
}

/** Mean of all boundary distances (ASSD). */
export function assd(s: Surfaces): number {
  return (sum(s.reference) + sum(s.prediction)) / (s.reference.length + s.prediction.length);
}

/** Mean of the two directed mean distances (MASD). */
export function masd(s: Surfaces): number {
  return (sum(s.reference) / s.reference.length + sum(s.prediction) / s.prediction.length) / 2;
}

/** Area-weighted mean distance, reference → prediction and back (DeepMind). */
export function averageByArea(s: Surfaces): { reference: number; prediction: number } {
  const mean = (d: Float64Array, area: Float64Array) => {
    let weighted = 0;
    for (let i = 0; i < d.length; i++) weighted += d[i] * area[i];
    return weighted / pairwiseSum(area);
  };
  return { reference: mean(s.reference, s.referenceArea!), prediction: mean(s.prediction, s.predictionArea!) };
}

const sum = (data: Float64Array) => data.reduce((a, b) => a + b, 0);
