// One process at a time: a lock file that names its owner, taken over when the owner is dead.
import fs from 'node:fs';
import type { WorkOptions } from '../base/progress.js';

/** Runs `work` while holding `file`; waits for a living owner, at most until the signal aborts. */
export async function withLock<T>(file: string, { signal }: WorkOptions, work: () => Promise<T>): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      fs.writeFileSync(file, `${process.pid}`, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');
    if (owner > 0 && !isRunning(owner)) fs.rmSync(file, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
  try {
    return await work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
