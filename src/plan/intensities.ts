// Intensity statistics over random draws of foreground voxels, as nnU-Net v2's fingerprint makes them.
//
// nnU-Net keeps every drawn value. We count how often each voxel was drawn: the same statistics from far less memory.
import { VoxelbookError } from '../base/errors.js';
import type { NumpyRandom } from '../base/numpy/mt19937.js';
import { interpolate } from './numbers.js';
import type { IntensityStatistics } from './plan.js';

/** Distinct values in ascending order and how often each was drawn. */
export interface Drawn {
  values: Float32Array;
  counts: Float64Array;
}

/**
 * Draws foreground voxels of one channel with replacement.
 * @param values foreground intensities in C order
 * @param draws how many
 * @param random goes on to the next channel
 */
export function drawForeground(values: Float32Array, draws: number, random: NumpyRandom): Drawn {
  const counts = new Uint32Array(values.length);
  random.countDraws(counts, draws);
  return merged(values, counts);
}

/** Sorts by value and adds up equal values; what was never drawn is dropped. */
function merged(values: Float32Array, counts: ArrayLike<number>): Drawn {
  const order = sortedOrder(values);
  const distinct = new Float32Array(values.length);
  const sums = new Float64Array(values.length);
  let n = 0;
  for (const i of order) {
    if (counts[i] === 0) continue;
    if (n > 0 && distinct[n - 1] === values[i]) sums[n - 1] += counts[i];
    else {
      distinct[n] = values[i];
      sums[n++] = counts[i];
    }
  }
  return { values: distinct.slice(0, n), counts: sums.slice(0, n) };
}

/** Indices in ascending order of value: three rounds of counting sort on the float's bits. */
function sortedOrder(values: Float32Array): Uint32Array {
  const n = values.length;
  const bits = new Uint32Array(values.buffer, values.byteOffset, n);
  const keys = new Uint32Array(n);
  // Floats compare like integers once negative ones are turned around.
  for (let i = 0; i < n; i++) keys[i] = bits[i] & 0x80000000 ? ~bits[i] : bits[i] | 0x80000000;
  let from = new Uint32Array(n);
  let to = new Uint32Array(n);
  for (let i = 0; i < n; i++) from[i] = i;
  for (const shift of [0, 11, 22]) {
    const places = new Uint32Array(2049);
    for (let i = 0; i < n; i++) places[((keys[i] >>> shift) & 2047) + 1]++;
    for (let b = 0; b < 2048; b++) places[b + 1] += places[b];
    for (let i = 0; i < n; i++) to[places[(keys[from[i]] >>> shift) & 2047]++] = from[i];
    [from, to] = [to, from];
  }
  return from;
}

/** Statistics over the draws of all cases, as numpy gives them for the concatenated float32 values (mean and std here in float64). */
export function statistics(cases: readonly Drawn[]): IntensityStatistics {
  const total = cases.reduce((n, c) => n + c.values.length, 0);
  const values = new Float32Array(total);
  const counts = new Float64Array(total);
  let at = 0;
  for (const c of cases) {
    values.set(c.values, at);
    counts.set(c.counts, at);
    at += c.values.length;
  }
  const all = merged(values, counts);
  const draws = all.counts.reduce((a, b) => a + b, 0);
  if (draws === 0)
    throw new VoxelbookError('this data set cannot be planned', {
      code: 'no-foreground',
      path: 'labelsTr',
      given: 'no voxel above 0 in any label file',
      expected: 'foreground in at least one case',
      fix: 'Check that the label files hold labels.',
    });
  let sum = 0;
  for (let i = 0; i < all.values.length; i++) sum += all.values[i] * all.counts[i];
  const mean = sum / draws;
  let squares = 0;
  for (let i = 0; i < all.values.length; i++) squares += (all.values[i] - mean) ** 2 * all.counts[i];
  const ends = new Float64Array(all.counts.length);
  all.counts.reduce((end, n, i) => {
    ends[i] = end + n;
    return ends[i];
  }, 0);
  const ranked = (rank: number) => all.values[firstAbove(ends, rank)];
  // numpy subtracts the two neighbours in the array's own float32, the rest is float64.
  const percentile = (p: number) => interpolate((draws - 1) * (p / 100), ranked, Math.fround);
  return {
    max: all.values[all.values.length - 1],
    mean,
    median: percentile(50),
    min: all.values[0],
    percentile_00_5: percentile(0.5),
    percentile_99_5: percentile(99.5),
    std: Math.sqrt(squares / draws),
  };
}

/** Index of the first entry above `rank` in an ascending list. */
function firstAbove(list: Float64Array, rank: number): number {
  let low = 0;
  let high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] > rank) high = middle;
    else low = middle + 1;
  }
  return low;
}
