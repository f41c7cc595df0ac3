// Learning-rate schedules: the rate as a function of the epoch.
import type { Recipe } from '../experiment.js';

/** nnU-Net: initial·(1 − epoch/epochs)^exponent, set at the start of the epoch. */
export const poly = (initial: number, epoch: number, epochs: number, exponent = 0.9): number =>
  initial * (1 - epoch / epochs) ** exponent;

/** PyTorch `CosineAnnealingLR`: from `initial` down to `minimum` at epoch `total`. */
export const cosine = (initial: number, epoch: number, total: number, minimum: number): number =>
  minimum + ((initial - minimum) * (1 + Math.cos((Math.PI * epoch) / total))) / 2;

/** The rate a recipe sets at the start of `epoch`. */
export function learningRate(recipe: Pick<Recipe, 'optimiser' | 'schedule' | 'epochs'>, epoch: number): number {
  const { schedule, optimiser, epochs } = recipe;
  return schedule.kind === 'poly'
    ? poly(optimiser.learningRate, epoch, epochs, schedule.exponent)
    : cosine(optimiser.learningRate, epoch, schedule.total, schedule.minimum);
}
