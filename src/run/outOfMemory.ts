// A run that ended for want of memory: told from other deaths, with the forecast beside it and the settings that would fit.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { availableBytes } from '../base/memory.js';
import type { Forecast } from '../train/forecast.js';

interface Death {
  /** `killed by SIGKILL`, `exit code 134`. */
  how: string;
  step: number;
  /** The system ended a process for want of memory meanwhile. */
  starved: boolean;
  /** The last lines of its log. */
  words: string;
}

/** What V8, TensorFlow and the C++ library say when an allocation fails. */
const pattern = /heap out of memory|bad_alloc|OOM when allocating|Cannot allocate memory|ENOMEM|ERR_WORKER_OUT_OF_MEMORY/;

const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

/** The error for a run that ended for want of memory; undefined where it ended otherwise. */
export function outOfMemory(folder: string, name: string, { how, step, starved, words }: Death): VoxelbookError | undefined {
  const killed = starved && /SIGKILL|process ended|exit code 137/.test(how);
  if (!killed && !pattern.test(words)) return undefined;
  const read = <T>(file: string): T | undefined => {
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
    } catch {
      return undefined;
    }
  };
  const forecast = read<Forecast>('forecast.json');
  const size = sizeOf(read('experiment.json'), read('plan.json'));
  const free = availableBytes();
  const needed = forecast ? `the forecast was ${gb(forecast.bytes.total)}` : 'there is no forecast yet';
  return new VoxelbookError(`run ${name} ran out of memory at step ${step}`, {
    code: 'out-of-memory',
    path: folder,
    given: `${how}, ${killed ? 'by the system for want of memory' : `saying "${pattern.exec(words)![0]}"`}; ${needed}, ${gb(free)} are free now`,
    expected: 'as much memory as the run needs, also for what else runs beside it',
    fix: `${forecast && size ? `${smaller(forecast, size, free)} ` : ''}Ask for more memory, or run less beside it; starting it again goes on from its last checkpoint.`,
  });
}

/** Patch and batch of a run, from its experiment and plan. */
function sizeOf(
  order?: { experiment?: { configuration?: string } },
  plan?: { configurations?: Record<string, { patch_size?: number[]; batch_size?: number }> },
): { patch: number[]; batchSize: number } | undefined {
  const { patch_size: patch, batch_size: batchSize } = plan?.configurations?.[order?.experiment?.configuration ?? ''] ?? {};
  return patch && batchSize ? { patch, batchSize } : undefined;
}

/** The first smaller batch or patch that fits, by the share of the forecast that grows with them. */
function smaller({ bytes }: Forecast, { patch, batchSize }: { patch: number[]; batchSize: number }, free: number): string {
  const growing = bytes.activations + bytes.batches;
  const needs = (share: number) => bytes.total - growing * (1 - share);
  const voxels = (sides: number[]) => sides.reduce((a, b) => a * b, 1);
  const half = patch.map((n) => Math.ceil(n / 2));
  const tries: [string, number][] = [
    ['batch size 1', 1 / batchSize],
    [`patch [${half}] and batch size 1`, voxels(half) / voxels(patch) / batchSize],
  ];
  for (const [setting, share] of tries)
    if (share < 1 && needs(share) < free) return `With ${setting} it needs about ${gb(needs(share))}.`;
  return 'No smaller batch fits into what is free.';
}
