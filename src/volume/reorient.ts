// Turning a volume so that its axes run right, forward, up (RAS), and back: nnU-Net's NibabelIOWithReorient.
//
// Source: nibabel's `io_orientation` and `as_reoriented`, which nnU-Net calls on reading and, the other way round, on export.
import { turnAxes } from './crop.js';
import type { Geometry, Volume } from './volume.js';

/** For each axis of the file (x, y, z): the world axis it follows, and whether it runs against it. */
export interface Turn {
  world: number[];
  against: boolean[];
}

/**
 * The volume with its axes nearest to right, forward, up; the volume itself where they are that already.
 *
 * A turned volume's voxel size is the step of its affine in float32, as nibabel writes it when it turns (an untouched one keeps pixdim).
 */
export function toRas<V extends Volume>(volume: V): V {
  const turn = turnOf(volume.direction);
  if (isUpright(turn)) return volume;
  const data = turnAxes(volume.data, volume.shape, volume.channels, ...arrayTurn(turn));
  const { stepMm: _, ...rest } = volume;
  return { ...rest, ...turnedGeometry(volume, turn), data } as V;
}

/** Shape and place that `toRas` gives, without the voxels. */
export function rasGeometry(geometry: Geometry): Geometry {
  const turn = turnOf(geometry.direction);
  return isUpright(turn) ? geometry : turnedGeometry(geometry, turn);
}

/**
 * Undoes `toRas`: voxels on the grid of `toRas(original)` come to lie as `original` is stored, with its geometry.
 * @param original the volume, or its geometry, before it was turned
 */
export function fromRas<V extends Volume>(volume: V, original: Geometry): V {
  const { shape, spacingMm, stepMm, originMm, direction } = original;
  const turn = turnOf(direction);
  const [order, flipped] = arrayTurn(turn);
  const back = order.map((_, axis) => order.indexOf(axis));
  const data = turnAxes(
    volume.data,
    volume.shape,
    volume.channels,
    back,
    back.map((axis) => flipped[axis]),
  );
  const { stepMm: _, ...rest } = volume;
  return { ...rest, data, shape, spacingMm, ...(stepMm ? { stepMm } : {}), originMm, direction } as V;
}

const isUpright = ({ world, against }: Turn) => world.every((axis, i) => axis === i && !against[i]);

/** Which array axis `[depth, height, width]` each axis of the turned array is, and whether it is read backwards. */
function arrayTurn({ world, against }: Turn): [order: number[], flipped: boolean[]] {
  const source = [2, 1, 0].map((axis) => world.indexOf(axis));
  return [source.map((axis) => 2 - axis), source.map((axis) => against[axis])];
}

function turnedGeometry({ shape, spacingMm, stepMm = spacingMm, originMm, direction }: Geometry, turn: Turn): Geometry {
  const [order] = arrayTurn(turn);
  const column = (axis: number) => [direction[axis], direction[3 + axis], direction[6 + axis]];
  const origin = [...originMm] as Geometry['originMm'];
  for (let axis = 0; axis < 3; axis++) {
    if (!turn.against[axis]) continue;
    const length = (shape[2 - axis] - 1) * stepMm[2 - axis];
    for (let r = 0; r < 3; r++) origin[r] += column(axis)[r] * length;
  }
  const columns = [0, 1, 2].map((world) => {
    const axis = turn.world.indexOf(world);
    return column(axis).map((v) => (turn.against[axis] ? 0 - v : v));
  });
  return {
    shape: order.map((axis) => shape[axis]) as Geometry['shape'],
    spacingMm: order.map((axis) => Math.fround(stepMm[axis])) as Geometry['spacingMm'],
    originMm: origin,
    direction: [0, 1, 2].flatMap((r) => columns.map((c) => c[r])) as unknown as Geometry['direction'],
  };
}

/** nibabel's `io_orientation`: of the nearest rotation, each axis takes its largest part, strongest axis first, no world axis twice. */
export function turnOf(direction: Geometry['direction']): Turn {
  const r = nearestRotation(direction);
  const strength = (axis: number) => Math.max(...[0, 3, 6].map((row) => r[row + axis] ** 2));
  const world = [0, 0, 0];
  const against = [false, false, false];
  const free = new Set([0, 1, 2]);
  for (const axis of [0, 1, 2].sort((a, b) => strength(b) - strength(a))) {
    const size = (row: number) => Math.abs(r[3 * row + axis]);
    const best = [...free].reduce((most, row) => (size(row) > size(most) ? row : most));
    free.delete(best);
    world[axis] = best;
    against[axis] = r[3 * best + axis] < 0;
  }
  return { world, against };
}

/** The orthogonal factor of a matrix with independent columns: Newton's iteration X ← (X + X⁻ᵀ) / 2. */
function nearestRotation(matrix: readonly number[]): number[] {
  let x = [...matrix];
  for (let i = 0; i < 60; i++) {
    const [a, b, c, d, e, f, g, h, k] = x;
    const cofactors = [e * k - f * h, f * g - d * k, d * h - e * g, c * h - b * k, a * k - c * g, b * g - a * h];
    cofactors.push(b * f - c * e, c * d - a * f, a * e - b * d);
    const determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2];
    const next = x.map((v, n) => (v + cofactors[n] / determinant) / 2);
    const change = Math.max(...next.map((v, n) => Math.abs(v - x[n])));
    x = next;
    if (change < 1e-15) break;
  }
  return x;
}
