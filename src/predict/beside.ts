// What a case needs besides its network, in a thread of its own: it is read and preprocessed while the case before it is computed, and
// written while the next one is.
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { runJobs } from '../base/pool.js';
import { isBroughtHere } from '../base/registry.js';
import { product } from '../base/shape.js';
import { threadBytes } from '../base/threads.js';
import type { CaseFiles } from '../dataset/dataset.js';
import { labels } from '../dataset/labels.js';
import { loadCase } from '../dataset/loadCase.js';
import { writeAs } from '../dataset/reader.js';
import { configuration } from '../plan/configuration.js';
import { forecastOf } from '../preprocess/memory.js';
import type { PreprocessedCase } from '../preprocess/preprocessCase.js';
import { readGrid, voxelCount } from '../volume/index.js';
import { type CaseModel, readyCase } from './case.js';
import { writeProbabilities } from './ensemble.js';
import type { Restored } from './restore.js';
import { padToPatch } from './tiles.js';

interface ReadJob extends Pick<CaseModel, 'plan' | 'configuration' | 'dataset'> {
  kind: 'read';
  id: string;
  /** In a cascade the label is the previous stage's. */
  files: CaseFiles;
}

interface WriteJob extends Omit<Restored, 'shape'> {
  kind: 'write';
  id: string;
  files: CaseFiles;
  output: string;
  ending: string;
  shape: Restored['shape'];
  geometry: Pick<PreprocessedCase['properties'], 'spacing' | 'originMm' | 'direction'>;
}

export type BesideJob = ReadJob | WriteJob;

/** One job, here or in its thread. */
export function besideJob(job: BesideJob, stage: (name: string) => void = () => {}): PreprocessedCase | undefined {
  stage(job.kind);
  if (job.kind === 'read') {
    const loaded = loadCase(job.files);
    return readyCase(job, loaded, loaded.label);
  }
  const { id, files, output, ending, labels: data, probabilities, shape, geometry } = job;
  const { spacing, originMm, direction } = geometry;
  if (probabilities) writeProbabilities(output, id, probabilities, [...shape, probabilities.length / data.length]);
  const spacingMm = spacing as [number, number, number];
  writeAs(path.join(output, id + ending), { data, shape, channels: 1, spacingMm, originMm, direction }, files);
  return undefined;
}

/** Below so many voxels reading takes less than starting a thread. */
const worthwhile = 2e6;

/** Reads and writes the cases of one prediction. */
export class Beside {
  private readonly about: Pick<ReadJob, 'plan' | 'configuration' | 'dataset'>;
  private readonly channels: number;
  private readonly heads: number;

  /** @param bytes that cases on their way may take besides the one that is computed */
  constructor(
    private readonly model: CaseModel,
    private readonly keepProbabilities: boolean,
    private readonly bytes: () => number,
  ) {
    const { plan, configuration, dataset } = model;
    // Plain data, as a thread gets it: what shows a plan as a table stays behind.
    this.about = JSON.parse(JSON.stringify({ plan, configuration, dataset }));
    this.channels = Object.keys(dataset.channel_names).length;
    this.heads = labels(dataset).heads;
  }

  /** Whether the next case may be read, and the last one written, while this one is computed. */
  fits(source: PreprocessedCase, next: CaseFiles): boolean {
    // Parts that a cell or a test brought are in no other thread.
    if (isBroughtHere()) return false;
    const voxels = voxelsIn(next);
    if (voxels < worthwhile) return false;
    const { plan, configuration: name } = this.model;
    // The previous stage's labels, a channel for each, are in no forecast.
    if (configuration(plan, name).previous_stage) return false;
    const reading = forecastOf(next, plan, name, this.channels) + threadBytes;
    return reading + this.writing(source) + threadBytes + this.computing(source) <= this.bytes();
  }

  /** Labels twice, packed, and probabilities twice where they are kept. */
  private writing({ properties }: PreprocessedCase): number {
    return product(properties.shape_before_cropping) * (4 + (this.keepProbabilities ? 8 * this.heads : 0));
  }

  /** Accumulators of the sliding window, slices on their way back to the image, labels and probabilities; the network's own come besides. */
  private computing({ shape, properties }: PreprocessedCase): number {
    const { plan, configuration: name, patchSize = configuration(plan, name).patch_size } = this.model;
    const patch = patchSize.length === 2 ? [1, ...patchSize] : [...patchSize];
    const { padded } = padToPatch(shape, patch);
    const depth = Math.max(...patch.map((n, axis) => n / padded[axis])) * product(padded);
    const target = properties.shape_after_cropping_and_before_resampling;
    const slice = Math.max(product(padded) / Math.min(...padded), product(target) / Math.min(...target));
    const kept = product(properties.shape_before_cropping) * (2 + (this.keepProbabilities ? 4 * this.heads : 0));
    return 4 * (this.heads + 1) * depth + 28 * this.heads * slice + kept;
  }

  /** Reads a case here. */
  read = (files: CaseFiles): PreprocessedCase => besideJob(this.readJob(files))!;

  /** Reads a case in a thread. */
  async readAhead(files: CaseFiles, signal: AbortSignal): Promise<PreprocessedCase> {
    const [found] = await runJobs<BesideJob, PreprocessedCase>(worker, [this.readJob(files)], {
      what: 'read',
      workers: 1,
      signal,
    });
    return found;
  }

  private readJob = (files: CaseFiles): ReadJob => ({ kind: 'read', id: files.id, files, ...this.about });

  /** Writes a case, in a thread where `beside`. */
  async write(job: Omit<WriteJob, 'kind'>, beside: boolean): Promise<void> {
    const whole: WriteJob = { kind: 'write', ...job };
    // No signal: a case that is computed is written to its end, whatever is stopped meanwhile.
    if (!beside) return void besideJob(whole);
    await runJobs<BesideJob, undefined>(worker, [whole], { what: 'write', workers: 1 }).catch((error) => {
      if (!threadDied(error)) throw error;
      besideJob(whole);
    });
  }
}

/** Whether a job failed because its thread did: of too little memory, which says nothing about the case. */
export const threadDied = (error: unknown): boolean =>
  error instanceof VoxelbookError && error.faults.every(({ code }) => code === 'worker-died');

const worker = new URL('./besideWorker.js', import.meta.url);

/** Voxels of a case by its header; 0 for pictures and for what is named as damaged when it is read. */
function voxelsIn({ images }: CaseFiles): number {
  try {
    const grid = readGrid(images[0]);
    return grid ? voxelCount(grid) * images.length : 0;
  } catch {
    return 0;
  }
}
