// Tiles over an image and what networks say of them, put together as nnU-Net v2 does it: overlapping tiles, Gaussian weights
// (`predict_sliding_window_return_logits`). Who runs the network is not known here.
//
// Tiles run with one axis outermost, so slices before the current tile row are finished. Only the rows a tile can still touch are kept
// as accumulators; finished slices are handed on. With a consumer that keeps labels only, memory does not grow along that axis.
import { VoxelbookError } from '../base/errors.js';
import { toHalf } from '../base/float16.js';
import { progressOf, turn, type WorkOptions } from '../base/progress.js';
import { axisFirst } from '../base/shape.js';
import { gaussianMap } from './gaussian.js';
import { padToPatch, tileStarts } from './tiles.js';

/** The image, channels last; a `Volume<Float32Array>` is one. */
export interface Image {
  data: Float32Array;
  shape: readonly number[];
  channels: number;
}

/** How tiles are laid over a volume, weighted and mirrored. */
export interface SlidingWindowOptions extends WorkOptions {
  /** Three sides, or two for a network that sees one slice at a time. */
  patchSize: readonly number[];
  /** Output channels of the network. */
  heads: number;
  /** Distance of neighbouring tiles as a fraction of the patch; 0.5 by default. */
  stepSize?: number;
  /** Weigh voxels by their distance from the tile's middle; true by default. */
  gaussian?: boolean;
  /** Axes of the patch along which mirrored passes are averaged; none by default. */
  mirrorAxes?: readonly number[];
  /** What is averaged over mirrored passes, tiles and networks; nnU-Net v2 `logits` (default), nnU-Net v1 `probabilities`. */
  average?: 'logits' | 'probabilities';
  /** For `probabilities`: softmax over the heads (labels) or sigmoid (regions). */
  activation?: 'softmax' | 'sigmoid';
  /** Accumulators; `float16` gives nnU-Net's very numbers, rounding errors included; `float32` (default) avoids them. */
  precision?: 'float32' | 'float16';
  /** Axis along which finished slices are handed on; 0 by default. `rollingAxis` says which one needs the least memory. */
  axis?: number;
  /** Tiles per pass, which changes nothing but rounding; by default as many as have 2¹⁷ voxels together (four of 32³, one of 64³). */
  batchTiles?: number;
}

/**
 * Finished slices `[from, to)` along the outermost axis; `values` `[to - from, …the other axes, head]`, of the first axis
 * `[to - from, height, width, head]`, is only valid during the call.
 */
export type SlabConsumer = (values: Float32Array, from: number, to: number) => void | Promise<void>;

/** Patches on their way through a network: `[tile, …patch, channel]`. */
export interface Patches {
  data: Float32Array;
  tiles: number;
  channels: number;
}

/**
 * Takes slices `[from, to)` along the first of a patch's three axes: `[to - from, height, width, head]`, from `start` on in `values`.
 * Slices of a tile come once each.
 */
export type AddSlices = (tile: number, from: number, to: number, values: Float32Array, start: number) => void;

/** A network as tiles see it: gives `add` its mean answer over all mirrored copies of the patches. */
export type PatchNetwork = (patches: Patches, options: SlidingWindowOptions, add: AddSlices) => Promise<void>;

/**
 * Slides networks over an image and hands finished slices to `consume` in order.
 * @param networks one, or several whose results are averaged (folds)
 * @param image `[depth, height, width, channel]`, preprocessed
 * @param whole keep accumulators for the whole image and hand all slices on at the end, instead of row by row
 * @throws the signal's reason after an abort; VoxelbookError when a network's output does not fit or is not finite
 */
export async function slide(
  networks: readonly PatchNetwork[],
  image: Image,
  options: SlidingWindowOptions,
  whole: boolean,
  consume: SlabConsumer,
): Promise<void> {
  const { heads, stepSize = 0.5, gaussian = true, precision = 'float32', axis = 0 } = options;
  checkSizes(image, options, networks.length);
  const flat = options.patchSize.length === 2;
  const patch = flat ? [1, ...options.patchSize] : [...options.patchSize];
  const { padded, inside } = padToPatch(image.shape, patch);
  const starts = tileStarts(padded, patch, stepSize);
  if (flat) starts[0] = Array.from({ length: padded[0] }, (_, i) => i);
  const map = gaussian ? gaussianMap(options.patchSize, { precision }) : new Float32Array(patch[0] * patch[1] * patch[2]).fill(1);
  const { batchTiles = Math.max(1, Math.floor(voxelsAtOnce / (patch[0] * patch[1] * patch[2]))) } = options;
  // Slices that a 2-D network sees one by one share a pass; tiles of a 3-D one only with those at the same depth.
  const rowsAtOnce = flat ? Math.max(1, Math.min(Math.floor(batchTiles / (starts[1].length * starts[2].length)), padded[0])) : 1;
  const depth = whole ? padded[axis] : patch[axis] + rowsAtOnce - 1;
  // In float32 the sum over networks may be taken before the division by the weights; nnU-Net's rounding needs each on its own.
  const windows = (precision === 'float16' ? networks : [0]).map(() => new Window(padded, axis, depth, heads, precision));
  const weights = new Window(padded, axis, depth, 1, precision);
  const total = starts[0].length * starts[1].length * starts[2].length;
  const report = progressOf(total, options);
  report(0, 'predict');

  let done = 0;
  for (let row = 0; row < starts[axis].length; row += rowsAtOnce) {
    const rows = starts[axis].slice(row, row + rowsAtOnce);
    if (!whole) for (const w of [...windows, weights]) w.moveTo(rows[0]);
    const [zs, ys, xs] = starts.map((list, a) => (a === axis ? rows : list));
    const tiles = zs.flatMap((z) => ys.flatMap((y) => xs.map((x) => [z, y, x])));
    for (let first = 0; first < tiles.length; first += batchTiles) {
      const batch = tiles.slice(first, first + batchTiles);
      const patches = { data: cut(image, inside, batch, patch), tiles: batch.length, channels: image.channels };
      for (const [i, network] of networks.entries()) {
        const window = windows[i] ?? windows[0];
        await network(patches, options, (t, from, to, values, start) =>
          window.add(batch[t], from, to, patch, map, values, start),
        );
      }
      for (const tile of batch) weights.addMap(tile, patch, map);
      done += batch.length;
      report(done, 'predict');
      await turn(); // an interrupt or a progress message gets its turn
    }
    const next = starts[axis][row + rowsAtOnce] ?? padded[axis];
    if (!whole) await emit(windows, weights, networks.length, rows[0], next, inside, precision, consume);
  }
  if (whole) await emit(windows, weights, networks.length, 0, padded[axis], inside, precision, consume);
}

/** Every check of the sizes before anything is computed. */
function checkSizes(image: Image, { patchSize, heads }: SlidingWindowOptions, networks: number): void {
  const voxels = image.shape.reduce((a, b) => a * b, 1);
  if (
    image.shape.length === 3 &&
    image.data.length === voxels * image.channels &&
    [2, 3].includes(patchSize.length) &&
    heads > 0 &&
    networks > 0
  )
    return;
  throw new VoxelbookError('cannot predict', {
    code: 'bad-image',
    path: 'image',
    given: `${image.data.length} values for shape ${JSON.stringify(image.shape)} with ${image.channels} channels, patch ${JSON.stringify(patchSize)}, ${heads} heads, ${networks} networks`,
    expected: 'depth × height × width × channels values, a patch of two or three sides, at least one head and one network',
    fix: 'Give a preprocessed volume [depth, height, width, channel]; a 2-D image has depth 1.',
  });
}

/** Patches `[tile, …patch, channel]` from the image, zeros outside of it. */
function cut(
  image: Image,
  inside: readonly [number, number][],
  tiles: readonly number[][],
  patch: readonly number[],
): Float32Array {
  const [pd, ph, pw] = patch;
  const [depth, height, width] = image.shape;
  const c = image.channels;
  const out = new Float32Array(tiles.length * pd * ph * pw * c);
  tiles.forEach(([tz, ty, tx], t) => {
    const from = Math.max(tx - inside[2][0], 0);
    const to = Math.min(tx - inside[2][0] + pw, width);
    if (to <= from) return;
    for (let z = 0; z < pd; z++) {
      const iz = tz + z - inside[0][0];
      if (iz < 0 || iz >= depth) continue;
      for (let y = 0; y < ph; y++) {
        const iy = ty + y - inside[1][0];
        if (iy < 0 || iy >= height) continue;
        const source = (iz * height + iy) * width;
        const target = ((t * pd + z) * ph + y) * pw + from - (tx - inside[2][0]);
        out.set(image.data.subarray((source + from) * c, (source + to) * c), target * c);
      }
    }
  });
  return out;
}

/** Voxels of a pass over small tiles: passes over few voxels cost more in calls than in arithmetic. */
const voxelsAtOnce = 1 << 17;

/** @throws VoxelbookError where a network's output has another shape */
export function checkOutput(given: readonly number[], expected: readonly number[]): void {
  if (given.join() === expected.join()) return;
  throw new VoxelbookError('the network does not fit the prediction', {
    code: 'bad-output',
    path: 'forward',
    given: `output [${given}]`,
    expected: `[${expected}]`,
    fix: 'Give the number of heads of this network, and a patch its strides divide.',
  });
}

/** All non-empty subsets, by size, then in order. */
export function subsets<T>(list: readonly T[]): T[][] {
  const pick = (size: number, from: number): T[][] =>
    size === 0 ? [[]] : list.slice(from).flatMap((item, i) => pick(size - 1, from + i + 1).map((rest) => [item, ...rest]));
  return list.flatMap((_, size) => pick(size + 1, 0));
}

/** Accumulators for the slices along `axis` that the current row of tiles covers: `[slice, …the other axes, head]`. */
class Window {
  readonly values: Float32Array;
  readonly order: readonly number[];
  /** Distance of neighbouring voxels along each axis of the image, in values. */
  private readonly strides: readonly number[];
  private first = 0;

  constructor(
    readonly padded: readonly number[],
    private readonly axis: number,
    private readonly depth: number,
    readonly heads: number,
    private readonly precision: 'float32' | 'float16',
  ) {
    this.order = axisFirst(axis);
    const [, rows, columns] = this.order;
    const strides = [0, 0, 0];
    strides[columns] = heads;
    strides[rows] = padded[columns] * heads;
    strides[axis] = padded[rows] * padded[columns] * heads;
    this.strides = strides;
    this.values = new Float32Array(depth * strides[axis]);
  }

  /** Forgets the slices before `z`, makes room for as many after. */
  moveTo(z: number): void {
    const shift = Math.min(z - this.first, this.depth) * this.strides[this.axis];
    this.values.copyWithin(0, shift);
    this.values.fill(0, this.values.length - shift);
    this.first = z;
  }

  /** Where the first voxel of a tile lies. */
  private start(tile: readonly number[]): number {
    return tile.reduce((sum, at, a) => sum + at * this.strides[a], -this.first * this.strides[this.axis]);
  }

  /** Adds slices `[from, to)` of a tile times the map; they start at `source` in `values`. */
  add(
    at: readonly number[],
    from: number,
    to: number,
    [, height, width]: readonly number[],
    map: ArrayLike<number>,
    tile: Float32Array,
    source: number,
  ): void {
    const { values, heads } = this;
    const [sz, sy, sx] = this.strides;
    const half = this.precision === 'float16';
    const start = this.start(at);
    const gap = sx - heads;
    let s = source;
    let m = from * height * width;
    for (let z = from; z < to; z++)
      for (let y = 0; y < height; y++) {
        let target = start + z * sz + y * sy;
        for (let x = 0; x < width; x++, m++, target += gap) {
          const g = map[m];
          if (half)
            for (let c = 0; c < heads; c++, target++, s++)
              values[target] = toHalf(Math.fround(values[target] + Math.fround(tile[s] * g)));
          else for (let c = 0; c < heads; c++, target++, s++) values[target] += tile[s] * g;
        }
      }
  }

  /** Adds `map` alone (one head). */
  addMap(at: readonly number[], [pd, ph, pw]: readonly number[], map: ArrayLike<number>): void {
    const { values } = this;
    const [sz, sy, sx] = this.strides;
    const half = this.precision === 'float16';
    const start = this.start(at);
    for (let z = 0, m = 0; z < pd; z++)
      for (let y = 0; y < ph; y++) {
        let target = start + z * sz + y * sy;
        for (let x = 0; x < pw; x++, m++, target += sx) {
          const sum = values[target] + map[m];
          values[target] = half ? toHalf(Math.fround(sum)) : sum;
        }
      }
  }
}

/**
 * Divides the finished slices `[from, to)` (padded coordinates) by their weights, averages the networks, cuts the padding off.
 * The first window's slices are overwritten; without padding they are what is handed on.
 */
async function emit(
  windows: readonly Window[],
  weights: Window,
  networks: number,
  from: number,
  to: number,
  inside: readonly [number, number][],
  precision: 'float32' | 'float16',
  consume: SlabConsumer,
): Promise<void> {
  const { heads, padded, values, order } = windows[0];
  const [[before, after], [top, bottom], [left, right]] = order.map((a) => inside[a]);
  const first = Math.max(from, before);
  const last = Math.min(to, after);
  if (last <= first) return;
  const [, height, width] = order.map((a) => padded[a]);
  const size = right - left;
  const start = (first - from) * height * width * heads;
  // Packed towards the front of the window: reading is never behind writing.
  let o = start;
  let finite = true;
  for (let z = first; z < last; z++)
    for (let y = top; y < bottom; y++) {
      let v = ((z - from) * height + y) * width + left;
      for (let x = 0; x < size; x++, v++) {
        const weight = weights.values[v];
        for (let i = v * heads; i < (v + 1) * heads; i++, o++) {
          const value = precision === 'float16' ? halfMean(windows, i, weight) : values[i] / (weight * networks);
          if (!Number.isFinite(value)) finite = false;
          values[o] = value;
        }
      }
    }
  if (!finite)
    throw new VoxelbookError('the prediction is not finite', {
      code: 'not-finite',
      path: 'forward',
      given: `NaN or infinite logits in slices ${first - before}…${last - 1 - before}`,
      expected: 'finite logits',
      fix: precision === 'float16' ? 'Predict with precision float32.' : 'Look at the weights: training may have diverged.',
    });
  await consume(values.subarray(start, o), first - before, last - before);
}

/** Mean over networks of sum / weight, rounded to half precision after every step as nnU-Net's arrays are. */
function halfMean(windows: readonly Window[], i: number, weight: number): number {
  let sum = 0;
  for (const w of windows) sum = toHalf(Math.fround(sum + toHalf(Math.fround(w.values[i] / weight))));
  return windows.length === 1 ? sum : toHalf(Math.fround(sum / windows.length));
}
