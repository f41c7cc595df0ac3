// Boxes of the image that become their own mean (batchgeneratorsv2 `BlankRectangleTransform`); one over another takes what is there by then.
import { z } from 'zod';
import type { Planes } from './sample.js';
import { counts, probability, shares, some, type Transform } from './transform.js';

const settings = z.strictObject({
  /** Fewest and most boxes of a channel. */
  count: counts,
  /** Shortest and longest edge as shares of the patch's; the longest is one voxel less. */
  edge: shares,
  perChannel: probability,
});

declare module './transform.js' {
  interface Transforms {
    blankRectangles: z.infer<typeof settings>;
  }
}

/** Voxels along each axis of `[depth, height, width]`. */
interface Box {
  start: number[];
  size: number[];
}

export interface BlankDraw {
  transform: 'blankRectangles';
  /** Of each channel, in the order they are blanked; null leaves it. */
  boxes: (Box[] | null)[];
}

export const blankRectangles: Transform<z.infer<typeof settings>, BlankDraw> = {
  name: 'blankRectangles',
  settings,
  draw(random, { count: [fewest, most], edge: [short, long], perChannel }, context) {
    const { patch, flat } = context;
    const box = (): Box => {
      const size = patch.map((side, axis) => {
        const low = Math.max(1, Math.floor(side * short));
        return flat && axis === 0 ? 1 : random.int(low, Math.max(low + 1, Math.floor(side * long)));
      });
      return { start: patch.map((side, axis) => random.int(0, side - size[axis] + 1)), size };
    };
    const boxes = some(random, context, perChannel, () => Array.from({ length: random.int(fewest, most + 1) }, box));
    return { transform: 'blankRectangles', boxes };
  },
  apply: applyBlank,
};

export function applyBlank({ boxes }: BlankDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) for (const box of boxes[c] ?? []) blank(plane, sample.shape, box);
  return sample;
}

function blank(plane: Float32Array, [, height, width]: readonly number[], { start: [z, y, x], size }: Box): void {
  const rows: Float32Array[] = [];
  for (let i = z; i < z + size[0]; i++)
    for (let j = y; j < y + size[1]; j++) {
      const from = (i * height + j) * width + x;
      rows.push(plane.subarray(from, from + size[2]));
    }
  let sum = 0;
  for (const row of rows) for (const v of row) sum += v;
  for (const row of rows) row.fill(sum / (size[0] * size[1] * size[2]));
}
