// Everything an experiment may name lies in one table of definitions a kind: what is built in and what a user's module brings.
import type { z } from 'zod';
import { VoxelbookError } from './errors.js';
import { nearest } from './nearest.js';

/**
 * What each kind's definitions hold. Rooms add their kind by declaration merging:
 * `declare module '../base/registry.js' { interface Kinds { losses: LossDefinition } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the rooms
export interface Kinds {}

export type Kind = keyof Kinds;

/** What all definitions have; a kind adds its functions. */
export interface Definition {
  name: string;
  /** What an experiment may set, besides the name; an object schema. */
  settings?: z.ZodObject;
}

interface Entry {
  definition: Definition;
  /** The module that brought it; undefined: built in. */
  source?: string;
}

const tables = new Map<string, Map<string, Entry>>();
let changes = 0;
let loading: string | undefined;

/** A number that changes with every registration, for what is derived from the tables. */
export const registryVersion = () => changes;

/** Adds one definition to its table. A module that is loaded again replaces its own; nothing else is replaced. */
export function register<K extends Kind>(kind: K, definition: Kinds[K] & Definition): void {
  const table = tables.get(kind) ?? new Map<string, Entry>();
  const { name } = definition;
  const known = table.get(name);
  if (known && known.source !== loading)
    throw new VoxelbookError(`${kind} "${name}" cannot be defined`, {
      code: 'defined-twice',
      path: `${kind}.${name}`,
      given: known.source ? `a name that ${known.source} has taken` : 'the name of a built-in one',
      expected: 'a name of its own',
      fix: 'Rename it, and name it so in the experiment.',
    });
  tables.set(kind, table.set(name, { definition, source: loading }));
  changes++;
}

/** The definition of a name. @throws VoxelbookError naming what there is */
export function lookup<K extends Kind>(kind: K, name: string, path: string = kind): Kinds[K] {
  const found = tables.get(kind)?.get(name);
  if (found) return found.definition as unknown as Kinds[K];
  const names = registered(kind);
  const guess = nearest(name, names);
  throw new VoxelbookError(`there is no ${name} among ${kind}`, {
    code: 'unknown-definition',
    path,
    given: JSON.stringify(name),
    expected: `one of ${names.join(', ')}`,
    fix: guess ? `Did you mean ${guess}?` : 'Choose one of these, or name the module that defines it in "extensions".',
  });
}

/** Names of a kind, built-in ones first. */
export const registered = (kind: Kind): string[] => [...(tables.get(kind)?.keys() ?? [])];

/** Every definition of a kind. */
export const definitions = <K extends Kind>(kind: K): Kinds[K][] =>
  [...(tables.get(kind)?.values() ?? [])].map(({ definition }) => definition as unknown as Kinds[K]);

/** Definitions that `work` registers are those of `source`. */
export async function registering<T>(source: string, work: () => Promise<T>): Promise<T> {
  const before = loading;
  loading = source;
  try {
    return await work();
  } finally {
    loading = before;
  }
}

/** What a module may hand to `extend`: lists of definitions by kind. */
export type Extension = { [K in Kind]?: readonly (Kinds[K] & Definition)[] };

/**
 * Adds definitions of a user's module; the door that everything built in goes through as well.
 * @throws VoxelbookError naming the part that is no definition
 */
export function extend(parts: Extension): void {
  for (const [kind, list] of Object.entries(parts) as [Kind, readonly (Kinds[Kind] & Definition)[]][])
    for (const definition of list) register(kind, definition);
}
