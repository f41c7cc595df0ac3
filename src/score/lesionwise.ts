// Lesion-wise Dice and HD95 of the BraTS 2023 challenge.
import { connectedComponents, dilate } from '../volume/components.js';
import type { Shape3 } from './masks.js';
import { scoreMasks } from './volume.js';

/** Which lesions are joined, and which are left out. */
export interface LesionParameters {
  /** Reference lesions nearer than twice this many dilations count as one. */
  dilations: number;
  /** Lesions of at most this volume are not scored. */
  volumeThresholdMm3: number;
}

/** Parameters of the challenges. */
export const lesionParameters: Record<'BraTS-GLI' | 'BraTS-SSA' | 'BraTS-PED' | 'BraTS-MEN' | 'BraTS-MET', LesionParameters> = {
  'BraTS-GLI': { dilations: 3, volumeThresholdMm3: 50 },
  'BraTS-SSA': { dilations: 3, volumeThresholdMm3: 50 },
  'BraTS-PED': { dilations: 3, volumeThresholdMm3: 50 },
  'BraTS-MEN': { dilations: 1, volumeThresholdMm3: 50 },
  'BraTS-MET': { dilations: 1, volumeThresholdMm3: 2 },
};

/** A reference lesion with its scores: volume in mm³, HD95 in mm. */
export interface Lesion {
  lesion: number;
  volumeMm3: number;
  /** Components of the prediction (26-neighbourhood, from 1) that touch the dilated lesion. */
  matched: number[];
  dsc: number;
  hd95: number;
  /** False where the lesion is too small to count. */
  counted: boolean;
}

/** Lesion-wise scores of a case; HD95 in mm. */
export interface LesionwiseScore {
  dsc: number;
  hd95: number;
  tp: number;
  fp: number;
  fn: number;
  sensitivity: number;
  specificity: number;
  /** Whole-image values. */
  legacyDsc: number;
  legacyHd95: number;
  referenceVolumeMm3: number;
  lesions: Lesion[];
  falsePositives: number[];
}

/** What a missed or invented lesion scores. */
export const lesionPenaltyMm = 374;

/**
 * Scores one region lesion by lesion.
 * @param reference, prediction masks `[depth, height, width]`, non-zero = region
 */
export function lesionwise(
  reference: ArrayLike<number>,
  prediction: ArrayLike<number>,
  shape: Shape3,
  spacingMm: readonly [number, number, number],
  { dilations, volumeThresholdMm3 }: LesionParameters,
): LesionwiseScore {
  const voxelMm3 = spacingMm[0] * spacingMm[1] * spacingMm[2];
  const r = Uint8Array.from(reference as ArrayLike<number>, (v) => (v ? 1 : 0));
  const p = Uint8Array.from(prediction as ArrayLike<number>, (v) => (v ? 1 : 0));
  const predicted = connectedComponents(p, shape, 26);
  const merged = connectedComponents(dilate(r, shape, 18, dilations), shape, 26);
  const lesionOf = merged.labels.map((label, i) => (r[i] ? label : 0));

  const lesions: Lesion[] = [];
  const matchedAnywhere = new Set<number>();
  for (let lesion = 1; lesion <= merged.count; lesion++) {
    const own = Uint8Array.from(lesionOf, (label) => (label === lesion ? 1 : 0));
    const around = dilate(own, shape, 18, dilations);
    const touching = new Set<number>();
    let voxels = 0;
    for (let i = 0; i < around.length; i++) {
      voxels += own[i];
      if (around[i] && predicted.labels[i]) touching.add(predicted.labels[i]);
    }
    const matched = [...touching].sort((a, b) => a - b);
    for (const component of matched) matchedAnywhere.add(component);
    const answer = Uint8Array.from(predicted.labels, (label) => (touching.has(label) ? 1 : 0));
    const score = scoreMasks(own, answer, shape, spacingMm, 'brats');
    const volumeMm3 = voxels * voxelMm3;
    lesions.push({ lesion, volumeMm3, matched, dsc: score.dsc, hd95: score.hd95, counted: volumeMm3 > volumeThresholdMm3 });
  }
  const falsePositives = Array.from({ length: predicted.count }, (_, i) => i + 1).filter((c) => !matchedAnywhere.has(c));

  const counted = lesions.filter((l) => l.counted);
  const found = counted.filter((l) => l.matched.length > 0);
  const entries = counted.length + falsePositives.length;
  const total = (metric: 'dsc' | 'hd95', penalty: number) =>
    counted.reduce((sum, l) => sum + l[metric], 0) + falsePositives.length * penalty;
  const whole = scoreMasks(r, p, shape, spacingMm, 'brats');
  return {
    dsc: entries === 0 ? 1 : total('dsc', 0) / entries,
    hd95: entries === 0 ? 0 : total('hd95', lesionPenaltyMm) / entries,
    tp: found.length,
    fp: falsePositives.length,
    fn: counted.length - found.length,
    sensitivity: whole.state === 'both-empty' ? 1 : whole.state === 'false-alarm' ? 0 : Number(whole.sensitivity),
    specificity: Number(whole.specificity),
    legacyDsc: whole.dsc,
    legacyHd95: whole.hd95,
    referenceVolumeMm3: (Number(whole.tp) + Number(whole.fn)) * voxelMm3,
    lesions,
    falsePositives,
  };
}
