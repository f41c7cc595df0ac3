// Jobs side by side in worker threads: progress, abort, and a worker that dies or gives no sign is named with the job it had.
import { type Fault, VoxelbookError } from './errors.js';
import { progressOf, type WorkOptions } from './progress.js';
import { threads } from './threads.js';
import { startWorker } from './workers.js';

/** One piece of work: plain data. */
export interface Job {
  /** Shown in progress and errors: a case id. */
  id: string;
}

/** What a worker answers; first of all that its module is loaded. */
export type Answer =
  | { ready: true }
  | { id: string; result: unknown }
  | { id: string; faults: Fault[] }
  | { id: string; stage: string };

export interface PoolOptions extends WorkOptions {
  /** Threads; default as many as this process may use, at most one per job. */
  workers?: number;
  /** What is done, for progress and errors: `preprocess`. */
  what: string;
  /**
   * Seconds without an answer or a new stage after which a job's thread is ended and the job tried once more; default
   * `VOXELBOOK_HANG_SECONDS`, or half an hour.
   */
  hangSeconds?: number;
}

/** Seconds a thread may take to load its module besides. */
const loadSeconds = 120;
const defaultHangSeconds = () => Number(process.env.VOXELBOOK_HANG_SECONDS) || 1800;

/**
 * Runs every job in workers of the module at `url` (which calls `answerJobs`).
 * A job that fails does not stop the others; an abort stops all threads at once. A job without a sign of life is tried once more.
 * @returns results in the order of the jobs
 * @throws VoxelbookError with the faults of all jobs that failed, after the others are done
 */
export async function runJobs<J extends Job, R>(url: URL, jobs: readonly J[], options: PoolOptions): Promise<R[]> {
  const { signal, what, hangSeconds = defaultHangSeconds() } = options;
  const report = progressOf(jobs.length, options);
  report(0, what);
  const results = new Map<string, R>();
  const faults: Fault[] = [];
  let next = 0;
  let done = 0;
  const again: J[] = [];
  const tried = new Set<J>();
  const watches = new Set<NodeJS.Timeout>();
  const running = new Set<{ terminate(): Promise<number> }>();
  const stop = () => Promise.all([...running].map((worker) => worker.terminate()));

  /** One thread's life: it takes jobs until none is left. A dead thread's successor goes on. */
  const thread = () =>
    new Promise<void>((resolve, reject) => {
      if (next >= jobs.length && again.length === 0) return resolve();
      const worker = startWorker(url);
      running.add(worker);
      let job: J | undefined;
      let stage = 'start';
      let finished = false;
      // Loading its module is no work on a case: it may take longer, on a busy machine.
      let heard = performance.now() + loadSeconds * 1000;
      const take = () => {
        job = again.shift() ?? jobs[next++];
        stage = 'start';
        heard = Math.max(heard, performance.now());
        if (job) worker.postMessage(job);
        else {
          finished = true;
          clearInterval(watch);
          void worker.terminate().then(() => resolve());
        }
      };
      const count = () => {
        done++;
        try {
          report(done, `${what} ${job!.id}`);
        } catch (error) {
          return reject(error);
        }
        take();
      };
      /** The thread is lost; its job is tried again or named, and a successor takes its place. */
      const lost = (cause: (stage: string) => string, code: string, fix: string, retry: boolean) => {
        if (finished) return;
        finished = true;
        clearInterval(watch);
        running.delete(worker);
        if (signal?.aborted) return resolve();
        if (job && retry && !tried.has(job)) {
          tried.add(job);
          again.push(job);
          report(done, `${what} ${job.id}: ${cause(stage)}, tried once more`);
        } else if (job) {
          done++;
          const twice = tried.has(job) ? ', twice' : '';
          const given = `its thread ${cause(stage)}${twice}`;
          faults.push({ code, path: job.id, given, expected: 'a result', fix });
        }
        resolve(thread());
      };
      const died = (cause: string) =>
        lost(
          (at) => `died in stage ${at} (${cause})`,
          'worker-died',
          'Give it more memory or fewer workers, then run again: finished cases are kept.',
          false,
        );
      const watch = setInterval(
        () => {
          if (!job || performance.now() - heard < hangSeconds * 1000) return;
          lost(
            (at) => `gave no answer for ${hangSeconds} s in stage ${at}`,
            'worker-hung',
            'Look at this case; finished cases are kept.',
            true,
          );
          void worker.terminate();
        },
        Math.min(1000, hangSeconds * 250),
      );
      watches.add(watch);
      worker.on('message', (answer: Answer) => {
        if (finished) return;
        heard = performance.now();
        if ('ready' in answer) return;
        if ('stage' in answer) stage = answer.stage;
        else if ('faults' in answer) {
          faults.push(
            ...answer.faults.map((f) => ({ ...f, path: f.path.includes(answer.id) ? f.path : `${answer.id} ${f.path}` })),
          );
          count();
        } else {
          results.set(answer.id, answer.result as R);
          count();
        }
      });
      worker.on('error', (error) => died(error.message));
      worker.on('exit', (code) => died(`exit ${code}`));
      take();
    });

  let aborted: (() => void) | undefined;
  const abort =
    signal &&
    new Promise<never>((_, reject) => {
      aborted = () => reject(signal.reason);
      signal.addEventListener('abort', aborted, { once: true });
    });
  try {
    const count = Math.max(1, Math.min(options.workers ?? threads(), jobs.length));
    const all = Promise.all(Array.from({ length: count }, thread));
    await (abort ? Promise.race([all, abort]) : all);
  } finally {
    for (const watch of watches) clearInterval(watch);
    // A signal outlives the jobs, and would keep their results.
    if (aborted) signal!.removeEventListener('abort', aborted);
    await stop();
  }
  if (faults.length > 0)
    throw new VoxelbookError(
      `${what} failed for ${new Set(faults.map((f) => f.path.split(' ')[0])).size} of ${jobs.length} cases`,
      faults,
    );
  return jobs.map((job) => results.get(job.id)!);
}
