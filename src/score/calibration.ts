// How far predicted probabilities can be believed: reliability by bins, expected calibration error, Brier score.

/** How far probabilities can be believed; errors and Brier score from 0 (best). */
export interface Calibration {
  bins: { low: number; high: number; count: number; confidence: number; accuracy: number }[];
  /** Mean |accuracy - confidence| weighted by count (ECE). */
  expectedError: number;
  maximumError: number;
  brier: number;
}

/**
 * Calibration of one class.
 * @param probabilities predicted probability of the class, per voxel
 * @param truth 1 where the voxel is of the class
 * @param bins of equal width in [0, 1]; default 10
 */
export function calibration(probabilities: ArrayLike<number>, truth: ArrayLike<number>, bins = 10): Calibration {
  const counts = new Float64Array(bins);
  const confidence = new Float64Array(bins);
  const hits = new Float64Array(bins);
  let brier = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i];
    const t = truth[i] ? 1 : 0;
    const bin = Math.min(bins - 1, Math.max(0, Math.floor(p * bins)));
    counts[bin]++;
    confidence[bin] += p;
    hits[bin] += t;
    brier += (p - t) ** 2;
  }
  const list = Array.from({ length: bins }, (_, k) => ({
    low: k / bins,
    high: (k + 1) / bins,
    count: counts[k],
    confidence: confidence[k] / counts[k],
    accuracy: hits[k] / counts[k],
  }));
  const used = list.filter((b) => b.count > 0);
  const gap = (b: (typeof list)[number]) => Math.abs(b.accuracy - b.confidence);
  return {
    bins: list,
    expectedError: used.reduce((sum, b) => sum + (b.count / probabilities.length) * gap(b), 0),
    maximumError: used.reduce((most, b) => Math.max(most, gap(b)), 0),
    brier: brier / probabilities.length,
  };
}
