// What a transform is: its settings are data, a draw of them is data too, and only `apply` touches voxels. So a pipeline can be read
// and compared, and what was done to a sample can be logged and replayed.
import { z } from 'zod';
import type { Random } from '../base/random.js';
import { lookup, openKind, registered } from '../base/registry.js';
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
/** Several such ranges, each as likely as the others. */
export const ranges = z.array(range).min(1).readonly();
/** Smallest and largest of whole numbers, both drawn too. */
export const counts = z.tuple([z.int().min(1).max(64), z.int().min(1).max(64)]).readonly();
export const probability = z.number().min(0).max(1);
/** Lower and upper share of a whole. */
export const shares = z.tuple([probability, probability]).readonly();

/** One draw for each channel. */
export const each = <T>({ channels }: DrawContext, draw: () => T): T[] => Array.from({ length: channels }, draw);

/** One draw for each channel that the probability lets through, null for the others; where none is given, for every channel. */
export const some = <T>(random: Random, context: DrawContext, share: number | undefined, draw: () => T): (T | null)[] =>
  each(context, () => (share === undefined || random.chance(share) ? draw() : null));

export const fromEither = (random: Random, either: readonly (readonly [number, number])[]): number =>
  random.uniform(...random.choice(either));

/** Half of the draws below 1, half above (batchgenerators' contrast, gamma and v1 scale ranges; `BGContrast` in v2). */
export function balanced(random: Random, [low, high]: readonly [number, number]): number {
  return random.chance(0.5) && low < 1 ? random.uniform(low, 1) : random.uniform(Math.max(low, 1), high);
}

/** What is wrong with one line of a pipeline: where in it, what was found, expected, and what to do. */
export interface EntryFault {
  path: PropertyKey[];
  given: string;
  expected: string;
  fix: string;
}

/** Every fault of a line of a pipeline. @param among the transforms it may name */
export function entryFaults(entry: unknown, among: readonly string[] = registered('transforms')): EntryFault[] {
  const { transform, probability: share, ...settings } = Object(entry) as Record<string, unknown>;
  const shown = (value: unknown) => JSON.stringify(value) ?? 'nothing';
  if (typeof transform !== 'string' || !among.includes(transform))
    return [{ path: ['transform'], given: shown(transform), expected: among.join(', '), fix: 'Choose one of these.' }];
  const faults: EntryFault[] = [];
  if (share !== undefined && !probability.safeParse(share).success) {
    const expected = 'a number from 0 to 1';
    faults.push({ path: ['probability'], given: shown(share), expected, fix: 'Leave it out for always.' });
  }
  for (const { path, message } of lookup('transforms', transform).settings.safeParse(settings).error?.issues ?? []) {
    const given = shown(path.reduce<any>((value, key) => value?.[key], settings));
    faults.push({ path, given, expected: message, fix: `See the settings of ${transform}.` });
  }
  return faults;
}

/** What a line of a pipeline draws for a sample; null: nothing. */
export function drawEntry(random: Random, entry: Entry, context: DrawContext): Step | null {
  const { transform, probability: share, ...settings } = entry;
  if (share !== undefined && !random.chance(share)) return null;
  return lookup('transforms', transform).draw(random, settings, context);
}

/** One drawn transform. `labels`: how many one-hot channels the cascade appended. */
export const applyStep = (step: Step, planes: Planes, labels = 0): Planes =>
  lookup('transforms', step.transform, 'transform').apply(step, planes, labels);
