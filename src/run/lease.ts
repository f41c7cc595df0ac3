// Who works on a run folder: one process at a time, and a newer claim beats an older one.
//
// A cluster may start a job again while its old process still lives on a node the scheduler lost sight of. So the lease is
// read again before every checkpoint is written, and whoever finds another's claim there stops.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';

export interface Lease {
  pid: number;
  host: string;
  /** When the process started, in the kernel's ticks: tells it from a later one of the same number. */
  startTicks: string | null;
  /** Slurm job and how often it was requeued. */
  job: string | null;
  since: string;
}

const fileOf = (folder: string) => path.join(folder, 'lease.json');

/** Field 22 of /proc/<pid>/stat; null where there is no /proc. */
function startTicks(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return null;
  }
}

/** Seconds without a sign of life after which a process on another machine counts as gone. */
const remoteSilence = 90;

export function readLease(folder: string): Lease | undefined {
  try {
    return JSON.parse(fs.readFileSync(fileOf(folder), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether the process that holds the lease still works. */
export function isAlive(folder: string, lease = readLease(folder)): boolean {
  if (!lease) return false;
  if (lease.host !== os.hostname()) {
    const touched = fs.statSync(fileOf(folder), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return Date.now() - touched < remoteSilence * 1000;
  }
  try {
    process.kill(lease.pid, 0);
  } catch {
    return false;
  }
  const state = /^State:\s+Z/m;
  try {
    if (state.test(fs.readFileSync(`/proc/${lease.pid}/status`, 'utf8'))) return false;
  } catch {
    // No /proc: the signal's answer stands.
  }
  return lease.startTicks === null || lease.startTicks === startTicks(lease.pid);
}

/** `123_4/1`: element 4 of array 123, started again once. */
function slurmJob(): string | null {
  const { SLURM_JOB_ID, SLURM_ARRAY_JOB_ID, SLURM_ARRAY_TASK_ID, SLURM_RESTART_COUNT = '0' } = process.env;
  if (!SLURM_JOB_ID) return null;
  return `${SLURM_ARRAY_JOB_ID ? `${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}` : SLURM_JOB_ID}/${SLURM_RESTART_COUNT}`;
}

/**
 * Claims a run folder for this process.
 * @param force take it even from a living process, which will stop before its next checkpoint (a requeued cluster job)
 * @returns `check` throws when another process has claimed it since; `release` gives it back
 */
export function takeLease(folder: string, force = false): { check(): void; release(): void } {
  const held = readLease(folder);
  if (held && !force && isAlive(folder, held))
    throw new VoxelbookError('this run is being worked on', {
      code: 'run-busy',
      path: folder,
      given: `process ${held.pid} on ${held.host} since ${held.since}`,
      expected: 'no other process',
      fix: 'Wait for it, attach to it with run.start, or stop it.',
    });
  const mine: Lease = {
    pid: process.pid,
    host: os.hostname(),
    startTicks: startTicks(process.pid),
    job: slurmJob(),
    since: new Date().toISOString(),
  };
  atomicWriteJson(fileOf(folder), mine);
  const sign = setInterval(() => {
    const now = new Date();
    try {
      if (isMine()) fs.utimesSync(fileOf(folder), now, now);
    } catch {
      // The folder is gone: the next write says so.
    }
  }, 15_000);
  sign.unref();
  const isMine = () => {
    const now = readLease(folder);
    return now?.pid === mine.pid && now.host === mine.host && now.since === mine.since;
  };
  return {
    check() {
      if (isMine()) return;
      const other = readLease(folder);
      throw new VoxelbookError('this run was taken over', {
        code: 'run-taken-over',
        path: folder,
        given: other ? `process ${other.pid} on ${other.host} since ${other.since}` : 'no lease.json',
        expected: `process ${mine.pid} on ${mine.host}`,
        fix: 'Nothing: the other process goes on from the newest checkpoint, this one stops.',
      });
    },
    release() {
      clearInterval(sign);
      if (isMine()) fs.rmSync(fileOf(folder), { force: true });
    },
  };
}
