// Swin-UMamba's recipe, as the official code runs it.
import type { PredictionSettings, Recipe } from '../../train/experiment.js';
import { nnunetv2, nnunetv2Prediction } from '../shared/recipe.js';

/** Swin-UMamba: AdamW, cosine laid out over 1000 epochs, encoder frozen for 10 epochs when pre-trained. Epochs differ per task. */
export const recipe: Recipe = {
  ...nnunetv2,
  optimiser: { kind: 'adamw', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, weightDecay: 0.05 },
  schedule: { kind: 'cosine', total: 1000, minimum: 1e-6 },
  epochs: 100,
  loss: { kind: 'dice+ce', dice: 'nnunetv2', batchDice: true, smooth: 1e-5 },
  mirrorAxes: [0, 1],
};

/** Swin-UMamba predicts without mirroring. */
export const prediction: PredictionSettings = { ...nnunetv2Prediction, mirrorAxes: [] };
