// Sliding-window prediction as nnU-Net v2 does it: overlapping tiles, Gaussian weights, mirrored passes (`predict_sliding_window_return_logits`).
//
// Tiles run with one axis outermost, so slices before the current tile row are finished. Only the rows a tile can still touch are kept
// as accumulators; finished slices are handed on. With a consumer that keeps labels only, memory does not grow along that axis.
import { VoxelbookError } from '../base/errors.js';
import { toHalf } from '../base/float16.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { axisFirst } from '../base/shape.js';
import type { Network, Params } from '../model/network.js';
import { tf } from '../tensor/tf.js';
import { gaussianMap } from './gaussian.js';
import { padToPatch, tileStarts } from './tiles.js';

/**
 * A network ready to use: patches `[batch, …patch, channel]` → logits `[batch, …patch, head]`. The caller of it owns the result. One
 * that answers later reads its input before it first waits.
 */
export type Forward = (x: tf.Tensor) => tf.Tensor | Promise<tf.Tensor>;

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

/**
 * Logits (or probabilities, by `average`) of a whole image.
 * @param forward one network, or several whose results are averaged (folds)
 * @param image `[depth, height, width, channel]`, preprocessed
 * @returns `[depth, height, width, head]`; no tensor is left behind
 * @throws the signal's reason after an abort; VoxelbookError when the network's output does not fit or is not finite
 */
export async function predictLogits(
  forward: Forward | readonly Forward[],
  image: Image,
  options: Omit<SlidingWindowOptions, 'axis'>,
): Promise<Float32Array> {
  let out: Float32Array | undefined;
  await slide(forward, image, { ...options, axis: 0 }, true, (values) => {
    out = values;
  });
  return out!;
}

/** `predictLogits` that hands finished slices to `consume` in order instead of keeping them. */
export const predictSlabs = (
  forward: Forward | readonly Forward[],
  image: Image,
  options: SlidingWindowOptions,
  consume: SlabConsumer,
): Promise<void> => slide(forward, image, options, false, consume);

/** @param whole keep accumulators for the whole image and hand all slices on at the end, instead of row by row */
async function slide(
  forward: Forward | readonly Forward[],
  image: Image,
  options: SlidingWindowOptions,
  whole: boolean,
  consume: SlabConsumer,
): Promise<void> {
  const forwards = typeof forward === 'function' ? [forward] : forward;
  const { heads, stepSize = 0.5, gaussian = true, precision = 'float32', axis = 0 } = options;
  checkSizes(image, options, forwards.length);
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
  const windows = (precision === 'float16' ? forwards : [0]).map(() => new Window(padded, axis, depth, heads, precision));
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
      const patches = cut(image, inside, batch, patch);
      for (const [i, run] of forwards.entries()) {
        const window = windows[i] ?? windows[0];
        await predictPatches(run, patches, batch, patch, image.channels, options, map, window);
      }
      for (const tile of batch) weights.addMap(tile, patch, map);
      done += batch.length;
      report(done, 'predict');
      await new Promise(setImmediate); // an interrupt or a progress message gets its turn
    }
    const next = starts[axis][row + rowsAtOnce] ?? padded[axis];
    if (!whole) await emit(windows, weights, forwards.length, rows[0], next, inside, precision, consume);
  }
  if (whole) await emit(windows, weights, forwards.length, 0, padded[axis], inside, precision, consume);
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

/**
 * Adds the network's mean answer over all mirrored copies of `patches` to `window`; disposes of every tensor it makes.
 * Outputs of a whole patch are large, so the sum over passes is kept in slabs: nothing but the last output stands beside it.
 */
async function predictPatches(
  run: Forward,
  patches: Float32Array,
  tiles: readonly number[][],
  [depth, height, width]: readonly number[],
  channels: number,
  { patchSize, heads, mirrorAxes = [], average = 'logits', activation = 'softmax' }: SlidingWindowOptions,
  map: ArrayLike<number>,
  window: Window,
): Promise<void> {
  const stack = [tiles.length, depth, height, width, heads];
  const thickness = Math.max(1, Math.floor(slabValues / (tiles.length * height * width * heads)));
  const slabs = Array.from({ length: Math.ceil(depth / thickness) }, (_, i) => {
    const from = i * thickness;
    return { from, to: Math.min(from + thickness, depth) };
  });
  const passes = [[], ...subsets(mirrorAxes)];
  const x = tf.tensor(patches, [tiles.length, ...patchSize, channels]);
  const sums: tf.Tensor[] = [];
  try {
    for (const flip of passes) {
      const axes = flip.map((axis) => axis + 1);
      const logits = await answer(run, x, axes);
      let output: tf.Tensor;
      try {
        checkOutput(logits.shape, [tiles.length, ...patchSize, heads]);
        output = tf.tidy(() => {
          if (average === 'logits') return tf.reshape(logits, stack);
          return tf.reshape(activation === 'softmax' ? tf.softmax(logits) : tf.sigmoid(logits), stack);
        });
      } finally {
        logits.dispose();
      }
      try {
        // The patch's axes as axes of the stack.
        const back = flip.map((axis) => axis + 4 - patchSize.length);
        for (const [i, { from, to }] of slabs.entries()) {
          const start = back.includes(1) ? depth - to : from;
          const sum = tf.tidy(() => {
            const slab = tf.slice(output, [0, start, 0, 0, 0], [tiles.length, to - from, height, width, heads]);
            return sums[i] ? tf.add(sums[i], tf.reverse(slab, back)) : slab;
          });
          sums[i]?.dispose();
          sums[i] = sum;
        }
      } finally {
        output.dispose();
      }
    }
    for (const [i, { from, to }] of slabs.entries()) {
      const mean = passes.length > 1 ? tf.div(sums[i], passes.length) : sums[i].clone();
      const values = (await mean.data()) as Float32Array;
      mean.dispose();
      for (const [t, tile] of tiles.entries()) {
        const start = t * (to - from) * height * width * heads;
        window.add(tile, from, to, [height, width], map, values, start);
      }
    }
  } finally {
    tf.dispose([x, ...sums]);
  }
}

/** What a network says to a mirrored patch, now or later; what one that answers now makes besides is disposed of. */
function answer(run: Forward, x: tf.Tensor, axes: number[]): tf.Tensor | Promise<tf.Tensor> {
  let later: Promise<tf.Tensor> | undefined;
  const now = tf.tidy((): tf.Tensor | undefined => {
    const y = run(axes.length > 0 ? tf.reverse(x, axes) : x);
    if (y instanceof Promise) later = y;
    else return y === x ? y.clone() : y;
  });
  return later ?? now!;
}

/** Voxels of a pass over small tiles: passes over few voxels cost more in calls than in arithmetic. */
const voxelsAtOnce = 1 << 17;

/** Values of a slab of outputs; TensorFlow keeps what it once allocated, and large slabs break up what outputs need whole. */
const slabValues = 1 << 19;

function checkOutput(given: readonly number[], expected: readonly number[]): void {
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
    [height, width]: readonly number[],
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

/** A network with its parameters as a `Forward`: the full-resolution output, all others disposed of. */
export function forwardOf(network: Pick<Network, 'forward'>, params: Params): Forward {
  return (x) => tf.tidy(() => network.forward({ params, training: false, updates: {} }, x)[0]);
}
