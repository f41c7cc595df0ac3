// KAIST BraTS21 (2112.04653): nnU-Net with batch norm, and its four extensions, on the regions ET, TC, WT.
//
// Demo: simulated gliomas with region labels, 8 channels, patches of 32³. Paper: BraTS 2021, 128³, five folds, 1000 epochs.
import type { AxialAttentionSettings, KaistUnetSpec } from '../../model/papers/kaistUnet.js';
import type { Experiment, Scale } from '../../train/experiment.js';
import { type DemoBudget, demoExperiment } from '../shared/demoExperiment.js';
import { briefMomentum } from '../shared/recipe.js';
import { prediction, recipe } from './recipe.js';

export interface Options extends DemoBudget {
  scale: Scale;
}

const attention: AxialAttentionSettings = { where: 'decoder', heads: 2, headWidth: 8, without: [4] };
const full = { network: 'kaist-unet', norm: 'batch', deepSupervision: true } as const;

/** By the names of the paper's tables. The attention of BL+AA has 2 heads of 8 channels at full resolution, doubled at each level. */
const models: Record<string, KaistUnetSpec> = {
  BL: full,
  'BL+AA': { ...full, attention },
  'BL+L': { ...full, maxWidth: 512, encoderScale: 2 },
  'BL+GN': { ...full, norm: 'group' },
  'BL+L+GN': { ...full, maxWidth: 512, encoderScale: 2, norm: 'group' },
};

/** The same at 8 channels and three poolings, groups of 4, attention on two stages. */
const narrow = (model: KaistUnetSpec): KaistUnetSpec => ({
  ...model,
  width: 8,
  maxWidth: 32,
  groups: 4,
  strides: Array(3).fill([2, 2, 2]),
  kernels: Array(4).fill([3, 3, 3]),
  ...(model.attention ? { attention: { ...model.attention, heads: 2, headWidth: 4, without: [2], volume: [32, 32, 32] } } : {}),
});

/** The five models of the cross-validation table. */
export function crossValidation(options: Options): Experiment[] {
  return Object.entries(models).map(([name, model]) =>
    options.scale === 'demo'
      ? demoExperiment(
          {
            name,
            dataset: 'SimGliomaRegions',
            model: narrow(model),
            recipe: briefMomentum(recipe),
            prediction,
            brief: true,
          },
          { epochs: 10, ...options },
        )
      : {
          name,
          dataset: 'BraTS21',
          configuration: '3d_fullres',
          plan: 'kaistBrats21',
          model,
          recipe,
          prediction,
          folds: options.folds ?? [0, 1, 2, 3, 4],
          seeds: options.seeds ?? [0],
          scale: 'paper',
        },
  );
}
