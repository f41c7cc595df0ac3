// MedNeXt's experiments (2303.09975): the ablation of Table 1 right, the comparison of Table 2. The same lists at both scales.
//
// Demo: simulated gliomas at 3 mm (or real tissue blocks), networks of 8 channels with one block a stage, patches of 32³.
// Paper: MedNeXt S–L and seven baselines on BTCV, AMOS22, KiTS19 and BraTS21 at 1 mm, patches of 128³, 1000 epochs, five folds.

import type { ModelSpec } from '../../model/index.js';
import type { MedNextSpec } from '../../model/papers/mednext.js';
import type { Experiment, Recipe, Scale } from '../../train/experiment.js';
import { type DemoBudget, demoExperiment } from '../shared/demoExperiment.js';
import { narrow2d, narrow3d } from '../shared/demoNetworks.js';
import { nnunetv2, nnunetv2Prediction } from '../shared/recipe.js';
import { prediction, recipe } from './recipe.js';

/** An experiment whose network is a MedNeXt. */
export type MedNextExperiment = Experiment & { model: MedNextSpec };

export interface Options extends DemoBudget {
  scale: Scale;
  /** Demo: an embedded set (default SimGlioma), or another set of volumes. Paper: BTCV, AMOS22, KiTS19 or BraTS21. */
  dataset?: string;
}

const paperScale = (
  name: string,
  dataset: string,
  model: ModelSpec,
  { folds = [0, 1, 2, 3, 4], seeds = [0] }: Options,
): Experiment => ({
  name,
  dataset,
  configuration: '3d_fullres',
  plan: 'mednext',
  model,
  recipe,
  prediction,
  folds,
  seeds,
  scale: 'paper',
});

/**
 * What the tables' many short runs change at demo scale: no augmentation, for nothing is learnt by heart in so few steps and it would take
 * a third of the time, and a rate for a training of seconds: 2e-2 or half of it, the better of the two for each family in trials with
 * one or two seeds.
 */
const briefRecipe: Recipe = { ...recipe, augmentation: 'none' };
const briefEpochs = 3;
const briefRate = 2e-2;
const halfRate = new Set(['plain-conv-unet', 'residual-encoder-unet', 'umamba-bot', 'cotr', 'unetr', 'swin-unetr']);

/** One MedNeXt: at demo scale 8 channels, one block a stage, expansion ratios of its size. */
function medNext(
  name: string,
  size: 'S' | 'B' | 'M' | 'L',
  kernel: number,
  options: Options,
  { brief = false, ...more }: Partial<MedNextSpec> & { brief?: boolean } = {},
): MedNextExperiment {
  if (options.scale === 'paper') {
    const model = { network: 'mednext', size, kernel, deepSupervision: true, ...more } as const;
    const whole = paperScale(name, options.dataset ?? 'BTCV', model, options) as MedNextExperiment;
    // Section 3.1: the one exception to 1e-3.
    const gentle = whole.dataset === 'KiTS19' && kernel === 5;
    return gentle ? { ...whole, recipe: { ...recipe, optimiser: { ...recipe.optimiser, learningRate: 1e-4 } } } : whole;
  }
  const model = { network: 'mednext', size, kernel, width: 8, ...demoSizes[size], deepSupervision: true, ...more } as const;
  const of = {
    name,
    dataset: options.dataset ?? 'SimGlioma',
    model,
    recipe: brief ? briefRecipe : recipe,
    prediction,
    learningRate: brief ? briefRate : 1e-2,
    brief,
  };
  return demoExperiment(of, { epochs: brief ? briefEpochs : 20, ...options }) as MedNextExperiment;
}

/** Table 1 left, made small: depth and expansion still grow together from S to L. */
const demoSizes = {
  S: { blocks: Array(9).fill(1), expansion: 2 },
  B: { blocks: Array(9).fill(1), expansion: [2, 3, 4, 4, 4, 4, 4, 3, 2] },
  M: { blocks: [1, 1, 2, 2, 2, 2, 2, 1, 1], expansion: [2, 3, 4, 4, 4, 4, 4, 3, 2] },
  L: { blocks: [1, 1, 2, 2, 2, 2, 2, 1, 1], expansion: [3, 4, 8, 8, 8, 8, 8, 4, 3] },
};

/**
 * UpKern: k3, k5 from scratch, k5 grown from k3, and k3 trained for as long as both (Table 1 right, the paper's own controls).
 * The third and fourth start from the first, so it is trained once.
 */
export const ablation = (options: Options): MedNextExperiment[] => upkernAndControls(options, false);

function upkernAndControls(options: Options, brief: boolean): MedNextExperiment[] {
  const size = options.scale === 'paper' ? 'B' : 'S';
  const of = (name: string, kernel: number) => medNext(name, size, kernel, options, { brief });
  const k3 = of('MedNeXt k3', 3);
  return [
    k3,
    of('MedNeXt k5, from scratch', 5),
    { ...of('MedNeXt k5, UpKern', 5), init: { upkernFrom: k3 } },
    { ...of('MedNeXt k3, trained twice as long', 3), init: { upkernFrom: k3 } },
  ];
}

/** All of Table 1 right, by the names of its rows; at demo scale briefer than `ablation`: with and without residual resampling blocks, UpKern and its controls, nnU-Net. */
export function table1(options: Options): Experiment[] {
  const size = options.scale === 'paper' ? 'B' : 'S';
  const [k3, k5, grown, twice] = upkernAndControls(options, true);
  return [
    medNext('standard resampling (plain strided convs)', size, 3, options, { residualUpDown: false, brief: true }),
    { ...k3, name: 'MedNeXt-B resampling (residual inverted bottleneck), k3' },
    { ...k5, name: 'from scratch, k5' },
    { ...grown, name: 'UpKern, k5' },
    { ...twice, name: 'UpKern init from k3, kernel kept at 3 (trained 2x), k3' },
    baseline('nnUNet reference', 'nnUNet', options),
  ];
}

/** Baselines of Table 2 at full size, as their papers build them. TransUNet is a 2-D network and is trained on slices. */
const fullSize: Record<string, ModelSpec> = {
  nnUNet: { network: 'plain-conv-unet', deepSupervision: true },
  UNETR: { network: 'unetr', width: 16 },
  TransUNet: { network: 'transunet' },
  TransBTS: { network: 'transbts' },
  nnFormer: { network: 'nnformer', variant: 'tumor', deepSupervision: true },
  SwinUNETR: { network: 'swin-unetr', width: 48 },
  '3D-UX-Net': { network: 'ux-net' },
};

/** Systems of the independent comparison that Table 2 does not have. ResEnc L and XL are nnU-Net's larger planners. */
const furtherFullSize: Record<string, ModelSpec> = {
  'ResEnc M': { network: 'residual-encoder-unet', deepSupervision: true },
  'ResEnc L': { network: 'residual-encoder-unet', deepSupervision: true },
  'ResEnc XL': { network: 'residual-encoder-unet', deepSupervision: true },
  'STU-Net S': { network: 'stunet', size: 'S', deepSupervision: true },
  'STU-Net B': { network: 'stunet', size: 'B', deepSupervision: true },
  'STU-Net L': { network: 'stunet', size: 'L', deepSupervision: true },
  SwinUNETRV2: { network: 'swin-unetr', width: 48, v2: true },
  CoTr: { network: 'cotr', deepSupervision: true },
  'No-Mamba Base': { network: 'umamba-bot', version: 'first', mamba: false, deepSupervision: true },
  'U-Mamba_Bot': { network: 'umamba-bot', version: 'first', deepSupervision: true },
  'U-Mamba_Enc': { network: 'umamba-enc', version: 'first', deepSupervision: true },
};

const narrowStuNet = (widths: number[], blocks: number): ModelSpec => ({
  network: 'stunet',
  widths,
  blocks: Array(4).fill(blocks),
  strides: Array(3).fill([2, 2, 2]),
  kernels: Array(4).fill([3, 3, 3]),
  deepSupervision: true,
});
const narrow: Record<string, ModelSpec> = {
  ...narrow3d,
  TransUNet: narrow2d.TransUNet,
  'STU-Net S': narrowStuNet([4, 8, 16, 32], 1),
  'STU-Net B': narrowStuNet([8, 16, 32, 64], 1),
  'STU-Net L': narrowStuNet([8, 16, 32, 64], 2),
};

/** nnU-Net leaves its lowest output out of the loss; CoTr's trainer counts all four of its network. */
const supervisionOf = (model: ModelSpec): Recipe['deepSupervision'] =>
  model.network === 'cotr' ? 'all' : model.deepSupervision ? 'nnunet' : 'none';

/** A baseline of Table 2: at full size nnU-Net with its own SGD, the others with AdamW at 1e-4. */
function baseline(name: string, system: string, options: Options): Experiment {
  if (options.scale === 'paper') {
    const model = fullSize[system];
    const whole = paperScale(name, options.dataset ?? 'BTCV', model, options);
    const optimiser = system === 'nnUNet' ? nnunetv2.optimiser : { ...recipe.optimiser, learningRate: 1e-4 };
    const own: Recipe = { ...recipe, optimiser, deepSupervision: supervisionOf(model) };
    if (system !== 'TransUNet') return { ...whole, recipe: own };
    const flat = { ...own, patchSize: [512, 512], batchSize: 14, mirrorAxes: [0, 1] };
    return { ...whole, configuration: '2d', plan: 'mednext2d', recipe: flat };
  }
  const flat = system === 'TransUNet';
  const model = narrow[system];
  const of = {
    name,
    dataset: options.dataset ?? 'SimGlioma',
    model,
    recipe: { ...briefRecipe, deepSupervision: supervisionOf(model) },
    prediction,
    learningRate: halfRate.has(model.network) ? briefRate / 2 : briefRate,
    brief: true,
  };
  const made = demoExperiment(of, { epochs: briefEpochs, ...options });
  return flat
    ? { ...made, configuration: '2d', recipe: { ...made.recipe, patchSize: [64, 64], batchSize: 8, mirrorAxes: [0, 1] } }
    : made;
}

/** Table 2: seven baselines and eight MedNeXt; k5 starts from k3 by UpKern. Names are the table's. */
export function comparison(options: Options): Experiment[] {
  const names = Object.keys(fullSize);
  const sizes = ['S', 'B', 'M', 'L'] as const;
  const k3 = sizes.map((size) => medNext(`MedNeXt-${size} (kernel 3)`, size, 3, options, { brief: true }));
  const k5 = sizes.map((size, i) => ({
    ...medNext(`MedNeXt-${size} (kernel 5)`, size, 5, options, { brief: true }),
    init: { upkernFrom: k3[i] },
  }));
  return [...names.map((name) => baseline(name, name, options)), ...k3, ...k5];
}

/** ResEnc's three presets are planners; the others take nnU-Net's default plan. */
const presets: Record<string, string> = {
  'ResEnc M': 'nnUNetPlannerResEncM',
  'ResEnc L': 'nnUNetPlannerResEncL',
  'ResEnc XL': 'nnUNetPlannerResEncXL',
};

/**
 * What others compared MedNeXt with (nnU-Net Revisited, Table 1 there) beyond Table 2's rows: residual encoder U-Nets, STU-Net and
 * U-Mamba with and without its Mamba layer, SwinUNETRV2, CoTr; at paper scale each with its planner's spacing, patch and batch and
 * nnU-Net v2's recipe.
 */
export function independent(options: Options): Experiment[] {
  const { scale, dataset = 'BTCV', folds = [0, 1, 2, 3, 4], seeds = [0] } = options;
  return Object.entries(furtherFullSize).map(([name, model]) =>
    scale === 'demo'
      ? baseline(name, name, options)
      : {
          name,
          dataset,
          configuration: '3d_fullres',
          ...(presets[name] ? { planner: presets[name] } : {}),
          model,
          recipe: {
            ...nnunetv2,
            deepSupervision: supervisionOf(model),
            // Swin UNETR halves the grid five times; nnU-Net's plans do not always. 96³ is its own code's patch.
            ...(model.network === 'swin-unetr' ? { patchSize: [96, 96, 96] } : {}),
          },
          prediction: nnunetv2Prediction,
          folds,
          seeds,
          scale,
        },
  );
}
