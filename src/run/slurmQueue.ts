// What is asked of Slurm itself: take these jobs, which of mine are there, how large may an array be.
import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import { VoxelbookError } from '../base/errors.js';

const run = promisify(execFile);

const isAbsent = (error: unknown) => (error as { code?: string }).code === 'ENOENT';

/** What a command of Slurm said when it failed. */
function words(error: unknown, command: string): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return isAbsent(error) ? `no ${command} on this machine` : stderr?.trim() || message;
}

const onLoginNode = 'Run this on a login node of the cluster.';

/** Words of a limit on how many jobs somebody may have: room comes when others end. */
const limits =
  /MaxSubmit|MaxJobCount|submit limit|job submit limit|JobArrayTaskLimit|accounting\/QOS policy|temporarily unable to accept/i;

/**
 * Hands a job in.
 * @returns its number
 * @throws VoxelbookError `slurm-full` where a limit on the number of jobs was met, else `slurm-submit`
 */
export async function sbatch(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  try {
    const { stdout } = await run('sbatch', ['--parsable', '--kill-on-invalid-dep=yes', ...args], {
      env: { ...process.env, ...env },
    });
    return stdout.trim().split(';')[0];
  } catch (error) {
    const given = words(error, 'sbatch');
    throw new VoxelbookError('Slurm did not take the job', {
      code: limits.test(given) ? 'slurm-full' : 'slurm-submit',
      path: `sbatch ${args.join(' ')}`,
      given,
      expected: 'a job number',
      fix: isAbsent(error)
        ? onLoginNode
        : 'Check partition, account, qos and limits in the site options; sbatch’s own words say which of them it means.',
    });
  }
}

/**
 * State of every job of this user that Slurm still has, waiting or running, each element of an array by itself.
 * @returns job number (`12` or `12_3`) → state
 * @throws VoxelbookError `slurm-queue` when squeue does not answer
 */
export async function queue(): Promise<Map<string, string>> {
  try {
    const args = ['--noheader', '--array', `--user=${os.userInfo().username}`, '--format=%i %T'];
    const { stdout } = await run('squeue', args, { maxBuffer: 1 << 28 });
    const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/));
    return new Map(
      rows.flatMap(([id, state]) => (id && !/COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL$/.test(state) ? [[id, state]] : [])),
    );
  } catch (error) {
    throw new VoxelbookError('Slurm does not say which jobs it has', {
      code: isAbsent(error) ? 'slurm-absent' : 'slurm-queue',
      path: 'squeue',
      given: words(error, 'squeue'),
      expected: 'a list of jobs',
      fix: isAbsent(error)
        ? onLoginNode
        : 'Try again when the controller answers (scontrol ping says whether it does). Jobs that were handed in are not touched.',
    });
  }
}

/** The queue, asked up to `tries` times: a controller that is busy misses a question now and then. */
export async function patientQueue(tries = 4, pauseMs = 2000): Promise<Map<string, string>> {
  for (let i = 1; ; i++) {
    try {
      return await queue();
    } catch (error) {
      if (i >= tries || (error as VoxelbookError).code === 'slurm-absent') throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Largest number of elements of an array here; Slurm's own default where it does not say. */
export async function maxArraySize(): Promise<number> {
  try {
    const { stdout } = await run('scontrol', ['show', 'config']);
    return Number(/^MaxArraySize\s*=\s*(\d+)/m.exec(stdout)?.[1] ?? 1001);
  } catch {
    return 1001;
  }
}

/** Seconds of a time as Slurm writes it: `minutes`, `hours:minutes:seconds`, `days-hours:minutes:seconds`. */
export function secondsOf(text: string): number {
  const [, days, rest] = /^(?:(\d+)-)?([\d:]+)$/.exec(text) ?? [];
  if (rest === undefined) return Number.POSITIVE_INFINITY;
  const parts = rest.split(':').map(Number);
  const [h, m, s] =
    days !== undefined ? [parts[0], parts[1] ?? 0, parts[2] ?? 0] : parts.length === 3 ? parts : [0, parts[0], parts[1] ?? 0];
  return ((Number(days ?? 0) * 24 + h) * 60 + m) * 60 + s;
}

/** The longest time a partition gives, in seconds; the default partition's where none is named, infinite where nothing says. */
export async function longestTime(partition?: string): Promise<number> {
  try {
    const { stdout } = await run('sinfo', ['--noheader', '--format=%P %l']);
    const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/));
    const row = rows.find(([name]) => (partition ? name?.replace('*', '') === partition : name?.endsWith('*')));
    return row ? secondsOf(row[1]) : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Ends jobs. @returns whether Slurm did; it does not know those that are gone already */
export const cancel = (ids: readonly string[]): Promise<boolean> =>
  ids.length === 0
    ? Promise.resolve(true)
    : run('scancel', [...ids]).then(
        () => true,
        () => false,
      );
