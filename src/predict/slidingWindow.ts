// Sliding-window prediction as nnU-Net v2 does it: overlapping tiles, Gaussian weights, mirrored passes (`predict_sliding_window_return_logits`).
//
// Tiles run with the first axis outermost, so slices before the current tile row are finished. Only the rows a tile can still
// touch are kept as accumulators; finished slices are handed on. With a consumer that keeps labels only, memory does not grow with the volume's depth.
import { VoxelbookError } from '../base/errors.js';
import { toHalf } from '../base/float16.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import type { Network, Params } from '../model/network.js';
import { tf } from '../tensor/tf.js';
import { gaussianMap } from './gaussian.js';
import { padToPatch, tileStarts } from './tiles.js';

/** A network ready to use: patches `[batch, …patch, channel]` → logits `[batch, …patch, head]`. The caller of it owns the result. */
export type Forward = (x: tf.Tensor) => tf.Tensor;

/** The image, channels last; a `Volume<Float32Array>` is one. */
export interface Image {
  data: Float32Array;
  shape: readonly number[];
  channels: number;
}

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
  /** Tiles per pass; 1 by default. */
  batchTiles?: number;
}

/** Finished slices `[from, to)` along the first axis; `values` `[to - from, height, width, head]` is only valid during the call. */
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
  options: SlidingWindowOptions,
): Promise<Float32Array> {
  const [depth, height, width] = image.shape;
  const slice = height * width * options.heads;
  const out = new Float32Array(depth * slice);
  await predictSlabs(forward, image, options, (values, from, to) =>
    out.set(values.subarray(0, (to - from) * slice), from * slice),
  );
  return out;
}

/** `predictLogits` that hands finished slices to `consume` in order instead of keeping them. */
export async function predictSlabs(
  forward: Forward | readonly Forward[],
  image: Image,
  options: SlidingWindowOptions,
  consume: SlabConsumer,
): Promise<void> {
  const forwards = typeof forward === 'function' ? [forward] : forward;
  const { heads, stepSize = 0.5, gaussian = true, precision = 'float32', batchTiles = 1 } = options;
  checkSizes(image, options, forwards.length);
  const flat = options.patchSize.length === 2;
  const patch = flat ? [1, ...options.patchSize] : [...options.patchSize];
  const { padded, inside } = padToPatch(image.shape, patch);
  const starts = tileStarts(padded, patch, stepSize);
  if (flat) starts[0] = Array.from({ length: padded[0] }, (_, i) => i);
  const map = gaussian ? gaussianMap(options.patchSize, { precision }) : new Float32Array(patch[0] * patch[1] * patch[2]).fill(1);
  const windows = forwards.map(() => new Window(padded, patch[0], heads, precision));
  const weights = new Window(padded, patch[0], 1, precision);
  const total = starts[0].length * starts[1].length * starts[2].length;
  const report = progressOf(total, options);
  report(0, 'predict');

  let done = 0;
  for (const [row, z] of starts[0].entries()) {
    for (const w of [...windows, weights]) w.moveTo(z);
    const tiles = starts[1].flatMap((y) => starts[2].map((x) => [z, y, x]));
    for (let first = 0; first < tiles.length; first += batchTiles) {
      const batch = tiles.slice(first, first + batchTiles);
      const patches = cut(image, inside, batch, patch);
      for (const [i, run] of forwards.entries()) {
        const values = await predictPatches(run, patches, batch.length, patch, image.channels, options);
        for (const [b, tile] of batch.entries()) windows[i].add(tile, patch, map, values, b);
      }
      for (const tile of batch) weights.add(tile, patch, map);
      done += batch.length;
      report(done, 'predict');
      await new Promise(setImmediate); // an interrupt or a progress message gets its turn
    }
    const next = starts[0][row + 1] ?? padded[0];
    await emit(windows, weights, z, next, inside, heads, precision, consume);
  }
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

/** Mean of the network's answers over all mirrored copies, as float32 values; disposes of every tensor it makes. */
async function predictPatches(
  run: Forward,
  patches: Float32Array,
  count: number,
  patch: readonly number[],
  channels: number,
  { patchSize, heads, mirrorAxes = [], average = 'logits', activation = 'softmax' }: SlidingWindowOptions,
): Promise<Float32Array> {
  const mean = tf.tidy(() => {
    const x = tf.tensor(patches, [count, ...patchSize, channels]);
    const pass = (input: tf.Tensor) => {
      const y = run(input);
      if (average === 'logits') return y;
      return activation === 'softmax' ? tf.softmax(y) : tf.sigmoid(y);
    };
    let sum = pass(x);
    const axes = subsets(mirrorAxes.map((a) => a + 1));
    for (const flip of axes) {
      const mirrored = tf.tidy(() => tf.reverse(pass(tf.reverse(x, flip)), flip));
      const next = tf.add(sum, mirrored);
      tf.dispose([sum, mirrored]);
      sum = next;
    }
    return axes.length > 0 ? tf.div(sum, axes.length + 1) : sum;
  });
  const expected = [count, ...patchSize, heads];
  try {
    if (mean.shape.join() !== expected.join())
      throw new VoxelbookError('the network does not fit the prediction', {
        code: 'bad-output',
        path: 'forward',
        given: `output [${mean.shape}] for ${count} patches [${patch}]`,
        expected: `[${expected}]`,
        fix: 'Give the number of heads of this network, and a patch its strides divide.',
      });
    return (await mean.data()) as Float32Array;
  } finally {
    mean.dispose();
  }
}

/** All non-empty subsets, by size, then in order. */
export function subsets<T>(list: readonly T[]): T[][] {
  const pick = (size: number, from: number): T[][] =>
    size === 0 ? [[]] : list.slice(from).flatMap((item, i) => pick(size - 1, from + i + 1).map((rest) => [item, ...rest]));
  return list.flatMap((_, size) => pick(size + 1, 0));
}

/** Accumulators for the slices the current row of tiles covers. */
class Window {
  readonly values: Float32Array;
  private readonly slice: number;
  private first = 0;

  constructor(
    private readonly padded: readonly number[],
    private readonly depth: number,
    private readonly heads: number,
    private readonly precision: 'float32' | 'float16',
  ) {
    this.slice = padded[1] * padded[2] * heads;
    this.values = new Float32Array(depth * this.slice);
  }

  /** Height and width of a slice. */
  plane(): [number, number] {
    return [this.padded[1], this.padded[2]];
  }

  /** Forgets the slices before `z`, makes room for as many after. */
  moveTo(z: number): void {
    const shift = Math.min(z - this.first, this.depth) * this.slice;
    this.values.copyWithin(0, shift);
    this.values.fill(0, this.values.length - shift);
    this.first = z;
  }

  /** Adds `map` times tile number `index` of `tiles`, or `map` alone. */
  add(
    [, ty, tx]: readonly number[],
    [pd, ph, pw]: readonly number[],
    map: ArrayLike<number>,
    tiles?: Float32Array,
    index = 0,
  ): void {
    const { values, heads, slice } = this;
    const half = this.precision === 'float16';
    let m = 0;
    let source = index * pd * ph * pw * heads;
    for (let z = 0; z < pd; z++)
      for (let y = 0; y < ph; y++) {
        let target = z * slice + ((ty + y) * this.padded[2] + tx) * heads;
        for (let x = 0; x < pw; x++, m++) {
          const g = map[m];
          if (!tiles) values[target] = half ? toHalf(Math.fround(values[target] + g)) : values[target] + g;
          else if (half)
            for (let c = 0; c < heads; c++)
              values[target + c] = toHalf(Math.fround(values[target + c] + Math.fround(tiles[source + c] * g)));
          else for (let c = 0; c < heads; c++) values[target + c] += tiles[source + c] * g;
          target += heads;
          source += heads;
        }
      }
  }
}

/** Divides the finished slices `[from, to)` (padded coordinates) by their weights, averages the networks, cuts the padding off. */
async function emit(
  windows: readonly Window[],
  weights: Window,
  from: number,
  to: number,
  inside: readonly [number, number][],
  heads: number,
  precision: 'float32' | 'float16',
  consume: SlabConsumer,
): Promise<void> {
  const first = Math.max(from, inside[0][0]);
  const last = Math.min(to, inside[0][1]);
  if (last <= first) return;
  const [height, width] = weights.plane();
  const [[top, bottom], [left, right]] = [inside[1], inside[2]];
  const out = new Float32Array((last - first) * (bottom - top) * (right - left) * heads);
  const n = windows.length;
  const round = precision === 'float16' ? toHalf : (x: number) => x;
  let o = 0;
  for (let z = first; z < last; z++)
    for (let y = top; y < bottom; y++) {
      let v = ((z - from) * height + y) * width + left;
      for (let x = left; x < right; x++, v++) {
        const weight = weights.values[v];
        for (let c = 0; c < heads; c++, o++) {
          let sum = 0;
          for (const w of windows) sum = round(Math.fround(sum + round(Math.fround(w.values[v * heads + c] / weight))));
          out[o] = n === 1 ? sum : round(Math.fround(sum / n));
        }
      }
    }
  for (let i = 0; i < out.length; i++)
    if (!Number.isFinite(out[i]))
      throw new VoxelbookError('the prediction is not finite', {
        code: 'not-finite',
        path: 'forward',
        given: `${out[i]} in slices ${first - inside[0][0]}…${last - 1 - inside[0][0]}`,
        expected: 'finite logits',
        fix: precision === 'float16' ? 'Predict with precision float32.' : 'Look at the weights: training may have diverged.',
      });
  await consume(out, first - inside[0][0], last - inside[0][0]);
}

/** A network with its parameters as a `Forward`: the full-resolution output, all others disposed of. */
export function forwardOf(network: Pick<Network, 'forward'>, params: Params): Forward {
  return (x) => tf.tidy(() => network.forward({ params, training: false, updates: {} }, x)[0]);
}
