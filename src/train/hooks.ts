// Hooks: what is called at the start and end of epochs and steps, and between a step's gradients and their clipping.
import type { z } from 'zod';
import { VoxelbookError } from '../base/errors.js';
import { lookup, openKind, register } from '../base/registry.js';
import { key, object, whole } from '../base/schema.js';
import type { Params } from '../model/network.js';
import { tf } from '../tensor/tf.js';
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
  /**
   * The mean gradients of the step's batches by parameter name, before they are clipped: what is returned takes their place. Of the same
   * names and shapes, float32, owned by the loop from then on; nothing leaves them as they are. This is where replicas of a training that each
   * see a part of a batch exchange theirs (`test/train/replicas.test.ts`).
   */
  onGradients?(gradients: Readonly<Params>, state: HookState, settings: any): Params | undefined;
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

/** The hooks of a recipe, to be called in their order. */
export interface Hooks {
  call(moment: Moment, state: HookState): void;
  /** What the hooks make of a step's gradients; undefined where none of them looks. New tensors are the caller's, the old ones too. */
  gradients?(gradients: Readonly<Params>, state: HookState): Readonly<Params>;
}

/** An error in one of the hooks names it. */
export function hooksOf({ hooks = [] }: Pick<Recipe, 'hooks'>): Hooks {
  const all = hooks.map((settings) => ({ settings, hook: lookup('hooks', settings.kind, 'recipe.hooks') }));
  const named = <T>({ name }: HookDefinition, moment: string, call: () => T): T => {
    try {
      return call();
    } catch (error) {
      if (error instanceof VoxelbookError) throw error;
      (error as Error).message = `hook ${name}, ${moment}: ${(error as Error).message}`;
      throw error;
    }
  };
  const looking = all.filter(({ hook }) => hook.onGradients);
  return {
    call(moment, state) {
      for (const { hook, settings } of all) named(hook, moment, () => hook[moment]?.(state, settings));
    },
    gradients:
      looking.length === 0
        ? undefined
        : (gradients, state) =>
            looking.reduce((now, { hook, settings }) => {
              const next = named(hook, 'onGradients', () => hook.onGradients!(now, state, settings)) ?? now;
              if (next !== now) {
                assertSameForm(hook.name, now, next);
                if (now !== gradients) tf.dispose(Object.values(now).filter((t) => !Object.values(next).includes(t)));
              }
              return next;
            }, gradients),
  };
}

function assertSameForm(hook: string, before: Readonly<Params>, after: Readonly<Params>): void {
  const form = (params: Readonly<Params>, name: string) =>
    params[name] ? `${params[name].dtype} [${params[name].shape}]` : 'no gradient';
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const differing = names.filter((name) => form(before, name) !== form(after, name));
  if (differing.length === 0) return;
  throw new VoxelbookError(`hook ${hook} gives gradients of another form back`, {
    code: 'invalid-gradients',
    path: 'recipe.hooks',
    given: differing
      .slice(0, 5)
      .map((name) => `${name}: ${form(after, name)}`)
      .join(', '),
    expected: differing
      .slice(0, 5)
      .map((name) => `${name}: ${form(before, name)}`)
      .join(', '),
    fix: 'Give one tensor back for each that came, of the same shape and float32.',
  });
}
