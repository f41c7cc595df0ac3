// Cases that belong together: scans of one patient, patients of one site. They stay on one side of every split.
import fs from 'node:fs';
import path from 'node:path';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { readJsonFile, shortJson } from '../base/json.js';
import type { CaseFiles } from './dataset.js';

/** Case → group, from `groups.json` beside `dataset.json` ({"case": "patient", …}). */
export type Groups = Record<string, string>;

export const groupsFile = (folder: string) => path.join(folder, 'groups.json');

/**
 * Reads `groups.json` of a data set; undefined when there is none.
 * @throws VoxelbookError with every case that has no group and every name that is no case
 */
export function readGroups(folder: string, ids: readonly string[]): Groups | undefined {
  const file = groupsFile(folder);
  if (!fs.existsSync(file)) return undefined;
  const fault = (given: string, expected: string): Fault => ({
    code: 'groups',
    path: file,
    given,
    expected,
    fix: 'Give every case its patient or site, as text.',
  });
  const value = readJsonFile(file, 'this groups.json');
  const shape = '{"<case>": "<group>", …}';
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new VoxelbookError('the groups of this data set cannot be used', fault(shortJson(value), shape));
  const groups = value as Record<string, unknown>;
  const faults: Fault[] = [];
  const say = (what: string, list: readonly string[], expected: string) =>
    list.length > 0 && faults.push(fault(`${what} ${some(list)}`, expected));
  say(
    'no group of',
    ids.filter((id) => !Object.hasOwn(groups, id)),
    'a group of every case',
  );
  say(
    'a group of',
    Object.keys(groups).filter((id) => !ids.includes(id)),
    'cases of imagesTr alone',
  );
  say(
    'no text as the group of',
    Object.keys(groups).filter((id) => typeof groups[id] !== 'string'),
    shape,
  );
  if (faults.length > 0) throw new VoxelbookError('the groups of this data set cannot be used', faults);
  return groups as Groups;
}

/** At most eight names. */
export const some = (list: readonly string[]) =>
  `${list.slice(0, 8).join(', ')}${list.length > 8 ? ` and ${list.length - 8} more` : ''}`;

/** A scan, time point or frame after the patient: `patient001_frame12`, `sub-01_ses-02`, `P12-scan2`. */
const visit =
  /^(.+?)[_-](?:frame|scan|slice|ses|session|visit|time|timepoint|tp|t|v|f|day|week|month|followup|fu|baseline|pre|post)[_-]?\d*$/i;
/** Two numbers: `P001_1`, `BraTS-GLI-00001-000`. */
const twoNumbers = /^(.*\d)[_-]\d{1,4}$/;

/**
 * Patients that ids seem to name, each with several cases; empty where the ids say nothing of the kind.
 */
export function likelyPatients(ids: readonly string[]): Map<string, string[]> {
  for (const [pattern, least] of [
    [visit, 2],
    [twoNumbers, Math.max(2, ids.length / 8)],
  ] as const) {
    const found = new Map<string, string[]>();
    for (const id of ids) {
      const patient = pattern.exec(id)?.[1] ?? id;
      found.set(patient, [...(found.get(patient) ?? []), id]);
    }
    const several = [...found].filter(([, cases]) => cases.length > 1);
    if (found.size >= least && several.length > 0) return new Map(several);
  }
  return new Map();
}

/** Cases of one `Dataset`, or ids, sorted. */
export const idsOf = (cases: readonly (string | CaseFiles)[]) =>
  cases.map((c) => (typeof c === 'string' ? c : c.id)).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
