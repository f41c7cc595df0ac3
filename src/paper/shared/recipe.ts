// nnU-Net v2's recipe as the official code runs it, which the papers change, and what a demo makes of any recipe.
import type { PredictionSettings, Recipe } from '../../train/experiment.js';

export const sgd = { kind: 'sgd', learningRate: 0.01, momentum: 0.99, nesterov: true, weightDecay: 3e-5 } as const;
const poly = { kind: 'poly', exponent: 0.9 } as const;

/** nnU-Net v2 (nnUNetTrainer): 1000 epochs of 250 iterations. */
export const nnunetv2: Recipe = {
  optimiser: sgd,
  schedule: poly,
  epochs: 1000,
  iterationsPerEpoch: 250,
  validationIterationsPerEpoch: 50,
  loss: { kind: 'dice+ce', dice: 'nnunetv2', batchDice: false, smooth: 1e-5 },
  deepSupervision: 'nnunet',
  gradientClip: 12,
  oversampleForeground: 0.33,
  augmentation: 'nnunetv2',
  mirrorAxes: [0, 1, 2],
};

/** nnU-Net v2 averages logits over mirrors, tiles and folds. */
export const nnunetv2Prediction: PredictionSettings = { stepSize: 0.5, gaussian: true, mirrorAxes: [0, 1, 2], average: 'logits' };

/**
 * SGD for some dozens of steps: momentum 0.99 looks back over a hundred. At 0.9 and ten times the rate a lasting gradient moves a weight as
 * far.
 */
export function briefMomentum(recipe: Recipe): Recipe {
  const { optimiser } = recipe;
  if (optimiser.kind !== 'sgd') return recipe;
  return { ...recipe, optimiser: { ...optimiser, momentum: 0.9, learningRate: 10 * optimiser.learningRate } };
}

/**
 * A recipe cut to the demo's budget: fewer and shorter epochs, small patches, and the settings that follow from that.
 * Loss, optimiser kind, schedule, supervision and augmentation stay the recipe's own.
 */
export function demo(
  recipe: Recipe,
  { epochs, iterationsPerEpoch = 15, learningRate }: { epochs: number; iterationsPerEpoch?: number; learningRate?: number },
): Recipe {
  const { batchSize: _, patchSize: __, ...rest } = recipe;
  return {
    ...rest,
    optimiser: { ...recipe.optimiser, learningRate: learningRate ?? recipe.optimiser.learningRate },
    epochs,
    iterationsPerEpoch,
    validationIterationsPerEpoch: 2,
  };
}
