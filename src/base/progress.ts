// Long work reports and stops: every function that may take over two seconds takes these options.

export interface Progress {
  /** What is being done now: `preprocess case_0003`. */
  what: string;
  done: number;
  total: number;
  /** Seconds left, by the mean speed so far; null before anything is done. */
  etaSeconds: number | null;
}

export interface WorkOptions {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

/** Counts work and reports it with the time left; throws the signal's reason at the next count after an abort. */
export function progressOf(total: number, { signal, onProgress }: WorkOptions = {}) {
  const start = performance.now();
  const report = (done: number, what: string) => {
    signal?.throwIfAborted();
    onProgress?.({
      what,
      done,
      total,
      etaSeconds: done === 0 ? null : ((performance.now() - start) / 1000 / done) * (total - done),
    });
  };
  return report;
}

/** Lets signals and messages have their turn in long work; also in a page, which has no `setImmediate`. */
export const turn = (): Promise<void> =>
  new Promise((go) => {
    if (typeof setImmediate === 'function') setImmediate(go);
    else setTimeout(go);
  });
