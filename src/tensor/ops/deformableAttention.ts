// Deformable attention over several grids in 3-D: every query reads a few places of each grid, between voxels, and sums them.
//
//   out[q] = Σ over grids and points of weight · trilinear(value, place)        (zero outside a grid)
//
// Zhu et al. 2021 (Deformable DETR, https://arxiv.org/abs/2010.04159), Equation 3; in 3-D as in CoTr.
// Memory: keeps eight values (the corners) of a head's channels for every query, grid and point until the backward pass.

import { product } from '../../base/shape.js';
import { tf } from '../tf.js';
import { withoutTape } from './customOp.js';

/**
 * @param value `[batch, position, channel]`: the grids one behind another, each with its last axis fastest; channels are heads one
 * behind another
 * @param places `[batch, query, head · grid · point, 3]`: depth, height, width in voxels of the grid, whole numbers at voxel centres
 * @param weights `[batch, query, head · grid · point]`
 * @param grids shape of every grid, `[depth, height, width]`
 * @returns `[batch, query, channel]`; the caller owns it
 */
export function deformableAttention(
  value: tf.Tensor,
  places: tf.Tensor,
  weights: tf.Tensor,
  { grids, heads }: { grids: readonly (readonly number[])[]; heads: number },
): tf.Tensor {
  const [batch, positions, channels] = value.shape as [number, number, number];
  const queries = places.shape[1]!;
  const points = places.shape[2]! / heads / grids.length;
  const rows = batch * queries * heads;
  const perRow = grids.length * points;
  return tf.tidy(() => {
    const [z, y, x] = tf.split(tf.reshape(places, [rows, perRow, 3]), 3, 2).map((t) => tf.reshape(t, [rows, perRow]));
    const of = (value: (grid: readonly number[], g: number) => number) =>
      tf.tensor2d(
        grids.flatMap((grid, g) => Array<number>(points).fill(value(grid, g))),
        [1, perRow],
      );
    const floors = withoutTape(() => [z, y, x].map((t) => tf.floor(t)));
    // Which voxel each corner is, and 0 where that is outside; neither has a gradient.
    const [index, inside] = withoutTape(() => {
      const size = [0, 1, 2].map((axis) => of((grid) => grid[axis]));
      const corner = [0, 1, 2].map((axis) =>
        tf.concat(
          corners.map((c) => tf.add(floors[axis], c[axis])),
          1,
        ),
      );
      const tiled = size.map((n) => tf.tile(n, [1, corners.length]));
      const within = corner.map((c, axis) => tf.logicalAnd(tf.greaterEqual(c, 0), tf.less(c, tiled[axis])));
      const [cz, cy, cx] = corner.map((c, axis) => tf.maximum(tf.minimum(c, tf.sub(tiled[axis], 1)), 0));
      let start = 0;
      const begins = grids.map((grid) => {
        const begin = start;
        start += product(grid);
        return begin;
      });
      const first = tf.tile(
        of((_, g) => begins[g]),
        [1, corners.length],
      );
      const voxel = tf.add(first, tf.add(tf.mul(tf.add(tf.mul(cz, tiled[1]), cy), tiled[2]), cx));
      const own = Int32Array.from(
        { length: rows },
        (_, r) => Math.floor(r / (queries * heads)) * positions * heads + (r % heads),
      );
      const flat = tf.add(tf.mul(tf.cast(voxel, 'int32'), tf.scalar(heads, 'int32')), tf.tensor2d(own, [rows, 1], 'int32'));
      return [tf.reshape(flat, [-1]), tf.cast(tf.logicalAnd(tf.logicalAnd(within[0], within[1]), within[2]), 'float32')];
    });
    const [fz, fy, fx] = [z, y, x].map((t, axis) => tf.sub(t, floors[axis]));
    const share = (fraction: tf.Tensor, upper: number) => (upper ? fraction : tf.sub(1, fraction));
    const shares = tf.concat(
      corners.map(([dz, dy, dx]) => tf.mul(tf.mul(share(fz, dz), share(fy, dy)), share(fx, dx))),
      1,
    );
    const own = tf.tile(tf.reshape(weights, [rows, perRow]), [1, corners.length]);
    const factors = tf.mul(tf.mul(shares, inside), own);
    const width = channels / heads;
    const read = tf.gather(tf.reshape(value, [batch * positions * heads, width]), index);
    const count = perRow * corners.length;
    const sum = tf.matMul(tf.reshape(factors, [rows, 1, count]), tf.reshape(read, [rows, count, width]));
    return tf.reshape(sum, [batch, queries, channels]);
  });
}

const corners = [0, 1].flatMap((dz) => [0, 1].flatMap((dy) => [0, 1].map((dx) => [dz, dy, dx] as const)));
