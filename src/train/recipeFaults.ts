// What single settings of a recipe cannot say: which of them exclude each other.
import type { Fault } from '../base/errors.js';
import type { PredictionSettings, Recipe } from './experiment.js';

type Judged = Pick<Recipe, 'epochs' | 'validationIterationsPerEpoch' | 'warmup' | 'earlyStopping'>;

/** Every fault of a recipe whose settings are each right by themselves; `at` stands in front of each path. */
export function recipeFaults(recipe: Judged, prediction: Pick<PredictionSettings, 'checkpoint'>, at = ''): Fault[] {
  const { epochs, validationIterationsPerEpoch: validated, warmup, earlyStopping } = recipe;
  const faults: Fault[] = [];
  const add = (path: string, given: string, expected: string, fix: string) =>
    faults.push({ code: 'recipe', path: `${at}${path}`, given, expected, fix });
  if (warmup && warmup.epochs >= epochs)
    add('recipe.warmup.epochs', `${warmup.epochs} of ${epochs} epochs`, 'fewer epochs than are trained', 'Shorten it.');
  const validate = 'Set recipe.validationIterationsPerEpoch to at least 1.';
  if (earlyStopping && validated === 0)
    add('recipe.earlyStopping', 'no validation', 'a pseudo-Dice of each epoch to go by', validate);
  if (prediction.checkpoint === 'best' && validated === 0)
    add('prediction.checkpoint', 'best, without validation', 'a pseudo-Dice of each epoch to choose by', validate);
  return faults;
}
