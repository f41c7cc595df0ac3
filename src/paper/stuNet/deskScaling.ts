// STU-Net's scaling at equal compute, at desk scale: S, B and L from scratch, each with as many multiply-adds in all its training steps. A
// study of its own, with its own analysis, which was written down before it was run.
import type { Experiment } from '../../train/experiment.js';
import type { DemoBudget } from '../shared/demoExperiment.js';
import { atChosenRates, type DeskPlan, type DeskStudy, trialOf } from '../shared/desk.js';
import rates from './deskScalingRates.json' with { type: 'json' };
import { scaling } from './experiments.js';

/** Two patches of 24³ a step, ten epochs; no augmentation. */
const short = { patchSize: [24, 24, 24], batchSize: 2, augmentation: 'none' as const };
const epochs = 10;
/**
 * Steps an epoch. A patch of 24³ takes 13.3, 50.0 and 369.8 million multiply-adds in one pass of the three networks: 1 : 3.76 : 27.8,
 * so 2780, 740 and 100 steps cost the same.
 */
const stepsAnEpoch = { 'STU-Net-S': 278, 'STU-Net-B': 74, 'STU-Net-L': 10 };
const deskBudget = { folds: [0, 1, 2], seeds: [0, 1, 2, 3, 4, 5, 6, 7], epochs };
/** Each system gets the rate with the highest mean DSC over the eleven blocks of two folds that the study does not score. */
const deskTrial = { folds: [3, 4], seeds: [100], epochs };
const trialRates = [0.03, 0.1, 0.3];

function systems(budget: DemoBudget): Experiment[] {
  const all = scaling({ scale: 'demo', dataset: 'HumanScans', ...budget });
  return Object.entries(stepsAnEpoch).map(([name, iterationsPerEpoch]) => {
    const whole = all.find((e) => e.name === name)!;
    return { ...whole, recipe: { ...whole.recipe, ...short, iterationsPerEpoch } };
  });
}

const plan: DeskPlan = {
  writtenOn: '2026-12-01',
  metric: 'dsc',
  margin: 0.02,
  marginWhy:
    'Two hundredths of DSC, as in the study of fine-tuning: a fifth of what training from scratch on all blocks adds to the intensity table there. A smaller difference would change nobody’s choice.',
  alpha: 0.05,
  correction: 'holm',
  claims: [
    {
      says: 'at equal compute, B beats S',
      variant: 'STU-Net-B',
      base: 'STU-Net-S',
      asks: 'better',
    },
    {
      says: 'at equal compute, L beats B',
      variant: 'STU-Net-L',
      base: 'STU-Net-B',
      asks: 'better',
    },
  ],
};

/** The desk study of STU-Net's sizes at equal compute: three systems, three folds (18 held-out blocks), eight seeds. */
export const deskScaling: DeskStudy = {
  study: 'stu-net-scaling',
  plan,
  experiments: atChosenRates(systems(deskBudget), rates.chosen),
  trial: systems(deskTrial).flatMap((system) => trialOf(system, trialRates)),
};
