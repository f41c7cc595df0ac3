// Gamma of the image, mixed with the image itself by a smooth field (batchgeneratorsv2 `LocalGammaTransform`).
import { z } from 'zod';
import { statistics } from './contrast.js';
import { power } from './gamma.js';
import { drawField, type Field, fieldOf, fieldSettings } from './localField.js';
import type { Planes } from './sample.js';
import { fromEither, ranges, some, type Transform } from './transform.js';

const settings = z.strictObject({
  ...fieldSettings,
  /** Each range as often as the others. */
  gamma: ranges,
});

declare module './transform.js' {
  interface Transforms {
    localGamma: z.infer<typeof settings>;
  }
}

export interface LocalGammaDraw {
  transform: 'localGamma';
  /** Of each channel; null leaves it. */
  fields: (({ gamma: number } & Field) | null)[];
}

export const localGamma: Transform<z.infer<typeof settings>, LocalGammaDraw> = {
  name: 'localGamma',
  settings,
  draw(random, { perChannel, gamma, ...field }, context) {
    const one = () => ({ ...drawField(random, field, context), gamma: fromEither(random, gamma) });
    return { transform: 'localGamma', fields: some(random, context, perChannel, one) };
  },
  apply: applyLocalGamma,
};

export function applyLocalGamma({ fields }: LocalGammaDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const own = fields[c];
    const field = own && fieldOf(own, sample.shape);
    if (!field) continue;
    const { min, max } = statistics(plane);
    const changed = plane.slice();
    power(changed, own.gamma, min, max - min);
    for (let i = 0; i < plane.length; i++) plane[i] = plane[i] * (1 - field[i]) + changed[i] * field[i];
  }
  return sample;
}
