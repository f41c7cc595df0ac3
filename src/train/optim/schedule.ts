// Learning-rate schedules: the rate as a function of the epoch.
import type { z } from 'zod';
import { lookup, openKind, register } from '../../base/registry.js';
import { above, key, number, object, whole } from '../../base/schema.js';
import type { Recipe } from '../experiment.js';

/** A learning-rate schedule by the `kind` that a recipe gives it. */
export interface ScheduleDefinition {
  name: string;
  settings: z.ZodObject;
  /** The rate of `epoch` (from 0) of `epochs`. */
  rate(initial: number, epoch: number, epochs: number, settings: any): number;
}

declare module '../../base/registry.js' {
  interface Kinds {
    schedules: ScheduleDefinition;
  }
}

openKind('schedules', 'rate');

/** nnU-Net: initial·(1 − epoch/epochs)^exponent, set at the start of the epoch. */
export const poly = (initial: number, epoch: number, epochs: number, exponent = 0.9): number =>
  initial * (1 - epoch / epochs) ** exponent;

/** PyTorch `CosineAnnealingLR`: from `initial` down to `minimum` at epoch `total`. */
export const cosine = (initial: number, epoch: number, total: number, minimum: number): number =>
  minimum + ((initial - minimum) * (1 + Math.cos((Math.PI * epoch) / total))) / 2;

register('schedules', {
  name: 'poly',
  settings: object({ exponent: key(above(0, 100), 'Exponent of the share of epochs left', { default: 0.9 }) }),
  rate: (initial, epoch, epochs, settings) => poly(initial, epoch, epochs, settings.exponent),
});
register('schedules', {
  name: 'cosine',
  settings: object({
    total: key(whole(1, 1e6), 'Epochs until the minimum, which may be more than are trained', { unit: 'epochs', example: 1000 }),
    minimum: key(number(0, 100), 'Learning rate there', { default: 0 }),
  }),
  rate: (initial, epoch, _epochs, settings) => cosine(initial, epoch, settings.total, settings.minimum),
});

/** The rate a recipe sets at the start of `epoch`. */
export function learningRate(recipe: Pick<Recipe, 'optimiser' | 'schedule' | 'epochs' | 'warmup'>, epoch: number): number {
  const { schedule, optimiser, epochs, warmup } = recipe;
  const rising = warmup?.epochs ?? 0;
  if (warmup && epoch < rising) return optimiser.learningRate * risen(warmup, epoch);
  const { rate } = lookup('schedules', schedule.kind, 'recipe.schedule.kind');
  return rate(optimiser.learningRate, epoch - rising, epochs - rising, schedule);
}

/** Share of the whole rate in an epoch of the warm-up: nnU-Net's `Lin_incr_LRScheduler`, or with `from` PyTorch's `LinearLR`. */
const risen = ({ epochs, from }: NonNullable<Recipe['warmup']>, epoch: number) =>
  from === undefined ? (epoch + 1) / epochs : from + ((1 - from) * epoch) / epochs;
