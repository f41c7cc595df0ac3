// Voxels outside of the image (label -1) back to 0 in channels normalised inside a mask, then -1 becomes background.
import { nativeFunctions } from '../base/native/load.js';
import type { Planes, Sample } from './sample.js';

/** `useMask[c]`: the plan's `use_mask_for_norm`. */
export function maskOutside(sample: Planes, useMask: readonly boolean[]): Planes {
  const native = nativeFunctions();
  for (const [c, plane] of sample.channels.entries())
    if (useMask[c] && native) native.maskOutside(plane, sample.seg);
    else if (useMask[c]) for (let i = 0; i < plane.length; i++) if (sample.seg[i] < 0) plane[i] = 0;
  return sample;
}

/**
 * Both of the following for a sample whose channels were not taken apart, without a previous stage.
 * @returns a sample that shares its image with the given one where no voxel of it changes; that stays as it is
 */
export function cleaned({ image, seg, shape, channels }: Sample, useMask: readonly boolean[]): Sample {
  const masked = Array.from({ length: channels }, (_, c) => c).filter((c) => useMask[c]);
  let out = image;
  let bits = new Uint32Array(image.buffer, image.byteOffset, image.length);
  if (masked.length > 0)
    for (let i = 0; i < seg.length; i++)
      if (seg[i] < 0)
        for (const c of masked)
          if (bits[i * channels + c] !== 0) {
            if (out === image) {
              out = image.slice();
              bits = new Uint32Array(out.buffer);
            }
            bits[i * channels + c] = 0;
          }
  const labels = seg.slice();
  outsideToBackground({ channels: [], seg: labels, shape });
  return { image: out, seg: labels, shape: [...shape], channels };
}

/** Label -1 → 0 in every label map. */
export function outsideToBackground(sample: Planes): Planes {
  const native = nativeFunctions();
  for (const labels of [sample.seg, sample.previous ?? new Int16Array()])
    if (native) native.outsideToBackground(labels);
    else for (let i = 0; i < labels.length; i++) if (labels[i] === -1) labels[i] = 0;
  return sample;
}
