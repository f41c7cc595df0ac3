// The five training recipes, as the official code runs them. A paper's experiment names one and changes what its text says.
import type { PredictionSettings, Recipe } from '../../train/experiment.js';

const sgd = { kind: 'sgd', learningRate: 0.01, momentum: 0.99, nesterov: true, weightDecay: 3e-5 } as const;
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

/** MedNeXt (nnUNetTrainerV2_MedNeXt_*_kernel*): AdamW, all five outputs supervised, nnU-Net v1's losses and augmentation. */
export const mednext: Recipe = {
  ...nnunetv2,
  optimiser: { kind: 'adamw', learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 3e-5 },
  batchSize: 2,
  patchSize: [128, 128, 128],
  loss: { kind: 'dice+ce', dice: 'nnunetv1', batchDice: false, smooth: 1e-5 },
  deepSupervision: 'all',
  augmentation: 'moreDA',
};

/** KAIST BraTS21: region-based Dice (batch, no smoothing) and BCE, DA4. Heads weigh 8:4:2:1:0. */
export const kaist: Recipe = {
  ...nnunetv2,
  batchSize: 2,
  patchSize: [128, 128, 128],
  loss: { kind: 'dice+bce', dice: 'nnunetv1', batchDice: true, smooth: 0 },
  augmentation: 'DA4',
};

/** STU-Net: pre-training on TotalSegmentator, 4000 epochs. */
export const stuNetPretraining: Recipe = {
  ...nnunetv2,
  epochs: 4000,
  validationIterationsPerEpoch: 1,
  batchSize: 2,
  patchSize: [128, 128, 128],
  loss: { kind: 'dice+ce', dice: 'nnunetv1', batchDice: false, smooth: 1e-5 },
  augmentation: 'moreDA',
};

/** STU-Net: fine-tuning every parameter at a tenth of the rate, 1000 epochs. */
export const stuNetFinetuning: Recipe = {
  ...stuNetPretraining,
  optimiser: { ...sgd, learningRate: 1e-3 },
  epochs: 1000,
  validationIterationsPerEpoch: 50,
};

/** Swin-UMamba: AdamW, cosine laid out over 1000 epochs, encoder frozen for 10 epochs when pre-trained. Epochs differ per task. */
export const swinUmamba: Recipe = {
  ...nnunetv2,
  optimiser: { kind: 'adamw', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, weightDecay: 0.05 },
  schedule: { kind: 'cosine', total: 1000, minimum: 1e-6 },
  epochs: 100,
  loss: { kind: 'dice+ce', dice: 'nnunetv2', batchDice: true, smooth: 1e-5 },
  mirrorAxes: [0, 1],
};

const prediction: PredictionSettings = { stepSize: 0.5, gaussian: true, mirrorAxes: [0, 1, 2], average: 'logits' };

/** What each paper's code averages over mirrors, tiles and folds. */
export const predictions = {
  nnunetv2: prediction,
  mednext: { ...prediction, average: 'probabilities' },
  kaist: { ...prediction, average: 'probabilities' },
  stuNet: { ...prediction, average: 'probabilities' },
  swinUmamba: { ...prediction, mirrorAxes: [] },
} satisfies Record<string, PredictionSettings>;

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
