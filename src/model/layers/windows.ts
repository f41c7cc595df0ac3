// Windows of a grid, as Swin Transformer cuts it (Liu et al. 2021, https://arxiv.org/abs/2103.14030), 2-D and 3-D:
// padding, cyclic shift, the regions that a shifted window mixes, and the relative position bias.
import { product } from '../../base/shape.js';
import { attention } from '../../tensor/ops/attention.js';
import { tf } from '../../tensor/tf.js';
import { type Context, type Declaration, scope, under } from '../network.js';
import { dropout } from './dropout.js';
import { type Layer, linear, parameter } from './layers.js';

/** `[batch, …grid, channel]` → `[batch·windows, voxels of a window, channel]`; edges must be multiples of the window's. */
export function partition(x: tf.Tensor, window: readonly number[]): tf.Tensor {
  const channels = x.shape.at(-1)!;
  const grid = x.shape.slice(1, -1);
  // Batch and channel are folded into their neighbours, so that the rank stays below seven.
  const cells = grid.flatMap((n, i) => [n / window[i], window[i]]);
  cells[0] *= x.shape[0];
  cells[cells.length - 1] *= channels;
  const outer = grid.map((_, i) => 2 * i);
  const inner = grid.map((_, i) => 2 * i + 1);
  return tf.reshape(tf.transpose(tf.reshape(x, cells), [...outer, ...inner]), [-1, product(window), channels]);
}

/** The inverse of `partition`, for a grid of this size. */
export function assemble(windows: tf.Tensor, window: readonly number[], grid: readonly number[]): tf.Tensor {
  const channels = windows.shape.at(-1)!;
  const counts = grid.map((n, i) => n / window[i]);
  const batch = windows.shape[0] / product(counts);
  const cells = [...counts, ...window];
  cells[0] *= batch;
  cells[cells.length - 1] *= channels;
  const axes = grid.flatMap((_, i) => [i, grid.length + i]);
  return tf.reshape(tf.transpose(tf.reshape(windows, cells), axes), [batch, ...grid, channels]);
}

/** Moves every grid axis cyclically: what was at `shift` comes to 0. */
export function roll(x: tf.Tensor, shift: readonly number[]): tf.Tensor {
  return shift.reduce((y: tf.Tensor, s, i) => {
    const n = y.shape[i + 1]!;
    const by = ((s % n) + n) % n;
    if (by === 0) return y;
    const [head, tail] = tf.split(y, [by, n - by], i + 1);
    return tf.concat([tail, head], i + 1);
  }, x);
}

/**
 * Which positions of a shifted window lie side by side in the image: `[windows, voxels of a window]`, equal numbers for
 * positions that may see each other. An axis that is not shifted has one region.
 */
export function shiftRegions(grid: readonly number[], window: readonly number[], shift: readonly number[]): tf.Tensor {
  const region = (i: number, axis: number) =>
    shift[axis] === 0 || i < grid[axis] - window[axis] ? 0 : i < grid[axis] - shift[axis] ? 1 : 2;
  const values = new Float32Array(product(grid));
  const at = grid.map(() => 0);
  for (let v = 0; v < values.length; v++) {
    values[v] = at.reduce((sum, i, axis) => 3 * sum + region(i, axis), 0);
    for (let axis = grid.length - 1; axis >= 0 && ++at[axis] === grid[axis]; axis--) at[axis] = 0;
  }
  return tf.reshape(partition(tf.tensor(values, [1, ...grid, 1]), window), [-1, product(window)]);
}

/**
 * Attention in shifted windows: pads the grid at its ends with zeros, shifts, cuts, applies `f` to the windows, and undoes it all.
 *
 * @param grids one or more `[batch, …grid, channel]` of the same size, cut alike
 * @param f from `[batch·windows, voxels, channel]` each and the regions (undefined without a shift) to the same shape
 */
export function inWindows(
  grids: tf.Tensor[],
  window: readonly number[],
  shift: readonly number[],
  f: (windows: tf.Tensor[], regions: tf.Tensor | undefined) => tf.Tensor,
): tf.Tensor {
  const grid = grids[0].shape.slice(1, -1);
  const padded = grid.map((n, i) => Math.ceil(n / window[i]) * window[i]);
  const ends = padded.map((n, i): [number, number] => [0, n - grid[i]]);
  const shifted = shift.some((s) => s !== 0);
  const cut = grids.map((x) => {
    const whole = ends.some(([, n]) => n > 0) ? tf.pad(x, [[0, 0], ...ends, [0, 0]]) : x;
    return partition(roll(whole, shift), window);
  });
  const out = f(cut, shifted ? shiftRegions(padded, window, shift) : undefined);
  const back = roll(
    assemble(out, window, padded),
    shift.map((s) => -s),
  );
  const size = [back.shape[0], ...grid, back.shape.at(-1)!];
  return ends.some(([, n]) => n > 0)
    ? tf.slice(
        back,
        size.map(() => 0),
        size,
      )
    : back;
}

/**
 * Row of the bias table for every pair of voxels of a window, `voxels²` numbers, query by query.
 * @param steps what one voxel along each axis adds to the row
 */
export function relativeIndex(window: readonly number[], steps: readonly number[]): Int32Array {
  const voxels = product(window);
  const place = (v: number) => {
    const at: number[] = [];
    for (let axis = window.length - 1, rest = v; axis >= 0; axis--) {
      at[axis] = rest % window[axis];
      rest = Math.floor(rest / window[axis]);
    }
    return at;
  };
  const places = Array.from({ length: voxels }, (_, v) => place(v));
  const index = new Int32Array(voxels * voxels);
  for (const [q, a] of places.entries())
    for (const [k, b] of places.entries())
      index[q * voxels + k] = window.reduce((sum, n, axis) => sum + (a[axis] - b[axis] + n - 1) * steps[axis], 0);
  return index;
}

/** Steps that give every offset its own row, as Swin has it. */
export const distinctSteps = (window: readonly number[]): number[] =>
  window.map((_, axis) => product(window.slice(axis + 1).map((n) => 2 * n - 1)));

export interface WindowAttentionSettings {
  dim: number;
  heads: number;
  /** Voxels per axis; fixes the bias table. */
  window: readonly number[];
  /** Steps of the relative index; default `distinctSteps`. */
  steps?: readonly number[];
  qkvBias?: boolean;
  /** Queries come from elsewhere without a projection; keys and values alone are projected (`kv` instead of `qkv`). */
  queriesGiven?: boolean;
  dropout?: number;
}

/**
 * `WindowAttention`: heads within each window, with a learned bias for every offset between two voxels.
 *
 * @returns applied to windows `[batch·windows, voxels, channel]`. With fewer voxels than the window has, their bias is the
 *   upper left corner of the full table of pairs, as MONAI has it for a window clipped to a small grid.
 */
export function windowAttention(d: Declaration, name: string, s: WindowAttentionSettings) {
  const { dim, heads, window, qkvBias = true, steps = distinctSteps(window) } = s;
  const voxels = product(window);
  const rows = product(window.map((n) => 2 * n - 1));
  const index = relativeIndex(window, steps);
  const table = parameter(d, under(name, 'relative_position_bias_table'), [rows, heads], { kind: 'normal', sd: 0.02 });
  d.add(under(name, 'relative_position_index'), [voxels, voxels], {
    buffer: true,
    dtype: 'int32',
    init: { kind: 'custom', fill: () => Float32Array.from(index) },
  });
  const project = s.queriesGiven
    ? linear(d, under(name, 'kv'), dim, 2 * dim, { bias: qkvBias })
    : linear(d, under(name, 'qkv'), dim, 3 * dim, { bias: qkvBias });
  const out = linear(d, under(name, 'proj'), dim, dim);
  const drop: Layer = dropout(s.dropout ?? 0);

  const attend = (
    c: Context,
    x: tf.Tensor,
    options: { regions?: tf.Tensor; mask?: tf.Tensor; queries?: tf.Tensor } = {},
  ): tf.Tensor => {
    const n = x.shape[1]!;
    const corner =
      n === voxels ? index : Int32Array.from({ length: n * n }, (_, i) => index[Math.floor(i / n) * voxels + (i % n)]);
    const bias = tf.transpose(tf.reshape(tf.gather(table(c), tf.tensor1d(corner)), [n, n, heads]), [2, 0, 1]);
    const parts = tf.split(project(c, x), s.queriesGiven ? 2 : 3, -1);
    const [q, k, v] = s.queriesGiven ? [options.queries!, ...parts] : parts;
    const { regions, mask } = options;
    return drop(c, out(c, attention(q, k, v, { heads, bias, regions, mask })));
  };
  return scope(d, name, attend);
}
