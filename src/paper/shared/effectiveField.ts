// How far a network really sees: the effective receptive field (Luo et al., NeurIPS 2016, arXiv 1701.04128).
import { VoxelbookError } from '../../base/errors.js';
import { tf } from '../../tensor/tf.js';
import { Maps } from './maps.js';

/** A network with its weights: `[batch, …space, channel]` to its full-resolution output of the same space, computed by TensorFlow here. */
export type DifferentiableForward = (x: tf.Tensor) => tf.Tensor | Promise<tf.Tensor>;

/** How the gradient of the middle spreads over the input. */
export interface EffectiveField {
  /** Size of the gradient at every pixel or voxel, summed over channels, mean over the pictures: `[…space]`, row by row. */
  values: Float32Array;
  space: number[];
  /** Distance from the middle, in pixels or voxels, within which half of the gradient lies. */
  halfWithin: number;
}

/**
 * What the outputs in the middle hang on.
 * @param pictures each `[1, …space, channel]`, all of one shape; not disposed
 * @throws VoxelbookError without pictures, for pictures of several shapes, or for a network that answers later: it has no gradient here
 */
export function effectiveField(forward: DifferentiableForward, pictures: readonly tf.Tensor[]): EffectiveField {
  const shapes = [...new Set(pictures.map((x) => x.shape.join('×')))];
  if (shapes.length !== 1)
    throw new VoxelbookError('no effective receptive field can be computed', {
      code: 'effective-field',
      path: 'pictures',
      given: shapes.length === 0 ? 'none' : `shapes ${shapes.join(', ')}`,
      expected: 'one picture or more, all of one shape [1, …space, channel]',
      fix: 'Cut a piece of one size out of each.',
    });
  const space = pictures[0].shape.slice(1, -1);
  const middle = space.map((n) => n >> 1);
  const values = tf.tidy(() => {
    const centre = (x: tf.Tensor) => {
      const y = forward(x);
      if (y instanceof Promise)
        throw new VoxelbookError('no effective receptive field can be computed', {
          code: 'effective-field',
          path: 'forward',
          given: 'a network that is computed elsewhere',
          expected: 'one that TensorFlow computes in this process, so that it has gradients',
          fix: 'Load the weights with run.trainedModel.',
        });
      return tf.sum(tf.slice(y, [0, ...middle, 0], [1, ...space.map(() => 1), y.shape.at(-1)!]));
    };
    const each = pictures.map((x) => tf.sum(tf.abs(tf.grad(centre)(x)), [0, x.rank - 1]));
    return tf.div(tf.addN(each), pictures.length).dataSync() as Float32Array;
  });
  return { values, space, halfWithin: halfWithin(values, space, middle) };
}

/** Radius around the middle that holds half of what there is. */
function halfWithin(values: Float32Array, space: readonly number[], middle: readonly number[]): number {
  const total = values.reduce((a, b) => a + b, 0);
  const byDistance = Array.from(values, (value, i) => {
    let [rest, squared] = [i, 0];
    for (let axis = space.length - 1; axis >= 0; axis--) {
      squared += ((rest % space[axis]) - middle[axis]) ** 2;
      rest = Math.floor(rest / space[axis]);
    }
    return { squared, value };
  }).sort((a, b) => a.squared - b.squared);
  let sum = 0;
  for (const { squared, value } of byDistance) {
    sum += value;
    if (sum >= total / 2) return Math.sqrt(squared);
  }
  return Number.NaN;
}

/**
 * Effective receptive fields side by side: the plane through the middle, on a logarithmic scale from the strongest down to a
 * ten-thousandth of it.
 */
export function effectiveFields(title: string, fields: Readonly<Record<string, EffectiveField>>): Maps {
  const maps = Object.entries(fields).map(([name, { values, space, halfWithin }]) => {
    const [height, width] = space.slice(-2);
    const plane = space.length === 3 ? space[0] >> 1 : 0;
    const own = values.subarray(plane * height * width, (plane + 1) * height * width);
    const most = own.reduce((a, b) => Math.max(a, b), 0) || 1;
    return {
      name,
      values: Array.from(own, (v) => Math.log10(Math.max(v / most, 1e-4))),
      width,
      height,
      note: `half within ${halfWithin.toFixed(1)} ${space.length === 3 ? 'voxels' : 'pixels'}`,
    };
  });
  return new Maps(title, maps);
}
