// Quarter turns and exchanged axes, image and labels alike, along those axes of the patch that are equally long (batchgeneratorsv2
// `Rot90Transform`, `TransposeAxesTransform`).
import { z } from 'zod';
import { type Planes, voxels } from './sample.js';
import type { DrawContext, Transform } from './transform.js';

const settings = z.strictObject({});

declare module './transform.js' {
  interface Transforms {
    quarterTurns: object;
    exchangeAxes: object;
  }
}

export interface QuarterTurnsDraw {
  transform: 'quarterTurns';
  /** 0 to 3, from the first axis towards the second. */
  turns: number;
  /** Two of `[depth, height, width]`, ascending. */
  axes: number[];
}

export interface ExchangeAxesDraw {
  transform: 'exchangeAxes';
  /** Which axis of the image becomes the first, the second and the third. */
  order: number[];
}

/** Axes of the patch of the length that most of them have; none where all differ. */
function equalAxes({ patch, flat }: DrawContext): number[] {
  const axes = [0, 1, 2].slice(flat ? 1 : 0);
  const alike = axes.map((axis) => axes.filter((other) => patch[other] === patch[axis]));
  return alike.find((group) => group.length > 1) ?? [];
}

export const quarterTurns: Transform<object, QuarterTurnsDraw> = {
  name: 'quarterTurns',
  settings,
  draw(random, _settings, context) {
    const axes = random.shuffled(equalAxes(context)).slice(0, 2).sort();
    return axes.length < 2 ? null : { transform: 'quarterTurns', turns: random.int(0, 4), axes };
  },
  apply: applyQuarterTurns,
};

export const exchangeAxes: Transform<object, ExchangeAxesDraw> = {
  name: 'exchangeAxes',
  settings,
  draw(random, _settings, context) {
    const axes = equalAxes(context);
    const mixed = random.shuffled(axes);
    return axes.length < 2
      ? null
      : { transform: 'exchangeAxes', order: [0, 1, 2].map((axis) => (axes.includes(axis) ? mixed[axes.indexOf(axis)] : axis)) };
  },
  apply: ({ order }, sample) => arranged(sample, order, [false, false, false]),
};

export function applyQuarterTurns({ turns, axes: [a, b] }: QuarterTurnsDraw, sample: Planes): Planes {
  const flipped = (axis: number) => [0, 1, 2].map((other) => other === axis);
  if (turns === 0) return sample;
  if (turns === 2)
    return arranged(
      sample,
      [0, 1, 2],
      [0, 1, 2].map((axis) => axis === a || axis === b),
    );
  const order = [0, 1, 2].map((axis) => (axis === a ? b : axis === b ? a : axis));
  // The axes change places, and one of them is read from its end.
  return arranged(sample, order, flipped(turns === 1 ? a : b));
}

/** Axis `order[t]` of the sample, from its end where `backwards[t]`, becomes axis t; new arrays. */
function arranged(sample: Planes, order: readonly number[], backwards: readonly boolean[]): Planes {
  const strides = [sample.shape[1] * sample.shape[2], sample.shape[2], 1];
  const shape = order.map((axis) => sample.shape[axis]) as Planes['shape'];
  const [sz, sy, sx] = order.map((axis, t) => (backwards[t] ? -strides[axis] : strides[axis]));
  const first = order.reduce((sum, axis, t) => (backwards[t] ? sum + strides[axis] * (shape[t] - 1) : sum), 0);
  const read = <A extends Float32Array | Int16Array>(from: A, out: A): A => {
    let o = 0;
    for (let z = 0; z < shape[0]; z++)
      for (let y = 0; y < shape[1]; y++) {
        let at = first + z * sz + y * sy;
        for (let x = 0; x < shape[2]; x++, at += sx) out[o++] = from[at];
      }
    return out;
  };
  const n = voxels(shape);
  return {
    shape,
    channels: sample.channels.map((plane) => read(plane, new Float32Array(n))),
    seg: read(sample.seg, new Int16Array(n)),
    previous: sample.previous && read(sample.previous, new Int16Array(n)),
  };
}
