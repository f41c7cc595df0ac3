// Instance scores: F1 at IoU thresholds by the rule of the NeurIPS 2022 cell segmentation challenge, and panoptic quality.
import { assign } from './assignment.js';

/** Counts and scores of instances at one IoU threshold. */
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

/** The challenge's script scores pictures of this many pixels and more in square tiles of this side. */
const large = { pixels: 25_000_000, tile: 2000 };

/**
 * `instanceF1` of a picture as the challenge's script cuts it: a large one in tiles, each with its own outer two pixels, padded with background;
 * counts are added up, and a tile without a predicted instance adds none.
 * Source: NeurIPS-CellSeg `compute_metric.py`.
 * @param cut for tests: from how many pixels on, and the side of a tile
 */
export function instanceF1OfPicture(
  reference: ArrayLike<number>,
  prediction: ArrayLike<number>,
  [height, width]: readonly number[],
  threshold = 0.5,
  cut = large,
): InstanceScore {
  if (height * width < cut.pixels) return instanceF1(reference, prediction, [height, width], { thresholds: [threshold] })[0];
  const { tile } = cut;
  const sum = { reference: 0, prediction: 0, tp: 0, fp: 0, fn: 0 };
  for (let top = 0; top < height; top += tile)
    for (let left = 0; left < width; left += tile) {
      const part = (map: ArrayLike<number>) => {
        const out = new Int32Array(tile * tile);
        for (let y = 0; y < Math.min(tile, height - top); y++)
          for (let x = 0; x < Math.min(tile, width - left); x++) out[y * tile + x] = map[(top + y) * width + left + x];
        return out;
      };
      const [found] = instanceF1(part(reference), part(prediction), [tile, tile], { thresholds: [threshold] });
      if (found.prediction === 0) continue;
      for (const key of ['reference', 'prediction', 'tp', 'fp', 'fn'] as const) sum[key] += found[key];
    }
  const { tp, fp, fn } = sum;
  return { ...sum, precision: tp / sum.prediction, recall: tp / sum.reference, f1: (2 * tp) / (2 * tp + fp + fn) };
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
