// Median filter over a cube of voxels (batchgeneratorsv2 `MedianFilterTransform`, SciPy's `median_filter`): the border is mirrored with
// the edge repeated, and of an even number of values the upper middle one is taken.
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import { type Planes, voxels } from './sample.js';
import { counts, probability, some, type Transform } from './transform.js';

const settings = z.strictObject({
  /** Smallest and largest edge of the cube, voxels. */
  size: counts,
  perChannel: probability,
});

declare module './transform.js' {
  interface Transforms {
    median: z.infer<typeof settings>;
  }
}

export interface MedianDraw {
  transform: 'median';
  /** Edge of the cube for each channel; null leaves it. */
  sizes: (number | null)[];
}

export const median: Transform<z.infer<typeof settings>, MedianDraw> = {
  name: 'median',
  settings,
  draw: (random, { size: [low, high], perChannel }, context) => ({
    transform: 'median',
    sizes: some(random, context, perChannel, () => random.int(low, high + 1)),
  }),
  apply: applyMedian,
};

export function applyMedian({ sizes }: MedianDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const size = sizes[c];
    if (size !== null && size > 1) plane.set(medianOf(plane, sample.shape, size));
  }
  return sample;
}

function medianOf(plane: Float32Array, shape: Planes['shape'], size: number): Float32Array {
  const out = new Float32Array(voxels(shape));
  // An axis of one voxel repeats it, which moves no median.
  const index = shape.map((n) => mirrored(n, n === 1 ? 1 : size));
  const native = nativeFunctions();
  if (native) {
    native.medianFilter(plane, shape, index, out);
    return out;
  }
  const [zs, ys, xs] = index.map((places, axis) => ({ places, edge: places.length - shape[axis] + 1 }));
  const window = new Float32Array(zs.edge * ys.edge * xs.edge);
  let o = 0;
  for (let z = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++)
      for (let x = 0; x < shape[2]; x++) {
        let k = 0;
        for (let i = z; i < z + zs.edge; i++)
          for (let j = y; j < y + ys.edge; j++) {
            const row = (zs.places[i] * shape[1] + ys.places[j]) * shape[2];
            for (let l = x; l < x + xs.edge; l++) window[k++] = plane[row + xs.places[l]];
          }
        out[o++] = window.sort()[window.length >> 1];
      }
  return out;
}

/** Where a line of `n` voxels is read for windows of `size` that begin size/2 before each voxel: d c b a | a b c d | d c b a. */
function mirrored(n: number, size: number): Int32Array {
  return Int32Array.from({ length: n === 0 ? 0 : n + size - 1 }, (_, i) => {
    const at = (((i - (size >> 1)) % (2 * n)) + 2 * n) % (2 * n);
    return at < n ? at : 2 * n - 1 - at;
  });
}
