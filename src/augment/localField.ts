// A smooth field over the patch from 0 to 1: a Gaussian around a place that may lie outside (batchgeneratorsv2 `LocalTransform`).
import { z } from 'zod';
import { normalCdf } from '../base/normal.js';
import type { Random } from '../base/random.js';
import { type Planes, voxels } from './sample.js';
import { type DrawContext, probability, range } from './transform.js';

/** Settings of a field. */
export const fieldSettings = {
  perChannel: probability,
  /** Least and largest standard deviation along each axis as shares of the patch's edge; drawn on a logarithmic scale. */
  spread: range,
  /** Its middle along each axis, 0 and 1 being the ends of the patch. */
  centre: range,
};

/** Middle and standard deviation in voxels along each axis of the patch, two in 2-D. */
export interface Field {
  centre: number[];
  sd: number[];
}

const shape = z.object(fieldSettings);

export function drawField(
  random: Random,
  { spread, centre }: Omit<z.infer<typeof shape>, 'perChannel'>,
  about: DrawContext,
): Field {
  const sides = about.flat ? about.patch.slice(1) : about.patch;
  const drawn = sides.map((side) => {
    const at = random.uniform(...centre) * side;
    const [low, high] = [Math.max(1, Math.floor(side * spread[0])), Math.max(1, side * spread[1])];
    return { at, sd: Math.exp(random.uniform(Math.log(low), Math.log(high))) };
  });
  return { centre: drawn.map(({ at }) => at), sd: drawn.map(({ sd }) => sd) };
}

/** The field's value at every voxel, rounded to float32 at each step as there; null where it is the same everywhere. */
export function fieldOf({ centre, sd }: Field, size: Planes['shape']): Float32Array | null {
  const skipped = size.length - centre.length;
  const [zs, ys, xs] = size.map((side, axis) =>
    axis < skipped ? Float32Array.of(1) : shares(side, centre[axis - skipped], sd[axis - skipped]),
  );
  // Products of what is not negative: the smallest is that of the smallest.
  const product = (pick: (values: Float32Array) => number) => Math.fround(Math.fround(pick(zs) * pick(ys)) * pick(xs));
  const low = product((values) => values.reduce((a, b) => Math.min(a, b)));
  const height = Math.fround(product((values) => values.reduce((a, b) => Math.max(a, b))) - low);
  if (!(height > 0)) return null;
  const field = new Float32Array(voxels(size));
  let o = 0;
  for (const z of zs)
    for (const y of ys) {
      const row = Math.fround(z * y);
      for (let x = 0; x < xs.length; x++) field[o++] = Math.fround(Math.fround(row * xs[x]) - low) / height;
    }
  return field;
}

/** How much of a normal distribution falls on each voxel of a line. */
function shares(side: number, centre: number, sd: number): Float32Array {
  const below = Float64Array.from({ length: side + 1 }, (_, i) => normalCdf((i - 0.5 - centre) / sd));
  return Float32Array.from({ length: side }, (_, i) => below[i + 1] - below[i]);
}
