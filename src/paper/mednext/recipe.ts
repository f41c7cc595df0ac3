// MedNeXt's recipe, as the official code runs it.
import type { PredictionSettings, Recipe } from '../../train/experiment.js';
import { nnunetv2, nnunetv2Prediction } from '../shared/recipe.js';

/** MedNeXt (nnUNetTrainerV2_MedNeXt_*_kernel*): AdamW, all five outputs supervised, nnU-Net v1's losses and augmentation. */
export const recipe: Recipe = {
  ...nnunetv2,
  optimiser: { kind: 'adamw', learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 3e-5 },
  batchSize: 2,
  patchSize: [128, 128, 128],
  loss: { kind: 'dice+ce', dice: 'nnunetv1', batchDice: false, smooth: 1e-5 },
  deepSupervision: 'all',
  augmentation: 'moreDA',
};

/** MedNeXt averages probabilities. */
export const prediction: PredictionSettings = { ...nnunetv2Prediction, average: 'probabilities' };
