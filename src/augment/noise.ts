// Additive Gaussian noise. What the libraries call its variance is used as its standard deviation, here as there.
import { z } from 'zod';
import { Random } from '../base/random.js';
import type { Planes } from './sample.js';
import { range, type Transform } from './transform.js';

const settings = z.strictObject({ sd: range });

declare module './transform.js' {
  interface Transforms {
    noise: z.infer<typeof settings>;
  }
}

export interface NoiseDraw {
  transform: 'noise';
  sd: number;
  /** Seed of the noise itself. */
  seed: number;
}

export const noise: Transform<z.infer<typeof settings>, NoiseDraw> = {
  name: 'noise',
  settings,
  draw: (random, { sd }) => ({ transform: 'noise', sd: random.uniform(...sd), seed: random.bits() }),
  apply: applyNoise,
};

export function applyNoise({ sd, seed }: NoiseDraw, sample: Planes): Planes {
  const random = new Random(seed);
  for (const plane of sample.channels) random.addNormal(plane, sd);
  return sample;
}
