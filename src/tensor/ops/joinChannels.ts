// Channels of several tensors side by side, as skip connections are joined.
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/**
 * @param parts of equal shape but for the last axis, the channels
 * @returns the channels of the parts one after another; the caller owns it
 * Memory: keeps nothing; TensorFlow's own concatenation keeps its inputs until the backward pass.
 */
export const joinChannels = (parts: tf.Tensor[]): tf.Tensor => {
  const channels = parts.map((part) => part.shape.at(-1)!);
  return customOp(
    parts,
    () => ({ value: tf.concat(parts, -1), keep: [] }),
    (dy) => tf.split(dy, channels, -1),
  );
};
