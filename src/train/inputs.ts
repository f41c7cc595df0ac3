// What a run was made from, by content: `inputs.json` of its folder. A result is shown, and a half-trained network trained on, only while
// this holds; what changed is said by name.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { storedJson, tableShape } from '../base/storedJson.js';
import { Contents, type Dataset, type Fold, type Split, spacingFile, tell } from '../dataset/index.js';
import { configuration, needsStatistics, type Plan } from '../plan/index.js';
import { dependenciesOf } from './dependencies.js';
import type { Experiment } from './experiment.js';
import { canonicalJson, runFolderOf } from './identity.js';
import { splitOf } from './split.js';

/** What a run was made from, by content. */
export interface RunInputs {
  /** What of `dataset.json` acts on training. */
  dataset: Record<string, unknown>;
  /** What of the plan acts on the configuration that is trained. */
  plan: Record<string, unknown>;
  split: Split;
  /** SHA-256 over the files of each case that is trained or validated on. */
  cases: Record<string, { images: string; label: string }>;
  /** Weights file, or `inputs.json` of the runs this one starts from, by name. */
  start: Record<string, string>;
}

const text = z.string();
const inputsShape = z.looseObject({
  dataset: z.looseObject({}),
  plan: z.looseObject({}),
  split: z.looseObject({ train: z.array(text), val: z.array(text) }),
  cases: tableShape(z.looseObject({ images: text, label: text })),
  start: tableShape(text),
});

/** Enough of a checksum to tell contents apart. */
const digest = (text: string) => sha256(text).slice(0, 16);

/**
 * What a run would be made from now. Files are read only where size or time changed.
 * @param folderOf where the runs it starts from have their folders
 */
export function inputsOf(
  experiment: Experiment,
  fold: Fold,
  seed: number,
  { dataset, plan }: { dataset: Dataset; plan: Plan },
  folderOf: typeof runFolderOf = runFolderOf,
): RunInputs {
  const { channel_names, labels, label_order, regions_class_order, overwrite_image_reader_writer } = dataset.json;
  const split = splitOf(experiment, dataset, fold);
  const used = new Set([...split.train, ...split.val]);
  const contents = new Contents(dataset.folder);
  const cases: RunInputs['cases'] = {};
  for (const { id, images, label } of dataset.cases) {
    if (!used.has(id)) continue;
    const parts = (files: readonly string[]) =>
      digest(
        files
          .flatMap((file) => [file, spacingFile(file) ?? []].flat())
          .map((file) => contents.sha256(file))
          .join(),
      );
    cases[id] = { images: parts(images), label: label ? parts([label]) : 'missing' };
  }
  contents.save();
  return JSON.parse(
    JSON.stringify({
      dataset: { channel_names, labels, label_order, regions_class_order, reader: overwrite_image_reader_writer },
      plan: actingPlan(plan, experiment.configuration),
      split,
      cases,
      start: startOf(experiment, fold, seed, folderOf),
    }),
  );
}

/** The configuration with what it needs of the plan; intensity statistics act through normalisations that use them. */
function actingPlan(plan: Plan, name: string): Record<string, unknown> {
  const { data_identifier: _, median_image_size_in_voxels: _m, ...own } = configuration(plan, name);
  const { transpose_forward, foreground_intensity_properties_per_channel } = plan;
  return { ...own, transpose_forward, ...(needsStatistics(own) && { intensities: foreground_intensity_properties_per_channel }) };
}

function startOf(experiment: Experiment, fold: Fold, seed: number, folderOf: typeof runFolderOf): Record<string, string> {
  const start: Record<string, string> = {};
  const { init } = experiment;
  if (init && 'weights' in init) {
    const contents = new Contents(path.dirname(path.resolve(init.weights)));
    start[init.weights] = contents.sha256(path.resolve(init.weights));
    contents.save();
  }
  for (const before of dependenciesOf(experiment, fold, seed)) {
    const folder = folderOf(before.experiment, before.fold, before.seed);
    const file = path.join(folder, 'inputs.json');
    const name = `"${before.experiment.name}" fold ${before.fold} seed ${before.seed}`;
    start[name] = fs.existsSync(file) ? digest(canonicalJson(readInputs(folder))) : 'not there';
  }
  return start;
}

/** What a run folder says it was made from; undefined when it does not. */
export function readInputs(folder: string): RunInputs | undefined {
  return storedJson(path.join(folder, 'inputs.json'), inputsShape);
}

/** What differs, in sentences; empty when nothing does. */
export function changes(before: RunInputs, now: RunInputs): string[] {
  const found: string[] = [];
  const ids = Object.keys(now.cases);
  const list = (what: string, of: readonly string[]) =>
    of.length > 0 && found.push(`${what} ${of.slice(0, 8).join(', ')}${of.length > 8 ? ` and ${of.length - 8} more` : ''}`);
  const both = ids.filter((id) => before.cases[id]);
  list(
    'labels changed of',
    both.filter((id) => before.cases[id].label !== now.cases[id].label),
  );
  list(
    'images changed of',
    both.filter((id) => before.cases[id].images !== now.cases[id].images),
  );
  list(
    'new in this fold:',
    ids.filter((id) => !before.cases[id]),
  );
  list(
    'no longer in this fold:',
    Object.keys(before.cases).filter((id) => !now.cases[id]),
  );
  if (found.length === 0 && canonicalJson(sorted(before.split)) !== canonicalJson(sorted(now.split)))
    found.push('splits_final.json changed: other cases are trained on');
  const keys = (part: 'dataset' | 'plan') =>
    [...new Set([...Object.keys(before[part]), ...Object.keys(now[part])])].filter(
      (key) => canonicalJson(before[part][key]) !== canonicalJson(now[part][key]),
    );
  const short = (value: unknown) => {
    const text = JSON.stringify(value) ?? 'nothing';
    return text.length > 60 ? `${text.slice(0, 57)}…` : text;
  };
  for (const [part, name] of [
    ['dataset', 'dataset.json'],
    ['plan', 'plan'],
  ] as const)
    for (const key of keys(part))
      found.push(`${name} changed: ${key} ${short(before[part][key])} is now ${short(now[part][key])}`);
  for (const [name, digest] of Object.entries(now.start))
    if (before.start[name] !== undefined && before.start[name] !== digest && digest !== 'not there')
      found.push(`what it starts from changed: ${name}`);
  return found;
}

const sorted = ({ train, val }: Split): Split => ({ train: [...train].sort(), val: [...val].sort() });

/** What belongs to the folder of a run rather than to one result. */
const staying = ['experiment.json', 'lease.json', 'log.txt', 'error.json', 'superseded'];

/** Moves everything that was computed in a run folder aside, into `superseded/<n>` with the reasons. */
export function supersede(folder: string, why: readonly string[]): void {
  const names = fs.readdirSync(folder).filter((name) => !staying.includes(name) && !name.endsWith('.tmp'));
  if (names.length === 0) return;
  const aside = path.join(folder, 'superseded');
  fs.mkdirSync(aside, { recursive: true });
  const own = path.join(aside, String(fs.readdirSync(aside).length + 1));
  fs.mkdirSync(own);
  for (const name of names) fs.renameSync(path.join(folder, name), path.join(own, name));
  atomicWrite(path.join(own, 'why.txt'), `${why.join('\n')}\n`);
}

const leftFromBefore = ['progress.jsonl', 'checkpoints.json', 'checkpoints', 'scores.json', 'predictions'];

/**
 * Begins or goes on with a run: what was computed from other inputs is moved aside first, and said.
 * @param say told what changed
 */
export function beginWith(folder: string, inputs: RunInputs, say: (text: string) => void = tell): void {
  const before = readInputs(folder);
  const old = leftFromBefore.some((name) => fs.existsSync(path.join(folder, name)));
  const why = before ? changes(before, inputs) : old ? ['nothing says what it was made from'] : [];
  if (why.length > 0) {
    if (old) say(changedText(folder, why));
    supersede(folder, why);
  }
  fs.mkdirSync(folder, { recursive: true });
  if (!before || why.length > 0) atomicWriteJson(path.join(folder, 'inputs.json'), inputs);
}

/** One line: whose result is out of date, and why. */
export const changedText = (folder: string, why: readonly string[]) =>
  `${path.basename(folder)}: ${why.join('; ')} since it was computed; it is computed again`;
