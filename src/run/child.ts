// The process that computes a run: started by `run.start`, by `voxelbook run` in a terminal, or by a Slurm job.
//
//   node child.js <run folder>
//
// Ends with 0 when scores.json stands, 143 or 130 after TERM or INT with a checkpoint written, 85 after USR1 ("checkpoint
// written, start me again"), 1 with error.json otherwise.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { type RunFailure, readOrder, readProgress } from './folder.js';
import { settled } from './fresh.js';
import { takeLease } from './lease.js';
import { whole } from './whole.js';

export const requeueCode = 85;

/** Computes the run of a folder, from wherever it stands. @returns the exit code */
export async function child(folder: string): Promise<number> {
  const order = readOrder(folder);
  if (order && (await settled(order, folder))) return 0;
  if (!order)
    throw new VoxelbookError('this is no run folder', {
      code: 'run-folder',
      path: folder,
      given: 'no readable experiment.json',
      expected: 'a folder that run.start or voxelbook run made',
      fix: 'Start the experiment itself: npx voxelbook run <experiment.json>.',
    });
  const stop = new AbortController();
  let code = 143;
  const listen = (signal: NodeJS.Signals, exit: number) =>
    process.on(signal, () => {
      code = exit;
      stop.abort(new Error(`stopped by ${signal}`));
    });
  listen('SIGTERM', 143);
  listen('SIGINT', 130);
  listen('SIGUSR1', requeueCode);
  const lease = takeLease(folder, process.env.SLURM_JOB_ID !== undefined);
  fs.rmSync(path.join(folder, 'error.json'), { force: true });
  let stage = 'start';
  try {
    await whole(folder, order, { signal: stop.signal, lease, onStage: (s) => (stage = s) });
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return code;
    if (!(error instanceof VoxelbookError)) console.error(error);
    const failure: RunFailure = {
      code: error instanceof VoxelbookError ? error.code : 'failed',
      message: (error as Error).message,
      stage,
      step: readProgress(folder).at(-1)?.step ?? 0,
      at: new Date().toISOString(),
    };
    if (failure.code !== 'run-taken-over') atomicWriteJson(path.join(folder, 'error.json'), failure);
    console.error(failure.message);
    return 1;
  } finally {
    lease.release();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  const fail = (error: unknown) => {
    console.error(error);
    process.exit(1);
  };
  process.on('unhandledRejection', fail);
  process.exitCode = 1; // should everything just stop with nothing left to wait for, that is no success
  child(path.resolve(process.argv[2])).then((code) => process.exit(code), fail);
}
