// p-values of several tests together, as R's p.adjust and statsmodels.

export type Adjustment = 'holm' | 'bonferroni' | 'benjamini-hochberg' | 'hochberg';

/** Adjusted p-values in the given order; NaN stays NaN and is not counted. */
export function adjust(pvalues: readonly number[], method: Adjustment = 'holm'): number[] {
  const order = pvalues.map((_, i) => i).filter((i) => !Number.isNaN(pvalues[i]));
  order.sort((a, b) => pvalues[a] - pvalues[b]);
  const m = order.length;
  const factor = {
    holm: (k: number) => m - k,
    bonferroni: () => m,
    'benjamini-hochberg': (k: number) => m / (k + 1),
    hochberg: (k: number) => m - k,
  }[method];
  const out = pvalues.map(() => Number.NaN);
  if (method === 'holm' || method === 'bonferroni') {
    let least = 0;
    for (let k = 0; k < m; k++) {
      const p = Math.min(1, factor(k) * pvalues[order[k]]);
      least = method === 'holm' ? Math.max(least, p) : p;
      out[order[k]] = least;
    }
    return out;
  }
  let most = 1;
  for (let k = m - 1; k >= 0; k--) {
    most = Math.min(most, factor(k) * pvalues[order[k]]);
    out[order[k]] = most;
  }
  return out;
}
