// Mirroring (batchgeneratorsv2 `MirrorTransform`): each allowed axis by itself.
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import type { Planes } from './sample.js';
import { probability, type Transform } from './transform.js';

const settings = z.strictObject({ perAxis: probability });

declare module './transform.js' {
  interface Transforms {
    mirror: z.infer<typeof settings>;
  }
}

export interface MirrorDraw {
  transform: 'mirror';
  /** Axes of `[depth, height, width]`. */
  axes: number[];
}

export const mirror: Transform<z.infer<typeof settings>, MirrorDraw> = {
  name: 'mirror',
  settings,
  draw(random, { perAxis }, { mirrorAxes }) {
    const axes = mirrorAxes.filter(() => random.chance(perAxis));
    return axes.length > 0 ? { transform: 'mirror', axes } : null;
  },
  apply: applyMirror,
};

export function applyMirror({ axes }: MirrorDraw, sample: Planes): Planes {
  for (const plane of sample.channels) flip(plane, sample.shape, axes);
  flip(sample.seg, sample.shape, axes);
  if (sample.previous) flip(sample.previous, sample.shape, axes);
  return sample;
}

/** Mirrors in place. */
function flip(values: Float32Array | Int16Array, shape: readonly number[], axes: readonly number[]): void {
  const native = nativeFunctions();
  if (native) {
    native.flip(values, shape, axes);
    return;
  }
  const [depth, height, width] = shape;
  const before = values.slice();
  const [fz, fy, fx] = [0, 1, 2].map((axis) => axes.includes(axis));
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const from = ((fz ? depth - 1 - z : z) * height + (fy ? height - 1 - y : y)) * width;
      const row = before.subarray(from, from + width);
      values.set((fx ? row.reverse() : row) as never, (z * height + y) * width);
    }
}
