// Memory of this process and of what it may still take, as the system counts it: the machine's, and that of every control group
// around it (cgroups version 1 and 2, nested, as containers and cluster jobs set them).
import os from 'node:os';
import path from 'node:path';
import { controlGroups, readText } from './controlGroups.js';

/**
 * Largest resident memory so far, in bytes. Linux: VmHWM, which begins again with every program; `resourceUsage().maxRSS` (used
 * elsewhere) starts at what the parent process held when it forked.
 */
export function peakResidentBytes(): number {
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readText('/proc/self/status') ?? '')?.[1];
  return kilobytes ? Number(kilobytes) * 1024 : process.resourceUsage().maxRSS * 1024;
}

/**
 * Bytes this process may still use: what the machine has to give away, or the least that a control group around it leaves. Pages of
 * files that the group read (and would give back at once) count as free.
 * @param root for tests: where `/proc` and `/sys` lie
 */
export function availableBytes(root = '/'): number {
  const read = within(root);
  const meminfo = read('/proc/meminfo')?.match(/^MemAvailable:\s+(\d+) kB/m);
  const left = [meminfo ? Number(meminfo[1]) * 1024 : os.freemem()];
  for (const { folder, version } of controlGroups('memory', read)) {
    const [limitFile, usedFile, cacheKey] = files[version];
    const limit = Number(read(path.join(folder, limitFile)) ?? Number.NaN);
    const used = Number(read(path.join(folder, usedFile)) ?? Number.NaN);
    if (!(limit < unlimited) || !Number.isFinite(used)) continue; // `max` is no number
    const cache = new RegExp(`^${cacheKey} (\\d+)$`, 'm').exec(read(path.join(folder, 'memory.stat')) ?? '')?.[1];
    left.push(Math.max(0, limit - Math.max(0, used - Number(cache ?? 0))));
  }
  return Math.min(...left);
}

/**
 * Counts the processes that the system ends for want of memory from now on where a process belongs: in its own control group, which
 * others' deaths on the machine do not touch. The machine's count stands in where no group counts, or the group is gone by then.
 * @returns whether there was one since
 */
export function watchOutOfMemory(pid: number | 'self', root = '/'): () => boolean {
  const read = within(root);
  const count = (file: string) => {
    const found = /^oom_kill (\d+)$/m.exec(read(file) ?? '')?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const files = controlGroups('memory', read, pid)
    .map(({ folder, version }) => path.join(folder, version === 2 ? 'memory.events' : 'memory.oom_control'))
    .filter((file) => count(file) !== undefined);
  const counters = [...files.slice(0, 1), '/proc/vmstat'];
  const before = counters.map(count);
  return () => {
    const now = counters.map(count);
    const first = now.findIndex((n) => n !== undefined);
    return first >= 0 && now[first]! > (before[first] ?? 0);
  };
}

/** Reads below another root. */
const within = (root: string) => (file: string) => readText(path.join(root, file));

/** Files of the limit, of what is used, and the entry of `memory.stat` that can be given back. */
const files = {
  1: ['memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'],
  2: ['memory.max', 'memory.current', 'inactive_file'],
} as const;
/** Version 1 writes a number near 2^63 where there is no limit. */
const unlimited = 2 ** 60;
