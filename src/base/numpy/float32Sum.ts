// Sums in float32 in numpy's order, so that a mean rounds as numpy's does: with values far from zero its last digits are seen.

/** numpy's pairwise sum of `data[from … to)`: eight running sums in blocks of at most 128, blocks added as a binary tree; every step in float32. */
export function pairwiseSum(data: Float32Array, from = 0, to = data.length): number {
  const n = to - from;
  if (n < 8) {
    let sum = 0;
    for (let i = from; i < to; i++) sum = Math.fround(sum + data[i]);
    return sum;
  }
  if (n > 128) {
    const half = (n >> 1) - ((n >> 1) % 8);
    return Math.fround(pairwiseSum(data, from, from + half) + pairwiseSum(data, from + half, to));
  }
  let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map((k) => data[from + k]);
  let i = from + 8;
  for (const end = to - (n % 8); i < end; i += 8) {
    a = Math.fround(a + data[i]);
    b = Math.fround(b + data[i + 1]);
    c = Math.fround(c + data[i + 2]);
    d = Math.fround(d + data[i + 3]);
    e = Math.fround(e + data[i + 4]);
    f = Math.fround(f + data[i + 5]);
    g = Math.fround(g + data[i + 6]);
    h = Math.fround(h + data[i + 7]);
  }
  const left = Math.fround(Math.fround(a + b) + Math.fround(c + d));
  const right = Math.fround(Math.fround(e + f) + Math.fround(g + h));
  let sum = Math.fround(left + right);
  for (; i < to; i++) sum = Math.fround(sum + data[i]);
  return sum;
}

/** numpy's buffer, in numbers. */
const buffer = 8192;

/**
 * numpy's sum over a box cut from a larger array, which lies in pieces in memory: numpy fills a buffer with whole pieces and
 * adds up the pairwise sums of the buffers.
 * @param data the box itself, C order
 * @param shape of the box
 * @param whole shape of the array it was cut from
 */
export function boxSum(data: Float32Array, shape: readonly number[], whole: readonly number[]): number {
  const sides = piecesOf(shape, whole);
  let core = 1;
  let axis = sides.length - 1;
  while (axis > 0 && core * sides[axis] <= buffer) core *= sides[axis--];
  // One piece, or pieces larger than the buffer: each is summed in place.
  if (core === 1) return chunks(data, sides[axis], sides[axis]);
  return chunks(data, core * sides[axis], core * Math.floor(buffer / core));
}

/** Sides of the box from the outermost in, without axes of length 1; axes that lie in one piece in memory have become one. */
function piecesOf(shape: readonly number[], whole: readonly number[]): number[] {
  const sides: number[] = [];
  let joined = false;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] > 1) {
      if (joined && sides.length > 0) sides[0] *= shape[axis];
      else sides.unshift(shape[axis]);
      joined = true;
    }
    if (shape[axis] !== whole[axis]) joined = false;
  }
  return sides.length > 0 ? sides : [1];
}

/** Pairwise sums of pieces of `size`, starting again every `period`, added up. */
function chunks(data: Float32Array, period: number, size: number): number {
  let sum = 0;
  for (let start = 0; start < data.length; start += period)
    for (let from = start; from < start + period; from += size)
      sum = Math.fround(sum + pairwiseSum(data, from, Math.min(from + size, start + period)));
  return sum;
}
