// Which runs of a study go into one job array: those that ask for the same and wait for the same.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { canonicalJson } from '../base/json.js';
import { storedJson } from '../base/storedJson.js';
import type { PlannedRun } from './folder.js';

/** What one job asks the cluster for. */
export interface Needs {
  /** `gpu:1`, or nothing. */
  gres?: string;
  /** `24G` */
  memory?: string;
  /** `hours:minutes:seconds` */
  time?: string;
}

/** Runs handed in together. */
export interface JobArray {
  level: number;
  runs: PlannedRun[];
  /** Hashes of the runs that must be finished first and are not yet. */
  after: string[];
  needs: Needs;
}

/**
 * Arrays of the runs that are to be handed in, what they start from first. One array holds runs that wait for the same runs, or for none:
 * a run never waits for others of its level.
 * @param unfinished hashes of all runs without a result, handed in or not
 * @param most elements of an array
 */
export function arraysOf(
  wanted: readonly PlannedRun[],
  { unfinished, most, needsOf }: { unfinished: ReadonlySet<string>; most: number; needsOf: (run: PlannedRun) => Needs },
): JobArray[] {
  const groups = new Map<string, JobArray>();
  for (const run of [...wanted].sort((a, b) => a.level - b.level)) {
    const after = run.needs.filter((hash) => unfinished.has(hash)).sort();
    const needs = needsOf(run);
    const key = canonicalJson([after, needs]);
    const group = groups.get(key) ?? { level: run.level, runs: [], after, needs };
    group.runs.push(run);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.runs.length / most) }, (_, i) => ({
      ...group,
      runs: group.runs.slice(i * most, (i + 1) * most),
    })),
  );
}

/** Runs as the job scripts read them, a line each. */
export const linesOf = (runs: readonly PlannedRun[]): string =>
  runs
    .map(({ hash, level, fold, seed, experiment, folder }, index) =>
      JSON.stringify({ index, id: hash, level, fold, seed, folder, order: { experiment, fold, seed } }),
    )
    .map((line) => `${line}\n`)
    .join('');

/** Writes the lines that the elements of an array read, under a name of their own: a job that waits keeps its lines. */
export function writeLines(folder: string, { runs }: JobArray): string {
  const lines = linesOf(runs);
  const file = path.join(folder, 'arrays', `${sha256(lines).slice(0, 12)}.jsonl`);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, lines);
  return file;
}

const jobFile = (run: PlannedRun) => path.join(run.folder, 'job.json');

/** Number of the job a run was last handed in as. */
export const jobOf = (run: PlannedRun): string | undefined =>
  storedJson<{ id: string }>(jobFile(run), z.looseObject({ id: z.string() }))?.id;

/** Keeps it. */
export const writeJob = (run: PlannedRun, id: string): void =>
  atomicWriteJson(jobFile(run), { id, submitted: new Date().toISOString() });
