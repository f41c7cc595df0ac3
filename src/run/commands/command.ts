// What a command is, and what several of them do alike. A command loads the rooms it needs when it works, so that help and a
// mistyped line are answered at once.
import fs from 'node:fs';
import type { ParseArgsConfig } from 'node:util';
import { printable, VoxelbookError } from '../../base/errors.js';
import type { Progress } from '../../base/progress.js';
import { duration } from '../../base/text.js';
import type { DatasetJson, Fold } from '../../dataset/index.js';
import type { Experiment, ProgressLine, Scale } from '../../train/index.js';
import type { Checkpoints } from '../../train/weightsFile.js';
import type { SlurmOptions } from '../slurm.js';

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
  /** @param args the command's own arguments as they were given */
  work(positionals: string[], values: Values, args: readonly string[]): Promise<void>;
}

export const print = (text: string) => process.stdout.write(`${printable(text)}\n`);

/** A whole number of at least `least`. */
export const integer = (value: unknown, name: string, fallback: number, least = 0): number => {
  if (value === undefined) return fallback;
  const n = Number(value);
  if (String(value).trim() === '' || !Number.isSafeInteger(n) || n < least)
    throw usage(`--${name} ${value}`, `a whole number of at least ${least}`);
  return n;
};
/** A fold's number, or `all`. */
export const foldOf = (value: unknown, fallback: Fold): Fold =>
  value === 'all' ? value : value === undefined ? fallback : integer(value, 'fold', 0);
/** The name of a checkpoint of nnU-Net's. */
export const checkpointName = (given: string) => (given === 'final' || given === 'best' ? `checkpoint_${given}` : given);

/** Which weights an option names. */
export function checkpointOf(value: Values[string]): Checkpoints | undefined {
  if (value === undefined || value === 'final' || value === 'best') return value;
  throw usage(`--checkpoint ${value}`, 'final or best');
}

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

export async function readDataset(file: string): Promise<DatasetJson> {
  if (!fs.existsSync(file)) throw usage(file, 'an existing dataset.json');
  const { readDatasetJson } = await import('../../dataset/index.js');
  return readDatasetJson(file);
}

/** A command that reads experiments: it can be told to refuse their code. */
export const ofExperiments = (command: Command): Command => ({
  ...command,
  options: { 'no-extensions': { type: 'boolean' }, ...command.options },
  help: { 'no-extensions': 'refuse experiments that bring code of their own', ...command.help },
});

/** Commands that work without an experiment take it. */
export const moduleOption = { extension: { type: 'string', multiple: true } } as const;
export const moduleHelp = { extension: 'a file with parts of your own, which is loaded first; once for each' };

/** Loads the modules that a command names; says which before. */
export async function loadModules(values: Values): Promise<void> {
  const { codeNote, extensionFile, loadExtensions } = await import('../../base/extensions.js');
  const files = ((values.extension ?? []) as string[]).map(extensionFile);
  for (const file of files) print(codeNote(file));
  await loadExtensions(files);
}

/** One experiment, or a list of them, from a JSON file, complete; what it would load is printed before. */
export async function readExperiments(file: string, values: Values): Promise<Experiment[]> {
  if (!fs.existsSync(file)) throw usage(file, 'an existing JSON file with an experiment');
  const { readExperiments: read } = await import('../complete.js');
  return read(file, { extensions: values['no-extensions'] !== true, onNote: print });
}

/** Trained runs named by run folder, folder of runs, or experiment file. */
export async function readRuns(names: readonly string[], values: Values) {
  const { namedRuns } = await import('../named.js');
  return namedRuns(names, { extensions: values['no-extensions'] !== true, onNote: print });
}

/** Trained runs of one experiment, whose own parts are loaded. */
export async function readOneExperiment(names: readonly string[], values: Values) {
  const { ofOneExperiment } = await import('../named.js');
  const runs = ofOneExperiment(await readRuns(names, values));
  await loadOwn(runs[0].order.experiment, values);
  return runs;
}

/** Which weights of a trained model: commands that take runs and nnU-Net's models alike. */
export const weightsOption = { fold: { type: 'string', multiple: true }, checkpoint: { type: 'string' } } as const;
export const weightsHelp = {
  fold: 'nnU-Net’s model: only this fold; may be given again (default: all)',
  checkpoint:
    'final or best weights (default: those the experiment predicts with, final of nnU-Net’s); of nnU-Net’s model also the name of a file',
};

/** Run folders named the same way, trained or not. */
export async function readRunFolders(names: readonly string[], values: Values) {
  const { namedFolders } = await import('../named.js');
  return namedFolders(names, { extensions: values['no-extensions'] !== true, onNote: print });
}

/** Loads what a finished run's experiment brings, as it stood when the run was made. */
export async function loadOwn(experiment: Experiment, values: Values): Promise<void> {
  const { complete } = await import('../complete.js');
  await complete(experiment, { extensions: values['no-extensions'] !== true, onNote: print });
}

/** A checked site.json; without a file an empty one. */
export async function readSite(file: unknown): Promise<SlurmOptions> {
  if (file === undefined) return {};
  const { readJsonFile } = await import('../../base/json.js');
  const { parse } = await import('../../base/schema.js');
  const { siteSchema } = await import('../siteSchema.js');
  const { $schema: _, ...site } = parse(siteSchema, readJsonFile(String(file), 'this site'), `${file} cannot be used`);
  return site;
}

/** A paper's study by its name, or the experiments of a JSON file. */
export async function studyOf(what: string, scale: Scale, values: Values) {
  const tables = values.table as string[] | undefined;
  const { study, studyNames } = await import('../../paper/index.js');
  const name = studyNames.find((n) => n === what);
  if (name) return study(name, { scale, tables });
  if (tables) throw usage('--table', `one of ${studyNames.join(', ')} before it`);
  if (!fs.existsSync(what)) throw usage(what, `${studyNames.join(', ')}, or an existing JSON file with experiments`);
  return readExperiments(what, values);
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

/** When a line about work was last written where there is no terminal. */
let toldAt = performance.now();

/** One line of a terminal, with the time left; elsewhere (a job's log, `nohup`) a line a minute on the error stream. */
export const workProgress = ({ what, done, total, etaSeconds }: Progress) => {
  const left = etaSeconds === null || done === total ? '' : `, ${duration(etaSeconds)} left`;
  const text = `${done}/${total} ${what}${left}`;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}${done === total ? '\n' : ''}`);
  else if (performance.now() - toldAt > 60_000) {
    toldAt = performance.now();
    process.stderr.write(`${printable(text)}\n`);
  }
};
