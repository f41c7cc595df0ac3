// STU-Net's recipes, as the official code runs it.
import type { PredictionSettings, Recipe } from '../../train/experiment.js';
import { nnunetv2, nnunetv2Prediction, sgd } from '../shared/recipe.js';

/** STU-Net: pre-training on TotalSegmentator, 4000 epochs. */
export const pretraining: Recipe = {
  ...nnunetv2,
  epochs: 4000,
  validationIterationsPerEpoch: 1,
  batchSize: 2,
  patchSize: [128, 128, 128],
  loss: { kind: 'dice+ce', dice: 'nnunetv1', batchDice: false, smooth: 1e-5 },
  augmentation: 'moreDA',
};

/** STU-Net: fine-tuning every parameter at a tenth of the rate, 1000 epochs. */
export const finetuning: Recipe = {
  ...pretraining,
  optimiser: { ...sgd, learningRate: 1e-3 },
  epochs: 1000,
  validationIterationsPerEpoch: 50,
};

/** STU-Net averages probabilities. */
export const prediction: PredictionSettings = { ...nnunetv2Prediction, average: 'probabilities' };
