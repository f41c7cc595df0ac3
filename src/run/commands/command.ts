// What a command is, and what several of them do alike.
import fs from 'node:fs';
import type { ParseArgsConfig } from 'node:util';
import { VoxelbookError } from '../../base/errors.js';
import { type DatasetJson, type Fold, readDatasetJson } from '../../dataset/index.js';
import type { Experiment, ProgressLine, Scale } from '../../train/index.js';

export type Values = Record<string, string | boolean | string[] | undefined>;

export interface Command {
  /** One line: what it does. */
  about: string;
  /** Positional arguments as help shows them. */
  takes: string;
  options: NonNullable<ParseArgsConfig['options']>;
  /** What each option means. */
  help: Record<string, string>;
  example: string;
  work(positionals: string[], values: Values): Promise<void>;
}

export const print = (text: string) => process.stdout.write(`${text}\n`);
export const integer = (value: unknown, name: string, fallback: number): number => {
  if (value === undefined) return fallback;
  const n = Number(value);
  if (!Number.isInteger(n)) throw usage(`--${name} ${value}`, 'a whole number');
  return n;
};
/** A fold's number, or `all`. */
export const foldOf = (value: unknown, fallback: Fold): Fold =>
  value === 'all' ? value : value === undefined ? fallback : integer(value, 'fold', 0);
export const usage = (given: string, expected: string) =>
  new VoxelbookError('this command cannot run', {
    code: 'usage',
    path: 'arguments',
    given,
    expected,
    fix: 'See npx voxelbook <command> --help.',
  });

export function need(positionals: string[], ...names: string[]): string[] {
  if (positionals.length < names.length) throw usage(positionals.join(' ') || 'nothing', names.map((n) => `<${n}>`).join(' '));
  return positionals;
}

export const readDataset = (file: string): DatasetJson => {
  if (!fs.existsSync(file)) throw usage(file, 'an existing dataset.json');
  return readDatasetJson(file);
};

/** One experiment, or a list of them, from a JSON file. */
export function readExperiments(file: string): Experiment[] {
  if (!fs.existsSync(file)) throw usage(file, 'an existing JSON file with an experiment');
  const value = JSON.parse(fs.readFileSync(file, 'utf8'));
  return [value].flat();
}

/** A paper's study by its name, or the experiments of a JSON file. */
export async function studyOf(what: string, scale: Scale, tables?: string[]) {
  const { study, studyNames } = await import('../../paper/index.js');
  const name = studyNames.find((n) => n === what);
  if (name) return study(name, { scale, tables });
  if (tables) throw usage('--table', `one of ${studyNames.join(', ')} before it`);
  if (!fs.existsSync(what)) throw usage(what, `${studyNames.join(', ')}, or an existing JSON file with experiments`);
  return readExperiments(what);
}

/** Progress in one line of a terminal, or a line every tenth of the way elsewhere. */
export function bar() {
  let last = -1;
  return (line: ProgressLine, statusLine: string) => {
    const share = line.step / Math.max(1, line.steps);
    if (process.stdout.isTTY) {
      const width = 24;
      const full = Math.round(share * width);
      process.stdout.write(`\r\x1b[K[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${statusLine}`);
      if (share === 1) process.stdout.write('\n');
    } else if (Math.floor(share * 10) !== last) {
      last = Math.floor(share * 10);
      print(statusLine);
    }
  };
}

/** An abort signal that Ctrl-C and TERM trigger: work stops with what it has kept. */
export let stopped: AbortSignal | undefined;
export function interrupt(): AbortSignal {
  const stop = new AbortController();
  stopped = stop.signal;
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  return stop.signal;
}

export const workProgress = (p: { what: string; done: number; total: number }) => {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${p.done}/${p.total} ${p.what}${p.done === p.total ? '\n' : ''}`);
};
