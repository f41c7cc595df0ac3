// Backpropagation that lets go of memory as it walks: what an operator kept is freed once its gradient is known, and the
// gradient of an intermediate once it has been passed on. tfjs's own keeps both until the end, about twice the memory.
import type * as TF from '@tensorflow/tfjs';
import { product } from '../base/shape.js';
import { tf, whenLoaded } from './tf.js';

let asked: ReadonlySet<string> | undefined;

/** While an operator's gradient is taken: is that of its input number `i` asked for? What is not, it need not compute. */
export const isAsked = (i: number): boolean => asked === undefined || asked.has(String(i));

interface TapeNode {
  kernelName: string;
  inputs: Record<string, TF.Tensor>;
  outputs: TF.Tensor[];
  saved: TF.Tensor[];
  gradient?: (dys: (TF.Tensor | null)[]) => Record<string, () => TF.Tensor>;
}

interface Engine {
  startTape(): void;
  endTape(): void;
  state: { gradientDepth: number; activeTape: TapeNode[] | null };
}

/**
 * Value and gradients of a function of tensors.
 *
 * @param f gives one tensor; its intermediates are disposed, what it keeps with `tf.keep` stays
 * @param xs tensors whose gradient is wanted
 * @param dy slope of the value, default ones
 * @returns the value and one gradient per tensor, undefined where the value does not depend on it; owned by the caller
 * @throws Error when an operator on the way has no gradient, naming it
 */
export function gradients(
  f: () => tf.Tensor,
  xs: tf.Tensor[],
  dy?: tf.Tensor,
): { value: tf.Tensor; grads: (tf.Tensor | undefined)[] } {
  const engine = tf.engine() as unknown as Engine;
  const outerTape = engine.state.activeTape;
  let tape: TapeNode[] = [];
  try {
    if (engine.state.gradientDepth > 0)
      throw new Error(
        'gradients cannot run inside another gradient’s forward pass: derivatives of second order are not supported.',
      );
    engine.startTape();
    tape = engine.state.activeTape!;
    let value: tf.Tensor;
    try {
      value = tf.tidy(f);
    } finally {
      engine.endTape();
      engine.state.activeTape = null;
    }
    const path = nodesBetween(xs, value, tape);
    for (const node of tape) if (!path.has(node)) release(node);
    const slopes = new Map<number, tf.Tensor>([[value.id, dy ? tf.clone(dy) : tf.ones(value.shape)]]);
    const wanted = new Set(xs.map((x) => x.id));
    for (const node of tape.toReversed()) if (path.has(node)) passBack(node, path.get(node)!, slopes, wanted);
    const grads = xs.map((x) => slopes.get(x.id));
    for (const [id, slope] of slopes) if (!wanted.has(id)) slope.dispose();
    return { value, grads };
  } catch (error) {
    for (const node of tape) release(node);
    throw error;
  } finally {
    engine.state.activeTape = outerTape;
  }
}

/** Nodes that lead from `xs` to `y`, each with the names of its inputs that depend on `xs`. */
function nodesBetween(xs: tf.Tensor[], y: tf.Tensor, tape: TapeNode[]): Map<TapeNode, string[]> {
  const fromX = new Set(xs.map((x) => x.id));
  const depends = new Map<TapeNode, string[]>();
  for (const node of tape) {
    const names = Object.keys(node.inputs).filter((name) => fromX.has(node.inputs[name].id));
    if (names.length === 0) continue;
    depends.set(node, names);
    for (const output of node.outputs) fromX.add(output.id);
  }
  const toY = new Set([y.id]);
  const path = new Map<TapeNode, string[]>();
  for (const node of tape.toReversed()) {
    const names = depends.get(node);
    if (!names || !node.outputs.some((output) => toY.has(output.id))) continue;
    path.set(node, names);
    for (const name of names) toY.add(node.inputs[name].id);
  }
  return path;
}

function passBack(node: TapeNode, names: string[], slopes: Map<number, tf.Tensor>, wanted: Set<number>) {
  const dys = node.outputs.map((output) => slopes.get(output.id) ?? null);
  if (!node.gradient) throw new Error(`${node.kernelName} has no gradient`);
  const before = asked;
  asked = new Set(names);
  const found = tf.tidy(() => {
    try {
      const gradient = node.gradient!(dys);
      // Clones share their memory, and make every gradient a tensor of its own whatever an operator handed through.
      return names.map((name) => tf.clone(gradient[name]()));
    } finally {
      asked = before;
    }
  });
  for (const [i, name] of names.entries()) {
    const { id, shape } = node.inputs[name];
    if (!tf.util.arraysEqual(found[i].shape, shape))
      throw new Error(`the gradient of ${node.kernelName} for ${name} has shape [${found[i].shape}], its input [${shape}]`);
    const before = slopes.get(id);
    slopes.set(id, before ? tf.add(before, found[i]) : found[i]);
    if (before) tf.dispose([before, found[i]]);
  }
  for (const output of node.outputs)
    if (!wanted.has(output.id)) {
      slopes.get(output.id)?.dispose();
      slopes.delete(output.id);
    }
  release(node);
}

function release(node: TapeNode) {
  for (const tensor of node.saved) tensor.dispose();
  node.saved = [];
}

// tfjs multiplies the slope of a sum or mean by an array of ones that it fills in JavaScript: a quarter of a second for a
// patch of 128³ with four classes. Repeating the slope is the same.
whenLoaded(() => {
  for (const kernelName of ['Sum', 'Mean']) {
    tf.unregisterGradient(kernelName);
    tf.registerGradient({
      kernelName,
      inputsToSave: ['x'],
      gradFunc: (dy, [x], attributes) => {
        const axes = new Set(
          tf.util.parseAxisParam((attributes as { axis?: number | number[] }).axis ?? [...x.shape.keys()], x.shape),
        );
        const repeats = x.shape.map((n, axis) => (axes.has(axis) ? n : 1));
        const count = kernelName === 'Mean' ? product(repeats) : 1;
        return {
          x: () =>
            tf.tidy(() => {
              const slope = tf.reshape(
                dy as tf.Tensor,
                x.shape.map((n, axis) => (axes.has(axis) ? 1 : n)),
              );
              return tf.tile(count === 1 ? slope : tf.div(slope, count), repeats);
            }),
        };
      },
    });
  }
});
