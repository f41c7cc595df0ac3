// Who works on a run folder: one process at a time, and a newer claim beats an older one.
//
// A cluster may start a job again while its old process still lives on a node the scheduler lost sight of. So the lease is
// read again before every checkpoint is written, and whoever finds another's claim there stops.
import path from 'node:path';
import { giveBack, holds, isOwnerAlive, type Owner, readOwner, signOfLife, thisProcess, tryClaim } from '../base/claim.js';
import { VoxelbookError } from '../base/errors.js';

export interface Lease extends Owner {
  /** Slurm job and how often it was requeued. */
  job?: string | null;
}

const fileOf = (folder: string) => path.join(folder, 'lease.json');

export const readLease = (folder: string): Lease | undefined => readOwner(fileOf(folder));

/** Whether the process that holds the lease still works. */
export const isAlive = (folder: string, lease = readLease(folder)): boolean =>
  lease !== undefined && isOwnerAlive(fileOf(folder), lease);

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
  const file = fileOf(folder);
  const mine: Lease = { ...thisProcess(), job: slurmJob() };
  const held = tryClaim(file, mine, force);
  if (held)
    throw new VoxelbookError('this run is being worked on', {
      code: 'run-busy',
      path: folder,
      given: `process ${held.pid} on ${held.host} since ${held.since}`,
      expected: 'no other process',
      fix: 'Wait for it, attach to it with run.start, or stop it.',
    });
  const silence = signOfLife(file, mine);
  return {
    check() {
      if (holds(file, mine)) return;
      const other = readOwner(file);
      throw new VoxelbookError('this run was taken over', {
        code: 'run-taken-over',
        path: folder,
        given: other ? `process ${other.pid} on ${other.host} since ${other.since}` : 'no lease.json',
        expected: `process ${mine.pid} on ${mine.host}`,
        fix: 'Nothing: the other process goes on from the newest checkpoint, this one stops.',
      });
    },
    release() {
      silence();
      giveBack(file, mine);
    },
  };
}
