// What a transform is: its settings are data, a draw of them is data too, and only `apply` touches voxels. So a pipeline can be read
// and compared, and what was done to a sample can be logged and replayed.
import { z } from 'zod';
import type { Random } from '../base/random.js';
import { lookup, openKind } from '../base/registry.js';
import type { Planes } from './sample.js';

/** One transform with what was drawn for a sample; plain JSON. */
export interface Step {
  transform: string;
}

/** What a draw may depend on besides the settings. */
export interface DrawContext {
  channels: number;
  /** The network's patch, `[depth, height, width]`; depth 1 for 2-D. */
  patch: readonly [number, number, number];
  /** Only height and width are turned and scaled: 2-D, or slices of an anisotropic patch. */
  inPlane: boolean;
  /** A 2-D patch. */
  flat: boolean;
  /** Largest rotation about each axis in radians. */
  rotation: number;
  /** Axes of `[depth, height, width]` that may be mirrored. */
  mirrorAxes: readonly number[];
  /** Cascade: how many one-hot channels of the previous stage there are. */
  labels: number;
}

/** A transform of a sample, by the name that an entry of a pipeline gives it. */
export interface Transform<Settings = any, Drawn extends Step = any> {
  name: string;
  /** What an entry of a pipeline may set, besides `transform` and `probability`. */
  settings: z.ZodObject;
  /** Works on the previous stage's one-hot channels, behind all others; left out where there is no cascade. */
  cascade?: boolean;
  /** @returns null: nothing to do for this sample */
  draw(random: Random, settings: Settings, context: DrawContext): Drawn | null;
  /** May change the planes it is given, but not keep them. @param labels how many of the last channels are the one-hot ones of a cascade */
  apply(drawn: Drawn, planes: Planes, labels: number): Planes;
}

declare module '../base/registry.js' {
  interface Kinds {
    transforms: Transform;
  }
}

openKind('transforms', 'draw', 'apply');

/** The settings of every transform by its name; a transform from outside adds its own by declaration merging. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the transforms
export interface Transforms {}

/** One line of a pipeline; `probability`: of being applied to a sample at all, default 1. */
export type Entry = { [K in keyof Transforms]: { transform: K; probability?: number } & Transforms[K] }[keyof Transforms];

/** Lower and upper end of a uniform draw. */
export const range = z.tuple([z.number(), z.number()]).readonly();
export const probability = z.number().min(0).max(1);

/** One draw for each channel. */
export const each = <T>({ channels }: DrawContext, draw: () => T): T[] => Array.from({ length: channels }, draw);

/** One draw for each channel that the probability lets through, null for the others. */
export const some = <T>(random: Random, context: DrawContext, share: number, draw: () => T): (T | null)[] =>
  each(context, () => (random.chance(share) ? draw() : null));

/** Half of the draws below 1, half above (batchgenerators' contrast, gamma and v1 scale ranges; `BGContrast` in v2). */
export function balanced(random: Random, [low, high]: readonly [number, number]): number {
  return random.chance(0.5) && low < 1 ? random.uniform(low, 1) : random.uniform(Math.max(low, 1), high);
}

/** One drawn transform. `labels`: how many one-hot channels the cascade appended. */
export const applyStep = (step: Step, planes: Planes, labels = 0): Planes =>
  lookup('transforms', step.transform, 'transform').apply(step, planes, labels);
