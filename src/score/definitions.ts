// Which code defines a surface metric: several published scores carry the same name and differ. A definition is data.

/** How NSD and HD95 are computed, and what an empty mask scores. */
export interface Definition {
  /** What a table prints. */
  label: string;
  /**
   * NSD: `area` = DeepMind's surface elements, `voxel` = counted boundary voxels, `directed-mean` = nnU-Net 1's mean of the two
   * directed fractions.
   */
  nsd: 'area' | 'voxel' | 'directed-mean';
  /** HD95: `max` of the two directed percentiles, `pooled` percentile (medpy), `area`-weighted percentile (DeepMind). */
  hd95: 'max' | 'pooled' | 'area';
  /** Spacing used instead of the image's, where the paper's script did so. */
  spacingMm?: readonly [number, number, number];
  /** A picture is scored as a volume of one slice whose top and bottom are surface. */
  pictureAsVolume?: boolean;
  /** Tolerance of NSD where the paper fixes one for all classes, in the unit of `spacingMm`. */
  toleranceMm?: number;
  /** What `[dsc, nsd, hd95]` are for empty masks; `NaN` = undefined. */
  bothEmpty: readonly [number, number, number];
  falseAlarm: readonly [number, number, number];
  missed: readonly [number, number, number];
  /** Added to the denominator of DSC. */
  dscEpsilon?: number;
  /** Digits the peer rounds to. */
  digits?: number;
}

const nan = Number.NaN;
const infinity = Number.POSITIVE_INFINITY;
const raw = { bothEmpty: [nan, nan, nan], falseAlarm: [0, 0, infinity], missed: [0, 0, infinity] } as const;
const unit = [1, 1, 1] as const;

/** The definitions of surface metrics, by name. */
export const definitions = {
  default: { label: 'NSD area-weighted (DeepMind), HD95 max of directed percentiles', nsd: 'area', hd95: 'max', ...raw },
  deepmind: {
    label: 'NSD and HD95 area-weighted (DeepMind surface-distance)',
    nsd: 'area',
    hd95: 'area',
    bothEmpty: [nan, nan, infinity],
    falseAlarm: [0, 0, infinity],
    missed: [0, 0, infinity],
  },
  voxel: { label: 'NSD by boundary voxels, HD95 max (MONAI default, Metrics Reloaded)', nsd: 'voxel', hd95: 'max', ...raw },
  medpy: { label: 'NSD by boundary voxels, HD95 pooled (medpy)', nsd: 'voxel', hd95: 'pooled', ...raw },
  'nnunet-v1': { label: 'mean of directed boundary-voxel fractions (nnU-Net 1)', nsd: 'directed-mean', hd95: 'max', ...raw },
  mednext: {
    label: 'SDC area-weighted, spacing taken as 1, tolerance 1 voxel (MedNeXt)',
    nsd: 'area',
    hd95: 'area',
    spacingMm: unit,
    toleranceMm: 1,
    ...raw,
  },
  'mednext-directed': {
    label: 'SDC as mean of directed boundary-voxel fractions (medpy), spacing taken as 1, tolerance 1 voxel (nnU-Net 1, MedNeXt)',
    nsd: 'directed-mean',
    hd95: 'pooled',
    spacingMm: unit,
    toleranceMm: 1,
    ...raw,
  },
  'kaist-brats21': {
    label: 'HD95 pooled (medpy) in voxels; both empty 1 and 0, one empty 0 and 373.13 (KAIST BraTS21)',
    nsd: 'voxel',
    hd95: 'pooled',
    spacingMm: unit,
    bothEmpty: [1, 1, 0],
    falseAlarm: [0, 0, 373.13],
    missed: [0, 0, 373.13],
  },
  'umamba-abdomen': {
    label: 'NSD area-weighted, per-organ tolerance, 4 digits (U-Mamba, Swin-UMamba)',
    nsd: 'area',
    hd95: 'area',
    bothEmpty: [1, 1, nan],
    falseAlarm: [0, 0, infinity],
    missed: [0, 0, infinity],
    digits: 4,
  },
  'umamba-endoscopy': {
    label: 'NSD of a picture scored as a volume one slice thick, tolerance 2 pixels (U-Mamba, Swin-UMamba)',
    nsd: 'area',
    hd95: 'area',
    spacingMm: unit,
    pictureAsVolume: true,
    toleranceMm: 2,
    bothEmpty: [1, 1, nan],
    falseAlarm: [0, 0, infinity],
    missed: [0, 0, infinity],
  },
  totalsegmentator: {
    label: 'NSD area-weighted at 3 mm, spacing taken as 1.5 mm (TotalSegmentator)',
    nsd: 'area',
    hd95: 'area',
    spacingMm: [1.5, 1.5, 1.5],
    toleranceMm: 3,
    dscEpsilon: 1e-6,
    bothEmpty: [nan, nan, nan],
    falseAlarm: [nan, nan, nan],
    missed: [0, 0, infinity],
  },
  transunet: {
    label: 'HD95 pooled, spacing taken as 1; missed scores 0 and 0 (TransUNet)',
    nsd: 'voxel',
    hd95: 'pooled',
    spacingMm: unit,
    bothEmpty: [0, nan, 0],
    falseAlarm: [1, nan, 0],
    missed: [0, nan, 0],
  },
  nnformer: { label: 'HD95 pooled (medpy, nnFormer)', nsd: 'directed-mean', hd95: 'pooled', ...raw },
  brats: {
    label: 'HD95 area-weighted at 1 mm; one empty scores 0 and 374 mm (BraTS 2023)',
    nsd: 'area',
    hd95: 'area',
    spacingMm: unit,
    bothEmpty: [1, 1, 0],
    falseAlarm: [0, 0, 374],
    missed: [0, 0, 374],
  },
} as const satisfies Record<string, Definition>;

/** Name of a definition, as `scoring.definition` says it. */
export type DefinitionName = keyof typeof definitions;
