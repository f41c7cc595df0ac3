// Intensity statistics over random draws of foreground voxels, as nnU-Net v2's fingerprint makes them.
//
// nnU-Net keeps every drawn value, four bytes a draw. We keep each distinct value once with its count where that is less, and never
// more than nnU-Net does; percentiles are found by counting, without sorting all draws.
import { VoxelbookError } from '../base/errors.js';
import type { NumpyRandom } from '../base/numpy/mt19937.js';
import { interpolate } from './numbers.js';
import type { IntensityStatistics } from './plan.js';

/** Draws of one channel of one case: values and how often each was drawn; without counts every value is one draw. */
export interface Drawn {
  values: Float32Array;
  counts?: Uint32Array;
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
  let drawn = 0;
  for (let i = 0; i < counts.length; i++) if (counts[i] > 0) drawn++;
  const some = { values: new Float32Array(drawn), counts: new Uint32Array(drawn) };
  for (let i = 0, at = 0; i < counts.length; i++)
    if (counts[i] > 0) {
      some.values[at] = values[i];
      some.counts[at++] = counts[i];
    }
  const distinct = merged(some.values, some.counts);
  return distinct.values.length * 8 <= draws * 4 ? distinct : { values: repeated(distinct, draws) };
}

/** Every value as often as it was drawn. */
function repeated({ values, counts }: Required<Drawn>, draws: number): Float32Array {
  const out = new Float32Array(draws);
  let at = 0;
  for (let i = 0; i < values.length; i++) {
    out.fill(values[i], at, at + counts[i]);
    at += counts[i];
  }
  return out;
}

/** Sorts by value and adds up the counts of equal values. */
function merged(values: Float32Array, counts: Uint32Array): Required<Drawn> {
  const order = sortedOrder(values);
  const distinct = new Float32Array(values.length);
  const sums = new Uint32Array(values.length);
  let n = 0;
  for (const i of order) {
    if (n > 0 && distinct[n - 1] === values[i]) sums[n - 1] += counts[i];
    else {
      distinct[n] = values[i];
      sums[n++] = counts[i];
    }
  }
  return { values: distinct.slice(0, n), counts: sums.slice(0, n) };
}

/** The bits of floats, turned so that they compare as the floats do. */
const sortKey = (bits: number) => (bits & 0x80000000 ? ~bits : bits | 0x80000000) >>> 0;

/** Indices in ascending order of value: three rounds of counting sort on the float's bits. */
function sortedOrder(values: Float32Array): Uint32Array {
  const n = values.length;
  const keys = new Uint32Array(values.buffer, values.byteOffset, n).map(sortKey);
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
  let draws = 0;
  let sum = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  each(cases, (value, count) => {
    draws += count;
    sum += value * count;
    if (value < min) min = value;
    if (value > max) max = value;
  });
  if (draws === 0)
    throw new VoxelbookError('this data set cannot be planned', {
      code: 'no-foreground',
      path: 'labelsTr',
      given: 'no voxel above 0 in any label file',
      expected: 'foreground in at least one case',
      fix: 'Check that the label files hold labels.',
    });
  const mean = sum / draws;
  let squares = 0;
  each(cases, (value, count) => {
    squares += (value - mean) ** 2 * count;
  });
  const ranked = ranks(cases);
  // numpy subtracts the two neighbours in the array's own float32, the rest is float64.
  const percentile = (p: number) => interpolate((draws - 1) * (p / 100), ranked, Math.fround);
  return {
    max,
    mean,
    median: percentile(50),
    min,
    percentile_00_5: percentile(0.5),
    percentile_99_5: percentile(99.5),
    std: Math.sqrt(squares / draws),
  };
}

function each(cases: readonly Drawn[], take: (value: number, count: number) => void): void {
  for (const { values, counts } of cases)
    if (counts) for (let i = 0; i < values.length; i++) take(values[i], counts[i]);
    else for (let i = 0; i < values.length; i++) take(values[i], 1);
}

/** The draw of any rank in ascending order: counted by the upper half of the float's bits, then sorted within that group alone. */
function ranks(cases: readonly Drawn[]): (rank: number) => number {
  const word = new Float32Array(1);
  const bits = new Uint32Array(word.buffer);
  const groupOf = (value: number) => {
    word[0] = value;
    return sortKey(bits[0]) >>> 16;
  };
  const sizes = new Float64Array(65536);
  each(cases, (value, count) => {
    sizes[groupOf(value)] += count;
  });
  const groups = new Map<number, { value: number; end: number }[]>();
  const sorted = (group: number, before: number) => {
    const known = groups.get(group);
    if (known) return known;
    const found = new Map<number, number>();
    each(cases, (value, count) => {
      if (groupOf(value) === group) found.set(value, (found.get(value) ?? 0) + count);
    });
    let end = before;
    const list = [...found]
      .sort(([a], [b]) => a - b)
      .map(([value, count]) => {
        end += count;
        return { value, end };
      });
    groups.set(group, list);
    return list;
  };
  return (rank) => {
    let group = 0;
    let before = 0;
    while (before + sizes[group] <= rank) before += sizes[group++];
    return sorted(group, before).find(({ end }) => end > rank)!.value;
  };
}
