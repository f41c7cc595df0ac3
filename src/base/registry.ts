// Everything an experiment may name lies in one table of definitions a kind: what is built in and what a user's module brings.
import { z } from 'zod';
import { FaultList, VoxelbookError } from './errors.js';
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

/** Adds what else is wrong with a definition, each fault under `path`. */
export type DefinitionCheck = (definition: Record<string, unknown>, faults: FaultList, path: string) => void;

/** What a part may be called. */
export const partName = /^[A-Za-z][\w.+-]{0,63}$/;

/** What every definition of a kind must have: functions by name, and what checks find. */
const needsOf = new Map<string, readonly (string | DefinitionCheck)[]>();

/** Opens a kind: its definitions have a name and these functions, and pass these checks. */
export function openKind(kind: Kind, ...needs: (string | DefinitionCheck)[]): void {
  needsOf.set(kind, needs);
}

interface Entry {
  definition: Definition;
  /** The module that brought it, or `calls` of `extend` in this process; undefined: built in. */
  source?: string;
}

const tables = new Map<string, Map<string, Entry>>();
let changes = 0;
let loading: Source | undefined;

/** Where definitions come from that are registered now. */
export interface Source {
  file: string;
  /** What a definition becomes before it is entered: an error in one of its functions then says where it is. */
  guard<D extends Definition>(kind: string, definition: D): D;
}

/** Of what is brought by a call of `extend` that stands in no module: in a cell, or in a test. */
const calls = 'another call of extend';
let builtInAlone = false;

/** What `work` sees of the tables is built in, whatever this process has been brought besides. */
export function withBuiltInAlone<T>(work: () => T): T {
  const before = builtInAlone;
  builtInAlone = true;
  changes++;
  try {
    return work();
  } finally {
    builtInAlone = before;
    changes++;
  }
}

/** Entries of each kind as they were at a number of changes: whoever asks for the name of every file of a data set asks thousands of times. */
const listed = new Map<string, { at: number; entries: readonly [string, Entry][] }>();

function entriesOf(kind: Kind): readonly [string, Entry][] {
  const known = listed.get(kind);
  if (known?.at === changes) return known.entries;
  const entries = [...(tables.get(kind) ?? [])].filter(([, { source }]) => !builtInAlone || source === undefined);
  listed.set(kind, { at: changes, entries });
  return entries;
}

/** Whether something was brought by a call that stands in no module: other threads and processes do not have it. */
export const isBroughtHere = (): boolean =>
  !builtInAlone && [...tables.values()].some((table) => [...table.values()].some(({ source }) => source === calls));

/** A number that changes with every registration, for what is derived from the tables. */
export const registryVersion = () => changes;

/** Adds one definition to its table. A module that is loaded again replaces its own; nothing else is replaced. */
export function register<K extends Kind>(kind: K, definition: Kinds[K] & Definition): void {
  checkDefinition(kind, definition);
  const table = tables.get(kind) ?? new Map<string, Entry>();
  const { name } = definition;
  const known = table.get(name);
  if (known && known.source !== loading?.file)
    throw new VoxelbookError(`${kind} "${name}" cannot be defined`, {
      code: 'defined-twice',
      path: `${kind}.${name}`,
      given: known.source ? `a name that ${known.source} has taken` : 'the name of a built-in one',
      expected: 'a name of its own',
      fix: 'Rename it, and name it so in the experiment.',
    });
  tables.set(kind, table.set(name, { definition: loading?.guard(kind, definition) ?? definition, source: loading?.file }));
  changes++;
}

function checkDefinition(kind: string, given: unknown): void {
  const needs = needsOf.get(kind);
  const faults = new FaultList();
  const kinds = [...needsOf.keys()];
  if (!needs) {
    const guess = nearest(kind, kinds);
    faults.add(
      'extension',
      kind,
      'an unknown kind',
      `one of ${kinds.join(', ')}`,
      guess ? `Did you mean ${guess}?` : 'Remove it.',
    );
  } else {
    const part = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
    const name = typeof part.name === 'string' && partName.test(part.name) ? part.name : undefined;
    const path = name ? `${kind}.${name}` : kind;
    if (!name) faults.add('extension', `${path}.name`, String(part.name), 'a name of letters, digits, ., +, - and _', 'Name it.');
    for (const f of needs)
      if (typeof f === 'function') f(part, faults, path);
      else if (typeof part[f] !== 'function') faults.add('extension', `${path}.${f}`, typeof part[f], 'a function', `Add ${f}.`);
    if (part.settings !== undefined && !(part.settings instanceof z.ZodObject))
      faults.add(
        'extension',
        `${path}.settings`,
        typeof part.settings,
        'a zod object (vb.z.object)',
        'Describe its settings so.',
      );
  }
  faults.throwIfAny(`this part of ${kind} cannot be used`);
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
export const registered = (kind: Kind): string[] => entriesOf(kind).map(([name]) => name);

/** The module that brought a definition; undefined: it is built in, or there is none. */
export const sourceOf = (kind: Kind, name: string): string | undefined => tables.get(kind)?.get(name)?.source;

/** Every definition of a kind. */
export const definitions = <K extends Kind>(kind: K): Kinds[K][] =>
  entriesOf(kind).map(([, { definition }]) => definition as unknown as Kinds[K]);

/** Definitions that `work` registers are those of `source`. */
export async function registering<T>(source: Source, work: () => Promise<T>): Promise<T> {
  const before = loading;
  loading = source;
  try {
    return await work();
  } finally {
    loading = before;
  }
}

/** What a module may hand to `extend`: lists of definitions by kind. */
export type Extension = { [K in Kind]?: readonly (Omit<Kinds[K], 'settings'> & Definition)[] };

/**
 * Adds definitions of a user's module; the door that everything built in goes through as well.
 * @throws VoxelbookError naming the part that is no definition
 */
export function extend(parts: Extension): void {
  const before = loading;
  loading ??= { file: calls, guard: (_kind, definition) => definition };
  try {
    for (const [kind, list] of Object.entries(parts) as [Kind, readonly (Kinds[Kind] & Definition)[]][])
      for (const definition of [list ?? []].flat()) register(kind, { settings: z.strictObject({}), ...definition });
  } finally {
    loading = before;
  }
}
