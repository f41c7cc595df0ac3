// Hooks: what is called at the start and end of epochs and steps.
import type { z } from 'zod';
import { VoxelbookError } from '../base/errors.js';
import { lookup, openKind, register } from '../base/registry.js';
import { key, object, whole } from '../base/schema.js';
import type { Params } from '../model/network.js';
import type { Recipe } from './experiment.js';

/** Where training stands. `learningRate` may be changed at the start of an epoch or step and acts from there to the epoch's end. */
export interface HookState {
  epoch: number;
  epochs: number;
  /** Steps done. */
  step: number;
  steps: number;
  learningRate: number;
  /** Of the step that ended; at the end of an epoch its mean; else null. */
  loss: number | null;
  /** At the end of an epoch: mean pseudo-Dice of its validation patches, null where there is none. */
  pseudoDsc: number | null;
  /** Parameters by name; the loop owns the tensors. */
  readonly params: Readonly<Params>;
  /** The run's folder. */
  readonly folder: string;
}

/** A resumed run calls hooks for what is left only, so what they do follows from the state, not from what they saw before. */
export interface HookDefinition {
  name: string;
  settings: z.ZodObject;
  onEpochStart?(state: HookState, settings: any): void;
  onEpochEnd?(state: HookState, settings: any): void;
  onStepStart?(state: HookState, settings: any): void;
  onStepEnd?(state: HookState, settings: any): void;
}

declare module '../base/registry.js' {
  interface Kinds {
    hooks: HookDefinition;
  }
}

openKind('hooks');

register('hooks', {
  name: 'log',
  settings: object({ every: key(whole(1, 1e6), 'Epochs between two lines', { unit: 'epochs', default: 1 }) }),
  onEpochEnd({ epoch, epochs, loss, pseudoDsc, learningRate }, settings) {
    if ((epoch + 1) % settings.every !== 0) return;
    const numbers = [`loss ${loss?.toFixed(4)}`, `pseudo-Dice ${pseudoDsc?.toFixed(4) ?? '-'}`, `learning rate ${learningRate}`];
    console.log(`epoch ${epoch + 1}/${epochs}: ${numbers.join(', ')}`);
  },
});

type Moment = 'onEpochStart' | 'onEpochEnd' | 'onStepStart' | 'onStepEnd';

/** Calls a recipe's hooks in their order; an error in one of them names it. */
export function hooksOf({ hooks = [] }: Pick<Recipe, 'hooks'>): (moment: Moment, state: HookState) => void {
  const all = hooks.map((settings) => ({ settings, hook: lookup('hooks', settings.kind, 'recipe.hooks') }));
  return (moment, state) => {
    for (const { hook, settings } of all)
      try {
        hook[moment]?.(state, settings);
      } catch (error) {
        if (error instanceof VoxelbookError) throw error;
        (error as Error).message = `hook ${hook.name}, ${moment}: ${(error as Error).message}`;
        throw error;
      }
  };
}
