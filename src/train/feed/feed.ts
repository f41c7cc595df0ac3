// Batches ahead of training, made by worker threads. A sample's content depends on its name alone and batches are handed
// out by name, so the order and the bits never depend on which worker was faster.
import type { Worker } from 'node:worker_threads';
import { VoxelbookError } from '../../base/errors.js';
import { startWorker } from '../../base/workers.js';
import { type Batch, BatchMemory, placeOf } from './batchMemory.js';
import { type Phase, Sampler, type SampleSource } from './sample.js';

/** Where a loop gets its batches from. */
export interface BatchSource {
  /** Batch `index` of a phase; indices are asked for in order. */
  next(phase: Phase, index: number): Promise<Batch>;
  close(): Promise<void>;
}

/** How far ahead batches are made, and by how many threads. */
export interface FeedOptions {
  /** Worker threads; 0 makes the samples in the calling thread. */
  workers: number;
  /** Batches made ahead; at least 1. */
  ahead?: number;
  /** A sample that takes longer than this is given up, with its stage and case. Seconds. */
  hangSeconds?: number;
  /** Another worker module, for tests. */
  worker?: URL;
  /** The batch after a batch, to look ahead across the end of an epoch. */
  turn: (phase: Phase, index: number) => { phase: Phase; index: number } | undefined;
}

interface Pending {
  /** @param caseId of the sample, which is written */
  resolve(caseId: string): void;
  reject(error: Error): void;
  name: string;
}

interface Hand {
  worker: Worker;
  status: Uint8Array;
  /** Ids of the samples asked of this worker, oldest first. */
  asked: number[];
  /** When it began the oldest of them; null while the thread is still starting. */
  since: number | null;
  ready: boolean;
}

/** Starts the workers; nothing is made before the first `next`. */
export function startFeed(source: SampleSource, options: FeedOptions): BatchSource {
  return options.workers === 0 ? new LocalFeed(source) : new WorkerFeed(source, options);
}

class LocalFeed implements BatchSource {
  private readonly sampler: Sampler;
  private readonly memory: BatchMemory;

  constructor(private readonly source: SampleSource) {
    this.sampler = new Sampler(source);
    this.memory = new BatchMemory(source);
  }

  async next(phase: Phase, index: number): Promise<Batch> {
    const memory = this.memory.take();
    const caseIds: string[] = [];
    for (let j = 0; j < this.source.batchSize; j++)
      caseIds.push(this.sampler.sample(phase, index, j, placeOf(this.source, memory, j)));
    return this.memory.batch(memory, caseIds);
  }

  async close(): Promise<void> {}
}

class WorkerFeed implements BatchSource {
  private readonly hands: Hand[];
  private readonly pending = new Map<number, Pending>();
  private readonly batches = new Map<string, { memory: SharedArrayBuffer; samples: Promise<string>[] }>();
  private readonly memory: BatchMemory;
  private readonly watch: NodeJS.Timeout;
  private nextId = 0;
  private failure: Error | undefined;
  private closed = false;

  constructor(
    private readonly source: SampleSource,
    private readonly options: FeedOptions,
  ) {
    this.memory = new BatchMemory(source);
    this.hands = Array.from({ length: options.workers }, () => this.start());
    this.watch = setInterval(() => this.lookForHangs(), 500);
    this.watch.unref();
  }

  async next(phase: Phase, index: number): Promise<Batch> {
    if (this.failure) throw this.failure;
    let ahead: { phase: Phase; index: number } | undefined = { phase, index };
    for (let k = 0; ahead && k <= (this.options.ahead ?? 2); k++) {
      this.ask(ahead.phase, ahead.index);
      ahead = this.options.turn(ahead.phase, ahead.index);
    }
    const key = `${phase} ${index}`;
    const { memory, samples } = this.batches.get(key)!;
    // Asked for once more, it is made once more: nobody else is given this memory.
    this.batches.delete(key);
    const caseIds = await Promise.all(samples);
    return this.memory.batch(memory, caseIds);
  }

  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.watch);
    await Promise.all(this.hands.map(({ worker }) => worker.terminate()));
  }

  private start(): Hand {
    const now = new SharedArrayBuffer(512);
    const worker = startWorker(this.options.worker ?? new URL('./feedWorker.js', import.meta.url), {
      workerData: { source: this.source, now },
    });
    const hand: Hand = { worker, status: new Uint8Array(now), asked: [], since: null, ready: false };
    worker.on('message', ({ ready, id, caseId, error }) => {
      if (ready) {
        hand.ready = true;
        hand.since = performance.now();
      } else this.settle(hand, id, caseId, error);
    });
    worker.on('error', (error) => this.fail(hand, `threw ${error.message}`, error));
    worker.on('exit', (code) => this.fail(hand, `ended with exit code ${code}`));
    return hand;
  }

  private ask(phase: Phase, index: number): void {
    const key = `${phase} ${index}`;
    if (this.batches.has(key)) return;
    const memory = this.memory.take();
    const samples = Array.from({ length: this.source.batchSize }, (_, position) => {
      const id = this.nextId++;
      const hand = this.hands[id % this.hands.length];
      const promise = new Promise<string>((resolve, reject) => {
        this.pending.set(id, { resolve, reject, name: `${phase} batch ${index}, sample ${position}` });
      });
      promise.catch(() => {}); // whoever awaits the batch hears of it; one made ahead may never be awaited
      if (hand.asked.push(id) === 1 && hand.ready) hand.since = performance.now();
      hand.worker.postMessage({ id, phase, index, position, memory });
      return promise;
    });
    this.batches.set(key, { memory, samples });
  }

  private settle(hand: Hand, id: number, caseId: string, error: { message: string } | undefined): void {
    if (error) {
      this.fail(hand, `failed: ${error.message}`);
      return;
    }
    hand.asked = hand.asked.filter((a) => a !== id);
    hand.since = performance.now();
    this.pending.get(id)?.resolve(caseId);
    this.pending.delete(id);
  }

  private lookForHangs(): void {
    const limit = this.options.hangSeconds ?? 300;
    for (const hand of this.hands) {
      const waiting = hand.asked.length > 0 && hand.since !== null;
      if (waiting && performance.now() - hand.since! > limit * 1000) this.fail(hand, `gave no answer for ${limit} s`);
    }
  }

  /** Every sample that was asked for, and every later one, fails with the worker's stage and case. */
  private fail(hand: Hand, what: string, cause?: Error): void {
    if (this.closed || this.failure) return;
    const end = hand.status.indexOf(10);
    const [stage, caseId] = Buffer.from(hand.status.slice(0, Math.max(0, end)))
      .toString()
      .split('\0');
    const sample = this.pending.get(hand.asked[0])?.name ?? 'no sample';
    this.failure = Object.assign(
      new VoxelbookError(`augmentation worker ${what}`, {
        code: 'feed-worker',
        path: `case ${caseId ?? '-'}, stage ${stage || 'start'}`,
        given: `${what} while making ${sample}`,
        expected: 'a sample',
        fix: 'Look at this case; starting the run again goes on from its last checkpoint.',
      }),
      { cause },
    );
    for (const pending of this.pending.values()) pending.reject(this.failure);
    this.pending.clear();
  }
}
