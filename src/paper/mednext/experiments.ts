// MedNeXt's experiments (2303.09975): the UpKern ablation of Table 1 right. The same list at both scales.
//
// Demo: SimGlioma at 3 mm, a network of 8 channels with one block a stage, patches of 32³, a minute or two of training a variant.
// Paper: MedNeXt-B on BTCV and AMOS22 at 1 mm, patches of 128³, 1000 epochs, five folds.
import type { MedNextSpec } from '../../model/mednext.js';
import type { Experiment, Scale } from '../../train/experiment.js';
import { demo, predictions, mednext as recipe } from '../recipes.js';

/** An experiment whose network is a MedNeXt. */
export type MedNextExperiment = Experiment & { model: MedNextSpec };

export interface AblationOptions {
  scale: Scale;
  /** Demo: embedded set (default SimGlioma). Paper: BTCV or AMOS22. */
  dataset?: string;
  seeds?: number[];
  folds?: number[];
  /** Demo only: epochs of 15 iterations for each stage of training. */
  epochs?: number;
  /** Demo only: channels at full resolution. */
  width?: number;
}

/**
 * k3, k5 from scratch, k5 grown from k3 by UpKern, and k3 trained for as long as both: the paper's own controls.
 * The third and fourth start from the first, so it is trained once.
 */
export function ablation(options: AblationOptions): MedNextExperiment[] {
  const base = options.scale === 'demo' ? demoBase(options) : paperBase(options);
  const of = (name: string, kernel: number): MedNextExperiment => ({ ...base, name, model: { ...base.model, kernel } });
  const k3 = of('MedNeXt k3', 3);
  return [
    k3,
    of('MedNeXt k5, from scratch', 5),
    { ...of('MedNeXt k5, UpKern', 5), init: { upkernFrom: k3 } },
    { ...of('MedNeXt k3, trained twice as long', 3), init: { upkernFrom: k3 } },
  ];
}

/** BraTS's nested regions, and one voxel as the tolerance of NSD. */
const demoScoring: Record<string, Experiment['scoring']> = {
  SimGlioma: { classes: { WT: [1, 2, 3], TC: [1, 3], ET: [3] }, nsdToleranceMm: 3 },
  IcbmTissue: { nsdToleranceMm: 1 },
  MacaqueTissue: { nsdToleranceMm: 0.5 },
};

function demoBase({ dataset = 'SimGlioma', seeds = [0, 1], folds = [0], epochs = 20, width = 8 }: AblationOptions): MedNextExperiment {
  return {
    name: '',
    dataset,
    configuration: '3d_fullres',
    model: { network: 'mednext', kernel: 3, width, blocks: Array(9).fill(1), expansion: 2, deepSupervision: true },
    recipe: { ...demo(recipe, { epochs, learningRate: 2e-3 }), batchSize: 2, patchSize: [32, 32, 32] },
    prediction: { ...predictions.mednext, mirrorAxes: [] },
    scoring: demoScoring[dataset],
    folds,
    seeds,
    scale: 'demo',
  };
}

function paperBase({ dataset = 'BTCV', seeds = [0], folds = [0, 1, 2, 3, 4] }: AblationOptions): MedNextExperiment {
  return {
    name: '',
    dataset,
    configuration: '3d_fullres',
    model: { network: 'mednext', size: 'B', kernel: 3, deepSupervision: true },
    recipe,
    prediction: predictions.mednext,
    folds,
    seeds,
    scale: 'paper',
  };
}
