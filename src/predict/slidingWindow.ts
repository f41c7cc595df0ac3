// Networks of TensorFlow slid over an image, mirrored passes averaged (nnU-Net v2 `_internal_maybe_mirror_and_predict`).
import type { Network, Params } from '../model/network.js';
import { tf } from '../tensor/tf.js';
import {
  type AddSlices,
  checkOutput,
  type Image,
  type Patches,
  type PatchNetwork,
  type SlabConsumer,
  type SlidingWindowOptions,
  slide,
  subsets,
} from './windows.js';

/**
 * A network ready to use: patches `[batch, …patch, channel]` → logits `[batch, …patch, head]`. The caller of it owns the result. One
 * that answers later reads its input before it first waits.
 */
export type Forward = (x: tf.Tensor) => tf.Tensor | Promise<tf.Tensor>;

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
  await slide(networksOf(forward), image, { ...options, axis: 0 }, true, (values) => {
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
): Promise<void> => slide(networksOf(forward), image, options, false, consume);

/** Networks of TensorFlow as tiles see them. */
export const networksOf = (forward: Forward | readonly Forward[]): PatchNetwork[] =>
  (typeof forward === 'function' ? [forward] : forward).map(
    (run) => (patches, options, add) => predictPatches(run, patches, options, add),
  );

/**
 * Gives `add` the network's mean answer over all mirrored copies of the patches; disposes of every tensor it makes.
 * Outputs of a whole patch are large, so the sum over passes is kept in slabs: nothing but the last output stands beside it.
 */
async function predictPatches(
  run: Forward,
  { data, tiles, channels }: Patches,
  { patchSize, heads, mirrorAxes = [], average = 'logits', activation = 'softmax' }: SlidingWindowOptions,
  add: AddSlices,
): Promise<void> {
  const [depth, height, width] = patchSize.length === 2 ? [1, ...patchSize] : patchSize;
  const stack = [tiles, depth, height, width, heads];
  const thickness = Math.max(1, Math.floor(slabValues / (tiles * height * width * heads)));
  const slabs = Array.from({ length: Math.ceil(depth / thickness) }, (_, i) => {
    const from = i * thickness;
    return { from, to: Math.min(from + thickness, depth) };
  });
  const passes = [[], ...subsets(mirrorAxes)];
  const x = tf.tensor(data, [tiles, ...patchSize, channels]);
  const sums: tf.Tensor[] = [];
  try {
    for (const flip of passes) {
      const axes = flip.map((axis) => axis + 1);
      const logits = await answer(run, x, axes);
      let output: tf.Tensor;
      try {
        checkOutput(logits.shape, [tiles, ...patchSize, heads]);
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
            const slab = tf.slice(output, [0, start, 0, 0, 0], [tiles, to - from, height, width, heads]);
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
      for (let t = 0; t < tiles; t++) add(t, from, to, values, t * (to - from) * height * width * heads);
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

/** Values of a slab of outputs; TensorFlow keeps what it once allocated, and large slabs break up what outputs need whole. */
const slabValues = 1 << 19;

/** A network with its parameters as a `Forward`: the full-resolution output, all others disposed of. */
export function forwardOf(network: Pick<Network, 'forward'>, params: Params): Forward {
  return (x) => tf.tidy(() => network.forward({ params, training: false, updates: {} }, x)[0]);
}
