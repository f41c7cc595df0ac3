// STU-Net (2304.06716): one network from 14 M to 1.4 G parameters, pre-trained on TotalSegmentator, carried over to other tasks.
//
// Demo: tissue blocks of one human brain stand for the pre-training set, blocks of a macaque brain for the task carried over to; the
// widths S to H are 1/4 of the paper's in the same proportions. Paper: TotalSegmentator (104 classes), FLARE22, AMOS, AutoPET.

import type { ModelSpec } from '../../model/spec.js';
import type { StuNetSpec } from '../../model/stuNet.js';
import type { Experiment, Scale } from '../../train/experiment.js';
import { type DemoBudget, demoExperiment } from '../demoExperiment.js';
import { narrow3d } from '../narrow.js';
import { predictions, stuNetFinetuning, stuNetPretraining } from '../recipes.js';

export interface Options extends DemoBudget {
  scale: Scale;
  dataset?: string;
}

export type Size = 'S' | 'B' | 'L' | 'H';
export const sizes: Size[] = ['S', 'B', 'L', 'H'];

/** Four stages instead of six, a quarter of the width; depth 1, 1, 2, 3 and proportions of the widths are the paper's. */
const demoWidths: Record<Size, number[]> = { S: [4, 8, 16, 32], B: [8, 16, 32, 64], L: [16, 32, 64, 128], H: [24, 48, 96, 192] };
const demoBlocks: Record<Size, number> = { S: 1, B: 1, L: 2, H: 3 };

const demoModel = (size: Size): StuNetSpec => ({
  network: 'stunet',
  widths: demoWidths[size],
  blocks: Array(4).fill(demoBlocks[size]),
  strides: Array(3).fill([2, 2, 2]),
  kernels: Array(4).fill([3, 3, 3]),
  deepSupervision: true,
});

function experiment(name: string, model: ModelSpec, { scale, ...options }: Options, recipe = stuNetPretraining): Experiment {
  const deep = model.deepSupervision ? recipe : { ...recipe, deepSupervision: 'none' as const };
  if (scale === 'demo') {
    const of = { name, dataset: options.dataset ?? 'IcbmTissue', model, recipe: deep, prediction: predictions.stuNet };
    return demoExperiment(of, { epochs: 6, ...options });
  }
  return {
    name,
    dataset: options.dataset ?? 'TotalSegmentator',
    configuration: '3d_fullres',
    model,
    recipe: deep,
    prediction: { ...predictions.stuNet, mirrorAxes: options.dataset ? [0, 1, 2] : [] },
    folds: options.folds ?? [0],
    seeds: options.seeds ?? [0],
    scale,
  };
}

const stuNet = (size: Size, options: Options): StuNetSpec =>
  options.scale === 'demo' ? demoModel(size) : { network: 'stunet', size, deepSupervision: true };

/** Scaling on the pre-training set: nnU-Net, S to H, and the transformers of the figure. */
export function scaling(options: Options): Experiment[] {
  const full: Record<string, ModelSpec> = {
    'nnU-Net': { network: 'plain-conv-unet', deepSupervision: true },
    'SwinUNETR-B': { network: 'swin-unetr', width: 48 },
    nnFormer: { network: 'nnformer', variant: 'synapse', deepSupervision: true },
    UNETR: { network: 'unetr' },
  };
  const small: Record<string, ModelSpec> = {
    'nnU-Net': narrow3d.nnUNet,
    'SwinUNETR-B': narrow3d.SwinUNETR,
    nnFormer: narrow3d.nnFormer,
    UNETR: narrow3d.UNETR,
  };
  const others = options.scale === 'demo' ? small : full;
  return [
    experiment('nnU-Net', others['nnU-Net'], options),
    ...sizes.map((size) => experiment(`STU-Net-${size}`, stuNet(size, options), options)),
    ...['SwinUNETR-B', 'nnFormer', 'UNETR'].map((name) => experiment(name, others[name], options)),
  ];
}

/**
 * Transfer: from scratch, and from the pre-trained network of the same size with everything but the heads carried over and a tenth of
 * the learning rate (Table 5). Demo: human tissue to macaque tissue.
 */
export function finetuning(options: Options): Experiment[] {
  const target = { ...options, dataset: options.dataset ?? (options.scale === 'demo' ? 'MacaqueTissue' : 'FLARE22') };
  const source = { ...options, dataset: undefined };
  const demoSizes: Size[] = ['B', 'L', 'H'];
  const scratch = demoSizes.map((size) => experiment(`STU-Net-${size}`, stuNet(size, options), target, stuNetPretraining));
  const tuned = demoSizes.map((size): Experiment => {
    const before = experiment(`STU-Net-${size}`, stuNet(size, options), source);
    return { ...experiment(`STU-Net-${size}-ft`, stuNet(size, options), target, stuNetFinetuning), init: { from: before } };
  });
  const nnunet = options.scale === 'demo' ? narrow3d.nnUNet : ({ network: 'plain-conv-unet', deepSupervision: true } as const);
  return [experiment('nnU-Net', nnunet, target), ...scratch, ...tuned];
}
