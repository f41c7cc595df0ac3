// Batch normalisation: with the batch's own statistics while training, with running statistics otherwise.
import { countNorm, isRecorded, isSymbolic, symbolicOp, symbolicOutput } from '../symbolic.js';
import { tf } from '../tf.js';
import { withoutTape } from './customOp.js';
import { type Behind, spatialNorm } from './groupNorm.js';
import { leakyRelu } from './leakyRelu.js';
import { asMatrix } from './spread.js';

export interface BatchStatistics {
  /** `[channel]` */
  mean: tf.Tensor;
  /** `[channel]`, biased (divided by n). */
  variance: tf.Tensor;
}

/**
 * Batch norm as PyTorch's `BatchNorm2d`/`3d`.
 *
 * @param x `[batch, …spatial, channel]`
 * @param gamma `[channel]`, scale
 * @param beta `[channel]`, shift
 * @param statistics fixed statistics (evaluation); without them the batch's own (training)
 * @param behind a sum and a leaky ReLU, in the same pass while training
 * @returns the shape of `x`; the caller owns it
 */
export function batchNorm(
  x: tf.Tensor,
  gamma?: tf.Tensor,
  beta?: tf.Tensor,
  epsilon = 1e-5,
  statistics?: BatchStatistics,
  behind: Behind = {},
): tf.Tensor {
  if (!statistics) return spatialNorm('batchNorm', x, 1, x.shape.at(-1)!, gamma, beta, epsilon, behind);
  const { slope = 1, added } = behind;
  if (slope !== 1 || added)
    return tf.tidy(() => {
      const normed = batchNorm(x, gamma, beta, epsilon, statistics);
      const sum = added ? tf.add(normed, added) : normed;
      return slope === 1 ? sum : leakyRelu(sum, slope);
    });
  if (isSymbolic() && !isRecorded()) {
    countNorm(x.size, gamma ? 'batchEvalAffine' : 'batchEval');
    return symbolicOp(
      'batchNorm',
      [x, gamma, beta].filter((t) => t !== undefined),
      x.shape,
    );
  }
  return tf.tidy(() => {
    const inverse = tf.rsqrt(tf.add(statistics.variance, epsilon));
    const scale = gamma ? tf.mul(inverse, gamma) : inverse;
    const centre = tf.mul(statistics.mean, scale);
    return tf.add(tf.mul(x, scale), beta ? tf.sub(beta, centre) : tf.neg(centre));
  });
}

/** Mean and biased variance of each channel over batch and space, outside the tape. The caller owns both. */
export function batchStatistics(x: tf.Tensor): BatchStatistics {
  if (isSymbolic()) return { mean: symbolicOutput([x.shape.at(-1)!]), variance: symbolicOutput([x.shape.at(-1)!]) };
  const [mean, variance] = withoutTape(() => {
    const values = asMatrix(x);
    const mean = tf.mean(values, 0);
    return [mean, tf.mean(tf.squaredDifference(values, mean), 0)];
  });
  return { mean, variance };
}
