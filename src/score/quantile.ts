// Quantiles with linear interpolation (numpy's default, R type 7), and numpy's summation, which decides ties at a percentile.

/**
 * Quantile `q` in [0, 1] of ascending values. Between a number and infinity it is infinite, as a median of distances with more misses than
 * finds is; NaN among the values (they sort last) makes it NaN.
 */
export function quantileSorted(sorted: ArrayLike<number>, q: number): number {
  const n = sorted.length;
  if (n === 0 || Number.isNaN(q) || Number.isNaN(sorted[n - 1])) return Number.NaN;
  const position = (n - 1) * q;
  const low = Math.floor(position);
  const t = position - low;
  const a = sorted[low];
  const b = sorted[Math.min(low + 1, n - 1)];
  if (a === b || t === 0) return a;
  if (!Number.isFinite(b - a)) return Number.isFinite(a) || Number.isFinite(b) ? a + b : Number.NaN;
  // numpy interpolates from the nearer end
  return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

/** Quantile of values in any order. */
export const quantile = (values: ArrayLike<number>, q: number) => quantileSorted(Float64Array.from(values).sort(), q);

/** Sum as numpy adds contiguous doubles: pairwise over blocks of 128 with eight accumulators. */
export function pairwiseSum(values: ArrayLike<number>, start = 0, n = values.length): number {
  if (n < 8) {
    let sum = n > 0 ? values[start] : 0;
    for (let i = 1; i < n; i++) sum += values[start + i];
    return sum;
  }
  if (n <= 128) {
    let [a, b, c, d] = [values[start], values[start + 1], values[start + 2], values[start + 3]];
    let [e, f, g, h] = [values[start + 4], values[start + 5], values[start + 6], values[start + 7]];
    let i = 8;
    for (; i + 8 <= n; i += 8) {
      a += values[start + i];
      b += values[start + i + 1];
      c += values[start + i + 2];
      d += values[start + i + 3];
      e += values[start + i + 4];
      f += values[start + i + 5];
      g += values[start + i + 6];
      h += values[start + i + 7];
    }
    let sum = a + b + (c + d) + (e + f + (g + h));
    for (; i < n; i++) sum += values[start + i];
    return sum;
  }
  let half = n >> 1;
  half -= half % 8;
  return pairwiseSum(values, start, half) + pairwiseSum(values, start + half, n - half);
}
