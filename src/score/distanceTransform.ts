// Exact Euclidean distance transform with anisotropic spacing (lower envelopes of parabolas, Felzenszwalb & Huttenlocher 2012).
import type { Shape3 } from './masks.js';

/**
 * Linear index of the nearest set voxel, for every voxel of a grid; -1 everywhere when nothing is set.
 * @param shape `[depth, height, width]`
 */
export function nearestFeatures(mask: Uint8Array, shape: Shape3, spacingMm: readonly number[]): Int32Array {
  const [depth, height, width] = shape;
  const [s0, s1, s2] = spacingMm;
  const feature = new Int32Array(depth * height * width).fill(-1);
  const squared = new Float64Array(feature.length).fill(Number.POSITIVE_INFINITY);
  for (let row = 0; row < depth * height; row++) alongRow(mask, feature, squared, row * width, width, s2);
  const longest = Math.max(depth, height);
  const scratch = {
    vertex: new Int32Array(longest),
    bound: new Float64Array(longest + 1),
    feature: new Int32Array(longest),
    squared: new Float64Array(longest),
  };
  for (let z = 0; z < depth; z++)
    for (let x = 0; x < width; x++) envelope(feature, squared, z * height * width + x, width, height, s1, scratch);
  if (depth > 1) for (let i = 0; i < height * width; i++) envelope(feature, squared, i, height * width, depth, s0, scratch);
  return feature;
}

function alongRow(mask: Uint8Array, feature: Int32Array, squared: Float64Array, start: number, width: number, s: number): void {
  let last = -1;
  for (let i = start; i < start + width; i++) {
    if (mask[i]) last = i;
    feature[i] = last;
  }
  let next = -1;
  for (let i = start + width - 1; i >= start; i--) {
    if (mask[i]) next = i;
    const before = feature[i];
    if (next >= 0 && (before < 0 || next - i < i - before)) feature[i] = next;
    if (feature[i] >= 0) squared[i] = ((feature[i] - i) * s) ** 2;
  }
}

interface Scratch {
  vertex: Int32Array;
  bound: Float64Array;
  feature: Int32Array;
  squared: Float64Array;
}

function envelope(
  feature: Int32Array,
  squared: Float64Array,
  start: number,
  step: number,
  length: number,
  s: number,
  { vertex, bound, feature: oldFeature, squared: old }: Scratch,
): void {
  let count = 0;
  for (let i = 0; i < length; i++) {
    const value = squared[start + i * step];
    old[i] = value;
    oldFeature[i] = feature[start + i * step];
    if (value === Number.POSITIVE_INFINITY) continue;
    let from = Number.NEGATIVE_INFINITY;
    while (count > 0) {
      const v = vertex[count - 1];
      // where the parabola of i falls below that of v, in voxels
      from = (value - old[v]) / (2 * s * s * (i - v)) + (i + v) / 2;
      if (from > bound[count - 1]) break;
      count--;
      from = Number.NEGATIVE_INFINITY;
    }
    vertex[count] = i;
    bound[count] = from;
    count++;
  }
  if (count === 0) return;
  let k = 0;
  for (let i = 0; i < length; i++) {
    while (k + 1 < count && bound[k + 1] < i) k++;
    const v = vertex[k];
    const along = (i - v) * s;
    feature[start + i * step] = oldFeature[v];
    squared[start + i * step] = old[v] + along * along;
  }
}

/**
 * Distance in mm of every voxel that is not 0 to the nearest voxel that is 0; 0 elsewhere.
 * @param shape `[depth, height, width]` or `[height, width]`
 * @param outside what lies around the grid: `nothing` (default), or `background`, so that the border counts as an edge
 * @returns +Infinity everywhere in the foreground when there is no background
 */
export function distanceTransform(
  mask: ArrayLike<number>,
  shape: readonly number[],
  spacingMm: readonly number[],
  { outside = 'nothing' }: { outside?: 'nothing' | 'background' } = {},
): Float64Array {
  const margin = outside === 'background' ? 1 : 0;
  const planar = shape.length === 2;
  const [depth, height, width] = planar ? [1, ...shape] : shape;
  const [s0, s1, s2] = planar ? [1, ...spacingMm] : spacingMm;
  const grid: Shape3 = [planar ? 1 : depth + 2 * margin, height + 2 * margin, width + 2 * margin];
  const background = new Uint8Array(grid[0] * grid[1] * grid[2]).fill(margin);
  const at = (z: number, y: number, x: number) => ((planar ? 0 : z + margin) * grid[1] + y + margin) * grid[2] + x + margin;
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, i++) background[at(z, y, x)] = mask[i] === 0 ? 1 : 0;
  const nearest = nearestFeatures(background, grid, [s0, s1, s2]);
  const out = new Float64Array(depth * height * width);
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        if (mask[i] === 0) continue;
        const from = at(z, y, x);
        const to = nearest[from];
        if (to < 0) {
          out[i] = Number.POSITIVE_INFINITY;
          continue;
        }
        const plane = grid[1] * grid[2];
        const dz = (Math.floor(to / plane) - Math.floor(from / plane)) * s0;
        const dy = (Math.floor((to % plane) / grid[2]) - Math.floor((from % plane) / grid[2])) * s1;
        const dx = ((to % grid[2]) - (from % grid[2])) * s2;
        out[i] = Math.sqrt(dz * dz + dy * dy + dx * dx);
      }
  return out;
}
