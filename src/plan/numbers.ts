// numpy's medians and percentiles, in numpy's order of operations.

const ascending = (values: readonly number[]) => Float64Array.from(values).sort();

/** `np.percentile(values, p)` with linear interpolation. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = ascending(values);
  return interpolate((sorted.length - 1) * (p / 100), (i) => sorted[i]);
}

/** numpy's interpolation between the order statistics ⌊x⌋ and ⌊x⌋+1; `round` is the precision of their difference. */
export function interpolate(x: number, at: (i: number) => number, round = (v: number) => v): number {
  const i = Math.floor(x);
  const t = x - i;
  const a = at(i);
  if (t === 0) return a;
  const b = at(i + 1);
  const step = round(b - a);
  return t >= 0.5 ? b - step * (1 - t) : a + step * t;
}

/** `np.median(values)`. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Index of the largest entry; the first of equals. */
export const argmax = (list: readonly number[]) => list.indexOf(Math.max(...list));
/** Index of the largest entry; the last of equals. */
export const argmaxLast = (list: readonly number[]) => list.lastIndexOf(Math.max(...list));

/** Entries per axis: `columns([[1, 2], [3, 4]])` is `[[1, 3], [2, 4]]`. */
export const columns = (rows: readonly (readonly number[])[]) => rows[0].map((_, i) => rows.map((row) => row[i]));
