// Hours of training on a named GPU, scaled from published ones by arithmetic.
//
// The published hours are nnU-Net Revisited's (2404.09556; nnU-Net documentation/resenc_presets.md, column RT): one A100 PCIe 40 GB,
// PyTorch, mixed precision. They stand in `mednext/published.json` with the scores of that table.
import { plannerEntry } from '../../plan/index.js';
import type { Experiment } from '../../train/experiment.js';
import * as mednext from '../mednext/index.js';
import { published } from './claims.js';
import { nnunetv2 } from './recipe.js';

/** The GPU that estimated hours are those of. */
export const hoursGpu = 'A100 PCIe 40 GB';
/** Where the hours that estimates are scaled from were published. */
export const hoursSource = 'nnU-Net Revisited (2404.09556), run time on one A100 PCIe 40 GB, PyTorch in mixed precision';
/** How hours of training are estimated, in words. */
export const hoursFormula =
  'hours ≈ published hours × (multiply-adds × batch × epochs × (3·training + validation iterations)) / (the same of the published system)';

/** A published training: who, how long, and the experiment here that stands for it. */
export interface HoursReference {
  row: string;
  hours: number;
  experiment: Experiment;
}

/**
 * The published training that an experiment's hours are scaled from: of the same network, of the nearest size that is published.
 * @param dimensions of the patch; the published networks are 3-D
 * @returns why there is none, where there is none
 */
export function hoursReference(experiment: Experiment, dimensions: number): HoursReference | { none: string } {
  if (dimensions !== 3) return { none: 'hours are published of 3-D networks only' };
  const row = rowOf(experiment);
  return row ? references()[row] : { none: 'no published hours of this network' };
}

function rowOf({ model, planner }: Experiment): string | undefined {
  switch (model.network) {
    case 'mednext':
      return model.kernel === 3 ? 'MedNeXt L k3' : model.kernel === 5 ? 'MedNeXt L k5' : undefined;
    case 'stunet':
      return `STU-Net ${model.size === 'H' ? 'L' : (model.size ?? 'B')}`;
    case 'plain-conv-unet':
      return 'nnU-Net (org.)';
    case 'residual-encoder-unet':
      return resEncRows[plannerEntry(planner).kind] ?? 'nnU-Net ResEnc M';
    case 'kaist-unet':
      // nnU-Net's own convolutions; of axial attention nothing is published.
      return model.attention ? undefined : 'nnU-Net (org.)';
    case 'umamba-bot':
      return model.mamba === false ? 'No-Mamba Base' : 'U-Mamba Bot';
    case 'umamba-enc':
      return 'U-Mamba Enc';
    case 'cotr':
      return 'CoTr';
    case 'swin-unetr':
      return model.v2 ? 'SwinUNETRV2' : 'SwinUNETR';
    case 'nnformer':
      // The variants differ sevenfold in multiply-adds; which one was timed is not said, nor how the others' speed compares.
      return model.variant === 'tumor' ? 'nnFormer' : undefined;
    default:
      return undefined;
  }
}

const resEncRows: Record<string, string> = {
  nnUNetPlannerResEncM: 'nnU-Net ResEnc M',
  nnUNetPlannerResEncL: 'nnU-Net ResEnc L',
  nnUNetPlannerResEncXL: 'nnU-Net ResEnc XL',
};

let known: Record<string, HoursReference> | undefined;

/** By published row; each with the plan that system has here on BTCV, as the source does not say which set was timed. */
function references(): Record<string, HoursReference> {
  if (known) return known;
  const rows = published.mednext.tables.find((t) => t.id === 'independent-nnunet-revisited')!.rows;
  const ours = [...mednext.comparison({ scale: 'paper' }), ...mednext.independent({ scale: 'paper' })];
  const of = (name: string) => ours.find((e) => e.name === name)!;
  const named: Record<string, Experiment> = {
    // nnU-Net's own plan, not MedNeXt's.
    'nnU-Net (org.)': { ...of('nnUNet'), plan: undefined, recipe: nnunetv2 },
    'MedNeXt L k3': of('MedNeXt-L (kernel 3)'),
    'MedNeXt L k5': of('MedNeXt-L (kernel 5)'),
    'U-Mamba Bot': of('U-Mamba_Bot'),
    'U-Mamba Enc': of('U-Mamba_Enc'),
    'nnU-Net ResEnc M': of('ResEnc M'),
    'nnU-Net ResEnc L': of('ResEnc L'),
    'nnU-Net ResEnc XL': of('ResEnc XL'),
  };
  known = {};
  for (const { network, train_hours_A100: hours } of rows) {
    const row = String(network);
    const experiment = named[row] ?? of(row);
    if (experiment && typeof hours === 'number') known[row] = { row, hours, experiment };
  }
  return known;
}

/** Passes of a training, in forward passes of one patch: a training iteration costs three, a validation iteration one. */
export function passes({ recipe }: Experiment, batchSize: number): number {
  const { epochs, iterationsPerEpoch, validationIterationsPerEpoch, accumulate = 1 } = recipe;
  return epochs * (3 * accumulate * iterationsPerEpoch + validationIterationsPerEpoch) * batchSize;
}
