// Voxels outside of the image (label -1) back to 0 in channels normalised inside a mask, then -1 becomes background.
import { nativeFunctions } from '../base/native/load.js';
import type { Planes } from './sample.js';

/** `useMask[c]`: the plan's `use_mask_for_norm`. */
export function maskOutside(sample: Planes, useMask: readonly boolean[]): Planes {
  const native = nativeFunctions();
  for (const [c, plane] of sample.channels.entries())
    if (useMask[c] && native) native.maskOutside(plane, sample.seg);
    else if (useMask[c]) for (let i = 0; i < plane.length; i++) if (sample.seg[i] < 0) plane[i] = 0;
  return sample;
}

/** Label -1 → 0 in every label map; new arrays. */
export function outsideToBackground(sample: Planes): Planes {
  const native = nativeFunctions();
  const clean = (labels: Int16Array) => {
    const out = new Int16Array(labels.length);
    if (native) native.outsideToBackground(labels, out);
    else for (let i = 0; i < labels.length; i++) out[i] = labels[i] === -1 ? 0 : labels[i];
    return out;
  };
  return { ...sample, seg: clean(sample.seg), previous: sample.previous && clean(sample.previous) };
}
