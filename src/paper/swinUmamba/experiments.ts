// Swin-UMamba and Swin-UMamba† (2402.03302): three 2-D tasks, eleven systems each.
//
// Demo: simulated instruments stand for endoscopy, simulated cells for microscopy, slices of tissue blocks for abdominal MRI (padded to 64²);
// patches of 64². No ImageNet weights are at hand: "pre-trained" means pre-trained on another embedded set here.
// Paper: AbdomenMRI 320², Endoscopy (EndoVis17) 384×640, Microscopy (NeurIPS22Cells) 512²; VMamba-Tiny weights from a file.
import type { ModelSpec } from '../../model/index.js';
import type { FixedPlanName } from '../../plan/index.js';
import type { Experiment, Scale } from '../../train/experiment.js';
import { type DemoBudget, demoExperiment } from '../shared/demoExperiment.js';
import { narrow2d } from '../shared/demoNetworks.js';
import { briefMomentum, nnunetv2 } from '../shared/recipe.js';
import { prediction, recipe } from './recipe.js';

export type Task = 'AbdomenMRI' | 'Endoscopy' | 'Microscopy';

export interface Options extends DemoBudget {
  scale: Scale;
  task: Task;
  /** Paper scale: VMamba-Tiny's ImageNet checkpoint. */
  vmamba?: string;
  /** Of the paper, and so of Swin-UMamba's decoder; default `v2`. Swin-UMamba† and the baselines are the same in both. */
  version?: 'v1' | 'v2';
}

interface TaskSettings {
  demo: string;
  demoSource: string;
  dataset: string;
  plan: FixedPlanName;
  patchSize: number[];
  epochs: number;
}

/** Epochs: the checkpoint that the authors' scripts predict with (JiarunLiu/Swin-UMamba@2c1f72e scripts/train_*.sh). */
const tasks: Record<Task, TaskSettings> = {
  AbdomenMRI: {
    demo: 'IcbmTissue',
    demoSource: 'MacaqueTissue',
    dataset: 'AbdomenMRI',
    plan: 'swinUmambaAbdomenMr',
    patchSize: [320, 320],
    epochs: 100,
  },
  Endoscopy: {
    demo: 'SimInstruments',
    demoSource: 'SimCells',
    dataset: 'EndoVis17',
    plan: 'swinUmambaEndoscopy',
    patchSize: [384, 640],
    epochs: 250,
  },
  Microscopy: {
    demo: 'SimCells',
    demoSource: 'SimInstruments',
    dataset: 'NeurIPS22Cells',
    plan: 'swinUmambaMicroscopy',
    patchSize: [512, 512],
    epochs: 350,
  },
};

const fullSize: Record<string, ModelSpec> = {
  'nnU-Net': { network: 'plain-conv-unet', deepSupervision: true },
  SegResNet: { network: 'segresnet', dimensions: 2, width: 32 },
  UNETR: { network: 'unetr' },
  SwinUNETR: { network: 'swin-unetr', dimensions: 2, width: 48 },
  'U-Mamba_Bot': { network: 'umamba-bot', version: 'first', deepSupervision: true },
  'U-Mamba_Enc': { network: 'umamba-enc', version: 'first', deepSupervision: true },
  'Swin-UMamba': { network: 'swin-umamba', deepSupervision: true },
  'Swin-UMamba†': { network: 'swin-umamba-d', deepSupervision: true },
};

/** The rows of one task's table. nnFormer has no published 2-D code: its row has no experiment. */
export function comparison(options: Options): Experiment[] {
  const names = ['nnU-Net', 'SegResNet', 'UNETR', 'SwinUNETR', 'U-Mamba_Bot', 'U-Mamba_Enc'];
  const ours = ['Swin-UMamba', 'Swin-UMamba†'];
  const scratch = ours.map((name) => experiment(`${name} w/o pretraining`, name, options));
  return [
    ...names.map((name) => experiment(name, name, options)),
    ...(options.task === 'AbdomenMRI' ? [scratch[0], starred(scratch[1])] : scratch),
    ...ours.map((name) => pretrained(name, options)),
  ];
}

/** The tables' (*): Swin-UMamba† from scratch did not converge on abdominal MRI with deep supervision, so without, and twice as long. */
const starred = (e: Experiment): Experiment => ({
  ...e,
  name: `${e.name} (*)`,
  model: { ...e.model, deepSupervision: false },
  recipe: { ...e.recipe, deepSupervision: 'none', epochs: 2 * e.recipe.epochs },
});

function experiment(name: string, system: string, options: Options, dataset?: string): Experiment {
  const ownRecipe = system.startsWith('Swin-UMamba')
    ? recipe
    : { ...recipe, optimiser: nnunetv2.optimiser, schedule: nnunetv2.schedule };
  const task = tasks[options.task];
  if (options.scale === 'demo') {
    const model = versioned(narrow2d[system as keyof typeof narrow2d], options);
    const deep = 'deepSupervision' in model && model.deepSupervision;
    const shown = { ...ownRecipe, schedule: nnunetv2.schedule, deepSupervision: deep ? ('nnunet' as const) : ('none' as const) };
    // Rates for a training of seconds; the tables' own are 1e-4 and 0.01.
    const learningRate = system.startsWith('Swin-UMamba') ? 1e-2 : 0.3;
    const made = demoExperiment(
      {
        name,
        dataset: dataset ?? task.demo,
        model,
        recipe: briefMomentum(shown),
        prediction,
        learningRate,
        brief: true,
      },
      { epochs: 3, ...options },
    );
    const flat = { ...made.recipe, patchSize: [64, 64], batchSize: 4, mirrorAxes: [0, 1] };
    return { ...made, configuration: '2d', recipe: flat };
  }
  const model = versioned(fullSize[system], options);
  return {
    name,
    dataset: task.dataset,
    configuration: '2d',
    plan: task.plan,
    model,
    recipe: {
      ...ownRecipe,
      epochs: task.epochs,
      patchSize: task.patchSize,
      deepSupervision: model.deepSupervision ? 'nnunet' : 'none',
    },
    prediction,
    folds: options.folds ?? 'all',
    seeds: options.seeds ?? [0],
    scale: 'paper',
  };
}

const versioned = (model: ModelSpec, { version = 'v2' }: Options): ModelSpec =>
  model.network === 'swin-umamba' && version === 'v1' ? { ...model, version } : model;

const frozen = { prefixes: ['vssm_encoder.'], except: ['vssm_encoder.patch_embed'] };

/** The encoder alone is carried over and stays fixed at first: 10 epochs in the paper, 1 in the demo. */
function pretrained(name: string, options: Options): Experiment {
  const whole = experiment(name, name, options);
  if (options.scale === 'paper') {
    return {
      ...whole,
      recipe: { ...whole.recipe, freeze: { ...frozen, epochs: 10 } },
      init: { weights: options.vmamba ?? 'vmamba_tiny_e292.pth' },
    };
  }
  const freeze = { ...frozen, epochs: 1 };
  const before = experiment(`${name}, source`, name, options, tasks[options.task].demoSource);
  return { ...whole, recipe: { ...whole.recipe, freeze }, init: { from: before, only: ['vssm_encoder.'] } };
}
