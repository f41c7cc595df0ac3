// Post-processing of label maps: nnU-Net v2's `remove_all_but_largest_component_from_segmentation`, and KAIST's rule for tiny tumours.
import type { LabelOrRegion } from '../dataset/labels.js';
import { connectedComponents } from '../volume/components.js';

type LabelArray = Uint8Array | Uint16Array | Int16Array;

/** One step as nnU-Net's `postprocessing.json` names it. */
export interface PostprocessingStep {
  fn: 'remove_all_but_largest_component_from_segmentation';
  /** One label, one region, or several of them taken together. */
  labelsOrRegions: LabelOrRegion | LabelOrRegion[];
}

/**
 * Keeps of the union of labels only the largest component; with several of the same largest size, all of these.
 * Full connectivity; voxels of other labels stay.
 * @returns a new array
 */
export function keepLargestComponent<A extends LabelArray>(
  labels: A,
  shape: readonly number[],
  labelsOrRegions: PostprocessingStep['labelsOrRegions'],
): A {
  const members = new Set([labelsOrRegions].flat(2));
  const inside = Uint8Array.from(labels, (v) => (members.has(v) ? 1 : 0));
  const found = connectedComponents(inside, shape, 26);
  const largest = found.sizes.reduce((most, size) => Math.max(most, size), 0);
  const out = labels.slice() as A;
  for (let i = 0; i < out.length; i++) if (inside[i] && found.sizes[found.labels[i] - 1] !== largest) out[i] = 0;
  return out;
}

/** All steps in turn. */
export function postprocess<A extends LabelArray>(labels: A, shape: readonly number[], steps: readonly PostprocessingStep[]): A {
  let out = labels;
  for (const step of steps) out = keepLargestComponent(out, shape, step.labelsOrRegions);
  return out === labels ? (labels.slice() as A) : out;
}

/**
 * Gives every voxel of a label another one when it has fewer than `minimumVoxels`.
 * KAIST BraTS21: fewer than 200 voxels of enhancing tumour (3) are taken for necrosis (2).
 * @returns a new array
 */
export function replaceIfSmall<A extends LabelArray>(labels: A, label: number, replacement: number, minimumVoxels: number): A {
  let count = 0;
  for (const v of labels) if (v === label) count++;
  const out = labels.slice() as A;
  if (count < minimumVoxels) for (let i = 0; i < out.length; i++) if (out[i] === label) out[i] = replacement;
  return out;
}
