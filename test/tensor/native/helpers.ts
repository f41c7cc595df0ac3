// What the tests of the native kernels share.
import assert from 'node:assert';
import { tf } from '../../../src/tensor/tf.js';

/** Values that look random, the same on every run: sines of incommensurable steps. */
export function smooth(shape: number[], seed: number, scale: number): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: size }, (_, i) => {
    const s = Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453;
    return (2 * (s - Math.floor(s)) - 1) * scale;
  });
  return tf.tensor(values, shape);
}

/** Runs `f` with the native kernels switched off. */
export function plain<T>(f: () => T): T {
  const before = process.env.VOXELBOOK_NATIVE;
  process.env.VOXELBOOK_NATIVE = '0';
  try {
    return f();
  } finally {
    if (before === undefined) delete process.env.VOXELBOOK_NATIVE;
    else process.env.VOXELBOOK_NATIVE = before;
  }
}

/** Largest difference, relative to the largest reference value (or to 1 where that is smaller). */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0;
  let scale = 1;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i] - expected[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst / scale;
}

export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.strictEqual(actual.length, expected.length, what);
  const d = difference(actual, expected);
  assert.ok(d <= tolerance, `${what}: differs by ${d}, tolerance ${tolerance}`);
}
