// Schemas for JSON from outside: what they say becomes faults with path, found, expected and fix, all at once.
//
// A schema's pieces carry their own text (`whole(1, 4096)` says "a whole number from 1 to 4096"), so that messages, the JSON schema
// and the reference page are made of one definition.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type Fault, VoxelbookError } from './errors.js';
import { deepest, isDeeperThan, shortJson } from './json.js';
import { nearest } from './nearest.js';

/** What the reference page says of a key besides what its schema says. */
export interface About {
  /** One sentence. */
  description: string;
  unit?: string;
  /** Where it is no constant: `the plan's`. */
  defaultText?: string;
  example?: unknown;
}

const text = (expected: string) => ({ error: expected });
const bounds = (low: number, high: number) =>
  high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `from ${low} to ${high}`;

/** A whole number from `low` to `high`, both included. */
export const whole = (low: number, high: number = Number.MAX_SAFE_INTEGER) => {
  const expected = text(`a whole number ${bounds(low, high)}`);
  return z.number(expected).int(expected).min(low, expected).max(high, expected);
};

/** A finite number from `low` to `high`, both included. */
export const number = (low: number, high: number) => {
  const expected = text(`a number from ${low} to ${high}`);
  return z.number(expected).min(low, expected).max(high, expected);
};

/** A finite number above `low`, at most `high`. */
export const above = (low: number, high: number) => {
  const expected = text(`a number above ${low}, at most ${high}`);
  return z.number(expected).gt(low, expected).max(high, expected);
};

export const flag = () => z.boolean(text('true or false'));
export const one = <const T extends string>(...names: T[]) => z.enum(names, text(`one of ${names.join(', ')}`));

/** Text of one line, without control characters: it may end up in a terminal, a file name, a job script. */
export const line = (most = 4096) =>
  z
    .string(text('text'))
    .min(1, text('text'))
    .max(most, text(`at most ${most} characters`))
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, text('one line without control characters'));

/** A list of `low` to `high` entries. */
export const list = <T extends z.ZodType>(entry: T, low = 0, high = 65536, what = 'entries') => {
  const expected = text(`a list of ${low === high ? low : `${low} to ${high}`} ${what}`);
  return z.array(entry, expected).min(low, expected).max(high, expected);
};

/** An object that knows all its keys. */
export const object = <T extends z.ZodRawShape>(shape: T, what = 'an object') => z.strictObject(shape, text(what));

/** An object that keeps keys it does not know, as nnU-Net's files have them. */
export const openObject = <T extends z.ZodRawShape>(shape: T, what = 'an object') => z.looseObject(shape, text(what));

/** A table by name. */
export const record = <T extends z.ZodType>(value: T, what = 'an object') => z.record(line(256), value, text(what));

/** One of several forms; `what` says which. */
export const either = <T extends readonly [z.ZodType, z.ZodType, ...z.ZodType[]]>(forms: T, what: string) =>
  z.union(forms, text(what));

/**
 * Every fault of `value` under a schema; empty when it fits.
 * @param at what stands in front of each path (`experiments[2].`)
 */
export function faultsOf(schema: z.ZodType, value: unknown, at = ''): Fault[] {
  if (isDeeperThan(value)) {
    const fix = 'Remove what is nested so deeply.';
    return [{ code: 'too-deep', path: at || 'the file', given: 'deeper nesting', expected: `at most ${deepest} levels`, fix }];
  }
  const result = schema.safeParse(value);
  if (result.success) return [];
  const faults = new Map<string, Fault>();
  const add = (fault: Fault) => {
    if (!faults.has(fault.path)) faults.set(fault.path, fault);
  };
  const visit = (issues: readonly z.core.$ZodIssue[], before: PropertyKey[]) => {
    for (const issue of issues) {
      const path = [...before, ...issue.path];
      if (issue.code === 'unrecognized_keys') {
        const known = keysAt(schema, value, path);
        for (const key of issue.keys) add(unknownKey(at + pathText([...path, key]), valueAt(value, [...path, key]), key, known));
        continue;
      }
      const given = valueAt(value, path);
      if (issue.code === 'invalid_union' && issue.discriminator === undefined) {
        // Of several forms the one that was meant says what is wrong with it.
        const place = schemaAt(schema, value, path);
        const form = Array.isArray(given) ? arrayOf(place) : objectOf(place, given);
        if (form && typeof given === 'object' && given !== null) {
          const inner = form.safeParse(given);
          if (!inner.success) visit(inner.error.issues, path);
          continue;
        }
      }
      const wrongName = issue.code === 'invalid_union' || issue.code === 'invalid_value';
      const names = wrongName ? (/^one of (.*?)(?:, or .*)?$/.exec(issue.message)?.[1].split(', ') ?? []) : [];
      const guess = typeof given === 'string' ? nearest(given, names) : undefined;
      add({
        code: 'value',
        path: at + pathText(path) || 'the file',
        given: shortJson(given),
        expected: issue.message,
        fix: guess ? `Did you mean ${guess}?` : given === undefined ? 'Add it.' : 'Correct the value.',
      });
    }
  };
  visit(result.error.issues, []);
  return [...faults.values()];
}

/**
 * The value as the schema gives it back, with its defaults.
 * @throws VoxelbookError with every fault
 */
export function parse<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const faults = faultsOf(schema, value);
  if (faults.length > 0) throw new VoxelbookError(what, faults);
  return schema.parse(value);
}

const unknownKey = (path: string, given: unknown, key: string, known: readonly string[]): Fault => {
  const guess = nearest(key, known);
  return {
    code: 'unknown-key',
    path,
    given: `an unknown key, ${shortJson(given)}`,
    expected: `one of ${known.filter((k) => !k.includes('.')).join(', ')}`,
    fix: guess ? `Did you mean ${guess}?` : 'Remove it.',
  };
};

/** Keys that the schema knows at a place of a value, and those of its objects one level further (`optimiser.learningRate`). */
function keysAt(schema: z.ZodType, value: unknown, path: readonly PropertyKey[]): string[] {
  const here = valueAt(value, path);
  const object = objectOf(schemaAt(schema, value, path), here);
  if (!object) return [];
  const own = Object.keys(object.shape);
  const nested = own.flatMap((key) => {
    const below = objectOf(object.shape[key] as z.ZodType, valueAt(here, [key]));
    return below ? Object.keys(below.shape).map((k) => `${key}.${k}`) : [];
  });
  return [...own, ...nested];
}

/** The schema of a place in a value. */
function schemaAt(schema: z.ZodType, value: unknown, path: readonly PropertyKey[]): z.ZodType | undefined {
  let [at, here]: [z.ZodType | undefined, unknown] = [schema, value];
  for (const step of path) {
    const object = objectOf(at, here);
    at = object ? (object.shape[String(step)] as z.ZodType | undefined) : elementOf(at);
    here = valueAt(here, [step]);
  }
  return at;
}

/** A schema without what only wraps it: optional, default, lazy. */
export function unwrapped(schema: z.ZodType | undefined): z.ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable)
    return unwrapped(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodLazy) return unwrapped(schema.unwrap() as z.ZodType);
  return schema;
}

/** The object schema that a value is checked by; of a union the form with the value's own name. */
function objectOf(schema: z.ZodType | undefined, value: unknown): z.ZodObject | undefined {
  const plain = unwrapped(schema);
  if (plain instanceof z.ZodObject) return plain;
  if (!(plain instanceof z.ZodUnion)) return undefined;
  const forms = (plain.options as z.ZodType[]).map((form) => objectOf(form, value)).filter((form) => form !== undefined);
  const named = forms.find((form) =>
    Object.entries(form.shape).some(
      ([key, s]) => unwrapped(s as z.ZodType) instanceof z.ZodLiteral && (s as z.ZodLiteral).value === valueAt(value, [key]),
    ),
  );
  return named ?? forms.find((form) => Object.keys(form.shape).some((key) => valueAt(value, [key]) !== undefined)) ?? forms[0];
}

/** Of several forms the one that is a list. */
function arrayOf(schema: z.ZodType | undefined): z.ZodArray | undefined {
  const plain = unwrapped(schema);
  if (plain instanceof z.ZodArray) return plain;
  return plain instanceof z.ZodUnion ? (plain.options as z.ZodType[]).map(arrayOf).find((form) => form !== undefined) : undefined;
}

function elementOf(schema: z.ZodType | undefined): z.ZodType | undefined {
  const plain = arrayOf(schema) ?? unwrapped(schema);
  if (plain instanceof z.ZodArray) return plain.element as z.ZodType;
  if (plain instanceof z.ZodRecord) return plain.valueType as z.ZodType;
  return undefined;
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );

/** `recipe.patchSize[0]`. */
const pathText = (path: readonly PropertyKey[]) =>
  path
    .map((step, i) =>
      typeof step === 'number'
        ? `[${step}]`
        : /^[\w$-]{1,64}$/.test(String(step))
          ? `${i > 0 ? '.' : ''}${String(step)}`
          : `[${shortJson(String(step))}]`,
    )
    .join('');

/** A key with what the reference page says of it; `default` is filled in by `withDefaults`, and makes the key optional. */
export function key<T extends z.ZodType>(
  schema: T,
  description: string,
  more: Omit<About, 'description'> & { default?: unknown } = {},
): T {
  return schema.meta({ description, ...more }) as T;
}

/** The same for a key that may be left out. */
export const optional = <T extends z.ZodType>(
  schema: T,
  description: string,
  more: Parameters<typeof key>[2] = {},
): z.ZodOptional<T> => key(schema.optional(), description, more);

/** What `key` and `optional` noted. */
export const aboutOf = (schema: z.ZodType): Partial<About> & { default?: unknown } => schema.meta() ?? {};

/** A checked object with every constant default that it leaves out, at every level. */
export function withDefaults<T>(schema: z.ZodType, value: T): T {
  const entry = Array.isArray(value) ? elementOf(schema) : undefined;
  if (entry) return (value as unknown[]).map((one) => withDefaults(entry, one)) as T;
  const object = objectOf(schema, value);
  if (!object || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const out = { ...value } as Record<string, unknown>;
  for (const [name, s] of Object.entries(object.shape) as [string, z.ZodType][]) {
    if (out[name] !== undefined) out[name] = withDefaults(s, out[name]);
    else if (aboutOf(s).default !== undefined) out[name] = structuredClone(aboutOf(s).default);
  }
  return out as T;
}

/** A checked object without the entries that are their constant default: what two ways of writing the same have in common. */
export function withoutDefaults<T>(schema: z.ZodType, value: T): T {
  const object = objectOf(schema, value);
  if (!object || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).flatMap(([name, v]): [string, unknown][] => {
    const s = object.shape[name] as z.ZodType | undefined;
    if (!s) return [[name, v]];
    const own = withoutDefaults(s, v);
    return isDeepStrictEqual(own, aboutOf(s).default) ? [] : [[name, own]];
  });
  return Object.fromEntries(entries) as T;
}
