// A smooth field added to the image (batchgeneratorsv2 `BrightnessGradientAdditiveTransform`).
import { z } from 'zod';
import { drawField, type Field, fieldOf, fieldSettings } from './localField.js';
import type { Planes } from './sample.js';
import { fromEither, ranges, some, type Transform } from './transform.js';

const settings = z.strictObject({
  ...fieldSettings,
  /** Largest value added; each range as often as the others. */
  strength: ranges,
});

declare module './transform.js' {
  interface Transforms {
    brightnessGradient: z.infer<typeof settings>;
  }
}

export interface BrightnessGradientDraw {
  transform: 'brightnessGradient';
  /** Of each channel; null leaves it. */
  fields: (({ strength: number } & Field) | null)[];
}

export const brightnessGradient: Transform<z.infer<typeof settings>, BrightnessGradientDraw> = {
  name: 'brightnessGradient',
  settings,
  draw(random, { perChannel, strength, ...field }, context) {
    const one = () => ({ ...drawField(random, field, context), strength: fromEither(random, strength) });
    return { transform: 'brightnessGradient', fields: some(random, context, perChannel, one) };
  },
  apply: applyBrightnessGradient,
};

export function applyBrightnessGradient({ fields }: BrightnessGradientDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const own = fields[c];
    const field = own && fieldOf(own, sample.shape);
    if (!field) continue;
    const strength = Math.fround(own.strength);
    for (let i = 0; i < plane.length; i++) plane[i] += Math.fround(field[i] * strength);
  }
  return sample;
}
