// One process at a time: a lock file that names its owner, taken over when the owner is dead.
import fs from 'node:fs';
import os from 'node:os';
import type { WorkOptions } from '../base/progress.js';

const signMs = 10_000;
/** Another machine's owner that gave no sign for this long is taken for dead. */
const silenceMs = 6 * signMs;

/** Runs `work` while holding `file`; waits for a living owner, at most until the signal aborts. */
export async function withLock<T>(file: string, { signal }: WorkOptions, work: () => Promise<T>): Promise<T> {
  const mine = `${process.pid} ${os.hostname()}`;
  for (;;) {
    signal?.throwIfAborted();
    try {
      fs.writeFileSync(file, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (ownerIsDead(file)) fs.rmSync(file, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const sign = setInterval(() => fs.utimes(file, new Date(), new Date(), () => {}), signMs);
  try {
    return await work();
  } finally {
    clearInterval(sign);
    fs.rmSync(file, { force: true });
  }
}

function ownerIsDead(file: string): boolean {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (!stat) return false;
  const [pid, host] = fs.readFileSync(file, 'utf8').split(' ');
  // An owner on this machine is asked; an empty file is one that is being written, or was left by a crash.
  if (host !== os.hostname()) return Date.now() - stat.mtimeMs > silenceMs;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch {
    return true;
  }
}
