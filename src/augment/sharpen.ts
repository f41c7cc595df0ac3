// Sharpening: every voxel plus its difference from its neighbours along the axes, the border repeated (batchgeneratorsv2
// `SharpeningTransform`).
import { z } from 'zod';
import type { Planes } from './sample.js';
import { probability, range, some, type Transform } from './transform.js';

const settings = z.strictObject({ strength: range, perChannel: probability });

declare module './transform.js' {
  interface Transforms {
    sharpen: z.infer<typeof settings>;
  }
}

export interface SharpenDraw {
  transform: 'sharpen';
  /** Of each channel; null leaves it. */
  strengths: (number | null)[];
}

export const sharpen: Transform<z.infer<typeof settings>, SharpenDraw> = {
  name: 'sharpen',
  settings,
  draw: (random, { strength, perChannel }, context) => ({
    transform: 'sharpen',
    strengths: some(random, context, perChannel, () => random.uniform(...strength)),
  }),
  apply: applySharpen,
};

export function applySharpen({ strengths }: SharpenDraw, sample: Planes): Planes {
  const [depth, height, width] = sample.shape;
  const slice = height * width;
  // An axis of one voxel has no neighbours: its own value stands on both sides and takes no part.
  const axes = depth > 1 ? 6 : 4;
  for (const [c, plane] of sample.channels.entries()) {
    const strength = strengths[c];
    if (strength === null) continue;
    const from = plane.slice();
    let i = 0;
    for (let z = 0; z < depth; z++) {
      const [above, below] = [z > 0 ? -slice : 0, z < depth - 1 ? slice : 0];
      for (let y = 0; y < height; y++) {
        const [before, after] = [y > 0 ? -width : 0, y < height - 1 ? width : 0];
        for (let x = 0; x < width; x++, i++) {
          const v = from[i];
          let around = from[i + before] + from[i + after] + from[x > 0 ? i - 1 : i] + from[x < width - 1 ? i + 1 : i];
          if (axes === 6) around += from[i + above] + from[i + below];
          plane[i] = v + strength * (axes * v - around);
        }
      }
    }
  }
  return sample;
}
