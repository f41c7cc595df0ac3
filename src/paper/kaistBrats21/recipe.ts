// KAIST BraTS21's recipe, as the official code runs it.
import type { PredictionSettings, Recipe } from '../../train/experiment.js';
import { nnunetv2, nnunetv2Prediction } from '../shared/recipe.js';

/** KAIST BraTS21: region-based Dice (batch, no smoothing) and BCE, DA4. Heads weigh 8:4:2:1:0. */
export const recipe: Recipe = {
  ...nnunetv2,
  batchSize: 2,
  patchSize: [128, 128, 128],
  loss: { kind: 'dice+bce', dice: 'nnunetv1', batchDice: true, smooth: 0 },
  augmentation: 'DA4',
};

/** KAIST averages probabilities. */
export const prediction: PredictionSettings = { ...nnunetv2Prediction, average: 'probabilities' };
