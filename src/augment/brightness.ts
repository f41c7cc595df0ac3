// Brightness: each channel times a factor, or plus a shift.
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import type { Planes } from './sample.js';
import { balanced, each, probability, range, some, type Transform } from './transform.js';

const factor = z.strictObject({
  range,
  /** Below and above 1 with probability one half each, instead of plain uniform. */
  balanced: z.boolean(),
});
const shiftSettings = z.strictObject({ sd: z.number(), perChannel: probability });

declare module './transform.js' {
  interface Transforms {
    multiply: z.infer<typeof factor>;
    shift: z.infer<typeof shiftSettings>;
  }
}

/** A value for each channel; null leaves the channel as it is. */
export interface BrightnessDraw {
  transform: 'multiply' | 'shift';
  values: (number | null)[];
}

export const multiply: Transform<z.infer<typeof factor>, BrightnessDraw> = {
  name: 'multiply',
  settings: factor,
  draw(random, settings, context) {
    const value = () => (settings.balanced ? balanced(random, settings.range) : random.uniform(...settings.range));
    return { transform: 'multiply', values: each(context, value) };
  },
  apply: applyBrightness,
};

export const shift: Transform<z.infer<typeof shiftSettings>, BrightnessDraw> = {
  name: 'shift',
  settings: shiftSettings,
  draw: (random, { sd, perChannel }, context) => ({
    transform: 'shift',
    values: some(random, context, perChannel, () => random.normal(0, sd)),
  }),
  apply: applyBrightness,
};

export function applyBrightness({ transform, values }: BrightnessDraw, sample: Planes): Planes {
  const native = nativeFunctions();
  for (const [c, plane] of sample.channels.entries()) {
    const v = values[c];
    if (v === null) continue;
    if (native) native[transform === 'multiply' ? 'multiply' : 'add'](plane, v);
    else if (transform === 'multiply') for (let i = 0; i < plane.length; i++) plane[i] *= v;
    else for (let i = 0; i < plane.length; i++) plane[i] += v;
  }
  return sample;
}
