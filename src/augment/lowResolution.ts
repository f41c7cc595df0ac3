// Simulated low resolution: nearest down, linear (batchgeneratorsv2 `SimulateLowResolutionTransform`) or cubic (nnU-Net v1) up again.
import { z } from 'zod';
import { nativeFunctions } from '../base/native/load.js';
import { roundHalfEven } from '../base/numpy/round.js';
import { resizeValues } from '../volume/resize.js';
import type { Planes } from './sample.js';
import { probability, range, some, type Transform } from './transform.js';

const settings = z.strictObject({ scale: range, perChannel: probability, interpolation: z.enum(['linear', 'cubic']) });

declare module './transform.js' {
  interface Transforms {
    lowResolution: z.infer<typeof settings>;
  }
}

export interface LowResolutionDraw {
  transform: 'lowResolution';
  /** Scale of each channel; null leaves it. */
  scales: (number | null)[];
  /** Axes kept at full resolution. */
  keepAxes: number[];
  interpolation: 'linear' | 'cubic';
}

export const lowResolution: Transform<z.infer<typeof settings>, LowResolutionDraw> = {
  name: 'lowResolution',
  settings,
  draw(random, { scale, perChannel, interpolation }, context) {
    const scales = some(random, context, perChannel, () => random.uniform(...scale));
    return { transform: 'lowResolution', scales, keepAxes: context.inPlane ? [0] : [], interpolation };
  },
  apply: applyLowResolution,
};

export function applyLowResolution({ scales, keepAxes, interpolation }: LowResolutionDraw, sample: Planes): Planes {
  const { shape } = sample;
  for (const [c, plane] of sample.channels.entries()) {
    const scale = scales[c];
    if (scale === null) continue;
    const small = shape.map((n, axis) => (keepAxes.includes(axis) ? n : Math.max(1, roundHalfEven(n * Math.fround(scale)))));
    let values = nearestDown(plane, shape, small);
    if (interpolation === 'cubic') {
      plane.set(resizeValues(values, small as Planes['shape'], shape, 3));
      continue;
    }
    let current = small;
    // Along the fastest axis first: the arrays stay small as long as possible.
    for (const axis of [2, 1, 0]) {
      if (current[axis] === shape[axis]) continue;
      values = linearUp(values, current, axis, shape[axis]);
      current = current.map((n, a) => (a === axis ? shape[a] : n));
    }
    plane.set(values);
  }
  return sample;
}

function nearestDown(plane: Float32Array, shape: readonly number[], small: readonly number[]): Float32Array {
  const [zs, ys, xs] = small.map((n, axis) =>
    Int32Array.from({ length: n }, (_, i) => Math.floor(((i + 0.5) * shape[axis]) / n)),
  );
  const out = new Float32Array(zs.length * ys.length * xs.length);
  const native = nativeFunctions();
  if (native) {
    native.readGrid(plane, shape, zs, ys, xs, out);
    return out;
  }
  let o = 0;
  for (const z of zs)
    for (const y of ys) {
      const row = (z * shape[1] + y) * shape[2];
      for (let x = 0; x < xs.length; x++) out[o++] = plane[row + xs[x]];
    }
  return out;
}

function linearUp(values: Float32Array, shape: readonly number[], axis: number, target: number): Float32Array {
  const length = shape[axis];
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = values.length / (length * inner);
  const out = new Float32Array(outer * target * inner);
  const low = new Int32Array(target);
  const rest = new Float64Array(target);
  // Places in float32, as PyTorch computes them.
  const step = Math.fround(length / target);
  for (let i = 0; i < target; i++) {
    const at = Math.max(Math.fround(Math.fround(step * (i + 0.5)) - 0.5), 0);
    low[i] = Math.min(Math.floor(at), length - 1);
    rest[i] = low[i] + 1 < length ? at - low[i] : 0;
  }
  const native = nativeFunctions();
  if (native) {
    native.linearAxis(values, length, inner, low, rest, out);
    return out;
  }
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < target; i++) {
      const a = (o * length + low[i]) * inner;
      const b = rest[i] > 0 ? a + inner : a;
      const t = (o * target + i) * inner;
      const w = rest[i];
      for (let j = 0; j < inner; j++) out[t + j] = values[a + j] * (1 - w) + values[b + j] * w;
    }
  return out;
}
