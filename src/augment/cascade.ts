// The previous stage's segmentation as further input channels, roughened so that the network does not trust it blindly
// (nnU-Net v2's cascade transforms).
import type { Random } from '../base/random.js';
import { components } from '../volume/components.js';
import { applyOperator, type BinaryOperator, binaryOperators } from './morphology.js';
import type { Planes } from './sample.js';

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

/** Probability 0.4; each label with 0.5, ball radius 1…8. */
export function drawBinary(random: Random, labels: number): BinaryDraw | null {
  if (!random.chance(0.4)) return null;
  const steps = chosen(random, labels).map((label) => ({
    label,
    operator: random.choice(binaryOperators),
    radius: random.uniform(1, 8),
  }));
  return { transform: 'binaryOperator', steps };
}

/** Probability 0.2; each label with 0.5. */
export function drawRemove(random: Random, labels: number): RemoveDraw | null {
  if (!random.chance(0.2)) return null;
  return { transform: 'removeComponent', steps: chosen(random, labels).map((label) => ({ label, which: random.uniform() })) };
}

const chosen = (random: Random, labels: number) =>
  random.shuffled(Array.from({ length: labels }, (_, i) => i)).filter(() => random.chance(0.5));

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
