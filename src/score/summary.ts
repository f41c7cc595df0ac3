// Summaries of a list of scores: location, spread, quantiles, interval of the mean.
import { quantileSorted } from './quantile.js';
import { studentQuantile } from './special.js';

/** A list of scores in a few numbers. */
export interface Summary {
  n: number;
  /** Values that were not a number and are left out of everything else. */
  undefined: number;
  mean: number;
  /** Standard deviation with n - 1. */
  sd: number;
  /** Standard deviation with n. */
  sdPopulation: number;
  standardError: number;
  median: number;
  min: number;
  max: number;
  iqr: number;
  /** Median absolute deviation from the median. */
  mad: number;
  /** Undefined for fewer than three values. */
  skewness: number;
  /** 95 % interval of the mean by Student's t; NaN where all values are equal. */
  tInterval: [number, number];
  box: { q1: number; q3: number; whiskerLow: number; whiskerHigh: number; outliers: number[] };
}

/** Summary of values; NaN is counted and left out. */
export function summarise(values: ArrayLike<number>): Summary {
  const sorted = Float64Array.from(Array.from(values).filter((v) => !Number.isNaN(v))).sort();
  const n = sorted.length;
  const at = (q: number) => quantileSorted(sorted, q);
  // Equal infinities differ by nothing: a miss is as far from a miss as 0.
  const minus = (a: number, b: number) => (a === b ? 0 : a - b);
  const constant = n > 0 && sorted[0] === sorted[n - 1];
  const mean = constant ? sorted[0] : sorted.reduce((a, b) => a + b, 0) / n;
  const moment = (k: number) => sorted.reduce((sum, v) => sum + minus(v, mean) ** k, 0) / n;
  const second = moment(2);
  const sd = Math.sqrt((second * n) / (n - 1));
  const standardError = sd / Math.sqrt(n);
  const half = n > 1 && !constant ? studentQuantile(0.05, n - 1) * standardError : Number.NaN;
  const [q1, median, q3] = [at(0.25), at(0.5), at(0.75)];
  const reach = 1.5 * minus(q3, q1);
  const inside = sorted.filter((v) => v >= q1 - reach && v <= q3 + reach);
  return {
    n,
    undefined: values.length - n,
    mean,
    sd: n > 1 ? sd : Number.NaN,
    sdPopulation: n > 0 ? Math.sqrt(second) : Number.NaN,
    standardError: n > 1 ? standardError : Number.NaN,
    median,
    min: n > 0 ? sorted[0] : Number.NaN,
    max: n > 0 ? sorted[n - 1] : Number.NaN,
    iqr: minus(q3, q1),
    mad: quantileSorted(sorted.map((v) => Math.abs(minus(v, median))).sort(), 0.5),
    skewness: n > 2 ? moment(3) / second ** 1.5 : Number.NaN,
    tInterval: [mean - half, mean + half],
    box: {
      q1,
      q3,
      whiskerLow: inside.length > 0 ? inside[0] : Number.NaN,
      whiskerHigh: inside.length > 0 ? inside[inside.length - 1] : Number.NaN,
      outliers: [...sorted.filter((v) => v < q1 - reach || v > q3 + reach)],
    },
  };
}
