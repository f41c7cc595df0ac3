// Post-processing of label maps by name: nnU-Net v2's `remove_all_but_largest_component_from_segmentation`, KAIST's rule for tiny tumours,
// and what a module brings.
import type { z } from 'zod';
import { VoxelbookError } from '../base/errors.js';
import { lookup, openKind, register } from '../base/registry.js';
import { above, either, faultsOf, key, list, object, whole, withDefaults } from '../base/schema.js';
import { connectedComponents } from './components.js';

type LabelArray = Uint8Array | Uint16Array | Int16Array;

/** One label, one region, or several of them taken together. */
type LabelsOrRegions = number | number[] | (number | number[])[];

/** The grid of a label map, `[depth, height, width]`. */
export interface LabelGrid {
  shape: readonly number[];
  spacingMm: readonly number[];
}

type LabelOrRegion = number | number[];

/** Settings that are worth trying on cross-validated predictions. */
export interface PostprocessingTrial {
  settings: Record<string, unknown>;
  /** Taken where the Dice of this label or region rises; left out: where the mean over the foreground rises and no class falls. */
  of?: LabelOrRegion;
}

/** A post-processing step by the name that an entry of a list gives it. */
export interface PostprocessingDefinition {
  name: string;
  settings: z.ZodObject;
  /** @returns the labels as they shall be; those given may be changed and returned */
  apply(labels: Uint8Array | Uint16Array, grid: LabelGrid, settings: any): Uint8Array | Uint16Array;
  /**
   * What `find-best` tries of it, in this order, each on top of what was taken before. Left out: the step as it is where nothing must be
   * set, else nothing.
   * @param about all foreground labels or regions, and those that are evaluated
   */
  trials?(about: { foreground: LabelOrRegion[]; evaluated: LabelOrRegion[] }): PostprocessingTrial[];
}

declare module '../base/registry.js' {
  interface Kinds {
    postprocessing: PostprocessingDefinition;
  }
}

openKind('postprocessing', 'apply');

/** One step: a definition's name and its settings. */
export interface PostprocessingStep {
  kind: string;
  [setting: string]: unknown;
}

const labelNumber = () => whole(0, 65535);
const labelsOrRegions = () => {
  const region = list(labelNumber(), 1);
  const several = list(either([labelNumber(), region], 'a label or a region'), 1);
  return either([labelNumber(), region, several], 'a label, a region, or a list of them');
};

export const largestComponent = 'remove_all_but_largest_component_from_segmentation';

register('postprocessing', {
  name: largestComponent,
  settings: object({
    labels_or_regions: key(labelsOrRegions(), 'Labels of which together only the largest component stays', { example: [1, 2] }),
  }),
  apply: (labels, { shape }, settings) => keepLargestComponent(labels, shape, settings.labels_or_regions),
  // nnU-Net v2 `determine_postprocessing`: of the whole foreground, then of each label or region where there are several.
  trials: ({ foreground, evaluated }) => [
    { settings: { labels_or_regions: foreground } },
    ...(evaluated.length > 1 ? evaluated.map((of) => ({ settings: { labels_or_regions: of }, of })) : []),
  ],
});

register('postprocessing', {
  name: 'replace_if_small',
  settings: object({
    label: key(labelNumber(), 'The label that may be too small', { example: 3 }),
    by: key(labelNumber(), 'What it becomes', { example: 2 }),
    belowMm3: key(above(0, 1e12), 'Volume below which it does', { unit: 'mm³', example: 200 }),
  }),
  apply: (labels, { spacingMm: [a, b, c] }, { label, by, belowMm3 }) => replaceIfSmall(labels, label, by, belowMm3 / (a * b * c)),
});

/**
 * Keeps of the union of labels only the largest component; with several of the same largest size, all of these.
 * Full connectivity; voxels of other labels stay.
 * @returns a new array
 */
export function keepLargestComponent<A extends LabelArray>(
  labels: A,
  shape: readonly number[],
  labelsOrRegions: LabelsOrRegions,
): A {
  const members = new Set([labelsOrRegions].flat(2));
  const inside = Uint8Array.from(labels, (v) => (members.has(v) ? 1 : 0));
  const found = connectedComponents(inside, shape, 26);
  const largest = found.sizes.reduce((most, size) => Math.max(most, size), 0);
  const out = labels.slice() as A;
  for (let i = 0; i < out.length; i++) if (inside[i] && found.sizes[found.labels[i] - 1] !== largest) out[i] = 0;
  return out;
}

/**
 * All steps in turn.
 * @returns a new array
 * @throws VoxelbookError for a step that nobody defined, or settings that are none of its
 */
export function postprocess<A extends LabelArray>(labels: A, grid: LabelGrid, steps: readonly PostprocessingStep[]): A {
  let out = labels.slice() as Uint8Array | Uint16Array;
  for (const { kind, ...settings } of checkedSteps(steps)) {
    out = lookup('postprocessing', kind, 'postprocessing').apply(out, grid, settings);
    if (out?.length !== labels.length)
      throw new VoxelbookError(`the post-processing ${kind} gives no labels`, {
        code: 'postprocessing-labels',
        path: `postprocessing.${kind}.apply`,
        given: `${out?.length ?? 'no'} voxels`,
        expected: `${labels.length}, as many as it was given`,
        fix: 'Return the labels.',
      });
  }
  return out as A;
}

/**
 * Steps with the settings that were left out.
 * @throws VoxelbookError with every fault of them
 */
function checkedSteps(steps: readonly PostprocessingStep[]): PostprocessingStep[] {
  const forms = steps.map(({ kind }, i) => lookup('postprocessing', kind, `steps[${i}]`).settings);
  const faults = steps.flatMap(({ kind: _, ...settings }, i) => faultsOf(forms[i], settings, `steps[${i}].`));
  if (faults.length > 0) throw new VoxelbookError('these labels cannot be post-processed', faults);
  return steps.map((step, i) => withDefaults(forms[i], step));
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
