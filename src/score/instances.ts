// Instance scores: F1 at IoU thresholds by the rule of the NeurIPS 2022 cell segmentation challenge, and panoptic quality.
import { assign } from './assignment.js';

export interface InstanceScore {
  reference: number;
  prediction: number;
  tp: number;
  fp: number;
  fn: number;
  precision: number;
  recall: number;
  /** NaN when both maps are empty (the challenge's script says 0). */
  f1: number;
}

interface Overlaps {
  reference: number;
  prediction: number;
  iou: Float64Array[];
}

/** Instance map with ids 1 … n in ascending order of the given ids. */
export function relabel(map: ArrayLike<number>): { map: Int32Array; count: number } {
  const ids = [...new Set(Array.from(map))].filter((id) => id !== 0).sort((a, b) => a - b);
  const place = new Map(ids.map((id, i) => [id, i + 1]));
  return { map: Int32Array.from(map as ArrayLike<number>, (id) => (id === 0 ? 0 : place.get(id)!)), count: ids.length };
}

/** Instance map without the instances that touch the outer `frame` pixels. */
export function removeAtBorder(map: ArrayLike<number>, [height, width]: readonly number[], frame = 2): Int32Array {
  const touching = new Set<number>();
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (y < frame || y >= height - frame || x < frame || x >= width - frame) touching.add(map[y * width + x]);
  return Int32Array.from(map as ArrayLike<number>, (id) => (touching.has(id) ? 0 : id));
}

/** IoU of every pair of instances. */
function overlaps(reference: ArrayLike<number>, prediction: ArrayLike<number>): Overlaps {
  const r = relabel(reference);
  const p = relabel(prediction);
  const both = Array.from({ length: r.count + 1 }, () => new Float64Array(p.count + 1));
  for (let i = 0; i < r.map.length; i++) both[r.map[i]][p.map[i]]++;
  const columns = Array.from({ length: p.count + 1 }, (_, c) => both.reduce((sum, row) => sum + row[c], 0));
  const iou = both.slice(1).map((row) => {
    const size = row.reduce((a, b) => a + b, 0);
    return Float64Array.from(row.slice(1), (n, c) => n / (size + columns[c + 1] - n));
  });
  return { reference: r.count, prediction: p.count, iou };
}

/** Matches of an optimal assignment that maximises first the number of pairs at or above the threshold, then their IoU. */
function matches({ iou, reference, prediction }: Overlaps, threshold: number): number {
  const least = Math.min(reference, prediction);
  if (least === 0) return 0;
  const cost = iou.map((row) => Float64Array.from(row, (v) => -(v >= threshold ? 1 : 0) - v / (2 * least)));
  return assign(cost).filter(([r, c]) => iou[r][c] >= threshold).length;
}

/**
 * F1 of instances at IoU thresholds: instances touching the outer two pixels leave both maps, then optimal matching.
 * @param shape `[height, width]`
 * @returns one score per threshold
 */
export function instanceF1(
  reference: ArrayLike<number>,
  prediction: ArrayLike<number>,
  shape: readonly number[],
  { thresholds = [0.5], border = 'remove' }: { thresholds?: readonly number[]; border?: 'remove' | 'count' } = {},
): InstanceScore[] {
  const kept = (map: ArrayLike<number>) => (border === 'remove' ? removeAtBorder(map, shape) : map);
  const found = overlaps(kept(reference), kept(prediction));
  return thresholds.map((threshold) => {
    const tp = matches(found, threshold);
    const fp = found.prediction - tp;
    const fn = found.reference - tp;
    return {
      reference: found.reference,
      prediction: found.prediction,
      tp,
      fp,
      fn,
      precision: found.prediction === 0 ? Number.NaN : tp / found.prediction,
      recall: found.reference === 0 ? Number.NaN : tp / found.reference,
      f1: (2 * tp) / (2 * tp + fp + fn),
    };
  });
}

/** Panoptic quality of one class: pairs with IoU above 0.5 match (no two can compete). */
export function panopticQuality(reference: ArrayLike<number>, prediction: ArrayLike<number>) {
  const { iou, reference: n, prediction: m } = overlaps(reference, prediction);
  const matched = iou.flatMap((row) => [...row].filter((v) => v > 0.5));
  const tp = matched.length;
  const sum = matched.reduce((a, b) => a + b, 0);
  const [fp, fn] = [m - tp, n - tp];
  return {
    pq: sum / (tp + fp / 2 + fn / 2),
    sq: tp === 0 && n + m > 0 ? 0 : sum / tp,
    rq: tp / (tp + fp / 2 + fn / 2),
    tp,
    fp,
    fn,
  };
}
