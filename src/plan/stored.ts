// The plan of a data set on disk: what the planner wrote, or what a person made of it. A person's plan is what training uses, and it is
// replaced only when asked. Beside `<plans_name>.json` lies a copy of what was planned, which tells the two apart.
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { canonicalJson, readJsonFile, shortJson } from '../base/json.js';
import { hasShape, tableShape } from '../base/storedJson.js';
import type { Fingerprint, Plan } from './plan.js';
import { planFromJson } from './planJson.js';

/** A plan file and the checksum of its content, whatever its layout. */
export interface PlanFile {
  file: string;
  sha256: string;
}

const fileOf = (folder: string, plansName: string) => path.join(folder, `${plansName}.json`);
const plannedFile = (folder: string, plansName: string) => path.join(folder, `${plansName}.planned.json`);

/**
 * A plan from a file.
 * @param sha256 what it must hold, where that is known
 * @throws VoxelbookError with every fault of the plan, or when it has changed
 */
export function readPlan(file: string, sha256?: string): Plan {
  const value = readJsonFile(file, 'this plan');
  const now = checksum(value);
  if (sha256 !== undefined && now !== sha256)
    throw new VoxelbookError('the plan has changed since this experiment was made', {
      code: 'plan-changed',
      path: file,
      given: `checksum ${now.slice(0, 12)}`,
      expected: sha256.slice(0, 12),
      fix: 'Start the experiment again from its own file; it becomes a run of its own.',
    });
  return planFromJson(value);
}

const checksum = (value: unknown) => sha256(canonicalJson(value));

/**
 * A plan of one's own as an experiment refers to it: its path and the checksum of what it says.
 * @throws VoxelbookError when the file is no plan
 */
export const planFile = (file: string): PlanFile => ({ file: path.resolve(file), sha256: checksum(readPlan(file)) });

const number = z.number();
const fingerprintShape = z.looseObject({
  foreground_intensity_properties_per_channel: tableShape(tableShape(number.nullable())),
  median_relative_size_after_cropping: number,
  shapes_after_crop: z.array(z.array(number).length(3)),
  spacings: z.array(z.array(number).length(3)),
});

/**
 * A fingerprint from a file.
 * @throws VoxelbookError when it is none
 */
export function readFingerprint(file: string): Fingerprint {
  const value = readJsonFile(file, 'this fingerprint');
  if (hasShape<Fingerprint>(fingerprintShape, value)) return value;
  throw new VoxelbookError('this fingerprint cannot be used', {
    code: 'fingerprint',
    path: file,
    given: 'other content',
    expected: "nnU-Net's dataset_fingerprint.json",
    fix: 'Restore it from a copy, or remove it.',
  });
}

/** The plan of this name in a preprocessed folder where a person has made or changed it; undefined where the planner wrote it. */
export function ownPlan(folder: string, plansName: string): PlanFile | undefined {
  const file = fileOf(folder, plansName);
  if (!fs.existsSync(file)) return undefined;
  const planned = plannedFile(folder, plansName);
  if (fs.existsSync(planned) && isDeepStrictEqual(readJsonFile(planned, 'this plan'), readJsonFile(file, 'this plan')))
    return undefined;
  return planFile(file);
}

/**
 * Writes a planned plan, unless a person's stands there.
 * @returns whether it was written
 */
export function storePlan(folder: string, plan: Plan, { overwrite = false } = {}): boolean {
  const { plans_name: name } = plan;
  if (!overwrite && ownPlan(folder, name)) return false;
  const files = [plannedFile(folder, name), fileOf(folder, name)];
  const text = JSON.stringify(plan);
  // What stands there already is not written again: each file waits for the disk.
  if (files.every((file) => says(file, text))) return true;
  fs.mkdirSync(folder, { recursive: true });
  // The copy first: a plan without one counts as a person's.
  for (const file of files) atomicWriteJson(file, plan);
  return true;
}

/** Whether a file's JSON is `text`, however it is laid out; a damaged one is not. */
function says(file: string, text: string): boolean {
  try {
    return fs.existsSync(file) && JSON.stringify(readJsonFile(file, 'this plan')) === text;
  } catch {
    return false;
  }
}

/** What a person's plan in a folder says otherwise than what was planned there; empty where that is not known. */
export function ownDifferences(folder: string, plansName: string): string[] {
  const planned = plannedFile(folder, plansName);
  if (!fs.existsSync(planned)) return [];
  return planDifferences(readJsonFile(planned, 'this plan'), readJsonFile(fileOf(folder, plansName), 'this plan'));
}

/** `configurations.2d.spacing: [2,2] instead of [1,1]`, one line a value. */
export function planDifferences(planned: unknown, own: unknown, at = ''): string[] {
  if (isDeepStrictEqual(planned, own)) return [];
  const both = [planned, own].every((v) => typeof v === 'object' && v !== null && !Array.isArray(v));
  if (!both) return [`${at}: ${shortJson(own)} instead of ${shortJson(planned)}`];
  const [a, b] = [planned as Record<string, unknown>, own as Record<string, unknown>];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((k) => planDifferences(a[k], b[k], at ? `${at}.${k}` : k));
}
