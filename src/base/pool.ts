// Jobs side by side in worker threads: progress, abort, and a worker that dies is named with the job it had.
import { type Fault, VoxelbookError } from './errors.js';
import { progressOf, type WorkOptions } from './progress.js';
import { threads } from './threads.js';
import { startWorker } from './workers.js';

/** One piece of work: plain data. */
export interface Job {
  /** Shown in progress and errors: a case id. */
  id: string;
}

/** What a worker answers. */
export type Answer = { id: string; result: unknown } | { id: string; faults: Fault[] } | { id: string; stage: string };

export interface PoolOptions extends WorkOptions {
  /** Threads; default as many as this process may use, at most one per job. */
  workers?: number;
  /** What is done, for progress and errors: `preprocess`. */
  what: string;
}

/**
 * Runs every job in workers of the module at `url` (which calls `answerJobs`).
 * A job that fails does not stop the others; an abort stops all threads at once.
 * @returns results in the order of the jobs
 * @throws VoxelbookError with the faults of all jobs that failed, after the others are done
 */
export async function runJobs<J extends Job, R>(url: URL, jobs: readonly J[], options: PoolOptions): Promise<R[]> {
  const { signal, what } = options;
  const report = progressOf(jobs.length, options);
  report(0, what);
  const results = new Map<string, R>();
  const faults: Fault[] = [];
  let next = 0;
  let done = 0;
  const running = new Set<{ terminate(): Promise<number> }>();
  const stop = () => Promise.all([...running].map((worker) => worker.terminate()));

  /** One thread's life: it takes jobs until none is left. A dead thread's successor goes on. */
  const thread = () =>
    new Promise<void>((resolve, reject) => {
      if (next >= jobs.length) return resolve();
      const worker = startWorker(url);
      running.add(worker);
      let job: J | undefined;
      let stage = 'start';
      let finished = false;
      const take = () => {
        job = jobs[next++];
        stage = 'start';
        if (job) worker.postMessage(job);
        else {
          finished = true;
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
      const died = (cause: string) => {
        if (finished) return;
        finished = true;
        running.delete(worker);
        if (signal?.aborted) return resolve();
        if (job) {
          done++;
          const given = `its thread died in stage ${stage} (${cause})`;
          faults.push({
            code: 'worker-died',
            path: job.id,
            given,
            expected: 'a result',
            fix: 'Give it more memory or fewer workers, then run again: finished cases are kept.',
          });
        }
        resolve(thread());
      };
      worker.on('message', (answer: Answer) => {
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

  const abort =
    signal && new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  try {
    const count = Math.max(1, Math.min(options.workers ?? threads(), jobs.length));
    const all = Promise.all(Array.from({ length: count }, thread));
    await (abort ? Promise.race([all, abort]) : all);
  } finally {
    await stop();
  }
  if (faults.length > 0)
    throw new VoxelbookError(
      `${what} failed for ${new Set(faults.map((f) => f.path.split(' ')[0])).size} of ${jobs.length} cases`,
      faults,
    );
  return jobs.map((job) => results.get(job.id)!);
}
