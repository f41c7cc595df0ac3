// `splits_final.json` of a data set: ours, made again when cases come or go, or somebody's own, checked against the cases and left alone.
// Which of the two it is stands in `splits_final.made.json` beside it.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { readJsonFile, shortJson } from '../base/json.js';
import { preprocessedFolder } from '../base/paths.js';
import type { Dataset } from './dataset.js';
import { type Groups, idsOf, readGroups, some } from './groups.js';
import { groupedSplits, type Split, splits } from './splits.js';

/** The folds of a data set, and where they come from. */
export interface KnownSplits {
  splits: Split[];
  /** `generated`: by the rule, from the cases; `by hand`: read from a file that somebody wrote. */
  made: 'generated' | 'by hand';
  /** Overlaps, and cases in no fold. */
  warnings: Fault[];
}

type Cases = Pick<Dataset, 'name' | 'folder' | 'cases'>;

const fileIn = (folder: string) => path.join(folder, 'splits_final.json');
const recordIn = (folder: string) => path.join(folder, 'splits_final.made.json');
const textOf = (list: readonly Split[]) => `${JSON.stringify(list, null, 2)}\n`;
const digest = (text: string) => sha256(text);
const generated = (ids: readonly string[], groups?: Groups) => (groups ? groupedSplits(ids, groups) : splits(ids));

/** `splits_final.json` of a preprocessed folder, or undefined when there is none. @throws VoxelbookError for anything but JSON */
export function readSplits(folder: string): Split[] | undefined {
  const file = fileIn(folder);
  return fs.existsSync(file) ? (parsed(file) as Split[]) : undefined;
}

const parsed = (file: string) => readJsonFile(file, 'this splits_final.json');

const faultOf = (file: string): Fault => ({
  code: 'splits',
  path: file,
  given: '',
  expected: '',
  fix: 'Correct the file, or remove it: five folds are made then.',
});
const refused = (faults: Fault[]) => new VoxelbookError('splits_final.json cannot be used', faults);

/**
 * The splits that hold for a data set now.
 * @param folder where `splits_final.json` lies, if there is one
 * @throws VoxelbookError with every fault of a file written by hand; for fewer cases (or groups) than folds
 */
export function knownSplits(dataset: Cases, folder = preprocessedFolder(dataset)): KnownSplits {
  const ids = idsOf(dataset.cases);
  const groups = readGroups(dataset.folder, ids);
  const file = fileIn(folder);
  if (!fs.existsSync(file)) return { splits: generated(ids, groups), made: 'generated', warnings: [] };
  if (isGenerated(folder)) return { splits: generated(ids, groups), made: 'generated', warnings: [] };
  const value = parsed(file);
  const faults = splitFaults(value, ids, file);
  if (faults.length > 0) throw refused(faults);
  const list = value as Split[];
  return { splits: list, made: 'by hand', warnings: splitWarnings(list, ids, groups, file) };
}

/** Whether the file is what the rule makes of the cases it names: by the record beside it, else by its content. */
function isGenerated(folder: string): boolean {
  const text = fs.readFileSync(fileIn(folder), 'utf8');
  try {
    const record = JSON.parse(fs.readFileSync(recordIn(folder), 'utf8'));
    if (record.sha256 === digest(text)) return true;
  } catch {
    // No record: nnU-Net's own file, or one that was written by hand.
  }
  try {
    const list = JSON.parse(text) as Split[];
    const ids = [...new Set(list.flatMap(({ train, val }) => [...train, ...val]))];
    return JSON.stringify(list) === JSON.stringify(splits(ids));
  } catch {
    return false;
  }
}

/** Writes the generated splits where there are none or where cases came or went since; what was written by hand stays. */
export function keepSplits(dataset: Cases, folder: string): void {
  const file = fileIn(folder);
  if (fs.existsSync(file) && !isGenerated(folder)) return;
  const ids = idsOf(dataset.cases);
  const groups = readGroups(dataset.folder, ids);
  if (new Set(groups ? Object.values(groups) : ids).size < 5) {
    for (const old of [file, recordIn(folder)]) fs.rmSync(old, { force: true });
    return;
  }
  const text = textOf(generated(ids, groups));
  if (fs.existsSync(file) && fs.existsSync(recordIn(folder)) && fs.readFileSync(file, 'utf8') === text) return;
  atomicWrite(file, text);
  atomicWriteJson(recordIn(folder), {
    made: 'generated',
    note: 'splits_final.json beside this was made by the rule and is made again when cases come or go; once edited, it stays as it is.',
    sha256: digest(text),
  });
}

/** What is wrong with splits that somebody wrote: all faults at once. */
export function splitFaults(value: unknown, ids: readonly string[], file: string): Fault[] {
  const faults = new FaultList();
  const { code, fix } = faultOf(file);
  const say = (where: string, given: string, expected: string, remedy = fix) =>
    faults.add(code, where ? `${file} ${where}` : file, given, expected, remedy);
  const shape = 'a list of {"train": [cases], "val": [cases]}, one for each fold';
  if (!Array.isArray(value)) {
    say(
      '',
      typeof value === 'object' && value ? `an object of ${some(Object.keys(value))}` : shortJson(value),
      shape,
      'Put it into [ ].',
    );
    return faults.faults;
  }
  if (value.length === 0) say('', 'an empty list', shape);
  const known = new Set(ids);
  for (const [fold, entry] of value.entries())
    for (const part of ['train', 'val']) {
      const list: unknown = entry?.[part];
      const where = `[${fold}].${part}`;
      if (!Array.isArray(list) || list.some((id) => typeof id !== 'string')) {
        say(where, shortJson(list), 'a list of case ids');
        continue;
      }
      if (list.length === 0)
        say(where, 'no case', 'at least one', `Every fold needs cases to ${part === 'val' ? 'validate' : 'train'} on.`);
      const seen = new Set<string>();
      const twice = list.filter((id) => seen.size === seen.add(id).size);
      if (twice.length > 0) say(where, `${some(twice)} more than once`, 'each case once', 'Name each case once.');
      const unknown = list.filter((id) => !known.has(id));
      if (unknown.length === 0) continue;
      const bare = unknown.filter((id) => known.has(id.replace(/(_\d{4})?\.[a-zA-Z.]+$/, '')));
      say(
        where,
        `${some(unknown)}: no such case`,
        `ids of the data set (${some(ids)})`,
        bare.length > 0
          ? `Leave the file's ending out: ${bare[0].replace(/(_\d{4})?\.[a-zA-Z.]+$/, '')}.`
          : 'Take what was removed out of the file, or remove the file: five folds are made then.',
      );
    }
  return faults.faults;
}

/** What a person should know of splits that can be used. */
function splitWarnings(list: readonly Split[], ids: readonly string[], groups: Groups | undefined, file: string): Fault[] {
  const warnings = new FaultList();
  for (const [fold, { train, val }] of list.entries()) {
    const both = val.filter((id) => train.includes(id));
    if (both.length > 0)
      warnings.add(
        'splits-overlap',
        `${file} [${fold}]`,
        `${some([...new Set(both)])} in train and in val`,
        'no case on both sides',
        'Scores of such cases say nothing of new ones; take them out of one side.',
      );
    const split = groups && [...new Set(val.map((id) => groups[id]))].filter((g) => train.some((id) => groups[id] === g));
    if (split && split.length > 0)
      warnings.add(
        'groups-split',
        `${file} [${fold}]`,
        `${some(split)} of groups.json on both sides`,
        'groups kept together',
        'Move their cases to one side, or remove the file: folds are made by groups.json then.',
      );
  }
  const used = new Set(list.flatMap(({ train, val }) => [...train, ...val]));
  const unused = ids.filter((id) => !used.has(id));
  if (unused.length > 0)
    warnings.add(
      'splits-unused',
      file,
      `${some(unused)} in no fold`,
      'every case in a fold',
      'They are neither trained nor validated on; add them, or remove the file: five folds are made then.',
    );
  return warnings.faults;
}
