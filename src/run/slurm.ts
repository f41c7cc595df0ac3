// Studies on Slurm: hands in what is missing, in arrays, as far as the site lets one person have jobs, and waits for the rest.
//
// What is done stands in the run folders, what is handed in in their job.json and in Slurm's queue: handing in again, from anywhere, takes
// only what is neither. That is the whole resume story. Another queue system is another file like this one.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { withLock } from '../base/lock.js';
import { runsFolder } from '../base/paths.js';
import { parse } from '../base/schema.js';
import { type FailedRun, type PlannedRun, prepareFolder, readFailure, readScores } from './folder.js';
import { settled } from './fresh.js';
import { isAlive } from './lease.js';
import { siteSchema } from './siteSchema.js';
import { arraysOf, type JobArray, jobOf, linesOf, type Needs, writeJob, writeLines } from './slurmArrays.js';
import { cancel, longestTime, maxArraySize, patientQueue, queue, sbatch, secondsOf } from './slurmQueue.js';
import { arrayArguments, runScript, type SlurmOptions, submitScript, summaryArguments, summaryScript } from './slurmScripts.js';

export type { Needs } from './slurmArrays.js';
export type { SlurmOptions } from './slurmScripts.js';

export interface SubmittedJob {
  id: string;
  level: number;
  runs: number;
}

export interface Submitted {
  /** Where the scripts lie. */
  folder: string;
  /** What was handed in, and the summary. */
  jobs: SubmittedJob[];
  /** Missing runs that wait in Slurm's queue already. */
  pending: number;
  /** Runs that are not handed in yet: no room below the site's limit, or what they start from runs outside Slurm. */
  left: PlannedRun[];
}

/** What the study needs of the cluster, run by run, where the site does not say. */
export type NeedsOf = (run: PlannedRun) => Needs;
const nothing: NeedsOf = () => ({});

/** The scripts of a study, written. */
interface Scripts {
  folder: string;
  script: string;
  summary: string;
}

/** What handing in a study goes by, from its first job to its last. */
interface Plan {
  scripts: Scripts;
  options: SlurmOptions;
  needsOf: NeedsOf;
  /** Largest number of elements of an array. */
  most: number;
  /** Seconds that the partition gives at most. */
  longest: number;
}

const isMissing = (run: PlannedRun) => !readScores(run.folder);

function writeScripts(runs: readonly PlannedRun[], options: SlurmOptions): Scripts {
  const hash = sha256(runs.map((r) => r.hash).join()).slice(0, 12);
  const folder = path.join(runsFolder(), 'submit', hash);
  fs.mkdirSync(path.join(folder, 'log'), { recursive: true });
  atomicWrite(path.join(folder, 'grid.jsonl'), linesOf(runs));
  atomicWriteJson(path.join(folder, 'site.json'), options);
  const scripts = { folder, script: path.join(folder, 'run.sh'), summary: path.join(folder, 'summary.sh') };
  atomicWrite(scripts.script, runScript(folder, options));
  atomicWrite(scripts.summary, summaryScript(folder, options));
  return scripts;
}

/**
 * Writes `runs/submit/<hash>/` with `grid.jsonl`, `run.sh` and `summary.sh`, and hands in the runs that are missing and not handed in already,
 * as far as the site's limit allows. With `dryRun` nothing is handed in; `bash submit.sh`, written then, hands in what was missing, without a
 * look at the queue.
 * @throws VoxelbookError when Slurm takes no job or does not say what it has
 */
export async function submit(
  runs: readonly PlannedRun[],
  options: SlurmOptions = {},
  needsOf: NeedsOf = nothing,
): Promise<Submitted> {
  parse(siteSchema, options, 'these job scripts cannot be written');
  const scripts = writeScripts(runs, options);
  if (!options.dryRun) return begin(runs, await planOf(scripts, options, needsOf));
  const missing = runs.filter(isMissing);
  const unfinished = new Set(missing.map((r) => r.hash));
  const idle = missing.filter((r) => !isAlive(r.folder));
  const arrays = arraysOf(idle, { unfinished, most: 1001, needsOf });
  const files = arrays.map((array) => writeLines(scripts.folder, array));
  atomicWrite(path.join(scripts.folder, 'submit.sh'), submitScript(arrays, files, scripts, options));
  return { folder: scripts.folder, jobs: [], pending: 0, left: [] };
}

/** What the cluster allows is asked once a study. */
const planOf = async (scripts: Scripts, options: SlurmOptions, needsOf: NeedsOf): Promise<Plan> => ({
  ...{ scripts, options, needsOf },
  most: await maxArraySize(),
  longest: await longestTime(options.partition),
});

async function begin(runs: readonly PlannedRun[], plan: Plan): Promise<Submitted> {
  for (const r of runs) {
    prepareFolder(r);
    await settled(r, r.folder);
  }
  const { scripts, options } = plan;
  const { jobs, pending, left } = await handIn(() => runs.filter(isMissing), plan, patientQueue);
  if (jobs.length > 0 && left.length === 0) jobs.push(await handInSummary(scripts, jobs, options));
  atomicWriteJson(path.join(scripts.folder, 'jobs.json'), jobs);
  return { folder: scripts.folder, jobs, pending, left };
}

/**
 * One process at a time looks at the queue and hands in: two would hand in the same runs.
 * @param missingOf runs without a result, by what is in the queue
 */
async function handIn(
  missingOf: (there: Map<string, string>) => readonly PlannedRun[],
  plan: Plan,
  look: () => Promise<Map<string, string>>,
): Promise<Omit<Submitted, 'folder'>> {
  return withLock(path.join(runsFolder(), 'submit', 'lock.json'), {}, async () => {
    const there = await look();
    return handInWhatFits(missingOf(there), there, plan);
  });
}

async function handInWhatFits(
  missing: readonly PlannedRun[],
  there: ReadonlyMap<string, string>,
  { scripts, options, needsOf, most, longest }: Plan,
): Promise<Omit<Submitted, 'folder'>> {
  const jobs: SubmittedJob[] = [];
  const left: PlannedRun[] = [];
  const ids = new Map<string, string>();
  for (const run of missing) {
    const id = jobOf(run);
    if (id && there.has(id)) ids.set(run.hash, id);
  }
  const pending = ids.size;
  const wanted = missing.filter((run) => !ids.has(run.hash) && !isAlive(run.folder));
  const unfinished = new Set(missing.map((run) => run.hash));
  let room = (options.submitLimit ?? Number.POSITIVE_INFINITY) - there.size - 1; // one for the summary
  const within = (needs: Needs): Needs =>
    needs.time !== undefined && secondsOf(needs.time) > longest ? { ...needs, time: undefined } : needs;
  for (const array of arraysOf(wanted, { unfinished, most, needsOf: (run) => within(needsOf(run)) })) {
    const waitsForOthers = array.after.some((hash) => !ids.has(hash));
    const fits = waitsForOthers ? 0 : Math.max(0, Math.min(room, array.runs.length));
    const part: JobArray = { ...array, runs: array.runs.slice(0, fits) };
    left.push(...array.runs.slice(fits));
    if (fits === 0) continue;
    const file = writeLines(scripts.folder, part);
    const after = array.after.map((hash) => ids.get(hash)!);
    let id: string;
    try {
      id = await sbatch([...arrayArguments(part, after, options), scripts.script, file], options.env);
    } catch (error) {
      // A limit that the site did not tell: room comes when others end, if there are others.
      if (!(error instanceof VoxelbookError && error.code === 'slurm-full' && there.size + ids.size > 0)) throw error;
      left.push(...part.runs);
      room = 0;
      continue;
    }
    part.runs.forEach((run, k) => {
      ids.set(run.hash, `${id}_${k}`);
      writeJob(run, `${id}_${k}`);
    });
    room -= fits;
    jobs.push({ id, level: array.level, runs: fits });
  }
  return { jobs, pending, left };
}

async function handInSummary({ summary }: Scripts, jobs: readonly SubmittedJob[], { env }: SlurmOptions): Promise<SubmittedJob> {
  const id = await sbatch([...summaryArguments(jobs.map((j) => j.id)), summary], env);
  return { id, level: Math.max(...jobs.map((j) => j.level)) + 1, runs: 0 };
}

/** How a study on Slurm is watched. */
export interface SlurmStudyOptions {
  slurm?: SlurmOptions;
  /** Runs at the same time, where `slurm` does not say. */
  atOnce?: number;
  signal?: AbortSignal;
  /** End the study's jobs when the signal stops the wait; without it they go on. */
  cancelJobs?: boolean;
  onEvent?: (text: string) => void;
  onProgress?: (done: number, total: number, what: string) => void;
}

/**
 * Hands a study in and waits until Slurm has no job of it left; run folders say what became of each run. What does not fit below the site's
 * limit is handed in as others end.
 */
export async function slurmStudy(
  runs: readonly PlannedRun[],
  options: SlurmStudyOptions,
  needsOf: NeedsOf = nothing,
): Promise<FailedRun[]> {
  const { signal, onEvent, onProgress, slurm = {} } = options;
  const site = { ...slurm, atOnce: slurm.atOnce ?? options.atOnce };
  parse(siteSchema, site, 'these job scripts cannot be written');
  const plan = await planOf(writeScripts(runs, site), site, needsOf);
  const first = await begin(runs, plan);
  let { left } = first;
  const all: SubmittedJob[] = [];
  const tell = (jobs: readonly SubmittedJob[]) => {
    all.push(...jobs);
    for (const job of jobs)
      if (job.runs > 0) onEvent?.(`job ${job.id}: ${job.runs} runs of level ${job.level}, scripts in ${first.folder}`);
    if (left.length > 0) onEvent?.(`${left.length} runs are not handed in yet; they follow as there is room`);
  };
  if (first.pending > 0) onEvent?.(`${first.pending} runs wait in Slurm's queue already`);
  tell(first.jobs);
  const seen = new Set(runs.filter((r) => !isMissing(r)).map((r) => r.hash));
  /** Runs that Slurm has or that are being computed; those that can no longer be are struck off what is left. */
  let going = new Set<PlannedRun>();
  const unfinished = (there: ReadonlyMap<string, string>): PlannedRun[] => {
    going = new Set(runs.filter((r) => isMissing(r) && (there.has(jobOf(r) ?? '') || isAlive(r.folder))));
    const dead = doomed(runs, left, (r) => going.has(r));
    left = left.filter((r) => !dead.has(r.hash) && isMissing(r));
    return runs.filter((r) => isMissing(r) && (going.has(r) || left.includes(r)));
  };
  for (let silent = 0; ; ) {
    if (signal?.aborted) return stopped(runs, options);
    for (const r of runs) {
      if (seen.has(r.hash) || isMissing(r)) continue;
      seen.add(r.hash);
      onEvent?.(`${path.basename(r.folder)}: finished`);
    }
    onProgress?.(seen.size, runs.length, 'slurm');
    let next: Omit<Submitted, 'folder'> | undefined;
    try {
      // One look at the queue, under the lock where there is something to hand in.
      if (left.length > 0) next = await handIn(unfinished, plan, queue);
      else unfinished(await queue());
      silent = 0;
    } catch (error) {
      // Jobs do not need the controller's answer to go on: neither does the wait, but for so long.
      const noAnswer = error instanceof VoxelbookError && ['slurm-queue', 'slurm-absent'].includes(error.code);
      if (!noAnswer || runs.every((r) => !isMissing(r))) throw error;
      if (silent++ === 0) onEvent?.(`${error.faults[0].given}: asked again`);
      if (silent * (site.pollMs ?? 5000) > 3600_000) throw error;
      await pause(site.pollMs);
      continue;
    }
    if (left.length === 0 && going.size === 0) break;
    if (next && left.length > 0) {
      const fewer = next.left.length < left.length;
      left = next.left;
      if (fewer) tell(next.jobs);
      if (left.length === 0 && all.length > 0) await handInSummary(plan.scripts, all, site);
    }
    await pause(site.pollMs);
  }
  return failuresOf(runs, path.join(first.folder, 'log'));
}

const pause = (ms = 5000) => new Promise((resolve) => setTimeout(resolve, ms));

/** Hashes of runs that can no longer be computed: what they start from ended without a result. */
function doomed(runs: readonly PlannedRun[], left: readonly PlannedRun[], busy: (run: PlannedRun) => boolean): Set<string> {
  const waiting = new Set(left.map((r) => r.hash));
  const dead = new Set<string>();
  for (const run of runs) {
    if (!isMissing(run) || busy(run)) continue;
    if (!waiting.has(run.hash) || run.needs.some((hash) => dead.has(hash))) dead.add(run.hash);
  }
  return dead;
}

/** Ends the wait: the jobs go on unless asked otherwise, and where they stand is said. */
async function stopped(runs: readonly PlannedRun[], { signal, cancelJobs, onEvent }: SlurmStudyOptions): Promise<never> {
  const ids = [...new Set(runs.filter(isMissing).flatMap((r) => jobOf(r) ?? []))];
  if (cancelJobs) await cancel(ids);
  else if (ids.length > 0)
    onEvent?.(
      `the jobs go on; the same study waits for them again, and this ends them: scancel ${[...new Set(ids.map((id) => id.split('_')[0]))].join(' ')}`,
    );
  throw signal!.reason;
}

/** Why each run has no result: its own words, or those of the run that it could not start from. */
function failuresOf(runs: readonly PlannedRun[], log: string): FailedRun[] {
  const why = new Map<string, string>();
  const name = (run: PlannedRun) => path.basename(run.folder);
  for (const run of runs) {
    if (!isMissing(run)) continue;
    const before = runs.find((r) => run.needs.includes(r.hash) && why.has(r.hash));
    why.set(
      run.hash,
      before
        ? `never ran: what it starts from has no result (${why.get(before.hash)})`
        : `${name(run)}: ${readFailure(run.folder)?.message ?? `ended without a result; its job's output is in ${log}`}`,
    );
  }
  return runs.flatMap((run) => {
    const text = why.get(run.hash);
    return text === undefined ? [] : [{ run, error: new Error(text.startsWith('never') ? `${name(run)}: ${text}` : text) }];
  });
}
