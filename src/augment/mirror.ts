// Mirroring (batchgeneratorsv2 `MirrorTransform`): each allowed axis with probability one half.
import type { Random } from '../base/random.js';
import type { Planes } from './sample.js';

export interface MirrorDraw {
  transform: 'mirror';
  /** Axes of `[depth, height, width]`. */
  axes: number[];
}

export function drawMirror(random: Random, axes: readonly number[]): MirrorDraw | null {
  const chosen = axes.filter(() => random.chance(0.5));
  return chosen.length > 0 ? { transform: 'mirror', axes: chosen } : null;
}

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
  const out = source.slice() as A;
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
