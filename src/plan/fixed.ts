// The plans the papers fix instead of letting the planner choose.
import { VoxelbookError } from '../base/errors.js';
import type { Dataset } from '../dataset/dataset.js';
import { override } from './override.js';
import type { Fingerprint, Plan } from './plan.js';
import { plan } from './planner.js';

/** What a paper fixes of the plan of a data set. */
export interface FixedPlan {
  paper: string;
  configuration: '2d' | '3d_fullres';
  /** mm; null: the data set's own, as planned. */
  spacing: number[] | null;
  patchSize: number[];
  /** null: the paper and its code do not say; what the planner gives this patch. */
  batchSize: number | null;
  /** For every channel instead of what its name asks for. */
  normalization?: string;
  source: string;
}

/** The plans that papers fix, by name. */
export const fixedPlans = {
  mednext: {
    paper: 'MedNeXt',
    configuration: '3d_fullres',
    spacing: [1, 1, 1],
    patchSize: [128, 128, 128],
    batchSize: 2,
    source: 'section 3.1; MIC-DKFZ/MedNeXt@0b78ed8 experiment_planner_v21_isotropic1mm.py',
  },
  mednext2d: {
    paper: 'MedNeXt, 2-D networks',
    configuration: '2d',
    spacing: [1, 1, 1],
    patchSize: [512, 512],
    batchSize: 14,
    source: 'MIC-DKFZ/MedNeXt@0b78ed8 experiment_planner_v21_isotropic1mm.py',
  },
  kaistBrats21: {
    paper: 'KAIST MRI Lab, BraTS 2021',
    configuration: '3d_fullres',
    spacing: [1, 1, 1],
    patchSize: [128, 128, 128],
    batchSize: 2,
    source: 'challenge data are 1 mm; batch size inferred from the default plans (nnUNetPlansv2.1)',
  },
  stuNet: {
    paper: 'STU-Net',
    configuration: '3d_fullres',
    spacing: [1.5, 1.5, 1.5],
    patchSize: [128, 128, 128],
    batchSize: 2,
    normalization: 'ZScoreNormalization',
    source: 'uni-medical/STU-Net@0652eaf plan_files/base_ep4k.model.pkl (scheme nonCT although the data are CT)',
  },
  swinUmambaAbdomenMr: {
    paper: 'Swin-UMamba',
    configuration: '2d',
    spacing: null,
    patchSize: [320, 320],
    batchSize: null,
    source: 'Table of settings; nnU-Net plans are not in the repository',
  },
  swinUmambaEndoscopy: {
    paper: 'Swin-UMamba',
    configuration: '2d',
    spacing: null,
    patchSize: [384, 640],
    batchSize: null,
    source: 'Table of settings; nnU-Net plans are not in the repository',
  },
  swinUmambaMicroscopy: {
    paper: 'Swin-UMamba',
    configuration: '2d',
    spacing: null,
    patchSize: [512, 512],
    batchSize: null,
    source: 'Table of settings; nnU-Net plans are not in the repository',
  },
} as const satisfies Record<string, FixedPlan>;

/** Name of a plan that a paper fixes, as `plan` of an experiment says it. */
export type FixedPlanName = keyof typeof fixedPlans;

/**
 * The plan a paper fixes, on a data set: everything else (transposition, normalisation, network) by the default planner.
 * @returns a plan with this one configuration, named `nnUNetPlans_<name>`
 */
export function fixed(name: FixedPlanName, dataset: Pick<Dataset, 'name' | 'json'>, fingerprint: Fingerprint): Plan {
  const { configuration, spacing, patchSize, batchSize, normalization }: FixedPlan = fixedPlans[name];
  if (configuration !== '2d' && fingerprint.shapes_after_crop.every(([depth]) => depth === 1))
    throw new VoxelbookError(`the plan of ${fixedPlans[name].paper} does not fit ${dataset.name}`, {
      code: 'flat-data',
      path: 'shapes_after_crop',
      given: 'pictures of one slice',
      expected: 'volumes',
      fix: 'Choose a 2-D plan.',
    });
  const planned = plan(dataset, fingerprint, {
    plansName: `nnUNetPlans_${name}`,
    targetSpacing: spacing ? [...spacing] : undefined,
    patchSizes: { [configuration]: [...patchSize] },
  });
  const one = { ...planned, configurations: { [configuration]: { ...planned.configurations[configuration] } } };
  const config = one.configurations[configuration];
  if (normalization) {
    config.normalization_schemes = config.normalization_schemes.map(() => normalization);
    config.use_mask_for_norm = config.use_mask_for_norm.map(() => false);
  }
  return override(one, configuration, { patchSize: [...patchSize], batchSize: batchSize ?? undefined });
}
