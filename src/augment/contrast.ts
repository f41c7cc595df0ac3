// Contrast: distance from the channel's mean times a factor, kept inside the channel's old range (batchgeneratorsv2 `ContrastTransform`).
import { z } from 'zod';
import type { Planes } from './sample.js';
import { balanced, each, range, type Transform } from './transform.js';

const settings = z.strictObject({ range });

declare module './transform.js' {
  interface Transforms {
    contrast: z.infer<typeof settings>;
  }
}

export interface ContrastDraw {
  transform: 'contrast';
  factors: (number | null)[];
  /** Keep values inside the channel's old range; true in every pipeline here. */
  preserveRange: boolean;
}

export const contrast: Transform<z.infer<typeof settings>, ContrastDraw> = {
  name: 'contrast',
  settings,
  draw: (random, settings, context) => ({
    transform: 'contrast',
    factors: each(context, () => balanced(random, settings.range)),
    preserveRange: true,
  }),
  apply: applyContrast,
};

export function applyContrast({ factors, preserveRange }: ContrastDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const factor = factors[c];
    if (factor === null) continue;
    const { mean, min, max } = statistics(plane);
    for (let i = 0; i < plane.length; i++) {
      const v = (plane[i] - mean) * factor + mean;
      plane[i] = preserveRange ? Math.min(Math.max(v, min), max) : v;
    }
  }
  return sample;
}

/** Mean, unbiased standard deviation, smallest and largest value. */
export function statistics(values: Float32Array): { mean: number; sd: number; min: number; max: number } {
  const n = values.length;
  let sum = 0;
  let min = values[0];
  let max = values[0];
  for (let i = 0; i < n; i++) {
    const v = values[i];
    sum += v;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) {
    const d = values[i] - mean;
    squares += d * d;
  }
  return { mean, sd: Math.sqrt(squares / (n - 1)), min, max };
}
