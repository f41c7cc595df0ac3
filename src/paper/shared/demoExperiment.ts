// What every demo experiment has in common: an embedded data set, small patches, a short budget, one fold, and how it is scored.
import type { ModelSpec } from '../../model/index.js';
import type { Experiment, PredictionSettings, Recipe } from '../../train/experiment.js';
import { demo } from './recipe.js';

/** What a demo may change; every function that makes a demo table takes these. */
export interface DemoBudget {
  seeds?: number[];
  folds?: number[];
  /** Epochs of 15 iterations; of 10 in the studies of whole papers, which are brief. */
  epochs?: number;
}

/** A study of seventy runs has some dozens of steps for each: short epochs, and tiles that overlap as little as they can, at half the time. */
const brief = { iterationsPerEpoch: 10, validationIterationsPerEpoch: 1 };

interface Setting {
  patchSize: number[];
  batchSize: number;
  configuration: string;
  scoring: Experiment['scoring'];
}

const volumes = { patchSize: [32, 32, 32], batchSize: 2, configuration: '3d_fullres' };
const pictures = { patchSize: [64, 64], batchSize: 4, configuration: '2d' };
const regions = { WT: [1, 2, 3], TC: [1, 3], ET: [3] };

/** Patch and scoring of each embedded set: one voxel as NSD's tolerance; pictures in pixels. */
export const demoSettings: Record<string, Setting> = {
  SimGlioma: { ...volumes, scoring: { classes: regions, nsdToleranceMm: 3 } },
  SimGliomaRegions: { ...volumes, scoring: { classes: regions, nsdToleranceMm: 3 } },
  IcbmTissue: { ...volumes, scoring: { nsdToleranceMm: 1 } },
  IcbmFluid: { ...volumes, scoring: { nsdToleranceMm: 1 } },
  IcbmMatter: { ...volumes, scoring: { nsdToleranceMm: 1 } },
  MacaqueTissue: { ...volumes, patchSize: [24, 32, 32], scoring: { nsdToleranceMm: 0.5 } },
  HumanScans: { ...volumes, patchSize: [24, 24, 24], scoring: { nsdToleranceMm: 1 } },
  MacaqueScans: { ...volumes, patchSize: [24, 24, 24], scoring: { nsdToleranceMm: 0.5 } },
  SimCells: { ...pictures, scoring: { nsdToleranceMm: 2 } },
  SimCells120: { ...pictures, scoring: { nsdToleranceMm: 2 } },
  SimCellsStained: { ...pictures, scoring: { nsdToleranceMm: 2 } },
  SimInstruments: { ...pictures, scoring: { nsdToleranceMm: 2 } },
};

/** Of any other set: as the volumes, with a tolerance of 1 mm. */
const settingOf = (dataset: string): Setting => demoSettings[dataset] ?? { ...volumes, scoring: { nsdToleranceMm: 1 } };

export interface DemoOf {
  name: string;
  dataset: string;
  model: ModelSpec;
  recipe: Recipe;
  prediction: PredictionSettings;
  learningRate?: number;
  /** One of a whole paper's many runs. */
  brief?: boolean;
}

/** Swin UNETR halves five times: of 32³ one voxel would be left at the bottom, whose instance norm nobody can train. */
const patchFor = ({ network }: ModelSpec, patch: number[]) =>
  network === 'swin-unetr' && patch.length === 3 ? [...patch.slice(0, 2), 2 * patch[2]] : patch;

/** A demo experiment on an embedded set, or another set of volumes, with the network and recipe of a paper, both made small. */
export function demoExperiment(of: DemoOf, { seeds = [0, 1], folds = [0], epochs = 6 }: DemoBudget = {}): Experiment {
  const { scoring, configuration, batchSize } = settingOf(of.dataset);
  const patchSize = patchFor(of.model, settingOf(of.dataset).patchSize);
  return {
    name: of.name,
    dataset: of.dataset,
    configuration,
    model: of.model,
    recipe: {
      ...demo(of.recipe, { epochs, learningRate: of.learningRate }),
      patchSize,
      batchSize,
      mirrorAxes: patchSize.map((_, i) => i),
      ...(of.brief ? brief : {}),
    },
    prediction: { ...of.prediction, mirrorAxes: [], ...(of.brief ? { stepSize: 1 } : {}) },
    scoring,
    folds,
    seeds,
    scale: 'demo',
  };
}
