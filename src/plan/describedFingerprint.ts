// The fingerprint of a data set that is not here, as far as its descriptor says: every case alike, at the median size and spacing.
import type { Descriptor } from '../dataset/descriptor.js';
import type { Fingerprint } from './plan.js';

/** A fingerprint made from a descriptor, and what it leaves open. */
export interface Described {
  fingerprint: Fingerprint;
  /** What the descriptor does not say; plans that depend on it cannot be made from it. */
  unknown: ('spacing' | 'size')[];
}

/**
 * A stand-in for `dataset_fingerprint.json`. It has no intensities, no spread of sizes and spacings, and knows nothing of cropping.
 * An unknown size stands for 400 mm an axis (1024 pixels), an unknown spacing for 1 mm: good for plans that fix both.
 */
export function describedFingerprint({ cases, typicalSpacingMm, typicalShape }: Descriptor): Described {
  const spacing = typicalSpacingMm === null ? [999, 1, 1] : (typicalSpacingMm ?? [1, 1, 1]);
  const standIn = typicalSpacingMm === null ? [1, 1024, 1024] : spacing.map((mm) => Math.round(400 / mm));
  return {
    fingerprint: {
      foreground_intensity_properties_per_channel: {},
      median_relative_size_after_cropping: 1,
      shapes_after_crop: Array(cases.train).fill(typicalShape?.voxels ?? standIn),
      spacings: Array(cases.train).fill(spacing),
    },
    unknown: [
      ...(typicalSpacingMm === undefined ? (['spacing'] as const) : []),
      ...(typicalShape === undefined ? (['size'] as const) : []),
    ],
  };
}
