// Rankings of algorithms, how stable they are under resampling of cases, and tests over several algorithms.
import { kendallTau } from './effect.js';
import { adjust } from './multipleTesting.js';
import { quantile } from './quantile.js';
import { chiSquareTail, studentisedRangeQuantile } from './special.js';
import { averageRanks, wilcoxon } from './wilcoxon.js';

export interface RankingOptions {
  /** Distances: less is better. */
  smallerIsBetter?: boolean;
  /** What a missing value (NaN) counts; without it cases are used as they are. */
  missingAs?: number;
}

/**
 * Ranks with ties "min"; values are compared after rounding to 1e-12, so that rounding in a mean makes no winner. What is not a number
 * shares the last place.
 */
export function minRanks(values: readonly number[], smallerIsBetter = false): number[] {
  const key = values.map((v) => (smallerIsBetter ? 1 : -1) * (Math.round(v * 1e12) / 1e12));
  const numbers = key.filter((v) => !Number.isNaN(v)).length;
  return key.map((v) => 1 + (Number.isNaN(v) ? numbers : key.filter((other) => other < v).length));
}

/** Values `[algorithm][case]` with what is missing filled in. */
const filled = (table: readonly (readonly number[])[], missingAs?: number) =>
  missingAs === undefined ? table : table.map((row) => row.map((v) => (Number.isNaN(v) ? missingAs : v)));

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const median = (values: readonly number[]) => quantile(values, 0.5);

/** How scores of many cases become ranks. */
export type RankingMethod = 'mean-then-rank' | 'median-then-rank' | 'rank-then-mean' | 'rank-then-median' | 'test-then-rank';

/** Ranks of each algorithm in each case, `[algorithm][case]`. */
export function ranksPerCase(
  table: readonly (readonly number[])[],
  { smallerIsBetter = false, missingAs }: RankingOptions = {},
): number[][] {
  const values = filled(table, missingAs);
  const columns = values[0].map((_, c) =>
    minRanks(
      values.map((row) => row[c]),
      smallerIsBetter,
    ),
  );
  return values.map((_, a) => columns.map((column) => column[a]));
}

/**
 * One ranking of algorithms over cases.
 * @param table scores `[algorithm][case]`
 * @param adjustment of the pairwise tests of `test-then-rank` (one-sided Wilcoxon, normal approximation with correction, 5 %)
 */
export function rank(
  table: readonly (readonly number[])[],
  method: RankingMethod = 'mean-then-rank',
  options: RankingOptions & { adjustment?: 'holm' | 'none' } = {},
): { aggregate: number[]; ranks: number[] } {
  const { smallerIsBetter = false, missingAs } = options;
  const values = filled(table, missingAs);
  if (method === 'test-then-rank') {
    const won = significance(values, options);
    const aggregate = won.map((row) => row.reduce((a, b) => a + b, 0) / Math.max(1, values.length - 1));
    return { aggregate, ranks: minRanks(aggregate, false) };
  }
  const ranksFirst = method.startsWith('rank');
  const source = ranksFirst ? ranksPerCase(values, { smallerIsBetter }) : values;
  const aggregate = source.map(method.endsWith('mean') || method.startsWith('mean') ? mean : median);
  return { aggregate, ranks: minRanks(aggregate, ranksFirst || smallerIsBetter) };
}

/** One-sided p that row is better than column, `[row][column]`; NaN on the diagonal. */
export function pairwisePvalues(
  table: readonly (readonly number[])[],
  { smallerIsBetter = false, missingAs }: RankingOptions = {},
): number[][] {
  const values = filled(table, missingAs);
  return values.map((x, a) =>
    values.map((y, b) =>
      a === b
        ? Number.NaN
        : wilcoxon(x, y, { method: 'asymptotic', correction: true, alternative: smallerIsBetter ? 'less' : 'greater' }).pvalue,
    ),
  );
}

/** 1 where row is significantly better than column. */
export function significance(
  table: readonly (readonly number[])[],
  { adjustment = 'holm', alpha = 0.05, ...options }: RankingOptions & { adjustment?: 'holm' | 'none'; alpha?: number } = {},
): number[][] {
  const p = pairwisePvalues(table, options);
  const places = p.flatMap((row, a) => row.flatMap((_, b) => (a === b ? [] : [[a, b]])));
  const flat = places.map(([a, b]) => p[a][b]);
  const final = adjustment === 'none' ? flat : adjust(flat, adjustment);
  const out = p.map((row) => row.map(() => 0));
  places.forEach(([a, b], i) => {
    if (final[i] <= alpha) out[a][b] = 1;
  });
  return out;
}

export interface Stability {
  ranks: number[];
  /** Ranks in each resample, `[resample][algorithm]`. */
  bootstrapRanks: number[][];
  /** Kendall's tau-b of each resample with the full ranking. */
  kendall: number[];
  /** How often an algorithm (row) got a rank (column 0 = rank 1). */
  frequency: number[][];
  /** 95 % interval of each algorithm's rank. */
  interval: [number, number][];
}

/**
 * How a ranking changes under resampling of cases.
 * @param indices one list of case indices per resample
 */
export function rankingStability(
  table: readonly (readonly number[])[],
  indices: readonly ArrayLike<number>[],
  method: RankingMethod = 'mean-then-rank',
  options: RankingOptions = {},
): Stability {
  const values = filled(table, options.missingAs);
  const { ranks } = rank(values, method, options);
  const bootstrapRanks = indices.map((list) => {
    const drawn = values.map((row) => Array.from(list, (i) => row[i]));
    return rank(drawn, method, options).ranks;
  });
  return {
    ranks,
    bootstrapRanks,
    kendall: bootstrapRanks.map((r) => kendallTau(ranks, r)),
    frequency: values.map((_, a) => values.map((_, place) => bootstrapRanks.filter((r) => r[a] === place + 1).length)),
    interval: values.map((_, a) => {
      const list = bootstrapRanks.map((r) => r[a]);
      return [quantile(list, 0.025), quantile(list, 0.975)];
    }),
  };
}

/** Friedman's test over algorithms that saw the same cases, with Nemenyi's critical difference of mean ranks at 5 %. */
export function friedman(table: readonly (readonly number[])[]): {
  chi2: number;
  p: number;
  /** Mean rank of each algorithm, 1 = highest value. */
  meanRanks: number[];
  criticalDifference: number;
} {
  const k = table.length;
  const n = table[0].length;
  let ties = 0;
  const sums = new Array<number>(k).fill(0);
  for (let c = 0; c < n; c++) {
    const { ranks, ties: groups } = averageRanks(table.map((row) => -row[c]));
    ranks.forEach((r, a) => {
      sums[a] += r;
    });
    ties += groups.reduce((sum, t) => sum + t ** 3 - t, 0);
  }
  const correction = 1 - ties / (k * (k * k - 1) * n);
  const chi2 = ((12 / (k * n * (k + 1))) * sums.reduce((sum, s) => sum + s * s, 0) - 3 * n * (k + 1)) / correction;
  return {
    chi2,
    p: chiSquareTail(chi2, k - 1),
    meanRanks: sums.map((s) => s / n),
    criticalDifference: (studentisedRangeQuantile(0.05, k) / Math.SQRT2) * Math.sqrt((k * (k + 1)) / (6 * n)),
  };
}

/** Kruskal and Wallis' test of independent groups. */
export function kruskalWallis(groups: readonly (readonly number[])[]): { h: number; p: number } {
  const all = groups.flat();
  const n = all.length;
  const { ranks, ties } = averageRanks(all);
  let at = 0;
  let sum = 0;
  for (const group of groups) {
    const total = ranks.slice(at, at + group.length).reduce((a, b) => a + b, 0);
    sum += total ** 2 / group.length;
    at += group.length;
  }
  const h = ((12 / (n * (n + 1))) * sum - 3 * (n + 1)) / (1 - ties.reduce((s, t) => s + t ** 3 - t, 0) / (n ** 3 - n));
  return { h, p: chiSquareTail(h, groups.length - 1) };
}
