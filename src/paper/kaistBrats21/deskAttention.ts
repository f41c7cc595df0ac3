// KAIST BraTS21's axial attention, on and off, at desk scale: a study of its own, with its own analysis, which was written down before it
// was run.
import type { KaistUnetSpec } from '../../model/papers/kaistUnet.js';
import type { Experiment } from '../../train/experiment.js';
import type { DemoBudget } from '../shared/demoExperiment.js';
import { atChosenRates, type DeskPlan, type DeskStudy, trialOf } from '../shared/desk.js';
import rates from './deskAttentionRates.json' with { type: 'json' };
import { crossValidation } from './experiments.js';

/** Two patches of 24³ a step, ten steps an epoch. No augmentation: nothing is learnt by heart in so few. */
const short = { iterationsPerEpoch: 10, patchSize: [24, 24, 24], augmentation: 'none' as const };
/** 180 steps, as the study of norms and regions. */
const deskBudget = { folds: [0, 1, 2], seeds: [0, 1, 2, 3, 4, 5, 6, 7], epochs: 18 };
/** Each system gets the rate with the highest mean DSC over the eight cases of two folds that the study does not score; 180 steps, two seeds. */
const deskTrial = { folds: [3, 4], seeds: [100, 101], epochs: 18 };
const trialRates = [0.03, 0.1, 0.3];

function systems(budget: DemoBudget): Experiment[] {
  const [plain, attending] = ['BL', 'BL+AA'].map((name) => {
    const whole = crossValidation({ scale: 'demo', ...budget }).find((e) => e.name === name)!;
    return { ...whole, recipe: { ...whole.recipe, ...short } };
  });
  const model = attending.model as KaistUnetSpec;
  // The position embedding fixes the patch.
  return [plain, { ...attending, model: { ...model, attention: { ...model.attention!, volume: short.patchSize } } }];
}

/** The pilot is the trial at the chosen rates: eight cases, two seeds. */
const plan: DeskPlan = {
  writtenOn: '2026-12-01',
  metric: 'dsc',
  margin: 0.02,
  marginWhy:
    'Two hundredths of DSC: about a fifth of what BL adds to the intensity table. A smaller difference would change nobody’s choice.',
  alpha: 0.05,
  correction: 'holm',
  claims: [
    {
      says: 'axial attention in the decoder helps',
      variant: 'BL+AA',
      base: 'BL',
      asks: 'better',
      pilot: { difference: -0.0014, sd: 0.0138 },
    },
  ],
};

/** The desk study of axial attention: two systems, three folds (12 held-out cases), eight seeds. */
export const deskAttention: DeskStudy = {
  study: 'kaist-brats21-attention',
  plan,
  experiments: atChosenRates(systems(deskBudget), rates.chosen),
  trial: systems(deskTrial).flatMap((system) => trialOf(system, trialRates)),
};
