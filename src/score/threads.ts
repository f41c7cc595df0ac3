// The same scores with classes spread over worker threads; the label maps are shared, not copied to each.
import type { Worker } from 'node:worker_threads';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { threads as threadsOfProcess } from '../base/threads.js';
import { startWorker } from '../base/workers.js';
import type { ClassScore } from '../train/experiment.js';
import type { LabelMap } from '../volume/volume.js';
import type { Labels } from './masks.js';
import { check, type Request, type ScoreOptions, scoreBetween, volume } from './volume.js';

/** How many threads score. */
export interface ThreadOptions {
  /** Worker threads; default as many as this process may use, at most 8. */
  threads?: number;
}

/** One job: classes of one request. The request itself is sent once per worker and volume. */
export interface Job {
  id: number;
  volume: number;
  request?: Request;
  name: string;
}
export interface Answer {
  id: number;
  score?: ClassScore;
  error?: string;
}

interface Waiting {
  worker: Worker;
  resolve(score: ClassScore): void;
  reject(error: Error): void;
}

class Pool {
  private readonly workers: Worker[] = [];
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;

  grow(threads: number): void {
    while (this.workers.length < threads) {
      const worker = startWorker(new URL('./worker.js', import.meta.url));
      worker.on('message', ({ id, score, error }: Answer) => {
        const job = this.waiting.get(id);
        this.forget(id);
        if (score) job?.resolve(score);
        else job?.reject(new Error(error));
      });
      worker.on('error', (error) => this.fail(worker, error));
      worker.on('exit', () => this.fail(worker, new Error('a scoring thread ended')));
      worker.unref();
      this.workers.push(worker);
    }
  }

  /** The process stays while a thread has a job to answer, of whatever volume, and ends where none has. */
  private expect(id: number, waiting: Waiting): void {
    this.waiting.set(id, waiting);
    waiting.worker.ref();
  }

  private forget(id: number): void {
    const job = this.waiting.get(id);
    this.waiting.delete(id);
    if (job && ![...this.waiting.values()].some(({ worker }) => worker === job.worker)) job.worker.unref();
  }

  private fail(worker: Worker, error: Error): void {
    const at = this.workers.indexOf(worker);
    if (at >= 0) this.workers.splice(at, 1);
    for (const [id, job] of this.waiting)
      if (job.worker === worker) {
        this.waiting.delete(id);
        job.reject(error);
      }
  }

  /** Runs the classes of a request, the largest first; each thread takes the next class when it is free. */
  async run(request: Request, names: string[], threads: number): Promise<Record<string, ClassScore>> {
    this.grow(threads);
    const scores: Record<string, ClassScore> = {};
    const volumeId = this.nextId++;
    let next = 0;
    const serve = async (worker: Worker) => {
      let first = true;
      while (next < names.length) {
        const name = names[next++];
        const id = this.nextId++;
        const job: Job = { id, volume: volumeId, name, ...(first ? { request } : {}) };
        first = false;
        scores[name] = await new Promise<ClassScore>((resolve, reject) => {
          this.expect(id, { worker, resolve, reject });
          worker.postMessage(job);
        });
      }
    };
    await Promise.all(this.workers.slice(0, threads).map(serve));
    return scores;
  }
}

const pool = new Pool();
const defaultThreads = () => Math.min(8, threadsOfProcess());

/** Labels in memory every thread sees. */
function shared(data: Labels): Labels {
  if (data.buffer instanceof SharedArrayBuffer) return data;
  const buffer = new SharedArrayBuffer(data.byteLength);
  const copy = new (data.constructor as new (b: SharedArrayBuffer) => Labels)(buffer);
  copy.set(data);
  return copy;
}

/**
 * As `volume`, with the classes spread over threads.
 * @throws as `volume`; an error in a thread is thrown here
 */
export async function volumeInThreads(
  reference: LabelMap,
  prediction: LabelMap,
  options: ScoreOptions,
  { threads = defaultThreads() }: ThreadOptions = {},
): Promise<Record<string, ClassScore>> {
  if (threads <= 1) return volume(reference, prediction, options);
  const request = check(reference, prediction, options);
  const names = Object.keys(request.regions);
  const between = options.betweenReferenceSlices?.classes ?? [];
  const spread = names.filter((name) => !between.includes(name));
  const scores = await pool.run(
    { ...request, reference: shared(request.reference), prediction: shared(request.prediction) },
    spread.sort((a, b) => sizeOf(request, b) - sizeOf(request, a)),
    Math.min(threads, Math.max(1, spread.length)),
  );
  return Object.fromEntries(
    names.map((name) => [name, scores[name] ?? scoreBetween(reference, prediction, request, name, options)]),
  );
}

/** Voxels of the boxes of a region's labels. */
function sizeOf(request: Request, name: string): number {
  return request.regions[name].reduce((sum, label) => {
    const box = request.census.boxes.get(label);
    return sum + (box ? (box[3] - box[0]) * (box[4] - box[1]) * (box[5] - box[2]) : 0);
  }, 0);
}

/** A case to be scored: reference and prediction on the same grid. */
export interface CasePair {
  id: string;
  /** Label maps, or functions that read them when their turn comes. */
  reference: LabelMap | (() => LabelMap);
  prediction: LabelMap | (() => LabelMap);
}

/**
 * Scores many cases, the next one read while threads still work on the one before.
 * @returns scores in the order of the cases
 */
export async function cases(
  list: readonly CasePair[],
  options: ScoreOptions,
  work: WorkOptions & ThreadOptions = {},
): Promise<{ id: string; classes: Record<string, ClassScore> }[]> {
  const report = progressOf(list.length, work);
  const results: { id: string; classes: Record<string, ClassScore> }[] = new Array(list.length);
  let next = 0;
  let done = 0;
  report(0, 'score');
  const serve = async () => {
    while (next < list.length) {
      const at = next++;
      const { id, reference, prediction } = list[at];
      const read = (map: LabelMap | (() => LabelMap)) => (typeof map === 'function' ? map() : map);
      results[at] = { id, classes: await volumeInThreads(read(reference), read(prediction), options, work) };
      report(++done, `score ${id}`);
    }
  };
  await Promise.all([serve(), serve()]);
  return results;
}
