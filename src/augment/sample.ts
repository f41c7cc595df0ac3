// What augmentation works on: a sample as the loader cuts it, and the same as planes while transforms are applied.
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
}

/** The same while transforms work on it: one plane a channel, and every label map. Transforms change planes in place or replace them. */
export interface Planes {
  channels: Float32Array[];
  seg: Int16Array;
  previous?: Int16Array;
  shape: [number, number, number];
}

export const voxels = (shape: readonly number[]) => shape[0] * shape[1] * shape[2];

/** Planes of a sample; copies the image, shares the label maps. */
export function toPlanes({ image, seg, previous, shape, channels }: Sample): Planes {
  const n = voxels(shape);
  const planes = Array.from({ length: channels }, () => new Float32Array(n));
  const native = nativeFunctions();
  if (native) native.splitBox(image, shape, [0, 0, 0], shape, planes);
  else for (const [c, plane] of planes.entries()) for (let i = 0, k = c; i < n; i++, k += channels) plane[i] = image[k];
  return { channels: planes, seg, previous, shape: [...shape] };
}

/** The sample made of planes; shares nothing with them but the label map. */
export function fromPlanes({ channels, seg, shape }: Planes): Sample {
  const n = voxels(shape);
  const count = channels.length;
  const image = new Float32Array(n * count);
  const native = nativeFunctions();
  if (native) native.joinPlanes(channels, image);
  else for (const [c, plane] of channels.entries()) for (let i = 0, k = c; i < n; i++, k += count) image[k] = plane[i];
  return { image, seg, shape: [...shape], channels: count };
}
