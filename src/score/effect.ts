// How large a paired difference is, how two measurements agree, and how two lists are correlated.
import { quantile } from './quantile.js';
import { studentQuantile, studentTwoSided } from './special.js';
import { averageRanks } from './wilcoxon.js';

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const sdOf = (values: readonly number[]) => {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - center) ** 2, 0) / (values.length - 1));
};

/** The size of a paired difference. */
export interface PairedEffect {
  /** Pairs compared, and pairs left out because one of the two is not a number. */
  pairs: number;
  dropped: number;
  meanDifference: number;
  medianDifference: number;
  /** Pairs that differ. */
  nonzero: number;
  /** Matched rank-biserial correlation, (W+ - W-) / (W+ + W-). */
  rankBiserial: number;
  cohensDz: number;
  /** Of all n² pairs: share x > y minus share x < y. */
  cliffsDelta: number;
  /** Hodges-Lehmann pseudomedian: median of the means of all pairs of differences. */
  pseudomedian: number;
  pairedT: { t: number; p: number };
  signTest: number;
}

/** Effect sizes of paired values of the same cases; pairs with NaN are left out and counted, two equal infinities do not differ. */
export function pairedEffect(allX: readonly number[], allY: readonly number[]): PairedEffect {
  const complete = allX.map((_, i) => i).filter((i) => !Number.isNaN(allX[i]) && !Number.isNaN(allY[i]));
  const [x, y] = [complete.map((i) => allX[i]), complete.map((i) => allY[i])];
  const d = x.map((v, i) => (v === y[i] ? 0 : v - y[i]));
  const n = d.length;
  const nonzero = d.filter((v) => v !== 0);
  const { ranks } = averageRanks(nonzero.map(Math.abs));
  const plus = ranks.reduce((sum, r, i) => sum + (nonzero[i] > 0 ? r : 0), 0);
  const whole = ranks.reduce((a, b) => a + b, 0);
  let wins = 0;
  for (const a of x) for (const b of y) wins += a === b ? 0 : Math.sign(a - b);
  const walsh: number[] = [];
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) walsh.push((d[i] + d[j]) / 2);
  const sd = sdOf(d);
  const t = mean(d) / (sd / Math.sqrt(n));
  return {
    pairs: d.length,
    dropped: allX.length - d.length,
    meanDifference: mean(d),
    medianDifference: quantile(d, 0.5),
    nonzero: nonzero.length,
    rankBiserial: whole === 0 ? Number.NaN : (2 * plus - whole) / whole,
    cohensDz: mean(d) / sd,
    cliffsDelta: wins / n ** 2,
    pseudomedian: quantile(walsh, 0.5),
    pairedT: { t, p: Number.isNaN(t) ? Number.NaN : studentTwoSided(t, n - 1) },
    signTest: binomialTwoSided(nonzero.filter((v) => v > 0).length, nonzero.length),
  };
}

/** Two-sided p of k heads among n fair coins. */
function binomialTwoSided(k: number, n: number): number {
  if (n === 0) return 1;
  const few = Math.min(k, n - k);
  let term = 2 ** -n;
  let sum = 0;
  if (term > 0) {
    for (let i = 0; i <= few; i++) {
      sum += term;
      term *= (n - i) / (i + 1);
    }
  } else {
    // beyond 1074 coins by logarithms
    let log = -n * Math.LN2;
    for (let i = 0; i <= few; i++) {
      sum += Math.exp(log);
      log += Math.log((n - i) / (i + 1));
    }
  }
  return Math.min(1, 2 * sum);
}

/** How two measurements agree, in their own unit (Bland and Altman 1986). */
export interface Agreement {
  bias: number;
  sd: number;
  /** Limits of agreement, bias ± 1.96 sd. */
  limits: [number, number];
  biasInterval: [number, number];
  lowerInterval: [number, number];
  upperInterval: [number, number];
}

/** Bland-Altman agreement of two measurements, with 95 % intervals by Student's t (standard error of a limit: sd·√(3/n)). */
export function blandAltman(x: readonly number[], y: readonly number[]): Agreement {
  const d = x.map((v, i) => v - y[i]);
  const n = d.length;
  const bias = mean(d);
  const sd = sdOf(d);
  const t = n > 1 ? studentQuantile(0.05, n - 1) : Number.NaN;
  const limits: [number, number] = [bias - 1.96 * sd, bias + 1.96 * sd];
  const around = (center: number, error: number): [number, number] => [center - t * error, center + t * error];
  return {
    bias,
    sd,
    limits,
    biasInterval: around(bias, sd / Math.sqrt(n)),
    lowerInterval: around(limits[0], sd * Math.sqrt(3 / n)),
    upperInterval: around(limits[1], sd * Math.sqrt(3 / n)),
  };
}

/** Pearson's correlation of two lists of the same length, from -1 to 1; NaN where one of them is constant. */
export function pearson(x: readonly number[], y: readonly number[]): number {
  const [a, b] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  x.forEach((v, i) => {
    xy += (v - a) * (y[i] - b);
    xx += (v - a) ** 2;
    yy += (y[i] - b) ** 2;
  });
  return xy / Math.sqrt(xx) / Math.sqrt(yy);
}

/** Spearman's rank correlation of two lists of the same length, from -1 to 1; ties get their mean rank. */
export const spearman = (x: readonly number[], y: readonly number[]) => pearson(averageRanks(x).ranks, averageRanks(y).ranks);

/** Kendall's tau-b; NaN when one side is all tied. */
export function kendallTau(x: readonly number[], y: readonly number[]): number {
  let [score, xs, ys] = [0, 0, 0];
  for (let i = 0; i < x.length; i++)
    for (let j = 0; j < i; j++) {
      const [a, b] = [Math.sign(x[i] - x[j]), Math.sign(y[i] - y[j])];
      score += a * b;
      xs += a * a;
      ys += b * b;
    }
  return score / Math.sqrt(xs) / Math.sqrt(ys);
}
