// Bootstrap intervals: percentile, basic and BCa (Efron & Tibshirani 1993), seeded or on given resamples.
import { normalCdf } from '../base/normal.js';
import { Random } from '../base/random.js';
import { quantileSorted } from './quantile.js';
import { normalQuantile } from './special.js';

/** The ends of an interval. */
export type Interval = [low: number, high: number];

/** A statistic with its standard error and three kinds of intervals. */
export interface BootstrapResult {
  estimate: number;
  standardError: number;
  percentile: Interval;
  basic: Interval;
  bca: Interval;
}

/** Indices of `count` resamples of `n` cases with replacement. */
export function resamples(n: number, count: number, random: Random): Int32Array[] {
  return Array.from({ length: count }, () => Int32Array.from({ length: n }, () => random.int(0, n)));
}

/**
 * Intervals of a statistic of `n` cases. BCa is NaN where leaving a case out changes nothing or leaves nothing: for one case, or equal ones.
 * @param statistic value for a list of case indices (a case may stand in it several times)
 * @param indices one list per resample; default 2000 drawn from seed 0
 * @param level default 0.95
 */
export function bootstrap(
  n: number,
  statistic: (indices: ArrayLike<number>) => number,
  { indices = resamples(n, 2000, new Random('bootstrap')), level = 0.95 }: { indices?: ArrayLike<number>[]; level?: number } = {},
): BootstrapResult {
  const everyone = Array.from({ length: n }, (_, i) => i);
  const estimate = statistic(everyone);
  const values = Float64Array.from(indices, statistic);
  const sorted = values.slice().sort();
  const alpha = (1 - level) / 2;
  const at = (q: number) => quantileSorted(sorted, q);
  const percentile: Interval = [at(alpha), at(1 - alpha)];
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const standardError = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));

  // BCa: bias from the share of resamples below the estimate, acceleration from the jackknife.
  let below = 0;
  for (const v of values) below += v < estimate ? 1 : v === estimate ? 0.5 : 0;
  const bias = normalQuantile(below / values.length);
  const jackknife = everyone.map((left) => statistic(everyone.filter((i) => i !== left)));
  const center = jackknife.reduce((a, b) => a + b, 0) / n;
  let [cubes, squares] = [0, 0];
  for (const v of jackknife) {
    cubes += (center - v) ** 3;
    squares += (center - v) ** 2;
  }
  // What rounding alone leaves between equal values is no spread.
  const spread = squares > n * (1e-14 * center) ** 2;
  const acceleration = cubes / (6 * squares ** 1.5);
  const shifted = (q: number) => {
    const z = bias + normalQuantile(q);
    return at(normalCdf(bias + z / (1 - acceleration * z)));
  };
  return {
    estimate,
    standardError,
    percentile,
    basic: [2 * estimate - percentile[1], 2 * estimate - percentile[0]],
    bca: spread ? [shifted(alpha), shifted(1 - alpha)] : [Number.NaN, Number.NaN],
  };
}

/** Bootstrap intervals of the mean of values. */
export const bootstrapMean = (values: readonly number[], options?: Parameters<typeof bootstrap>[2]) =>
  bootstrap(
    values.length,
    (indices) => {
      let sum = 0;
      for (let i = 0; i < indices.length; i++) sum += values[indices[i]];
      return sum / indices.length;
    },
    options,
  );
