// Group normalisation, and the shared arithmetic of norms that take their mean over space.
//
// Memory: x and two small tables per (batch, channel) are kept for the backward pass.

import { VoxelbookError } from '../../base/errors.js';
import { product } from '../../base/shape.js';
import { native, nativeAvailable } from '../native/load.js';
import { nativeNorm } from '../native/norm.js';
import { countNorm, isRecorded, isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';
import { leakyRelu } from './leakyRelu.js';

/** What follows a norm and is done with it in one pass: a sum, then a leaky ReLU. */
export interface Behind {
  /** Of a leaky ReLU; default 1: none. Not above 0, it has a pass of its own. */
  slope?: number;
  /** The shape of `x`; added before the leaky ReLU. */
  added?: tf.Tensor;
  /** Nobody else needs `x` or sees its memory: the result may be written over it and is then `x` itself. Default false. */
  usedUp?: boolean;
}

/**
 * Group norm as PyTorch's `GroupNorm`: mean and (biased) variance over space and the channels of a group, per batch entry.
 *
 * @param x `[batch, …spatial, channel]`
 * @param groups divides the channels; equal to them = one group per channel (instance norm)
 * @param gamma `[channel]`, scale
 * @param beta `[channel]`, shift
 * @returns the shape of `x`; the caller owns it
 */
export function groupNorm(x: tf.Tensor, groups: number, gamma?: tf.Tensor, beta?: tf.Tensor, epsilon = 1e-5): tf.Tensor {
  const channels = x.shape.at(-1)!;
  if (channels % groups !== 0)
    throw new VoxelbookError('groupNorm cannot run', {
      code: 'groups',
      path: 'groups',
      given: `${groups} groups for ${channels} channels`,
      expected: 'a divisor of the channels',
      fix: 'Change the groups or the width.',
    });
  return spatialNorm('groupNorm', x, x.shape[0], groups, gamma, beta, epsilon);
}

/**
 * The same over `batch` rows: `x.shape[0]` normalises each entry, 1 the whole batch together (batch norm).
 * Memory: with a sum the output is kept beside `x`, not what was added.
 */
export function spatialNorm(
  name: string,
  x: tf.Tensor,
  batch: number,
  groups: number,
  gamma: tf.Tensor | undefined,
  beta: tf.Tensor | undefined,
  epsilon: number,
  { slope = 1, added, usedUp = false }: Behind = {},
): tf.Tensor {
  const inputs = [x, gamma, beta].filter((t) => t !== undefined);
  const behind = slope !== 1 || added !== undefined;
  if (behind && !(slope > 0 && (isSymbolic() ? nativeAvailable() : native())))
    return tf.tidy(() => {
      const normed = spatialNorm(name, x, batch, groups, gamma, beta, epsilon);
      const sum = added ? tf.add(normed, added) : normed;
      return slope === 1 ? sum : leakyRelu(sum, slope);
    });
  if (isSymbolic()) {
    countNorm(x.size, gamma ? 'affine' : 'plain');
    if (usedUp && nativeAvailable() && !isRecorded() && !tf.engine().isTapeOn()) return x;
    return symbolicOp(
      name,
      added ? [...inputs, added] : inputs,
      x.shape,
      added
        ? { keepOutput: true, keepInputs: inputs.length }
        : { attributes: { batch, groups, scale: !!gamma, shift: !!beta, epsilon } },
    );
  }
  if (native()) return nativeNorm(x, batch, groups, gamma, beta, epsilon, slope, added, usedUp);
  const channels = x.shape.at(-1)!;
  const voxels = product(x.shape.slice(0, -1)) / batch;
  const rows = [batch, voxels, channels];
  const space = batch === x.shape[0] ? x.shape.slice(1, -1) : x.shape.slice(0, -1);
  /** Mean over voxels, one axis after another: short sums keep more digits than one over all voxels. `[batch, 1, channel]`. */
  const overVoxels = (values: tf.Tensor) => {
    let mean = tf.reshape(values, [batch, ...space, channels]);
    while (mean.rank > 2) mean = tf.mean(mean, mean.rank - 2);
    return tf.reshape(mean, [batch, 1, channels]);
  };
  /** Mean over the channels of each group, given back per channel. `[batch, 1, channel]` both. */
  const overGroup = (table: tf.Tensor) =>
    groups === channels
      ? table
      : tf.reshape(
          tf.add(
            tf.mean(tf.reshape(table, [batch, groups, channels / groups]), 2, true),
            tf.zeros([batch, groups, channels / groups]),
          ),
          [batch, 1, channels],
        );
  return customOp(
    inputs,
    () => {
      const values = tf.reshape(x, rows);
      const mean = overGroup(overVoxels(values));
      const variance = overGroup(overVoxels(tf.squaredDifference(values, mean)));
      const inverse = tf.rsqrt(tf.add(variance, epsilon));
      const scale = gamma ? tf.mul(inverse, gamma) : inverse;
      const normal = tf.mul(tf.sub(values, mean), scale);
      const value = tf.reshape(beta ? tf.add(normal, beta) : normal, x.shape);
      return { value, keep: [x, mean, inverse, ...(gamma ? [gamma] : [])] };
    },
    (dy, [x, mean, inverse, gamma]) => {
      // The mean is taken off first everywhere: differences of large sums would lose digits.
      const centred = tf.sub(tf.reshape(x, rows), mean);
      const slope = tf.reshape(dy, rows);
      const average = overVoxels(slope);
      const correlation = tf.mul(overVoxels(tf.mul(slope, centred)), inverse);
      const weighted = (table: tf.Tensor) => overGroup(gamma ? tf.mul(table, gamma) : table);
      const scale = gamma ? tf.mul(inverse, gamma) : inverse;
      const along = tf.mul(tf.square(inverse), weighted(correlation));
      const constant = tf.mul(inverse, weighted(average));
      const dx = tf.sub(tf.sub(tf.mul(slope, scale), tf.mul(centred, along)), constant);
      const gradients = [tf.reshape(dx, x.shape)];
      if (gamma) gradients.push(tf.mul(tf.reshape(tf.sum(correlation, 0), [channels]), voxels));
      if (beta) gradients.push(tf.mul(tf.reshape(tf.sum(average, 0), [channels]), voxels));
      return gradients;
    },
  );
}
