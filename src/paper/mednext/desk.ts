// MedNeXt's claims at a size that two cores decide in an hour or two: the experiments, the trial that chose their rates, and the analysis,
// which was written down before the study was run.
import type { Experiment } from '../../train/experiment.js';
import { atRate, type DeskPlan, type DeskStudy, trialOf } from '../shared/desk.js';
import rates from './deskRates.json' with { type: 'json' };
import { ablation, type MedNextExperiment } from './experiments.js';

/** The quickstart's own sizes: 16 epochs of 15 iterations a stage, 8 channels, SimGlioma. */
const epochs = 16;
const deskBudget = { folds: [0, 1, 2], seeds: [0, 1, 2, 3, 4, 5, 6, 7] };
/** Each system gets the rate with the highest mean DSC over the cases of a fold that the study does not score, and both seeds. */
const deskTrial = { folds: [3], seeds: [100, 101] };
const trialRates = { first: [5e-3, 1e-2, 2e-2, 4e-2], later: [1e-2, 2e-2] };

const chosenRate = (system: string) => rates.chosen[system as keyof typeof rates.chosen];

/** The systems, each at its rate; what starts from k3 starts from the k3 of this list. */
function systems(budget: { folds: number[]; seeds: number[] }, rateOf: (system: string) => number): MedNextExperiment[] {
  const [k3, k5, grown, longer] = ablation({ scale: 'demo', epochs, ...budget });
  const own = (e: MedNextExperiment) => atRate(e, rateOf(e.name));
  return [own(k3), own(k5), { ...own(grown), init: { upkernFrom: own(k3) } }, { ...own(longer), init: { upkernFrom: own(k3) } }];
}

/** What was tried. Second stages start from k3 at its chosen rate. */
const trial = (): Experiment[] =>
  systems(deskTrial, chosenRate).flatMap((system) => trialOf(system, system.init ? trialRates.later : trialRates.first));

const plan: DeskPlan = {
  writtenOn: '2026-11-30',
  metric: 'dsc',
  margin: 0.02,
  marginWhy:
    'Two hundredths of DSC: about a fifteenth of what a network of this size adds to the intensity table (0.43 to 0.73 in the pilot). A smaller difference would change nobody’s choice of a network.',
  alpha: 0.05,
  correction: 'holm',
  claims: [
    {
      says: 'a large kernel grown from a small one beats one trained from scratch',
      variant: 'MedNeXt k5, UpKern',
      base: 'MedNeXt k5, from scratch',
      asks: 'better',
      pilot: { difference: 0.059, sd: 0.048 },
    },
    {
      says: 'and not only because of the longer training',
      variant: 'MedNeXt k5, UpKern',
      base: 'MedNeXt k3, trained twice as long',
      asks: 'better',
      pilot: { difference: -0.028, sd: 0.023 },
    },
    {
      says: 'the grown large kernel beats the small one it is grown from',
      variant: 'MedNeXt k5, UpKern',
      base: 'MedNeXt k3',
      asks: 'better',
      pilot: { difference: 0.018, sd: 0.017 },
    },
    {
      says: 'a large kernel from scratch does not beat the small one',
      variant: 'MedNeXt k5, from scratch',
      base: 'MedNeXt k3',
      asks: 'no better',
      pilot: { difference: -0.041, sd: 0.041 },
    },
  ],
};

/** The desk study of MedNeXt: four systems, three folds (12 held-out cases), eight seeds. */
export const desk: DeskStudy = {
  study: 'mednext',
  plan,
  experiments: systems(deskBudget, chosenRate),
  trial: trial(),
};
