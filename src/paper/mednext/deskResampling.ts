// MedNeXt's residual resampling blocks against plain strided convolutions (Table 1 right) at desk scale: a study of its own, with its own
// analysis, which was written down before it was run. Sizes, folds and seeds are those of the study of UpKern.
import { atChosenRates, type DeskPlan, type DeskStudy, trialOf } from '../shared/desk.js';
import rates from './deskResamplingRates.json' with { type: 'json' };
import { ablation, type MedNextExperiment } from './experiments.js';

const epochs = 16;
const deskBudget = { folds: [0, 1, 2], seeds: [0, 1, 2, 3, 4, 5, 6, 7] };
/** Each system gets the rate with the highest mean DSC over the cases of a fold that the study does not score, and both seeds. */
const deskTrial = { folds: [3], seeds: [100, 101] };
const trialRates = [5e-3, 1e-2, 2e-2, 4e-2];

const residualName = 'MedNeXt k3';
const plainName = 'MedNeXt k3, plain resampling';

function systems(budget: { folds: number[]; seeds: number[] }): MedNextExperiment[] {
  const [residual] = ablation({ scale: 'demo', epochs, ...budget });
  return [
    { ...residual, name: residualName },
    { ...residual, name: plainName, model: { ...residual.model, residualUpDown: false } },
  ];
}

/** The pilot is the trial at the chosen rates: four cases, two seeds. */
const plan: DeskPlan = {
  writtenOn: '2026-12-01',
  metric: 'dsc',
  margin: 0.02,
  marginWhy:
    'Two hundredths of DSC, as in the study of UpKern: about a fifteenth of what a network of this size adds to the intensity table. A smaller difference would change nobody’s choice of a network.',
  alpha: 0.05,
  correction: 'holm',
  claims: [
    {
      says: 'residual resampling blocks beat plain strided convolutions',
      variant: residualName,
      base: plainName,
      asks: 'better',
      pilot: { difference: -0.0135, sd: 0.0065 },
    },
  ],
};

/** The desk study of MedNeXt's resampling blocks: two systems, three folds (12 held-out cases), eight seeds. */
export const deskResampling: DeskStudy = {
  study: 'mednext-resampling',
  plan,
  experiments: atChosenRates(systems(deskBudget), rates.chosen),
  trial: systems(deskTrial).flatMap((system) => trialOf(system, trialRates)),
};
