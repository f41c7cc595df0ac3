// Starting a run, or attaching to one that is already going: the caller's process only watches the run folder.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { watchOutOfMemory } from '../base/memory.js';
import { projectRoot, runsFolder } from '../base/paths.js';
import { nodeArguments } from '../base/workers.js';
import { type Fold, tell, warningText } from '../dataset/index.js';
import { services } from '../report/kernel.js';
import { dependenciesOf } from '../train/dependencies.js';
import { runHash } from '../train/identity.js';
import { admit, type Experiment, foldsOf, type ProgressLine } from '../train/index.js';
import { complete, type ShortExperiment } from './complete.js';
import { prepareFolder, readFailure, readProgress, readScores, readWarnings } from './folder.js';
import { settled } from './fresh.js';
import { isAlive, readLease } from './lease.js';
import { type Display, LiveView } from './live.js';
import { outOfMemory } from './outOfMemory.js';
import { asAsked, type FinishedRun, finishedRun } from './result.js';
import { cancel } from './slurmQueue.js';

/** How a run is started, shown and stopped. */
export interface StartOptions {
  fold?: Fold;
  seed?: number;
  /** Called with every new line of the run's log; with those already there first when attaching. */
  onProgress?: (line: ProgressLine, stage: string) => void;
  /** Stops the run at its next iteration, with a checkpoint written. In a cell: the Stop button, unless given. */
  signal?: AbortSignal;
  /** Shows the live view; the kernel of this project gives its own. */
  display?: Display | null;
  /** Threads the run computes with; default as many as this process may use. */
  threads?: number;
  /** Environment variables of the child besides the caller's. */
  env?: Record<string, string>;
  /** Told what changed since an earlier result, and what a person should know of the data; default the error stream. */
  onNotice?: (text: string) => void;
}

const pollMs = 150;

/**
 * Computes a run of an experiment in a process of its own, after the runs it depends on. A finished run is not computed again while its
 * inputs are the same, a half-finished one goes on, one that another notebook started is attached to.
 * @returns the finished run with its scores
 * @throws VoxelbookError naming run, step and cause when the process dies; the signal's reason after an abort
 */
export async function start(short: ShortExperiment | Experiment, given: StartOptions = {}): Promise<FinishedRun> {
  const experiment = await complete(short);
  const options = { ...given, signal: given.signal ?? services()?.signal };
  const { fold = foldsOf(experiment)[0], seed = experiment.seeds[0] } = options;
  const folder = prepareFolder({ experiment, fold, seed });
  const say = options.onNotice;
  const done = isAlive(folder) || (await settled({ experiment, fold, seed }, folder, { signal: options.signal, say }));
  if (!done) await admit(experiment, fold, { signal: options.signal });
  if (!readScores(folder))
    for (const before of dependenciesOf(experiment, fold, seed))
      await start(before.experiment, { ...options, fold: before.fold, seed: before.seed });
  const view = new LiveView(experiment.name, folder, options.display);
  const name = path.basename(folder);
  options.signal?.throwIfAborted();
  while (!readScores(folder)) {
    const death = isAlive(folder) ? watchLease(folder) : launch(folder, options);
    try {
      await follow(folder, name, death, view, options);
    } catch (error) {
      // Two notebooks started it at the same moment: the other's process got the lease, so attach to that one.
      if (options.signal?.aborted || !isAlive(folder)) throw error;
    }
  }
  view.end();
  for (const warning of readWarnings(folder)) (say ?? tell)(warningText(warning));
  return asAsked(finishedRun(folder), experiment);
}

/** How a process ended: resolves once it is gone. */
type Death = { ended: Promise<string>; pid: () => number | undefined; starved: () => boolean };

/** Starts the child on its own: it outlives this process. */
function launch(folder: string, { threads, env }: StartOptions): Death {
  fs.rmSync(path.join(folder, 'error.json'), { force: true });
  const log = fs.openSync(path.join(folder, 'log.txt'), 'a');
  // A run that has one core leaves the others alone: V8's own helper threads would take a ninth of the time of the run beside it.
  const alone = threads === 1 ? ['--single-threaded'] : [];
  const process_ = spawn(process.execPath, [...alone, ...nodeArguments(new URL('./child.js', import.meta.url)), folder], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, VOXELBOOK_RUNS: runsFolder(), ...(threads ? { VOXELBOOK_THREADS: `${threads}` } : {}), ...env },
    cwd: projectRoot,
  });
  fs.closeSync(log);
  process_.unref();
  const ended = new Promise<string>((resolve) => {
    process_.on('error', (error) => resolve(`could not start: ${error.message}`));
    process_.on('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  });
  return { ended, pid: () => process_.pid, starved: watchOutOfMemory(process_.pid ?? 'self') };
}

/** A run somebody else started: gone when its lease is no longer held by a living process. */
function watchLease(folder: string): Death {
  const { pid, host } = readLease(folder) ?? {};
  const starved = watchOutOfMemory(pid !== undefined && host === os.hostname() ? pid : 'self');
  const ended = new Promise<string>((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(folder)) return;
      clearInterval(timer);
      resolve('its process ended');
    }, 500);
    timer.unref();
  });
  return { ended, pid: () => (readLease(folder)?.host === os.hostname() ? pid : undefined), starved };
}

/** Passes new lines on until the process is gone, then says how it ended. */
async function follow(folder: string, name: string, death: Death, view: LiveView, options: StartOptions): Promise<void> {
  let seen = 0;
  let size = -1;
  const look = () => {
    const now = fs.statSync(path.join(folder, 'progress.jsonl'), { throwIfNoEntry: false })?.size ?? 0;
    if (now === size) return;
    size = now;
    const lines = readProgress(folder);
    // A resumed run cuts its log back to the checkpoint: what was shown twice is only shown.
    if (lines.length < seen) seen = lines.length;
    for (const line of lines.slice(seen)) options.onProgress?.(line, 'train');
    seen = lines.length;
    view.update(lines);
  };
  let how: string | undefined;
  void death.ended.then((text) => {
    how = text;
  });
  let asked = 0;
  while (how === undefined) {
    if (options.signal?.aborted && asked === 0) {
      asked = performance.now();
      const pid = death.pid();
      if (pid !== undefined) tryKill(pid, 'SIGTERM');
    }
    // The checkpoint is written at the end of the iteration; a cell does not wait for a long one.
    if (asked > 0 && performance.now() - asked > 1500) throw options.signal!.reason;
    look();
    await Promise.race([death.ended, new Promise((resolve) => setTimeout(resolve, pollMs))]);
  }
  look();
  if (options.signal?.aborted) throw options.signal.reason;
  if (readScores(folder)) return;
  throw failed(folder, name, how, death.starved());
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Already gone.
  }
}

function failed(folder: string, name: string, how: string, starved: boolean): Error {
  const failure = readFailure(folder);
  const step = failure?.step ?? readProgress(folder).at(-1)?.step ?? 0;
  const memory = failure
    ? undefined
    : outOfMemory(folder, name, { how, step, starved, words: lastLines(path.join(folder, 'log.txt')) });
  if (memory) return memory;
  const stage = failure ? `${failure.stage}, step ${step}` : `step ${step}`;
  const cause = failure?.message ?? lastLines(path.join(folder, 'log.txt'));
  return new VoxelbookError(`run ${name} died at ${stage}: ${failure ? failure.message : how}`, {
    code: failure?.code ?? 'run-died',
    path: folder,
    given: failure
      ? `${failure.code} in ${failure.stage} at step ${step}`
      : `${how} at step ${step}${cause ? `; last words: ${cause}` : ''}`,
    expected: 'scores.json',
    fix: 'Starting it again goes on from its last checkpoint; the whole log is in log.txt of this folder.',
  });
}

function lastLines(file: string): string {
  if (!fs.existsSync(file)) return '';
  return fs.readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ').slice(-400);
}

/**
 * Follows a run that somebody started, until it is no longer worked on: finished, trained, or stopped.
 * @throws VoxelbookError naming run, step and cause where it failed
 */
export async function attach(folder: string, options: Pick<StartOptions, 'onProgress' | 'display'> = {}): Promise<void> {
  const name = path.basename(folder);
  const view = new LiveView(name, folder, options.display);
  try {
    if (isAlive(folder)) await follow(folder, name, watchLease(folder), view, options);
  } catch (error) {
    if (readFailure(folder)) throw error;
  }
  view.end();
}

/**
 * Stops a run that is going, by its folder, with a checkpoint written; returns once its process is gone. A run on another machine is
 * stopped where Slurm started it.
 * @throws VoxelbookError where it runs on a machine that cannot be reached from here
 */
export async function stop(folder: string): Promise<void> {
  const lease = readLease(folder);
  if (!lease || !isAlive(folder, lease)) return;
  if (lease.host === os.hostname()) tryKill(lease.pid, 'SIGTERM');
  else if (!lease.job || !(await cancel([lease.job.split('/')[0]])))
    throw new VoxelbookError('this run cannot be stopped from here', {
      code: 'run-elsewhere',
      path: folder,
      given: `process ${lease.pid} on ${lease.host}${lease.job ? `, Slurm job ${lease.job}` : ''}`,
      expected: `a process on ${os.hostname()}, or a job that scancel ends`,
      fix: `On ${lease.host}: kill ${lease.pid}`,
    });
  while (isAlive(folder, lease)) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Short name of a run for messages and tables. */
export const shortName = (experiment: Experiment, fold: Fold, seed: number) =>
  `${experiment.name} fold ${fold} seed ${seed} (${runHash(experiment, fold, seed)})`;
