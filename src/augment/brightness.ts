// Brightness: each channel times a factor, or plus a shift.
import type { Planes } from './sample.js';

/** A value for each channel; null leaves the channel as it is. */
export interface BrightnessDraw {
  transform: 'multiply' | 'shift';
  values: (number | null)[];
}

export function applyBrightness({ transform, values }: BrightnessDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const v = values[c];
    if (v === null) continue;
    if (transform === 'multiply') for (let i = 0; i < plane.length; i++) plane[i] *= v;
    else for (let i = 0; i < plane.length; i++) plane[i] += v;
  }
  return sample;
}
