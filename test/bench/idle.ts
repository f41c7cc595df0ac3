// Whether the machine is idle: how many cores other programs take, looked at before a bench measures.
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const times = () => {
  const all = os.cpus().map(({ times }) => times);
  const idle = all.reduce((sum, t) => sum + t.idle, 0);
  return { idle, total: all.reduce((sum, t) => sum + t.user + t.nice + t.sys + t.irq + t.idle, 0) };
};

/** Cores at work over so many seconds, this process not counted. */
export async function load(seconds = 4): Promise<number> {
  const [before, own] = [times(), process.cpuUsage()];
  await sleep(seconds * 1000);
  const [after, used] = [times(), process.cpuUsage(own)];
  const busy = 1 - (after.idle - before.idle) / (after.total - before.total);
  return Math.max(0, busy * os.cpus().length - (used.user + used.system) / 1e6 / seconds);
}

/**
 * Waits, and says so, until other programs take less than `limit` cores.
 * @returns the load then
 */
export async function idle(limit = 0.3): Promise<number> {
  for (let waited = false; ; waited = true) {
    const now = await load();
    if (now < limit) return now;
    if (!waited) console.log(`other programs take ${now.toFixed(1)} cores: waiting until it is less than ${limit} …`);
  }
}
