// Is a paired difference as good as none? Two one-sided t-tests (Schuirmann 1987), the one-sided test of non-inferiority, and what such
// tests can see: their power by the spread of a pilot.
import { normalCdf } from '../base/normal.js';
import { chiDensity, studentQuantile, studentTwoSided } from './special.js';

/** The outcome of two one-sided tests. */
export interface Equivalence {
  margin: number;
  /** The larger p of the two one-sided tests: small where the difference lies within ± margin. */
  p: number;
  /** One-sided p that the difference is above −margin (x is not inferior to y). */
  notInferior: number;
  /** One-sided p that it is below +margin (x is not better than y). */
  notSuperior: number;
  /** Interval of level 1 − 2·alpha, which lies within ± margin exactly where p < alpha. */
  interval: [number, number];
}

/**
 * Tests paired differences against ± margin, by Student's t; as `statsmodels.stats.weightstats.ttost_paired`.
 * @param d at least two differences, all finite
 * @param margin above 0, in the unit of the differences
 */
export function equivalence(d: readonly number[], margin: number, alpha = 0.05): Equivalence {
  const n = d.length;
  const mean = d.reduce((a, b) => a + b, 0) / n;
  const error = Math.sqrt(d.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1) / n);
  const notInferior = upperTail((mean + margin) / error, n - 1);
  const notSuperior = upperTail((margin - mean) / error, n - 1);
  const half = studentQuantile(2 * alpha, n - 1) * error;
  return {
    margin,
    p: Math.max(notInferior, notSuperior),
    notInferior,
    notSuperior,
    interval: [mean - half, mean + half],
  };
}

/** P(T > t). */
function upperTail(t: number, freedom: number): number {
  const half = studentTwoSided(t, freedom) / 2;
  return t > 0 ? half : 1 - half;
}

/** The design whose power is asked for. */
export interface PowerOf {
  /** True mean difference and standard deviation of the paired differences. */
  difference: number;
  sd: number;
  pairs: number;
  /** Of one test: two-sided for `pairedPower`, of each one-sided test for the others. Default 0.05. */
  alpha?: number;
}

/** Probability that the two-sided paired t-test finds a difference (noncentral t, both tails). */
export function pairedPower({ alpha = 0.05, ...of }: PowerOf): number {
  const t = studentQuantile(alpha, of.pairs - 1);
  return 1 - inside(of, (error) => [-t * error, t * error]);
}

/** Probability that both one-sided tests put the difference within ± margin. */
export function equivalencePower({ alpha = 0.05, margin, ...of }: PowerOf & { margin: number }): number {
  const t = studentQuantile(2 * alpha, of.pairs - 1);
  return inside(of, (error) => [t * error - margin, margin - t * error]);
}

/** Probability that the one-sided test puts the difference below +margin. */
export function notSuperiorPower({ alpha = 0.05, margin, ...of }: PowerOf & { margin: number }): number {
  const t = studentQuantile(2 * alpha, of.pairs - 1);
  return inside(of, (error) => [Number.NEGATIVE_INFINITY, margin - t * error]);
}

/** Probability that the mean of the pairs falls between two bounds that depend on its estimated standard error. */
function inside({ difference, sd, pairs }: PowerOf, bounds: (error: number) => [number, number]): number {
  const freedom = pairs - 1;
  const error = sd / Math.sqrt(pairs);
  const steps = 4000;
  // The estimated sd over the true one: chi / √freedom. Twelve of its own deviations hold all of it.
  const from = Math.max(0, 1 - 12 / Math.sqrt(2 * freedom));
  const width = (u: number) => bounds(u * error)[1] - bounds(u * error)[0];
  const most = 1 + 12 / Math.sqrt(2 * freedom);
  // Bounds are linear in the error: the integrand has its only kink where they meet, and there the integral ends.
  if (width(from) < 0) return 0;
  const to = width(most) < 0 ? from + ((most - from) * width(from)) / (width(from) - width(most)) : most;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const u = from + ((to - from) * i) / steps;
    const [low, high] = bounds(u * error);
    const share = low < high ? normalCdf((high - difference) / error) - normalCdf((low - difference) / error) : 0;
    sum += (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2) * chiDensity(u, freedom) * share;
  }
  return (sum * (to - from)) / steps / 3;
}
