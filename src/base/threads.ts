// How many threads this process may compute with: the one number that TensorFlow's pool, our kernels, worker threads, child
// processes and job scripts take.
import os from 'node:os';
import path from 'node:path';
import { controlGroups, type ReadText, readText } from './controlGroups.js';
import { VoxelbookError } from './errors.js';
import { availableBytes } from './memory.js';

/** What the number is derived from; the process's own by default. */
export interface ThreadSources {
  env?: Record<string, string | undefined>;
  /** Cores this process may be scheduled on. */
  cores?: number;
  read?: ReadText;
}

/**
 * Threads to compute with: `VOXELBOOK_THREADS`, else `SLURM_CPUS_PER_TASK`, else `OMP_NUM_THREADS`, else the cores the
 * process may run on, but no more than the control groups' quota allows (whole processors, at least one).
 * @throws VoxelbookError when `VOXELBOOK_THREADS` is not a whole number of at least 1
 */
export function threads(sources: ThreadSources = {}): number {
  const { env = process.env, cores = os.availableParallelism(), read = readText } = sources;
  const own = env.VOXELBOOK_THREADS;
  if (own) {
    const wanted = wholeNumber(own);
    if (wanted) return wanted;
    throw new VoxelbookError('the number of threads cannot be used', {
      code: 'bad-threads',
      path: 'VOXELBOOK_THREADS',
      given: own,
      expected: 'a whole number of at least 1',
      fix: 'Set it to the cores this process may use, or unset it to use all it is given.',
    });
  }
  // OMP_NUM_THREADS may list a number for each nested level.
  const given = wholeNumber(env.SLURM_CPUS_PER_TASK) ?? wholeNumber(env.OMP_NUM_THREADS?.split(',')[0]);
  if (given) return given;
  const quota = cpuQuota(read);
  return Math.max(1, Math.min(cores, quota === undefined ? cores : Math.floor(quota)));
}

/** Bytes a thread needs beyond its arrays. */
export const threadBytes = 150 * 2 ** 20;

/**
 * Threads that fit into half of the free memory, at least one, at most as many as this process may use.
 * @param bytes that each needs with its arrays
 */
export const workersThatFit = (bytes: number): number =>
  Math.max(1, Math.min(threads(), Math.floor(availableBytes() / 2 / bytes)));

function wholeNumber(text: string | undefined): number | undefined {
  const number = /^\s*\d{1,6}\s*$/.test(text ?? '') ? Number(text) : 0;
  return number >= 1 ? number : undefined;
}

/**
 * Processors' worth of time that the control groups of this process (version 1 or 2) and those around them allow.
 * @returns undefined without a limit
 */
export function cpuQuota(read: ReadText = readText): number | undefined {
  const limits = controlGroups('cpu', read).flatMap(({ folder, version }) => limitOf(folder, version, read) ?? []);
  return limits.length > 0 ? Math.min(...limits) : undefined;
}

function limitOf(folder: string, version: 1 | 2, read: ReadText): number | undefined {
  const [quota, period] =
    version === 2
      ? (read(path.posix.join(folder, 'cpu.max')) ?? '').trim().split(/\s+/).map(Number)
      : ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => Number(read(path.posix.join(folder, name)) ?? Number.NaN));
  return quota > 0 && period > 0 ? quota / period : undefined;
}
