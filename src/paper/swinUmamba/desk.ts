// Swin-UMamba's claim about pre-training at a size that two cores decide in half an hour: the experiments, the trial that chose their
// rates, and the analysis, which was written down before the study was run.
import type { Experiment } from '../../train/experiment.js';
import type { DemoBudget } from '../shared/demoExperiment.js';
import { atChosenRates, atRate, type DeskPlan, type DeskStudy, trialOf } from '../shared/desk.js';
import rates from './deskRates.json' with { type: 'json' };
import { comparison } from './experiments.js';

/** Four patches of 64² a step, ten steps an epoch. No augmentation: nothing is learnt by heart in so few. */
const short = { iterationsPerEpoch: 10, augmentation: 'none' } as const;
/** 60 steps on the target, and as many in the pre-training. */
const epochs = { target: 6, source: 6 };
const deskBudget = { folds: [0, 1, 2], seeds: [0, 1, 2, 3, 4, 5, 6, 7] };
/** Each system gets the rate with the highest mean DSC over the pictures of a fold that the study does not score, and both seeds. */
const deskTrial = { folds: [3], seeds: [100, 101] };
const trialRates = [3e-3, 1e-2, 3e-2, 1e-1];
const scratchName = 'Swin-UMamba, from scratch';
const pretrainedName = 'Swin-UMamba, pre-trained';

/**
 * From scratch and with the encoder of a network that was trained on stained cells, dark on bright; the fluorescent cells of the target
 * are bright on dark, and none of them is in the source. The source is trained from scratch, so at that rate.
 */
function systems(budget: DemoBudget): Experiment[] {
  const all = comparison({ scale: 'demo', task: 'Microscopy', ...budget });
  const on = (part: keyof typeof epochs, name: string, e: Experiment): Experiment => ({
    ...e,
    name,
    dataset: part === 'target' ? 'SimCells120' : 'SimCellsStained',
    recipe: { ...e.recipe, ...short, epochs: epochs[part] },
  });
  const [scratch, tuned] = ['Swin-UMamba w/o pretraining', 'Swin-UMamba'].map((name) => all.find((e) => e.name === name)!);
  const { init } = tuned;
  if (!init || !('from' in init)) throw new Error('the pre-trained network starts from no other');
  const from = atRate(on('source', 'Swin-UMamba, source', init.from), rates.chosen[scratchName]);
  return [on('target', scratchName, scratch), { ...on('target', pretrainedName, tuned), init: { ...init, from } }];
}

/** The pilot is the trial at the chosen rates: 24 pictures, two seeds. */
const plan: DeskPlan = {
  writtenOn: '2026-11-30',
  metric: 'dsc',
  margin: 0.02,
  marginWhy:
    'Two hundredths of DSC: a twentieth of what the network adds to the intensity table in the trial (0.42 to 0.82). A smaller difference would change nobody’s choice.',
  alpha: 0.05,
  correction: 'holm',
  claims: [
    {
      says: 'an encoder pre-trained on a related task beats one from scratch',
      variant: pretrainedName,
      base: scratchName,
      asks: 'better',
      pilot: { difference: 0.017, sd: 0.021 },
    },
  ],
};

/** The desk study of Swin-UMamba: with and without pre-training, three folds (72 held-out pictures), eight seeds. */
export const desk: DeskStudy = {
  study: 'swin-umamba',
  plan,
  experiments: atChosenRates(systems(deskBudget), rates.chosen),
  trial: systems(deskTrial).flatMap((system) => trialOf(system, trialRates)),
};
