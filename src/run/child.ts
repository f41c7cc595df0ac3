// The process that computes a run: started by `run.start`, by `voxelbook run` in a terminal, or by a Slurm job.
//
//   node child.js <run folder>
//
// Ends with 0 when scores.json stands, 143 or 130 after TERM or INT with a checkpoint written, 85 after USR1 ("checkpoint
// written, start me again"), 1 with error.json otherwise.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { loadExtensions } from '../base/extensions.js';
import { onGpu } from '../tensor/tf.js';
import { initOf } from '../train/dependencies.js';
import type { Experiment } from '../train/index.js';
import { type RunFailure, readOrder, readProgress, readScores } from './folder.js';
import { settled } from './fresh.js';
import { takeLease } from './lease.js';
import { whole } from './whole.js';

export const requeueCode = 85;

/** Loads the modules of an experiment and of those it starts from, whose networks it builds too. */
async function loadOwn(experiment: Experiment | undefined): Promise<void> {
  if (!experiment) return;
  for (const before of [initOf(experiment), experiment.previousStage]) await loadOwn(before);
  await loadExtensions(experiment.extensions ?? []);
}

/** Refuses paper scale where there is no GPU: it would compute for months. */
function needGpu({ name, scale }: Experiment): void {
  if (scale !== 'paper' || onGpu() || process.env.VOXELBOOK_PAPER_ON_CPU === '1') return;
  throw new VoxelbookError(`"${name}" is not computed here`, {
    code: 'no-gpu',
    path: 'scale',
    given: `paper scale on ${os.hostname()}, where TensorFlow found no GPU`,
    expected: 'a GPU, and a set-up with VOXELBOOK_DEVICE=cuda',
    fix: 'npm run doctor -- --node in the same job says what it has. To compute it on the CPU all the same: VOXELBOOK_PAPER_ON_CPU=1.',
  });
}

/** Computes the run of a folder, from wherever it stands. @returns the exit code */
export async function child(folder: string): Promise<number> {
  const order = readOrder(folder);
  if (!order)
    throw new VoxelbookError('this is no run folder', {
      code: 'run-folder',
      path: folder,
      given: 'no readable experiment.json',
      expected: 'a folder that run.start or voxelbook run made',
      fix: 'Start the experiment itself: npx voxelbook run <experiment.json>.',
    });
  if (readScores(folder)) {
    await loadOwn(order.experiment);
    if (await settled(order, folder)) return 0;
  }
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
  const lease = takeLease(folder, process.env.VOXELBOOK_JOB === '1');
  fs.rmSync(path.join(folder, 'error.json'), { force: true });
  let stage = 'machine';
  try {
    needGpu(order.experiment);
    stage = 'extensions';
    await loadOwn(order.experiment);
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
