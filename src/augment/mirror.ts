// Mirroring (batchgeneratorsv2 `MirrorTransform`): each allowed axis by itself.
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import type { Planes } from './sample.js';
import { probability, type Transform } from './transform.js';

const settings = z.strictObject({ perAxis: probability });

declare module './transform.js' {
  interface Transforms {
    mirror: z.infer<typeof settings>;
  }
}

export interface MirrorDraw {
  transform: 'mirror';
  /** Axes of `[depth, height, width]`. */
  axes: number[];
}

export const mirror: Transform<z.infer<typeof settings>, MirrorDraw> = {
  name: 'mirror',
  settings,
  draw(random, { perAxis }, { mirrorAxes }) {
    const axes = mirrorAxes.filter(() => random.chance(perAxis));
    return axes.length > 0 ? { transform: 'mirror', axes } : null;
  },
  apply: applyMirror,
};

export function applyMirror({ axes }: MirrorDraw, sample: Planes): Planes {
  const turn = <A extends Float32Array | Int16Array>(source: A): A => flip(source, sample.shape, axes);
  return {
    shape: sample.shape,
    channels: sample.channels.map(turn),
    seg: turn(sample.seg),
    previous: sample.previous && turn(sample.previous),
  };
}

/** A mirrored copy. */
export function flip<A extends Float32Array | Int16Array>(source: A, shape: readonly number[], axes: readonly number[]): A {
  const [depth, height, width] = shape;
  const native = nativeFunctions();
  const out = (native ? new (source.constructor as { new (n: number): A })(source.length) : source.slice()) as A;
  if (native) {
    native.flip(source, out, shape, axes);
    return out;
  }
  const [fz, fy, fx] = [0, 1, 2].map((axis) => axes.includes(axis));
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const target = (z * height + y) * width;
      const from = ((fz ? depth - 1 - z : z) * height + (fy ? height - 1 - y : y)) * width;
      if (fx) for (let x = 0, s = from + width - 1; x < width; x++, s--) out[target + x] = source[s];
      else if (from !== target) out.set(source.subarray(from, from + width) as never, target);
    }
  return out;
}
