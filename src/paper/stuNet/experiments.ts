// STU-Net (2304.06716): one network from 14 M to 1.4 G parameters, pre-trained on TotalSegmentator, carried over to other tasks.
//
// Demo: tissue blocks of one human brain stand for the pre-training set, blocks of a macaque brain for the task carried over to; the
// widths S to H are 1/8 of the paper's in the same proportions. Paper: TotalSegmentator (104 classes); FLARE22, AMOS22CTMR, AutoPET22.

import type { ModelSpec } from '../../model/index.js';
import type { StuNetSpec } from '../../model/papers/stuNet.js';
import type { Experiment, Recipe, Scale } from '../../train/experiment.js';
import { type DemoBudget, demoExperiment } from '../shared/demoExperiment.js';
import { narrow3d } from '../shared/demoNetworks.js';
import { briefMomentum } from '../shared/recipe.js';
import { prediction, pretraining, finetuning as tuning } from './recipe.js';

export interface Options extends DemoBudget {
  scale: Scale;
  dataset?: string;
}

export type Size = 'S' | 'B' | 'L' | 'H';
export const sizes: Size[] = ['S', 'B', 'L', 'H'];

/** Four stages instead of six, an eighth of the width; depth 1, 1, 2, 3 and proportions of the widths are the paper's. */
const demoWidths: Record<Size, number[]> = { S: [2, 4, 8, 16], B: [4, 8, 16, 32], L: [8, 16, 32, 64], H: [12, 24, 48, 96] };
const demoBlocks: Record<Size, number> = { S: 1, B: 1, L: 2, H: 3 };

const demoModel = (size: Size): StuNetSpec => ({
  network: 'stunet',
  widths: demoWidths[size],
  blocks: Array(4).fill(demoBlocks[size]),
  strides: Array(3).fill([2, 2, 2]),
  kernels: Array(4).fill([3, 3, 3]),
  deepSupervision: true,
});

function experiment(name: string, model: ModelSpec, { scale, ...options }: Options, recipe = pretraining): Experiment {
  const deep = model.deepSupervision ? recipe : { ...recipe, deepSupervision: 'none' as const };
  if (scale === 'demo') {
    const of = {
      name,
      dataset: options.dataset ?? 'IcbmTissue',
      model,
      recipe: briefMomentum(deep),
      prediction,
      brief: true,
    };
    const made = demoExperiment(of, { epochs: 3, ...options });
    // One patch a step: STU-Net-H is a hundred times S. The blocks are tissue nearly everywhere; classes take turns in the middle.
    return { ...made, recipe: { ...made.recipe, batchSize: 1, oversampleForeground: 1 } };
  }
  return {
    name,
    dataset: options.dataset ?? 'TotalSegmentator',
    configuration: '3d_fullres',
    // Also on the data fine-tuned on: the paper does not say at which spacing; the network was pre-trained at this one.
    plan: 'stuNet',
    model,
    recipe: deep,
    prediction: { ...prediction, mirrorAxes: options.dataset ? [0, 1, 2] : [] },
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

/** The networks of the direct inference table, by their names in `scaling`. */
export const directlyInferred = ['nnU-Net', 'STU-Net-B', 'STU-Net-L', 'STU-Net-H'];

/**
 * Demo only: the bubble figure's further transformers, by the names of its rows. The figure does not say which settings they have;
 * these are half and one and a half times as wide as the ones of `scaling`.
 */
export function bubbles(options: Options): Experiment[] {
  const swin = (width: number): ModelSpec => ({ ...narrow3d.SwinUNETR, width });
  return [
    experiment('UNETR (smaller bubble)', { ...narrow3d.UNETR, width: 4, hidden: 24, mlp: 48, heads: 2 }, options),
    experiment('SwinUNETR (largest bubble)', swin(1.5 * narrow3d.SwinUNETR.width), options),
    experiment('SwinUNETR (smallest bubble)', swin(0.5 * narrow3d.SwinUNETR.width), options),
  ];
}

/** Demo: two groups of classes instead of the paper's five, each a data set of its own. */
const expertSets = { CSF: 'IcbmFluid', 'GM and WM': 'IcbmMatter' };
export const groups = Object.keys(expertSets);

/** The experts that stand behind the row `STU-Net-S, 5 experts`. */
export const expertNames = (size: Size) => groups.map((group) => `STU-Net-${size}, expert for ${group}`);

/** Demo only: for each size one network per group of classes, trained on a data set that has no other class. */
export function experts(options: Options): Experiment[] {
  return sizes.flatMap((size) =>
    Object.entries(expertSets).map(([group, dataset], g) => ({
      ...experiment(expertNames(size)[g], stuNet(size, options), { ...options, dataset }),
      labels: { size, expert: group },
    })),
  );
}

/** Shares of the training cases in the paper's figure, in per cent. */
export const shares = [1, 2, 5, 10, 20, 50, 100];

/**
 * Mean DSC against the share of training cases, S to H: `STU-Net-S, 10 %`. The whole set is `scaling`'s own run.
 * @param options.percents default: all of the figure at paper scale; at demo scale 10, 50 and 100 (of 13 cases)
 */
export function dataShare({ percents, ...options }: Options & { percents?: number[] }): Experiment[] {
  const wanted = percents ?? (options.scale === 'demo' ? [10, 50, 100] : shares);
  return sizes.flatMap((size) =>
    wanted.map((percent): Experiment => {
      const labels = { size, share: percent / 100 };
      const whole = { ...experiment(`STU-Net-${size}, ${percent} %`, stuNet(size, options), options), labels };
      return percent === 100 ? whole : { ...whole, trainShare: percent / 100 };
    }),
  );
}

/** Depth alone, width alone, both: from B's one block a stage and width to L's two and double width (the paper's numbers have no source). */
export function scalingAblation(options: Options): Experiment[] {
  const base = stuNet('B', options);
  const large = stuNet('L', options);
  const depth = options.scale === 'demo' ? Array(4).fill(2) : Array(6).fill(2);
  const widths = options.scale === 'demo' ? demoWidths.L : [64, 128, 256, 512, 1024, 1024];
  return [
    experiment('STU-Net-B', base, options),
    experiment('depth only', { ...base, blocks: depth }, options),
    experiment('width only', { ...base, widths }, options),
    experiment('depth and width together', large, options),
  ];
}

/** Nearest against trilinear up-sampling in front of the 1×1×1 convolution; neither has weights. */
export function upsamplingAblation(options: Options): Experiment[] {
  const base = stuNet('B', options);
  return [
    experiment('nearest', base, options),
    experiment("trilinear / 'cubic linear' in the text", { ...base, upsampling: 'linear' }, options),
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
  const scratch = demoSizes.map((size) => experiment(`STU-Net-${size}`, stuNet(size, options), target, fromScratch));
  const tuned = demoSizes.map((size): Experiment => {
    const before = experiment(`STU-Net-${size}`, stuNet(size, options), source);
    return { ...experiment(`STU-Net-${size}-ft`, stuNet(size, options), target, tuning), init: { from: before } };
  });
  const nnunet = options.scale === 'demo' ? narrow3d.nnUNet : ({ network: 'plain-conv-unet', deepSupervision: true } as const);
  return [experiment('nnU-Net', nnunet, target, fromScratch), ...scratch, ...tuned];
}

/** The trainer's default of 1000 epochs (`STUNetTrainer_base`); the 4000 of pre-training have trainers of their own (`…_ep4k`). */
const fromScratch: Recipe = { ...tuning, optimiser: pretraining.optimiser };
