// Whose the predictions in a folder are: `predictions.record.json` beside them names for each case the model, the images and the labels
// written, so that files of another model, of other images or half a file never pass for this model's.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { faultShape, storedJson, tableShape } from '../base/storedJson.js';
import { Contents } from '../dataset/content.js';
import type { CaseFiles } from '../dataset/dataset.js';
import { some } from '../dataset/groups.js';
import { isMacFile } from '../dataset/names.js';
import { filesOf } from '../dataset/sideFile.js';
import { readVolume } from '../volume/index.js';

export interface PredictedCase {
  /** Identity of the model. */
  model: string;
  /** SHA-256 over the images. */
  images: string;
  /** SHA-256 of the label file as it was written. */
  labels: string;
  /** What a person should know of the images, compared with what was trained on. */
  warnings: Fault[];
}

/** What the record of a folder holds, by case. */
export type PredictionRecord = Record<string, PredictedCase>;

const text = z.string();
const recordShape = tableShape(z.looseObject({ model: text, images: text, labels: text, warnings: z.array(faultShape) }));
const recordIn = (output: string) => path.join(output, 'predictions.record.json');
export const readRecord = (output: string): PredictionRecord => storedJson<PredictionRecord>(recordIn(output), recordShape) ?? {};
export const writeRecord = (output: string, record: PredictionRecord) => atomicWriteJson(recordIn(output), record);

const functions = new WeakMap<object, string>();
/** Identity of a model that says none: its functions are only themselves, in this process. */
export function anonymous(forwards: readonly object[], settings: unknown): string {
  const ids = forwards.map((forward) => {
    if (!functions.has(forward)) functions.set(forward, randomUUID());
    return functions.get(forward);
  });
  return digest([ids, settings]);
}

export const digest = (value: unknown) => sha256(JSON.stringify(value)).slice(0, 16);

/** SHA-256 over the images of a case (and labels of a previous stage), read only where size or time changed. */
export function imagesDigest(files: CaseFiles, contents: Contents): string {
  return digest(filesOf(files).map((file) => contents.sha256(file)));
}

export interface Standing {
  output: string;
  ending: string;
  /** Identity of the model that predicts now. */
  model: string;
  /** `plans.json` as this model writes it. */
  plans: string;
  /** Replace whatever stands. */
  overwrite?: boolean;
  /** Keep what can be read and is of no other model. */
  keep?: boolean;
}

/**
 * The cases whose label files stay as they are.
 * @param images digest of the images of each case to predict
 * @throws VoxelbookError naming the files that are somebody else's
 */
export function keptCases(
  images: Readonly<Record<string, string>>,
  { output, ending, model, plans, overwrite, keep }: Standing,
): string[] {
  if (!fs.existsSync(output)) return [];
  const names = fs.readdirSync(output).filter((name) => name.endsWith(ending) && !isMacFile(name));
  const there = names.map((name) => name.slice(0, -ending.length));
  const record = readRecord(output);
  const contents = new Contents(output);
  const fileOf = (id: string) => path.join(output, id + ending);
  const untouched = (id: string) => record[id]?.labels === contents.sha256(fileOf(id));
  const faults: Fault[] = [];
  const refuse = (ids: readonly string[], given: string, expected: string, fix: string) =>
    ids.length > 0 &&
    faults.push({
      code: 'predictions-there',
      path: output,
      given: `${some(ids.map((id) => id + ending))}: ${given}`,
      expected,
      fix,
    });

  const plansFile = path.join(output, 'plans.json');
  const otherPlans = fs.existsSync(plansFile) && fs.readFileSync(plansFile, 'utf8') !== plans;
  const beside = there.filter((id) => !(id in images) && (record[id] ? record[id].model !== model : otherPlans));
  refuse(
    beside,
    'predicted by another model, for other cases',
    'plans.json beside labels of its own model',
    'Give another output folder.',
  );

  const kept: string[] = [];
  const foreign: string[] = [];
  const others: string[] = [];
  for (const id of there.filter((name) => name in images)) {
    if (overwrite) continue;
    const own = record[id];
    if (own && own.model !== model && untouched(id)) others.push(id);
    else if (own?.model === model && untouched(id)) {
      if (own.images === images[id]) kept.push(id);
    } else if (!isWhole(fileOf(id))) {
      if (!own && !keep) foreign.push(id);
    } else if (keep) kept.push(id);
    else foreign.push(id);
  }
  contents.save();
  const fix = 'Give --overwrite to replace them, or another output folder.';
  refuse(others, 'predicted by another model', 'an empty folder, or predictions of this model', fix);
  refuse(
    foreign,
    'nothing says that this model wrote them',
    'an empty folder, or predictions of this model',
    'Give --overwrite to replace them, --continue to keep those that can be read, or another output folder.',
  );
  if (faults.length > 0) throw new VoxelbookError('the output folder holds other files', faults);
  return kept;
}

function isWhole(file: string): boolean {
  try {
    readVolume(file, { onWarning: () => {} });
    return true;
  } catch {
    return false;
  }
}
