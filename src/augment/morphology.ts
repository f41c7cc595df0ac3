// Binary morphology with a ball, as the cascade's augmentation uses it (batchgeneratorsv2 `ApplyRandomBinaryOperatorTransform`).

export type BinaryOperator = 'dilation' | 'erosion' | 'closing' | 'opening';
export const binaryOperators: readonly BinaryOperator[] = ['dilation', 'erosion', 'closing', 'opening'];

/** One row of a ball: where it lies from the middle, and the columns it covers, inclusive. */
interface Row {
  dz: number;
  dy: number;
  from: number;
  to: number;
}

/**
 * Ball of a radius as skimage makes it: ⌊2r + 1⌋ points an axis evenly from -r to r (an even number when r is not whole).
 * A disk, for slices: points from -r on with distance 1.
 * @returns side length, and whether each point lies inside, C order
 */
export function ball(radius: number, dimensions: 2 | 3 = 3): { side: number; inside: Uint8Array } {
  const flat = dimensions === 2;
  const side = flat ? Math.ceil(2 * radius + 1) : Math.floor(2 * radius + 1);
  const step = flat ? 1 : (2 * radius) / Math.max(side - 1, 1);
  const point = (i: number) => -radius + i * step;
  const depth = flat ? 1 : side;
  const inside = new Uint8Array(depth * side * side);
  for (let i = 0; i < inside.length; i++) {
    const z = flat ? 0 : point(Math.floor(i / (side * side)));
    const y = point(Math.floor(i / side) % side);
    const x = point(i % side);
    inside[i] = x * x + y * y + z * z <= radius * radius ? 1 : 0;
  }
  return { side, inside };
}

function rows(radius: number, flat: boolean): Row[] {
  const { side, inside } = ball(radius, flat ? 2 : 3);
  const middle = Math.floor((side - 1) / 2);
  const out: Row[] = [];
  for (let r = 0; r < inside.length / side; r++) {
    const row = inside.subarray(r * side, (r + 1) * side);
    const from = row.indexOf(1);
    if (from < 0) continue;
    const [dz, dy] = flat ? [0, r] : [Math.floor(r / side), r % side];
    out.push({ dz: flat ? 0 : dz - middle, dy: dy - middle, from: from - middle, to: row.lastIndexOf(1) - middle });
  }
  return out;
}

/**
 * Dilation, erosion, closing or opening of a 0/1 array.
 * Outside counts as empty for dilation and as filled for erosion. A volume of depth 1 takes a disk.
 * @param radius of the ball, voxels
 */
export function applyOperator(operator: BinaryOperator, mask: Uint8Array, shape: readonly number[], radius: number): Uint8Array {
  const ballRows = rows(radius, shape[0] === 1);
  const dilate = (m: Uint8Array) => dilation(m, shape, ballRows);
  const erode = (m: Uint8Array) => not(dilate(not(m)));
  if (operator === 'dilation') return dilate(mask);
  if (operator === 'erosion') return erode(mask);
  return operator === 'closing' ? erode(dilate(mask)) : dilate(erode(mask));
}

const not = (mask: Uint8Array) => mask.map((v) => 1 - v);

/** out[o] = any of in[o + offset] over the ball; whole rows at a time by running sums. */
function dilation(mask: Uint8Array, [depth, height, width]: readonly number[], ballRows: readonly Row[]): Uint8Array {
  const out = new Uint8Array(mask.length);
  const stride = width + 1;
  const sums = new Int32Array(depth * height * stride);
  for (let r = 0; r < depth * height; r++)
    for (let x = 0; x < width; x++) sums[r * stride + x + 1] = sums[r * stride + x] + mask[r * width + x];
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const target = (z * height + y) * width;
      for (const { dz, dy, from, to } of ballRows) {
        const iz = z + dz;
        const iy = y + dy;
        if (iz < 0 || iz >= depth || iy < 0 || iy >= height) continue;
        const row = (iz * height + iy) * stride;
        if (sums[row + width] === 0) continue;
        for (let x = 0; x < width; x++) {
          const low = Math.max(x + from, 0);
          const high = Math.min(x + to + 1, width);
          if (high > low && sums[row + high] > sums[row + low]) out[target + x] = 1;
        }
      }
    }
  return out;
}
