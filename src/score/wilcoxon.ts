// Wilcoxon's signed-rank test as SciPy computes it (`scipy.stats.wilcoxon`), exact, by permutation and by normal approximation.
import { normalCdf } from '../base/normal.js';

/** SciPy's options of the test. */
export interface WilcoxonOptions {
  /** `wilcox` drops zero differences, `pratt` ranks them first, `zsplit` gives half of their ranks to each side. */
  zeros?: 'wilcox' | 'pratt' | 'zsplit';
  /** Continuity correction of the normal approximation. */
  correction?: boolean;
  alternative?: 'two-sided' | 'greater' | 'less';
  /** `auto`: exact up to 50 pairs without ties or zeros, all sign permutations up to 13 pairs with them, else the approximation. */
  method?: 'auto' | 'exact' | 'asymptotic';
}

/** Statistic and p-value of the test. */
export interface WilcoxonResult {
  /** min(W+, W-) for two-sided, W+ for one-sided tests. */
  statistic: number;
  pvalue: number;
  /** Of the approximation; NaN for an exact p. */
  z: number;
  /** What a caption prints. */
  method: 'exact' | 'permutation' | 'asymptotic';
  /** Pairs tested, and pairs left out because one of the two is not a number. */
  pairs: number;
  dropped: number;
}

/** Average ranks of values, and the size of each group of ties. */
export function averageRanks(values: readonly number[]): { ranks: number[]; ties: number[] } {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Array<number>(values.length);
  const ties: number[] = [];
  for (let i = 0; i < order.length; ) {
    let end = i + 1;
    while (end < order.length && values[order[end]] === values[order[i]]) end++;
    for (let k = i; k < end; k++) ranks[order[k]] = (i + 1 + end) / 2;
    ties.push(end - i);
    i = end;
  }
  return { ranks, ties };
}

/**
 * Signed-rank test of paired values. A pair with NaN is left out and counted; two equal infinities do not differ.
 * @param x, y values of the same cases in the same order
 * @returns p NaN where no pair is left
 */
export function wilcoxon(
  x: readonly number[],
  y: readonly number[],
  { zeros = 'wilcox', correction = true, alternative = 'two-sided', method = 'auto' }: WilcoxonOptions = {},
): WilcoxonResult {
  const all = x.map((value, i) => (value === y[i] ? 0 : value - y[i])).filter((v) => !Number.isNaN(v));
  const counts = { pairs: all.length, dropped: x.length - all.length };
  if (all.length === 0) return { statistic: Number.NaN, pvalue: Number.NaN, z: Number.NaN, method: 'exact', ...counts };
  const d = zeros === 'wilcox' ? all.filter((v) => v !== 0) : all;
  const zeroCount = all.length - all.filter((v) => v !== 0).length;
  const n = d.length;
  const { ranks, ties } = averageRanks(d.map(Math.abs));
  const sumWhere = (keep: (v: number) => boolean) => ranks.reduce((sum, r, i) => sum + (keep(d[i]) ? r : 0), 0);
  const split = zeros === 'zsplit' ? sumWhere((v) => v === 0) / 2 : 0;
  const plus = sumWhere((v) => v > 0) + split;
  const minus = sumWhere((v) => v < 0) + split;
  const statistic = alternative === 'two-sided' ? Math.min(plus, minus) : plus;

  const irregular = zeroCount > 0 || ties.some((t) => t > 1);
  const chosen =
    method !== 'auto'
      ? method
      : all.length > 50
        ? 'asymptotic'
        : !irregular
          ? 'exact'
          : all.length <= 13
            ? 'permutation'
            : 'asymptotic';
  if (chosen === 'exact') {
    const [less, greater] = exactTails(n, Math.ceil(plus), Math.floor(plus));
    return { statistic, pvalue: pick(alternative, less, greater), z: Number.NaN, method: 'exact', ...counts };
  }
  if (chosen === 'permutation') {
    const [less, greater] = permutationTails(
      ranks.filter((_, i) => d[i] !== 0),
      plus - split,
    );
    return { statistic, pvalue: pick(alternative, less, greater), z: Number.NaN, method: 'permutation', ...counts };
  }
  let mean = (n * (n + 1)) / 4;
  let variance = n * (n + 1) * (2 * n + 1);
  let groups = ties;
  if (zeros === 'pratt') {
    mean -= (zeroCount * (zeroCount + 1)) / 4;
    variance -= zeroCount * (zeroCount + 1) * (2 * zeroCount + 1);
    groups = zeroCount > 0 ? ties.slice(1) : ties;
  }
  variance -= groups.reduce((sum, t) => sum + t ** 3 - t, 0) / 2;
  const error = Math.sqrt(variance / 24);
  let z = (plus - mean) / error;
  if (correction) z -= ((alternative === 'two-sided' ? Math.sign(z) : alternative === 'greater' ? 1 : -1) * 0.5) / error;
  const pvalue = alternative === 'two-sided' ? 2 * normalCdf(-Math.abs(z)) : normalCdf(alternative === 'less' ? z : -z);
  return { statistic, pvalue, z: alternative === 'two-sided' ? -Math.abs(z) : z, method: 'asymptotic', ...counts };
}

const pick = (alternative: string, less: number, greater: number) =>
  alternative === 'less' ? less : alternative === 'greater' ? greater : Math.min(1, 2 * Math.min(less, greater));

/** P(W ≤ upper) and P(W ≥ lower) when every sign is a fair coin and the ranks are 1 … n. */
function exactTails(n: number, upper: number, lower: number): [number, number] {
  const most = (n * (n + 1)) / 2;
  const chance = new Float64Array(most + 1);
  chance[0] = 1;
  for (let rank = 1; rank <= n; rank++)
    for (let w = most; w >= 0; w--) chance[w] = (chance[w] + (w >= rank ? chance[w - rank] : 0)) / 2;
  let [less, greater] = [0, 0];
  for (let w = 0; w <= most; w++) {
    if (w <= upper) less += chance[w];
    if (w >= lower) greater += chance[w];
  }
  return [Math.min(1, less), Math.min(1, greater)];
}

/** The same over all sign patterns of the given ranks. */
function permutationTails(ranks: number[], observed: number): [number, number] {
  const patterns = 2 ** ranks.length;
  const slack = 1e-9;
  let [less, greater] = [0, 0];
  for (let pattern = 0; pattern < patterns; pattern++) {
    let plus = 0;
    for (let i = 0; i < ranks.length; i++) if ((pattern >> i) & 1) plus += ranks[i];
    if (plus <= observed + slack) less++;
    if (plus >= observed - slack) greater++;
  }
  return [less / patterns, greater / patterns];
}
