// Labels at the resolutions of deep supervision. No tensors here: threads that make batches load this, and not TensorFlow.

/**
 * Labels at a lower resolution by nearest-exact sampling: output i reads input ⌊(i + 0.5)·n/N⌋.
 * @param labels `[depth, height, width]`, row-major
 * @param out takes them
 */
export function downsampleLabels<A extends Int16Array | Int32Array = Int16Array>(
  labels: Int16Array,
  shape: readonly number[],
  target: readonly number[],
  out: A = new Int16Array(target[0] * target[1] * target[2]) as A,
): A {
  if (shape.every((n, i) => n === target[i])) {
    out.set(labels);
    return out;
  }
  const [, height, width] = shape;
  const index = target.map((n, axis) => Int32Array.from({ length: n }, (_, i) => Math.floor(((i + 0.5) * shape[axis]) / n)));
  let at = 0;
  for (const z of index[0]) for (const y of index[1]) for (const x of index[2]) out[at++] = labels[(z * height + y) * width + x];
  return out;
}
