// Changing patch, batch or spacing of a planned configuration; the network's pooling follows.
import { FaultList } from '../base/errors.js';
import { architecture } from './architecture.js';
import { configuration } from './configuration.js';
import type { Configuration, Plan } from './plan.js';
import { displayPlan } from './show.js';
import { topology } from './topology.js';

/** What is changed of a planned configuration. */
export interface Overrides {
  /** Voxels per axis, in the plan's (transposed) order of axes. */
  patchSize?: number[];
  batchSize?: number;
  /** mm per axis, in the plan's order of axes. */
  spacing?: number[];
  /** Name of the new configuration; default replaces the old one. */
  as?: string;
}

/**
 * A plan with one configuration changed.
 * A new spacing scales the median image size; without a patch of its own the old patch is cut to the new image size.
 * @returns a new plan; the prepared data of a changed spacing gets a `data_identifier` of its own
 * @throws VoxelbookError with all faults at once and the nearest legal patch sizes
 */
export function override(plan: Plan, name: string, changes: Overrides): Plan {
  const old = configuration(plan, name);
  const axes = old.patch_size.length;
  const faults = new FaultList();
  const valid = (key: string, list: unknown, good: (n: number) => boolean, what: string) => {
    const right = Array.isArray(list) && list.length === axes && list.every((n) => Number.isFinite(n) && good(n));
    if (!right)
      faults.add(
        key,
        key,
        JSON.stringify(list),
        `${axes} ${what}`,
        `As in ${JSON.stringify(key === 'spacing' ? old.spacing : old.patch_size)}.`,
      );
    return right;
  };
  const spacingFits = changes.spacing === undefined || valid('spacing', changes.spacing, (n) => n > 0, 'voxel sizes above 0 mm');
  const patchSound =
    changes.patchSize === undefined ||
    valid('patchSize', changes.patchSize, (n) => Number.isInteger(n) && n > 0, 'whole numbers above 0');
  const batch = changes.batchSize ?? old.batch_size;
  if (!(Number.isInteger(batch) && batch >= 1))
    faults.add('batchSize', 'batchSize', String(batch), 'a whole number of at least 1', 'nnU-Net plans at least 2.');

  const spacing = spacingFits ? (changes.spacing ?? old.spacing) : old.spacing;
  const median =
    changes.spacing && spacingFits
      ? old.median_image_size_in_voxels.map((n, i) => Math.max(1, Math.round((n * old.spacing[i]) / spacing[i])))
      : old.median_image_size_in_voxels;
  const wanted =
    changes.patchSize && patchSound
      ? changes.patchSize
      : old.patch_size.map((p, i) => (changes.spacing ? Math.min(p, median[i]) : p));
  const shaped = topology(spacing, wanted);
  if (changes.patchSize && patchSound) {
    for (let i = 0; i < axes; i++) {
      if (shaped.patch[i] === wanted[i]) continue;
      const [below, above] = nearestLegal(spacing, wanted, i);
      const offer = below ? `Nearest: ${below} or ${above}.` : `Nearest: ${above}.`;
      faults.add(
        'patchSize',
        `patchSize[${i}]`,
        String(wanted[i]),
        `a multiple of ${shaped.divisor[i]} (${shaped.poolsPerAxis[i]} poolings)`,
        offer,
      );
    }
  }
  faults.throwIfAny(`${name} of ${plan.plans_name} cannot be changed so`);

  const network = /ResidualEncoderUNet$/.test(old.architecture.network_class_name) ? 'residual' : 'plain';
  const changed: Configuration = {
    ...structuredClone(old),
    batch_size: batch,
    patch_size: shaped.patch,
    median_image_size_in_voxels: median,
    spacing: [...spacing],
    architecture: architecture(network, shaped),
  };
  const key = changes.as ?? name;
  if (changes.spacing || changes.as) changed.data_identifier = identifierFor(plan, key, old, changes);
  return displayPlan({ ...plan, configurations: { ...plan.configurations, [key]: changed } });
}

/** Data of the same spacing is shared; another spacing is prepared into a folder named by it. */
function identifierFor(plan: Plan, key: string, old: Configuration, { spacing }: Overrides): string {
  if (!spacing || spacing.every((s, i) => s === old.spacing[i])) return old.data_identifier;
  return `${plan.plans_name}_${key}_${spacing.map((s) => +s.toPrecision(6)).join('x')}`;
}

/** The next smaller and larger size of one axis with which the patch needs no padding there; 0 when there is no smaller one. */
function nearestLegal(spacing: readonly number[], patch: readonly number[], axis: number): [number, number] {
  const legal = (n: number) =>
    topology(
      spacing,
      patch.map((p, i) => (i === axis ? n : p)),
    ).patch[axis] === n;
  let below = patch[axis] - 1;
  while (below > 0 && !legal(below)) below--;
  let above = patch[axis] + 1;
  while (!legal(above)) above++;
  return [below, above];
}
