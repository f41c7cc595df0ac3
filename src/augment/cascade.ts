// The previous stage's segmentation as further input channels, roughened so that the network does not trust it blindly
// (nnU-Net v2's cascade transforms).
import { z } from 'zod';
import type { Random } from '../base/random.js';
import { components } from '../volume/components.js';
import { applyOperator, type BinaryOperator, binaryOperators } from './morphology.js';
import type { Planes } from './sample.js';
import { probability, range, type Transform } from './transform.js';

const binarySettings = z.strictObject({
  perLabel: probability,
  /** Of the ball, voxels. */
  radius: range,
});
const removeSettings = z.strictObject({ perLabel: probability });

declare module './transform.js' {
  interface Transforms {
    binaryOperator: z.infer<typeof binarySettings>;
    removeComponent: z.infer<typeof removeSettings>;
  }
}

export interface BinaryDraw {
  transform: 'binaryOperator';
  /** Index into the foreground labels, in the order applied. */
  steps: { label: number; operator: BinaryOperator; radius: number }[];
}

export interface RemoveDraw {
  transform: 'removeComponent';
  /** `which` in [0, 1) picks among the components small enough. */
  steps: { label: number; which: number }[];
}

export const binaryOperator: Transform<z.infer<typeof binarySettings>, BinaryDraw> = {
  name: 'binaryOperator',
  settings: binarySettings,
  cascade: true,
  draw(random, { perLabel, radius }, { labels }) {
    const steps = chosen(random, labels, perLabel).map((label) => ({
      label,
      operator: random.choice(binaryOperators),
      radius: random.uniform(...radius),
    }));
    return { transform: 'binaryOperator', steps };
  },
  apply: applyBinary,
};

export const removeComponent: Transform<z.infer<typeof removeSettings>, RemoveDraw> = {
  name: 'removeComponent',
  settings: removeSettings,
  cascade: true,
  draw: (random, { perLabel }, { labels }) => ({
    transform: 'removeComponent',
    steps: chosen(random, labels, perLabel).map((label) => ({ label, which: random.uniform() })),
  }),
  apply: applyRemove,
};

const chosen = (random: Random, labels: number, share: number) =>
  random.shuffled(Array.from({ length: labels }, (_, i) => i)).filter(() => random.chance(share));

/** Appends one 0/1 channel for each foreground label of the previous stage. */
export function appendOneHot(sample: Planes, foreground: readonly number[]): Planes {
  const previous = sample.previous ?? new Int16Array(sample.seg.length);
  const oneHot = foreground.map((label) => Float32Array.from(previous, (v) => (v === label ? 1 : 0)));
  return { ...sample, channels: [...sample.channels, ...oneHot], previous: undefined };
}

/** Voxels an operator adds to one label are taken from the others. The last `labels` channels are the one-hot ones. */
export function applyBinary({ steps }: BinaryDraw, sample: Planes, labels: number): Planes {
  const oneHot = sample.channels.slice(-labels);
  for (const { label, operator, radius } of steps) {
    const before = Uint8Array.from(oneHot[label]);
    const after = applyOperator(operator, before, sample.shape, radius);
    for (const [other, plane] of oneHot.entries())
      if (other !== label) for (let i = 0; i < plane.length; i++) if (after[i] && !before[i]) plane[i] = 0;
    oneHot[label].set(after);
  }
  return sample;
}

/** Takes away one component covering less than 15 % of the patch. */
export function applyRemove({ steps }: RemoveDraw, sample: Planes, labels: number): Planes {
  const oneHot = sample.channels.slice(-labels);
  for (const { label, which } of steps) {
    const plane = oneHot[label];
    const found = components(plane, sample.shape);
    const small = found.sizes.flatMap((size, i) => (i > 0 && size < plane.length * 0.15 ? [i] : []));
    if (small.length === 0) continue;
    const target = small[Math.floor(which * small.length)];
    for (let i = 0; i < plane.length; i++) if (found.labels[i] === target) plane[i] = 0;
  }
  return sample;
}
