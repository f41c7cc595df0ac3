// What augmentation works on: a sample as the loader cuts it, and the same as planes while transforms are applied.
import { VoxelbookError } from '../base/errors.js';
import { nativeFunctions } from '../base/native/load.js';

/** A training patch. `[depth, height, width, channel]`; a 2-D patch has depth 1. */
export interface Sample {
  image: Float32Array;
  /** Labels `[depth, height, width]`; -1 outside of the image. */
  seg: Int16Array;
  shape: [number, number, number];
  channels: number;
  /** Cascade only: labels of the previous stage, same shape. */
  previous?: Int16Array;
  /** Channels normalised inside of a mask are 0 already where the label is -1. */
  masked?: boolean;
}

/** The same while transforms work on it: one plane a channel, and every label map. Transforms change planes in place or replace them. */
export interface Planes {
  channels: Float32Array[];
  seg: Int16Array;
  previous?: Int16Array;
  shape: [number, number, number];
}

export const voxels = (shape: readonly number[]) => shape[0] * shape[1] * shape[2];

/** Planes of a sample; shares nothing with it. */
export function toPlanes({ image, seg, previous, shape, channels }: Sample): Planes {
  const n = voxels(shape);
  const planes = Array.from({ length: channels }, () => spares.plane(n));
  const native = nativeFunctions();
  if (native) native.splitBox(image, shape, [0, 0, 0], shape, planes);
  else for (const [c, plane] of planes.entries()) for (let i = 0, k = c; i < n; i++, k += channels) plane[i] = image[k];
  return { channels: planes, seg: seg.slice(), previous: previous?.slice(), shape: [...shape] };
}

/** The sample made of planes; shares nothing with them but the label map. @param into takes its image */
export function fromPlanes({ channels, seg, shape }: Planes, into?: Float32Array): Sample {
  const n = voxels(shape);
  const count = channels.length;
  const image = into ? fitting(into, shape, count) : unfilled(n * count);
  const native = nativeFunctions();
  if (native) native.joinPlanes(channels, image);
  else for (const [c, plane] of channels.entries()) for (let i = 0, k = c; i < n; i++, k += count) image[k] = plane[i];
  return { image, seg, shape: [...shape], channels: count };
}

/** `into`, if an image has as many values. */
export function fitting(into: Float32Array, shape: readonly number[], channels: number): Float32Array {
  if (into.length === voxels(shape) * channels) return into;
  throw new VoxelbookError('this sample does not fit the network', {
    code: 'sample-size',
    path: 'augmentation',
    given: `${channels} channels of ${shape.join('×')} voxels, ${voxels(shape) * channels} values`,
    expected: `${into.length} values, as the network takes them`,
    fix: 'A transform changes neither channels nor size of a patch; preprocessed cases have the channels of the data set.',
  });
}

/** Values that are not zeroed first: every one of them must be written. */
const unfilled = (n: number) => new Float32Array(Buffer.allocUnsafeSlow(4 * n).buffer);

/** Planes that were given back: fresh memory costs more than most transforms, a fault every 4 kB. Of one size; others are forgotten. */
class Spares {
  private size = 0;
  private free: Float32Array[] = [];
  private readonly lent = new WeakSet<Float32Array>();

  /** A plane whose values mean nothing yet. */
  plane(n: number): Float32Array {
    if (n !== this.size) {
      this.size = n;
      this.free = [];
    }
    const plane = this.free.pop() ?? unfilled(n);
    this.lent.add(plane);
    return plane;
  }

  /** Those of the planes that came from here may be used again; the others stay their makers'. */
  giveBack(planes: readonly Float32Array[]): void {
    for (const plane of planes) if (this.lent.delete(plane) && plane.length === this.size) this.free.push(plane);
  }
}

/** Of this thread. */
export const spares = new Spares();
