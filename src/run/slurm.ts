// Studies on Slurm: this file writes job arrays and their scripts and hands them in; Slurm does the distributing.
//
// One array per level of the study's graph, each after the one before it. What is done and what is missing stands in the run
// folders alone, so handing in again takes only what is missing: that is the whole resume story. Another queue system
// is another file like this one.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { projectRoot, runsFolder } from '../base/paths.js';
import { nodeArguments } from '../base/workers.js';
import { type FailedRun, type PlannedRun, readFailure, readScores } from './folder.js';
import { isAlive } from './lease.js';

/** What a site wants in its job scripts; `site.json`. */
export interface SlurmOptions {
  partition?: string;
  account?: string;
  /** `--gres`, for instance `gpu:1`. */
  gres?: string;
  /** `--time` of one leg, `hours:minutes:seconds`; a run that needs longer is requeued with a checkpoint. */
  time?: string;
  /** `--mem`, for instance `24G`. */
  memory?: string;
  cpus?: number;
  /** Runs at the same time. */
  atOnce?: number;
  /** Seconds before the time limit at which the child is told to write its checkpoint; Slurm may be up to 60 s early. */
  warningSeconds?: number;
  /** Lines before the work: `module load …`. */
  setup?: string[];
  /** Environment of the jobs besides the submitter's. */
  env?: Record<string, string>;
  dryRun?: boolean;
  /** How often squeue is asked, ms. */
  pollMs?: number;
}

export interface SubmittedJob {
  id: string;
  level: number;
  runs: number;
}

const run = promisify(execFile);

/** Runs that have neither a result nor somebody at work. */
const missing = (runs: readonly PlannedRun[]) => runs.filter((r) => !readScores(r.folder) && !isAlive(r.folder));

/** One job array: the missing runs of one level, by their places in `grid.jsonl`. */
interface JobArray {
  level: number;
  indices: number[];
}

function arraysOf(runs: readonly PlannedRun[]): JobArray[] {
  const left = new Set(missing(runs).map((r) => r.hash));
  const levels = [...new Set(runs.map((r) => r.level))].sort((a, b) => a - b);
  return levels.flatMap((level) => {
    const indices = runs.flatMap((r, index) => (r.level === level && left.has(r.hash) ? [index] : []));
    return indices.length > 0 ? [{ level, indices }] : [];
  });
}

// afterany: a run whose dependency failed says so itself and leaves an error.json, instead of pending for ever.
const after = (...ids: string[]) => (ids.length > 0 ? [`--dependency=afterany:${ids.join(':')}`] : []);
const arrayOption = ({ indices }: JobArray, { atOnce }: SlurmOptions) =>
  `--array=${ranges(indices)}${atOnce ? `%${atOnce}` : ''}`;

/** `0-3,7` for 0, 1, 2, 3, 7. */
function ranges(ascending: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const n of ascending) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

/**
 * Writes `runs/submit/<hash>/` with `grid.jsonl`, `run.sh`, `summary.sh` and `submit.sh`, and hands in the runs that are missing.
 * With `dryRun` nothing else is written or started; `bash submit.sh` hands in what was missing then.
 * @returns the folder and the jobs, one per level of the graph and the summary
 */
export async function submit(
  runs: readonly PlannedRun[],
  options: SlurmOptions = {},
): Promise<{ folder: string; jobs: SubmittedJob[] }> {
  const hash = createHash('sha256')
    .update(runs.map((r) => r.hash).join())
    .digest('hex')
    .slice(0, 12);
  const folder = path.join(runsFolder(), 'submit', hash);
  fs.mkdirSync(path.join(folder, 'log'), { recursive: true });
  const grid = runs.map((r, index) => {
    const { level, fold, seed, experiment } = r;
    return { index, id: r.hash, level, fold, seed, folder: r.folder, order: { experiment, fold, seed } };
  });
  atomicWrite(path.join(folder, 'grid.jsonl'), grid.map((line) => `${JSON.stringify(line)}\n`).join(''));
  atomicWriteJson(path.join(folder, 'site.json'), options);
  const script = path.join(folder, 'run.sh');
  const summary = path.join(folder, 'summary.sh');
  const arrays = arraysOf(runs);
  atomicWrite(script, runScript(folder, options));
  atomicWrite(summary, summaryScript(folder, options));
  atomicWrite(path.join(folder, 'submit.sh'), submitScript(arrays, script, summary, options));
  const jobs: SubmittedJob[] = [];
  if (options.dryRun) return { folder, jobs };
  const { prepareFolder } = await import('./folder.js');
  const { settled } = await import('./fresh.js');
  for (const r of runs) {
    prepareFolder(r);
    await settled(r, r.folder);
  }
  for (const array of arrays) {
    const args = [...after(...jobs.slice(-1).map((j) => j.id)), arrayOption(array, options), script];
    jobs.push({ id: await sbatch(args, options), level: array.level, runs: array.indices.length });
  }
  if (jobs.length > 0)
    jobs.push({
      id: await sbatch([...after(...jobs.map((j) => j.id)), summary], options),
      level: arrays.at(-1)!.level + 1,
      runs: 0,
    });
  atomicWriteJson(path.join(folder, 'jobs.json'), jobs);
  return { folder, jobs };
}

async function sbatch(args: string[], { env }: SlurmOptions): Promise<string> {
  try {
    const { stdout } = await run('sbatch', ['--parsable', '--kill-on-invalid-dep=yes', ...args], {
      env: { ...process.env, ...env },
    });
    return stdout.trim().split(';')[0];
  } catch (error) {
    const { code, stderr, message } = error as { code?: string; stderr?: string; message: string };
    throw new VoxelbookError('Slurm did not take the job', {
      code: 'slurm-submit',
      path: `sbatch ${args.join(' ')}`,
      given: code === 'ENOENT' ? 'no sbatch on this machine' : (stderr?.trim() ?? message),
      expected: 'a job number',
      fix: 'Run this on a login node of the cluster, and check partition, account and limits in the site options.',
    });
  }
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function header(folder: string, name: string, options: SlurmOptions): string[] {
  const { partition, account, gres, time, memory, cpus, warningSeconds = 120 } = options;
  const lines = [
    `--job-name=${name}`,
    '--requeue',
    '--open-mode=append',
    `--signal=B:USR1@${warningSeconds}`,
    `--output=${path.join(folder, 'log', '%x-%A_%a.txt')}`,
    ...(partition ? [`--partition=${partition}`] : []),
    ...(account ? [`--account=${account}`] : []),
    ...(gres ? [`--gres=${gres}`] : []),
    ...(time ? [`--time=${time}`] : []),
    ...(memory ? [`--mem=${memory}`] : []),
    ...(cpus ? [`--cpus-per-task=${cpus}`] : []),
  ];
  return ['#!/bin/bash', ...lines.map((l) => `#SBATCH ${l}`)];
}

/** The same calls as `submit` makes, for whoever wants to look at them first. */
function submitScript(arrays: readonly JobArray[], script: string, summary: string, options: SlurmOptions): string {
  const ids = arrays.map(({ level }) => `\${job${level}%%;*}`);
  const call = (args: readonly string[]) => ['sbatch --parsable --kill-on-invalid-dep=yes', ...args].join(' ');
  return `${[
    '#!/bin/bash',
    '# One array a level, each after the one before it, then the summary.',
    'set -e',
    ...Object.entries(options.env ?? {}).map(([k, v]) => `export ${k}=${quote(v)}`),
    ...arrays.map((array, i) => {
      const args = [...after(...ids.slice(Math.max(0, i - 1), i)), arrayOption(array, options), quote(script)];
      return `job${array.level}=$(${call(args)})`;
    }),
    ...(arrays.length > 0 ? [call([...after(...ids), quote(summary)])] : ["echo 'nothing is missing'"]),
  ].join('\n')}\n`;
}

/** Makes the run folder of a line of `grid.jsonl` where there is none, and prints it. */
const makeFolder = [
  "const fs=require('fs');",
  'const {folder,order}=JSON.parse(process.argv[1]);',
  "const file=folder+'/experiment.json';",
  'fs.mkdirSync(folder,{recursive:true});',
  "if(!fs.existsSync(file)){fs.writeFileSync(file+'.'+process.pid,JSON.stringify(order,null,2));fs.renameSync(file+'.'+process.pid,file)}",
  'console.log(folder)',
].join('');

/**
 * One element of an array. The child is started in the background, because bash itself would die of USR1; a trapped signal
 * ends `wait` early, so it is repeated. Exit code 85: checkpoint written, start me again. A crash (137 killed, 139 segment fault)
 * is requeued up to three times.
 */
function runScript(folder: string, options: SlurmOptions): string {
  const child = nodeArguments(new URL('./child.js', import.meta.url))
    .map(quote)
    .join(' ');
  const environment = {
    VOXELBOOK_RUNS: runsFolder(),
    ...(process.env.VOXELBOOK_DATA ? { VOXELBOOK_DATA: process.env.VOXELBOOK_DATA } : {}),
    ...options.env,
  };
  return `${[
    ...header(folder, 'voxelbook', options),
    ...Object.entries(environment).map(([k, v]) => `export ${k}=${quote(v)}`),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'export VOXELBOOK_THREADS=${SLURM_CPUS_PER_TASK:-1}',
    ...(options.setup ?? []),
    `cd ${quote(projectRoot)}`,
    `line=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" ${quote(path.join(folder, 'grid.jsonl'))})`,
    `run=$(${quote(process.execPath)} -e ${quote(makeFolder)} "$line")`,
    `${quote(process.execPath)} ${child} "$run" & P=$!`,
    `trap 'kill -USR1 $P' USR1; trap 'kill -TERM $P' TERM`,
    'while :; do wait $P; rc=$?; kill -0 $P 2>/dev/null || break; done',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'echo "leg ${SLURM_RESTART_COUNT:-0} ended with $rc"',
    'if [ $rc = 85 ]; then scontrol requeue $id && sleep 60; fi',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'if [ $rc = 137 ] || [ $rc = 139 ]; then [ ${SLURM_RESTART_COUNT:-0} -lt 3 ] && scontrol requeue $id && sleep 60; fi',
    'exit $rc',
  ].join('\n')}\n`;
}

/** Names what is missing after all levels; its output is `summary.txt`. */
function summaryScript(folder: string, options: SlurmOptions): string {
  const program = [
    "const fs=require('fs');",
    "const rows=fs.readFileSync(process.argv[1],'utf8').trim().split('\\n').map(JSON.parse);",
    "const open=rows.filter(r=>!fs.existsSync(r.folder+'/scores.json'));",
    "console.log((rows.length-open.length)+' of '+rows.length+' runs finished');",
    "for(const r of open)console.log('missing: '+r.folder);",
  ].join('');
  return `${[
    ...header(folder, 'voxelbook-summary', { ...options, gres: undefined }),
    `${quote(process.execPath)} -e ${quote(program)} ${quote(path.join(folder, 'grid.jsonl'))} > ${quote(path.join(folder, 'summary.txt'))}`,
  ].join('\n')}\n`;
}

/** How a study on Slurm is watched. */
export interface SlurmStudyOptions {
  slurm?: SlurmOptions;
  /** Runs at the same time, where `slurm` does not say. */
  atOnce?: number;
  signal?: AbortSignal;
  onEvent?: (text: string) => void;
  onProgress?: (done: number, total: number, what: string) => void;
}

/** Hands a study in and waits until Slurm has no job of it left; run folders say what became of each run. */
export async function slurmStudy(runs: readonly PlannedRun[], options: SlurmStudyOptions): Promise<FailedRun[]> {
  const { signal, onEvent, onProgress, slurm = {} } = options;
  const site = { ...slurm, atOnce: slurm.atOnce ?? options.atOnce };
  const { jobs, folder } = await submit(runs, site);
  for (const job of jobs)
    if (job.runs > 0) onEvent?.(`job ${job.id}: ${job.runs} runs of level ${job.level}, scripts in ${folder}`);
  const seen = new Set(runs.filter((r) => readScores(r.folder)).map((r) => r.hash));
  while (jobs.length > 0) {
    if (signal?.aborted) {
      await run(
        'scancel',
        jobs.map((j) => j.id),
      ).catch(() => {});
      throw signal.reason;
    }
    for (const r of runs) {
      if (seen.has(r.hash) || !readScores(r.folder)) continue;
      seen.add(r.hash);
      onEvent?.(`${path.basename(r.folder)}: finished`);
    }
    onProgress?.(seen.size, runs.length, 'slurm');
    if (!(await inQueue(jobs.map((j) => j.id)))) break;
    await new Promise((resolve) => setTimeout(resolve, site.pollMs ?? 5000));
  }
  return runs
    .filter((r) => !readScores(r.folder))
    .map((r) => ({
      run: r,
      error: new Error(
        `${path.basename(r.folder)}: ${readFailure(r.folder)?.message ?? `ended without a result; its job's output is in ${path.join(folder, 'log')}`}`,
      ),
    }));
}

/** Whether Slurm still has any of the jobs, waiting or running. */
async function inQueue(ids: string[]): Promise<boolean> {
  try {
    const { stdout } = await run('squeue', ['--noheader', '--format=%A %T', `--jobs=${ids.join(',')}`]);
    return stdout.split('\n').some((line) => line.trim() && !/COMPLETED|FAILED|CANCELLED|TIMEOUT/.test(line));
  } catch (error) {
    // Slurm forgets finished jobs after a while and then calls their numbers invalid.
    if (/Invalid job id/.test((error as { stderr?: string }).stderr ?? '')) return false;
    throw error;
  }
}
