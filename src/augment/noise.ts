// Additive Gaussian noise. What the libraries call its variance is used as its standard deviation, here as there.
import { Random } from '../base/random.js';
import type { Planes } from './sample.js';

export interface NoiseDraw {
  transform: 'noise';
  sd: number;
  /** Seed of the noise itself. */
  seed: number;
}

export const drawNoise = (random: Random, [low, high]: readonly [number, number]): NoiseDraw => ({
  transform: 'noise',
  sd: random.uniform(low, high),
  seed: random.bits(),
});

export function applyNoise({ sd, seed }: NoiseDraw, sample: Planes): Planes {
  const random = new Random(seed);
  for (const plane of sample.channels) for (let i = 0; i < plane.length; i++) plane[i] += random.normal(0, sd);
  return sample;
}
