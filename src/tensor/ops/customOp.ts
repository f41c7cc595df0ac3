// An operator with a gradient of our own.
import { gradients } from '../gradients.js';
import { tf } from '../tf.js';

/**
 * Runs `forward` outside the tape and gives its output the gradient `backward`; only what `keep` names (and the inputs, if
 * named there) stays alive until the backward pass.
 *
 * @param forward returns the output and the tensors `backward` needs; intermediates are disposed
 * @param backward returns one gradient per input, in order; undefined where `isAsked` says that nobody wants it
 */
export function customOp(
  inputs: tf.Tensor[],
  forward: () => { value: tf.Tensor; keep: tf.Tensor[] },
  backward: (dy: tf.Tensor, kept: tf.Tensor[]) => (tf.Tensor | undefined)[],
): tf.Tensor {
  return tf.customGrad((...args: unknown[]) => {
    const save = args.pop() as tf.GradSaveFunc;
    const { value, keep } = forward();
    save(keep);
    return {
      value,
      gradFunc: (dy: tf.Tensor, kept: tf.Tensor[]) => tf.tidy(() => backward(dy, kept).map((gradient) => gradient ?? dy)),
    };
  })(...inputs);
}

/** Runs `f` without recording it for gradients, and disposes its intermediates. */
export function withoutTape<T extends tf.Tensor | tf.Tensor[]>(f: () => T): T {
  const state = tf.engine().state;
  state.kernelDepth++;
  try {
    return tf.tidy(f);
  } finally {
    state.kernelDepth--;
  }
}

/**
 * Gradient checkpointing: `f` keeps nothing but its inputs and runs again in the backward pass.
 *
 * Memory: the inputs from forward to backward, and one pass of `f` with its gradients while its backward runs.
 * @param inputs every tensor through which a gradient shall flow, parameters included
 */
export function recompute(inputs: tf.Tensor[], f: (...inputs: tf.Tensor[]) => tf.Tensor): tf.Tensor {
  return customOp(
    inputs,
    () => ({ value: f(...inputs), keep: inputs }),
    (dy, kept) => {
      const { value, grads } = gradients(() => f(...kept), kept, dy);
      value.dispose();
      return kept.map((input, i) => grads[i] ?? tf.zerosLike(input));
    },
  );
}
