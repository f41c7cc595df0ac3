// statistics.json: SciPy, statsmodels and R on the same numbers.
import {
  adjust,
  blandAltman,
  bootstrap,
  friedman,
  kendallTau,
  kruskalWallis,
  minRanks,
  pairedEffect,
  pairwisePvalues,
  pearson,
  quantile,
  rank,
  rankingStability,
  ranksPerCase,
  significance,
  spearman,
  summarise,
  type WilcoxonOptions,
  wilcoxon,
} from '../../../src/score/index.js';
import { equal, type GoldenCase, type Row } from '../case.js';
import { golden, isError, leftOver, numbers, one, unpack } from './common.js';

export function statisticsCases(content: any, name: string): GoldenCase[] {
  const sections: Record<string, () => GoldenCase[]> = {
    summary: () => content.summary.map((c: any) => golden(`${name}/summary-${c.name}`, () => summary(c))),
    bootstrap: () => content.bootstrap.map((c: any) => golden(`${name}/bootstrap-${c.name}`, () => bootstraps(c))),
    multiple_testing: () => [golden(`${name}/multiple_testing`, () => adjusted(content.multiple_testing))],
    friedman: () => [golden(`${name}/friedman`, () => several(content.friedman))],
    wilcoxon: () => content.wilcoxon.map((c: any) => golden(`${name}/wilcoxon-${c.name}`, () => paired(c))),
    ranking: () => content.ranking.map((c: any) => golden(`${name}/ranking-${c.name}`, () => ranking(c))),
  };
  return Object.keys(content)
    .filter((key) => !['set', 'versions', 'format', 'note'].includes(key))
    .flatMap((key) => sections[key]?.() ?? [golden(`${name}/${key}`, () => leftOver(name, { [key]: 0 }, []))]);
}

function summary(c: any): Row[] {
  const s = summarise(c.x);
  const e = c.expected;
  const defined = c.x.filter((v: number) => !Number.isNaN(v));
  const ours: Record<string, number> = {
    n: s.n,
    n_nan: s.undefined,
    mean: s.mean,
    std_ddof1: s.sd,
    std_ddof0: s.sdPopulation,
    sem: s.standardError,
    median: s.median,
    min: s.min,
    max: s.max,
    iqr: s.iqr,
    mad: s.mad,
    skewness: s.skewness,
  };
  const rows = Object.entries(ours)
    .filter(([key]) => e[key] !== undefined)
    .map(([key, value]) => one(key, value, e[key]));
  for (const [q, value] of Object.entries<number>(e.quantiles_linear ?? {}))
    rows.push(one(`quantile ${q}`, quantile(defined, Number(q)), value));
  if (e.t_ci95_mean) rows.push(numbers('t interval', s.tInterval, e.t_ci95_mean));
  if (e.box) {
    const { q1, q3, whiskerLow, whiskerHigh, outliers } = s.box;
    rows.push(numbers('box', [q1, q3, whiskerLow, whiskerHigh], [e.box.q1, e.box.q3, e.box.whisker_low, e.box.whisker_high]));
    rows.push(
      numbers(
        'outliers',
        outliers,
        [...e.box.outliers].sort((a: number, b: number) => a - b),
      ),
    );
  }
  return [...rows, ...leftOver(c.name, e, [...Object.keys(ours), 'quantiles_linear', 't_ci95_mean', 'box'])];
}

function bootstraps(c: any): Row[] {
  const n: number = c.x.length;
  const flat = unpack(c.resample_indices);
  const indices = Array.from({ length: flat.length / n }, (_, k) => flat.subarray(k * n, (k + 1) * n));
  const take = (list: number[], at: ArrayLike<number>) => Array.from(at, (i) => list[i]);
  const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
  const statistics: Record<string, (at: ArrayLike<number>) => number> = c.y
    ? { difference: (at) => mean(take(c.x, at)) - mean(take(c.y, at)) }
    : { mean: (at) => mean(take(c.x, at)), median: (at) => quantile(take(c.x, at), 0.5) };
  const entries: [string, any][] = c.expected.percentile ? [['', c.expected]] : Object.entries<any>(c.expected);
  return entries.flatMap(([key, e]) => {
    const statistic = statistics[key] ?? Object.values(statistics)[0];
    const b = bootstrap(n, statistic, { indices });
    if (e.fraction_of_resamples_with_difference_le_0 !== undefined) {
      const notBetter = indices.filter((list) => statistic(list) <= 0).length / indices.length;
      return [
        one('difference', b.estimate, e.difference),
        numbers('percentile', b.percentile, e.percentile),
        one('share of resamples at or below 0', notBetter, e.fraction_of_resamples_with_difference_le_0),
        ...leftOver(c.name, e, ['difference', 'percentile', 'fraction_of_resamples_with_difference_le_0']),
      ];
    }
    return [
      one(`${key} standard error`, b.standardError, e.bootstrap_standard_error),
      numbers(`${key} percentile`, b.percentile, e.percentile),
      numbers(`${key} basic`, b.basic, e.basic),
      numbers(`${key} BCa`, b.bca, e.BCa),
      ...leftOver(key, e, ['bootstrap_standard_error', 'percentile', 'basic', 'BCa', 'monte_carlo_percentile_20000']),
    ];
  });
}

function adjusted(c: any): Row[] {
  const names: Record<string, Parameters<typeof adjust>[1]> = {
    holm: 'holm',
    bonferroni: 'bonferroni',
    fdr_bh: 'benjamini-hochberg',
    BH: 'benjamini-hochberg',
    'simes-hochberg': 'hochberg',
    hochberg: 'hochberg',
  };
  const rows: Row[] = [];
  for (const peer of ['statsmodels_adjusted', 'R_p_adjust'])
    for (const [key, e] of Object.entries<any>(c[peer] ?? {})) {
      if (!names[key]) rows.push(...leftOver(peer, { [key]: 0 }, []));
      else rows.push(numbers(`${peer} ${key}`, adjust(c.pvalues, names[key]), e));
    }
  return rows;
}

function several(c: any): Row[] {
  const table: number[][] = c.values_algorithms_by_cases;
  const f = friedman(table);
  const k = kruskalWallis(table);
  return [
    one('chi2', f.chi2, c.chi2),
    one('p', f.p, c.p),
    numbers('mean ranks', f.meanRanks, c.mean_ranks_higher_is_better),
    one('critical difference', f.criticalDifference, c.nemenyi_critical_difference_alpha_0_05, 1e-6),
    one('Kruskal H', k.h, c.kruskal_h),
    one('Kruskal p', k.p, c.kruskal_p),
  ];
}

function paired(c: any): Row[] {
  const rows: Row[] = [];
  for (const [key, e] of Object.entries<any>(c.scipy_wilcoxon)) {
    if (isError(e)) continue;
    const [zeros, correction, alternative, method] = key.split('|');
    const w = wilcoxon(c.x, c.y, { zeros, correction: correction === 'correction', alternative, method } as WilcoxonOptions);
    rows.push(one(`${key} statistic`, w.statistic, e.statistic), one(`${key} p`, w.pvalue, e.pvalue));
    if (e.z !== undefined) rows.push(one(`${key} z`, w.z, e.z));
  }
  const r = c.R_wilcox_test ?? {};
  const approximate = (alternative: 'two-sided' | 'greater', correction: boolean) =>
    wilcoxon(c.x, c.y, { method: 'asymptotic', correction, alternative }).pvalue;
  const plus = wilcoxon(c.x, c.y, { alternative: 'greater', method: 'asymptotic' }).statistic;
  const ours: Record<string, () => number> = {
    exact_false_correct_true: () => approximate('two-sided', true),
    exact_false_correct_false: () => approximate('two-sided', false),
    // R corrects 0 by a half before it divides by a spread of 0.
    greater_exact_false_correct_true: () =>
      c.x.every((v: number, i: number) => v === c.y[i]) ? 1 : approximate('greater', true),
  };
  for (const [key, e] of Object.entries<any>(r)) {
    if (isError(e) || e.p === undefined) continue;
    rows.push(one(`R ${key} statistic`, plus, e.statistic));
    if (ours[key]) rows.push(one(`R ${key} p`, ours[key](), e.p, 1e-9));
    else if (key === 'default') {
      const regular =
        c.x.every((v: number, i: number) => v !== c.y[i]) &&
        new Set(c.x.map((v: number, i: number) => Math.abs(v - c.y[i]))).size === c.x.length;
      const p = regular && c.x.length < 50 ? wilcoxon(c.x, c.y, { method: 'exact' }).pvalue : approximate('two-sided', true);
      rows.push(one('R default p', p, e.p, 1e-9));
    } else rows.push(...leftOver('R', { [key]: 0 }, []));
  }
  if (c.effect) rows.push(...effects(c.x, c.y, c.effect));
  return [...rows, ...leftOver(c.name, c, ['name', 'x', 'y', 'scipy_wilcoxon', 'effect', 'R_wilcox_test', 'note'])];
}

function effects(x: number[], y: number[], e: any): Row[] {
  const s = pairedEffect(x, y);
  const rows: Row[] = [];
  const ours: Record<string, number> = {
    mean_difference: s.meanDifference,
    median_difference: s.medianDifference,
    n_nonzero: s.nonzero,
    matched_rank_biserial: s.rankBiserial,
    cohens_dz: s.cohensDz,
    cliffs_delta: s.cliffsDelta,
    hodges_lehmann_pseudomedian: s.pseudomedian,
    sign_test_two_sided: s.signTest,
  };
  for (const [key, value] of Object.entries(ours))
    if (e[key] !== undefined && !isError(e[key])) rows.push(one(key, value, e[key]));
  if (e.paired_t) rows.push(numbers('paired t', [s.pairedT.t, s.pairedT.p], [e.paired_t.t, e.paired_t.p]));
  if (e.bland_altman) {
    const a = blandAltman(x, y);
    const b = e.bland_altman;
    rows.push(numbers('Bland-Altman', [a.bias, a.sd, ...a.limits], [b.bias, b.sd, ...b.loa]));
    if (b.bias_ci95) rows.push(numbers('bias interval', a.biasInterval, b.bias_ci95));
    if (b.loa_lower_ci95) rows.push(numbers('lower limit interval', a.lowerInterval, b.loa_lower_ci95));
    if (b.loa_upper_ci95) rows.push(numbers('upper limit interval', a.upperInterval, b.loa_upper_ci95));
  }
  if (e.correlation) {
    const c = e.correlation;
    rows.push(
      numbers('correlation', [pearson(x, y), spearman(x, y), kendallTau(x, y)], [c.pearson, c.spearman, c.kendall_tau_b]),
    );
  }
  return [...rows, ...leftOver('effect', e, [...Object.keys(ours), 'paired_t', 'bland_altman', 'correlation'])];
}

function ranking(c: any): Row[] {
  const table: number[][] = c.values_algorithms_by_cases;
  const n = table[0].length;
  const options = { smallerIsBetter: c.smaller_is_better, missingAs: c.na_treat ?? undefined };
  const flat = unpack(c.bootstrap_indices);
  const indices: number[][] = Array.from({ length: flat.length / n }, (_, k) => [...flat.subarray(k * n, (k + 1) * n)]);
  const s = rankingStability(table, indices, 'mean-then-rank', options);
  const p = c.plain_definition;
  const perCase = ranksPerCase(table, options);
  const rows: Row[] = [
    equal('mean then rank', s.ranks, p.mean_then_rank),
    equal('bootstrap ranks', s.bootstrapRanks, p.bootstrap_ranks_mean_then_rank),
    numbers('Kendall tau', s.kendall, p.kendall_tau_b),
    equal('rank frequency', s.frequency, p.rank_frequency_mean_then_rank),
    numbers('rank interval', s.interval.flat(), p.rank_ci95.flat()),
    equal('ranks of each case', perCase, p.per_case_ranks_min),
    equal(
      'podium',
      perCase.map((row) => table.map((_, k) => row.filter((r) => r === k + 1).length)),
      p.podium_counts,
    ),
    ...leftOver('plain', p, [
      'mean_then_rank',
      'bootstrap_ranks_mean_then_rank',
      'kendall_tau_b',
      'rank_frequency_mean_then_rank',
      'rank_ci95',
      'per_case_ranks_min',
      'podium_counts',
    ]),
  ];
  return c.challengeR ? [...rows, ...challengeR(c, table, indices, options, c.challengeR)] : rows;
}

function challengeR(c: any, table: number[][], indices: number[][], options: any, e: any): Row[] {
  const rows: Row[] = [];
  const place = (names: string[]) => names.map((a) => c.algorithms.indexOf(a));
  const methods = {
    meanThenRank: 'mean-then-rank',
    medianThenRank: 'median-then-rank',
    rankThenMean: 'rank-then-mean',
    rankThenMedian: 'rank-then-median',
    testThenRank: 'test-then-rank',
    testThenRankHolm: 'test-then-rank',
  } as const;
  for (const [key, method] of Object.entries(methods)) {
    const stored = e[key];
    if (!stored?.rank) continue;
    const ours = rank(table, method, { ...options, adjustment: key.endsWith('Holm') ? 'holm' : 'none' });
    const at = place(stored.algorithms);
    rows.push(
      numbers(
        `challengeR ${key} aggregate`,
        at.map((a) => ours.aggregate[a]),
        stored.aggregate,
      ),
    );
    rows.push(
      equal(
        `challengeR ${key} rank`,
        at.map((a) => ours.ranks[a]),
        stored.rank,
      ),
    );
  }
  for (const adjustment of ['holm', 'none'] as const) {
    const stored = e[`significance_${adjustment}`];
    if (!stored) continue;
    const at = stored.rows ? place(stored.rows) : c.algorithms.map((_: string, i: number) => i);
    const ours = significance(table, { ...options, adjustment });
    rows.push(
      equal(
        `challengeR significance ${adjustment}`,
        at.map((a: number) => at.map((b: number) => ours[a][b])),
        stored.m,
      ),
    );
  }
  if (e.p_one_sided) rows.push(numbers('challengeR one-sided p', pairwisePvalues(table, options).flat(), e.p_one_sided.flat()));
  if (e.p_two_sided)
    rows.push(
      numbers(
        'challengeR two-sided p',
        table.flatMap((x, a) =>
          table.map((y, b) =>
            a === b ? Number.NaN : wilcoxon(known(x, options), known(y, options), { method: 'asymptotic' }).pvalue,
          ),
        ),
        e.p_two_sided.flat(),
      ),
    );
  for (const [key, stored] of Object.entries<number[][]>(e.bootstrap_ranks ?? {})) {
    const ours = indices.map((list) =>
      resampled(
        key,
        table.map((row) => known(row, options)),
        list,
        options,
      ),
    );
    const byValue = key === 'meanThenRank' || key === 'medianThenRank';
    const aggregates = byValue
      ? indices.map((list) => {
          const drawn = table.map((row) =>
            known(
              list.map((k) => row[k]),
              options,
            ),
          );
          return rank(drawn, methods[key], options).aggregate;
        })
      : null;
    rows.push(...sameExceptTies(`challengeR bootstrap ${key}`, ours, stored, aggregates, options.smallerIsBetter));
    const full = rank(table, methods[key as 'meanThenRank'], { ...options, adjustment: 'none' }).ranks;
    const tau = e.bootstrap_kendall_tau?.[key];
    if (tau)
      rows.push(
        numbers(
          `challengeR tau ${key}`,
          stored.map((r) => kendallTau(full, r)),
          tau,
        ),
      );
  }
  const done = [
    ...Object.keys(methods),
    'significance_holm',
    'significance_none',
    'p_one_sided',
    'p_two_sided',
    'bootstrap_ranks',
    'bootstrap_kendall_tau',
  ];
  return [...rows, ...leftOver('challengeR', e, done)];
}

const known = (row: number[], { missingAs }: any) => row.map((v) => (Number.isNaN(v) && missingAs !== undefined ? missingAs : v));

/** challengeR's resampling: rank-then-mean ranks the copies of a case together, test-then-rank sees each drawn case once. */
function resampled(key: string, table: number[][], list: number[], options: any): number[] {
  if (key === 'testThenRank') {
    const once = [...new Set(list)];
    return rank(
      table.map((row) => once.map((i) => row[i])),
      'test-then-rank',
      { ...options, adjustment: 'none' },
    ).ranks;
  }
  if (key === 'rankThenMean') {
    const copies = new Map<number, number>();
    for (const i of list) copies.set(i, (copies.get(i) ?? 0) + 1);
    const sums = table.map(() => 0);
    for (const [i, m] of copies) {
      const ranks = minRanks(
        table.map((row) => row[i]),
        options.smallerIsBetter,
      );
      ranks.forEach((r, a) => {
        sums[a] += m * (1 + m * (r - 1));
      });
    }
    return minRanks(sums, true);
  }
  const method = key === 'medianThenRank' ? 'median-then-rank' : 'mean-then-rank';
  return rank(
    table.map((row) => list.map((i) => row[i])),
    method,
    options,
  ).ranks;
}

/**
 * Equal ranks. Where means or medians of a resample tie within rounding, R may keep apart what is equal here: then the stored ranks
 * must order everything that differs by more than 1e-12 as ours do.
 */
function sameExceptTies(
  what: string,
  ours: number[][],
  stored: number[][],
  aggregates: number[][] | null,
  smaller: boolean,
): Row[] {
  const consistent = (i: number) => {
    if (!aggregates) return false;
    const values = aggregates[i].map((v) => (smaller ? v : -v));
    return values.every((a, x) => values.every((b, y) => !(a < b - 1e-12) || stored[i][x] < stored[i][y]));
  };
  const wrong = ours.filter((r, i) => JSON.stringify(r) !== JSON.stringify(stored[i]) && !consistent(i));
  if (wrong.length === 0) return [equal(what, ours.length, stored.length)];
  return [equal(what, ours, stored)];
}
