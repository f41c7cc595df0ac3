// JSON from outside and as text.
import fs from 'node:fs';
import { VoxelbookError } from './errors.js';

/** How deep lists and objects may lie in one another. */
export const deepest = 64;

/** Whether lists and objects lie deeper in one another than `most`; needs no stack. */
export function isDeeperThan(value: unknown, most = deepest): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    level = level
      .flatMap((v) => (typeof v === 'object' && v !== null ? Object.values(v) : []))
      .filter((v) => typeof v === 'object');
  }
  return false;
}

/** Largest JSON file that is read, bytes. */
const mostBytes = 256e6;

/**
 * A JSON file.
 * @param what what it is, for the message: `this plan`
 * @throws VoxelbookError when it is not there, too large, no JSON, or nested without end
 */
export function readJsonFile(file: string, what: string): unknown {
  const refuse = (given: string, expected: string, fix: string) =>
    new VoxelbookError(`${what} cannot be read`, { code: 'json-file', path: file, given, expected, fix });
  const about = fs.statSync(file, { throwIfNoEntry: false });
  if (!about?.isFile()) throw refuse(about ? 'no file' : 'no such file', 'an existing JSON file', 'Check the path.');
  if (about.size > mostBytes) throw refuse(`${about.size} bytes`, `at most ${mostBytes} bytes`, 'This is not such a file.');
  let value: unknown;
  try {
    value = JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\ufeff/, ''));
  } catch (error) {
    throw refuse((error as Error).message, 'JSON', 'Correct it at the place named.');
  }
  if (isDeeperThan(value)) throw refuse('deeper nesting', `at most ${deepest} levels`, 'Remove what is nested so deeply.');
  return value;
}

/** JSON with sorted keys: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((v) => canonicalJson(v ?? null)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(',')}}`;
}

/** A value as one short line. */
export function shortJson(value: unknown): string {
  if (value === undefined) return 'missing';
  const written =
    typeof value === 'number' ? String(value) : isDeeperThan(value) ? 'deep nesting' : (JSON.stringify(value) ?? typeof value);
  return written.length > 120 ? `${written.slice(0, 117)}…` : written;
}
