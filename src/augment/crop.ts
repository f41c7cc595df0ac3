// Cutting a box out of an array, which may reach over its border.
import { nativeFunctions } from '../base/native/load.js';

/** Where a centred box begins on an axis: nnU-Net's, the larger half behind. */
export const centreStart = (shape: readonly number[], size: readonly number[]): number[] =>
  size.map((side, axis) => Math.floor(shape[axis] / 2) - Math.floor(side / 2));

/**
 * Copies the part of a box that lies inside; the rest of `out` stays as it is.
 * @param source `[depth, height, width]` of `shape`, `values` numbers a voxel
 * @param start first voxel of the box, may be negative
 * @param out the box, `size`, `values` numbers a voxel; filled with what is to stand outside
 */
export function cutBox<A extends Float32Array | Int16Array>(
  source: Float32Array | Int16Array | Uint8Array | Uint16Array,
  shape: readonly number[],
  start: readonly number[],
  size: readonly number[],
  out: A,
  values = 1,
): A {
  const native = nativeFunctions();
  if (native && source.constructor === out.constructor) {
    native.cutBox(source as A, shape, start, size, out, values);
    return out;
  }
  const [depth, height, width] = shape;
  const from = Math.max(start[2], 0);
  const to = Math.min(start[2] + size[2], width);
  if (to <= from) return out;
  for (let z = 0; z < size[0]; z++)
    for (let y = 0; y < size[1]; y++) {
      const [sz, sy] = [z + start[0], y + start[1]];
      if (sz < 0 || sz >= depth || sy < 0 || sy >= height) continue;
      const row = (sz * height + sy) * width;
      out.set(
        source.subarray((row + from) * values, (row + to) * values),
        ((z * size[1] + y) * size[2] + from - start[2]) * values,
      );
    }
  return out;
}
