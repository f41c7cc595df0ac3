// Gaussian blur with a short kernel, one axis after another, the border mirrored without repeating the edge
// (batchgeneratorsv2 `GaussianBlurTransform`).
import { z } from 'zod';
import { roundHalfEven } from '../base/numpy/round.js';
import type { Planes } from './sample.js';
import { probability, range, some, type Transform } from './transform.js';

const settings = z.strictObject({
  /** Voxels. */
  sigma: range,
  perChannel: probability,
  /** Each axis draws its own sigma (nnU-Net v2). */
  ownAxes: z.boolean(),
});

declare module './transform.js' {
  interface Transforms {
    blur: z.infer<typeof settings>;
  }
}

export interface BlurDraw {
  transform: 'blur';
  /** Sigma in voxels for each channel and axis; null leaves the channel, 0 the axis. */
  sigmas: (number[] | null)[];
}

export const blur: Transform<z.infer<typeof settings>, BlurDraw> = {
  name: 'blur',
  settings,
  draw(random, { sigma, perChannel, ownAxes }, context) {
    const sigmas = () => {
      const one = random.uniform(...sigma);
      return [0, 1, 2].map((axis) => (context.flat && axis === 0 ? 0 : ownAxes ? random.uniform(...sigma) : one));
    };
    return { transform: 'blur', sigmas: some(random, context, perChannel, sigmas) };
  },
  apply: applyBlur,
};

export function applyBlur({ sigmas }: BlurDraw, sample: Planes): Planes {
  for (const [c, plane] of sample.channels.entries()) {
    const own = sigmas[c];
    if (!own) continue;
    for (let axis = 0; axis < 3; axis++)
      if (own[axis] > 0 && sample.shape[axis] > 1) blurAxis(plane, sample.shape, axis, own[axis]);
  }
  return sample;
}

/** Odd number of taps nearest to 6σ + 0.5, and their normalised weights. */
function kernel(sigma: number): Float64Array {
  const wanted = 6 * sigma + 0.5;
  let length = roundHalfEven(wanted);
  if (length % 2 === 0) length += wanted > length ? 1 : -1;
  const middle = (length - 1) / 2;
  const weights = Float64Array.from({ length }, (_, i) => Math.exp(-((i - middle) ** 2) / (2 * sigma * sigma)));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

function blurAxis(plane: Float32Array, shape: readonly number[], axis: number, sigma: number): void {
  const weights = kernel(sigma);
  const radius = (weights.length - 1) / 2;
  if (radius === 0) return;
  const length = shape[axis];
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = plane.length / (length * inner);
  const index = Int32Array.from({ length: length + 2 * radius }, (_, i) => mirrored(i - radius, length));
  // A block of `inner` neighbouring lines is blurred together, so that memory is read in order along every axis.
  const block = new Float64Array(length * inner);
  for (let o = 0; o < outer; o++) {
    const base = o * length * inner;
    block.fill(0);
    if (inner === 1) {
      for (let i = 0; i < length; i++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * plane[base + index[i + k]];
        block[i] = sum;
      }
    } else
      for (let i = 0; i < length; i++)
        for (let k = 0; k < weights.length; k++) {
          const w = weights[k];
          const from = base + index[i + k] * inner;
          for (let j = 0, t = i * inner; j < inner; j++, t++) block[t] += w * plane[from + j];
        }
    plane.set(block, base);
  }
}

/** Index reflected at the borders, the border itself not repeated. */
function mirrored(i: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const m = ((i % period) + period) % period;
  return m < length ? m : period - m;
}
