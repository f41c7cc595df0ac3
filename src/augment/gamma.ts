// Gamma: the channel's range to the power of gamma, optionally of the inverted image, mean and deviation restored
// (batchgeneratorsv2 `GammaTransform`).
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import { scaleAbout, statistics } from './contrast.js';
import type { Planes } from './sample.js';
import { balanced, each, range, type Transform } from './transform.js';

const settings = z.strictObject({ range, inverted: z.boolean() });

declare module './transform.js' {
  interface Transforms {
    gamma: z.infer<typeof settings>;
  }
}

export interface GammaDraw {
  transform: 'gamma';
  inverted: boolean;
  retainStatistics: boolean;
  gammas: (number | null)[];
}

export const gamma: Transform<z.infer<typeof settings>, GammaDraw> = {
  name: 'gamma',
  settings,
  draw: (random, { range, inverted }, context) => ({
    transform: 'gamma',
    inverted,
    retainStatistics: true,
    gammas: each(context, () => balanced(random, range)),
  }),
  apply: applyGamma,
};

export function applyGamma({ inverted, retainStatistics, gammas }: GammaDraw, sample: Planes): Planes {
  const sign = inverted ? -1 : 1;
  for (const [c, plane] of sample.channels.entries()) {
    const gamma = gammas[c];
    if (gamma === null) continue;
    if (inverted) scaleAbout(plane, 0, -1, 0);
    const before = statistics(plane);
    power(plane, gamma, before.min, before.max - before.min);
    if (!retainStatistics) {
      if (inverted) scaleAbout(plane, 0, -1, 0);
      continue;
    }
    const after = statistics(plane);
    const scale = before.sd / Math.max(after.sd, 1e-7);
    scaleAbout(plane, after.mean, sign * scale, sign * before.mean);
  }
  return sample;
}

/** ((v − low) / range)^gamma · range + low for every value. */
export function power(plane: Float32Array, gamma: number, low: number, range: number): void {
  const divisor = Math.max(range, 1e-7);
  const native = nativeFunctions();
  if (native) native.power(plane, gamma, low, range, divisor);
  // exp(γ·ln x) is twice as fast as the power and as exact as float32 can show; ln 0 = -∞ gives 0.
  else for (let i = 0; i < plane.length; i++) plane[i] = Math.exp(gamma * Math.log((plane[i] - low) / divisor)) * range + low;
}
