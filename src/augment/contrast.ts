// Contrast: distance from the channel's mean times a factor, kept inside the channel's old range (batchgeneratorsv2 `ContrastTransform`).
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import type { Planes } from './sample.js';
import { balanced, probability, range, some, type Transform } from './transform.js';

const settings = z.strictObject({
  range,
  /** Default 1. */
  perChannel: probability.optional(),
  /** Values stay inside the channel's old range; default true. */
  preserveRange: z.boolean().optional(),
});

declare module './transform.js' {
  interface Transforms {
    contrast: z.infer<typeof settings>;
  }
}

export interface ContrastDraw {
  transform: 'contrast';
  factors: (number | null)[];
  /** Keep values inside the channel's old range. */
  preserveRange: boolean;
}

export const contrast: Transform<z.infer<typeof settings>, ContrastDraw> = {
  name: 'contrast',
  settings,
  draw: (random, { range, perChannel, preserveRange = true }, context) => ({
    transform: 'contrast',
    factors: some(random, context, perChannel, () => balanced(random, range)),
    preserveRange,
  }),
  apply: applyContrast,
};

export function applyContrast({ factors, preserveRange }: ContrastDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const factor = factors[c];
    if (factor === null) continue;
    const { mean, min, max } = statistics(plane);
    scaleAbout(plane, mean, factor, mean, preserveRange ? [min, max] : undefined);
  }
  return sample;
}

/** (v − centre) · factor + target for every value, kept inside the limits. */
export function scaleAbout(
  plane: Float32Array,
  centre: number,
  factor: number,
  target: number,
  [low, high]: readonly [number, number] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
): void {
  const native = nativeFunctions();
  if (native) native.scaleAbout(plane, centre, factor, target, low, high);
  else for (let i = 0; i < plane.length; i++) plane[i] = Math.min(Math.max((plane[i] - centre) * factor + target, low), high);
}

/** Mean, unbiased standard deviation, smallest and largest value. */
export function statistics(values: Float32Array): { mean: number; sd: number; min: number; max: number } {
  if (values.length === 0) return { mean: Number.NaN, sd: Number.NaN, min: Number.NaN, max: Number.NaN };
  const native = nativeFunctions();
  if (native) {
    native.statistics(values, four);
    return { mean: four[0], sd: four[1], min: four[2], max: four[3] };
  }
  const n = values.length;
  let min = values[0];
  let max = values[0];
  for (let i = 0; i < n; i++) {
    const v = values[i];
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const mean = eightSums(values, 0, false) / n;
  return { mean, sd: Math.sqrt(eightSums(values, mean, true) / (n - 1)), min, max };
}

const four = new Float64Array(4);

/** Sum of v − centre, or of its square: eight sums side by side, so that vectors add in the same order. */
function eightSums(values: Float32Array, centre: number, squared: boolean): number {
  const s = new Float64Array(8);
  for (let i = 0; i < values.length; i++) {
    const d = values[i] - centre;
    s[i & 7] += squared ? d * d : d;
  }
  return s[0] + s[1] + (s[2] + s[3]) + (s[4] + s[5] + (s[6] + s[7]));
}
