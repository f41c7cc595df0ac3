// A run's progress for other tools: TensorBoard's event file, an offline run of Weights & Biases, or a table that any program reads.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { labels, readDatasetJson } from '../dataset/index.js';
import type { ProgressLine } from '../train/index.js';
import { eventFile, type Scalar } from './eventFile.js';
import { readOrder, readProgress } from './folder.js';
import { wandbFile } from './wandbFile.js';

export const progressFormats = ['tensorboard', 'wandb', 'csv'] as const;
/** A format of a run's progress for other tools. */
export type ProgressFormat = (typeof progressFormats)[number];

/**
 * Writes the progress of a run, finished or not. Losses and norms are means of their epoch up to the step.
 * @param out folder of the file; default the run's own folder
 * @returns the file; for W&B the folder that `wandb sync` takes
 * @throws VoxelbookError for a folder without progress
 */
export function exportProgress(folder: string, format: ProgressFormat, out = folder): string {
  const lines = readProgress(folder);
  const log = path.join(folder, 'progress.jsonl');
  if (lines.length === 0)
    throw new VoxelbookError('there is no progress to export', {
      code: 'no-progress',
      path: log,
      given: 'no line',
      expected: 'a run that has begun to train',
      fix: 'npx voxelbook list names the runs.',
    });
  const classes = classesOf(folder, lines);
  fs.mkdirSync(out, { recursive: true });
  if (format === 'csv') {
    const file = path.join(out, 'progress.csv');
    atomicWrite(file, csv(lines, classes));
    return file;
  }
  // The log has seconds of training; when it was written last says when those were.
  const begin = fs.statSync(log).mtimeMs / 1000 - lines.at(-1)!.seconds;
  if (format === 'wandb') return writeWandb(folder, out, lines, classes, Math.floor(begin));
  const file = path.join(out, `events.out.tfevents.${Math.floor(begin)}.${path.basename(path.resolve(folder))}`);
  atomicWrite(file, eventFile(lines.flatMap((line) => scalarsOf(line, classes, begin))));
  return file;
}

/** `offline-run-<time>-<id>` as wandb names it; the experiment is the run's configuration, its hash the id. */
function writeWandb(
  folder: string,
  out: string,
  lines: readonly ProgressLine[],
  classes: readonly string[],
  begin: number,
): string {
  const name = path.basename(path.resolve(folder));
  const id = /[0-9a-f]{12}$/.exec(name)?.[0] ?? name.replace(/[^\w-]+/g, '-').slice(0, 64);
  const rows = new Map(lines.map(({ step, seconds }) => [step, { step, seconds, values: {} as Record<string, number> }]));
  for (const line of lines)
    for (const { tag, value } of scalarsOf(line, classes, begin)) rows.get(line.step)!.values[tag] = value;
  const order = readOrder(folder);
  const config = order ? { ...order.experiment, fold: order.fold, seed: order.seed } : {};
  const sorted = [...rows.values()].sort((a, b) => a.step - b.step);
  const time = new Date(begin * 1000)
    .toISOString()
    .replace(/[-:]|\..*/g, '')
    .replace('T', '_');
  const run = path.join(out, `offline-run-${time}-${id}`);
  fs.mkdirSync(path.join(run, 'files'), { recursive: true });
  const all = { id, project: 'voxelbook', name, startTime: begin, config, rows: sorted };
  atomicWrite(path.join(run, `run-${id}.wandb`), wandbFile(all));
  return run;
}

/** Names of the classes or regions whose pseudo-Dice the log has. */
function classesOf(folder: string, lines: readonly ProgressLine[]): string[] {
  const file = path.join(folder, 'dataset.json');
  const known = fs.existsSync(file) ? labels(readDatasetJson(file)).names : [];
  const most = Math.max(0, ...lines.map((l) => l.pseudoDscPerClass?.length ?? 0));
  return Array.from({ length: most }, (_, i) => known[i] ?? String(i + 1));
}

function scalarsOf(line: ProgressLine, classes: readonly string[], begin: number): Scalar[] {
  const values: Record<string, number | null | undefined> = {
    'train/loss': line.loss,
    'train/learning_rate': line.lr,
    'train/gradient_norm': line.gradientNorm,
    'train/epoch': line.epoch,
    'validation/loss': line.validationLoss,
    'validation/pseudo_dice': line.pseudoDsc,
    ...Object.fromEntries(classes.map((name, i) => [`validation/pseudo_dice/${name}`, line.pseudoDscPerClass?.[i]])),
    'machine/memory_bytes': line.rssBytes,
    'machine/waiting_share': line.waitingShare,
  };
  return Object.entries(values).flatMap(([tag, value]) =>
    typeof value === 'number' ? [{ tag, step: line.step, wallTime: begin + line.seconds, value }] : [],
  );
}

/** One row a line; what was not measured is empty. */
function csv(lines: readonly ProgressLine[], classes: readonly string[]): string {
  const plain = [
    ...['epoch', 'epochs', 'step', 'steps', 'loss', 'validationLoss', 'pseudoDsc', 'lr', 'gradientNorm'],
    ...['seconds', 'waitingShare', 'rssBytes', 'etaSeconds'],
  ] as (keyof ProgressLine)[];
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = lines.map((line) => [...plain.map((key) => line[key]), ...classes.map((_, i) => line.pseudoDscPerClass?.[i])]);
  return [[...plain, ...classes.map((name) => `pseudoDsc ${name}`)], ...rows]
    .map((row) => `${row.map(cell).join(',')}\n`)
    .join('');
}
