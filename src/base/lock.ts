// One process at a time: a lock file that names its owner, taken over when the owner is dead.
import { giveBack, signOfLife, thisProcess, tryClaim } from './claim.js';
import type { WorkOptions } from './progress.js';

/** Runs `work` while holding `file`; waits for a living owner, at most until the signal aborts. */
export async function withLock<T>(file: string, { signal }: WorkOptions, work: () => Promise<T>): Promise<T> {
  const mine = thisProcess();
  for (;;) {
    signal?.throwIfAborted();
    if (!tryClaim(file, mine)) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const silence = signOfLife(file, mine);
  try {
    return await work();
  } finally {
    silence();
    giveBack(file, mine);
  }
}
