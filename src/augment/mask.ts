// Voxels outside of the image (label -1) back to 0 in channels normalised inside a mask, then -1 becomes background.
import { nativeFunctions } from '../base/native/load.js';
import { fitting, type Planes, type Sample } from './sample.js';

/** `useMask[c]`: the plan's `use_mask_for_norm`. */
export function maskOutside(sample: Planes, useMask: readonly boolean[]): Planes {
  const native = nativeFunctions();
  for (const [c, plane] of sample.channels.entries())
    if (useMask[c] && native) native.maskOutside(plane, sample.seg);
    else if (useMask[c]) for (let i = 0; i < plane.length; i++) if (sample.seg[i] < 0) plane[i] = 0;
  return sample;
}

/** Channels whose mask is in use. */
export const maskedChannels = (useMask: readonly boolean[]): number[] => [...useMask.keys()].filter((c) => useMask[c]);

/**
 * Both of the following for a sample whose channels were not taken apart, without a previous stage.
 * @param into takes the image, and may be the sample's own; without it the sample stays as it is
 * @returns a sample that shares its image with the given one where no voxel of it changes
 */
export function cleaned(sample: Sample, useMask: readonly boolean[], into?: Float32Array): Sample {
  const { shape, channels } = sample;
  const masked = sample.masked ? [] : maskedChannels(useMask);
  const image = into ? fitting(into, shape, channels) : changes(sample, masked) ? sample.image.slice() : sample.image;
  if (into && into !== sample.image) into.set(sample.image);
  const seg = into ? sample.seg : sample.seg.slice();
  const cleared = into || image !== sample.image ? masked : [];
  const native = nativeFunctions();
  if (native) native.cleanSample(image, channels, cleared, seg);
  else {
    for (let i = 0; i < seg.length; i++) if (seg[i] < 0) for (const c of cleared) image[i * channels + c] = 0;
    outsideToBackground({ channels: [], seg, shape });
  }
  return { image, seg, shape: [...shape], channels };
}

/** Whether a masked channel holds anything but 0 outside. */
function changes({ image, seg, channels }: Sample, masked: readonly number[]): boolean {
  if (masked.length === 0) return false;
  const bits = new Uint32Array(image.buffer, image.byteOffset, image.length);
  for (let i = 0; i < seg.length; i++) if (seg[i] < 0 && masked.some((c) => bits[i * channels + c] !== 0)) return true;
  return false;
}

/** Label -1 → 0 in every label map. */
export function outsideToBackground(sample: Planes): Planes {
  const native = nativeFunctions();
  for (const labels of [sample.seg, sample.previous ?? new Int16Array()])
    if (native) native.outsideToBackground(labels);
    else for (let i = 0; i < labels.length; i++) if (labels[i] === -1) labels[i] = 0;
  return sample;
}
