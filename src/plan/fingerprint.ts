// The fingerprint of a data set: what the planner needs to know of it (nnU-Net v2 `DatasetFingerprintExtractor`).
import { NumpyRandom } from '../base/numpy/mt19937.js';
import { type PoolOptions, runJobs } from '../base/pool.js';
import type { WorkOptions } from '../base/progress.js';
import { product } from '../base/shape.js';
import { gate } from '../dataset/check.js';
import type { CaseFiles, Dataset } from '../dataset/dataset.js';
import { loadCase } from '../dataset/loadCase.js';
import { workersForCases } from '../dataset/workersForCases.js';
import { cropToNonzero } from '../volume/index.js';
import { type Drawn, drawForeground, statistics } from './intensities.js';
import { median } from './numbers.js';
import type { Fingerprint } from './plan.js';
import { displayFingerprint } from './show.js';

/** How a fingerprint is measured. */
export interface FingerprintOptions extends WorkOptions {
  /** Threads; default one per core, as far as the largest case fits into memory so many times. */
  workers?: number;
  /** Foreground draws over the whole data set; nnU-Net draws 1e8, the default. Fewer are faster and hardly differ. */
  draws?: number;
}

export interface FingerprintJob {
  id: string;
  files: CaseFiles;
  drawsPerCase: number;
}

export interface CaseFingerprint {
  shape: number[];
  spacing: number[];
  relativeSize: number;
  channels: Drawn[];
}

/**
 * Reads every training case: spacing, shape after cropping, intensities of foreground voxels.
 * @returns nnU-Net's `dataset_fingerprint.json`, key for key; plain JSON that shows itself as a table
 * @throws VoxelbookError with all faults of the data set before anything is drawn
 */
export async function fingerprint(dataset: Dataset, { draws = 1e8, ...options }: FingerprintOptions = {}): Promise<Fingerprint> {
  await gate(dataset, options);
  const drawsPerCase = Math.floor(draws / Math.max(1, dataset.cases.length));
  const jobs = dataset.cases.map((files): FingerprintJob => ({ id: files.id, files, drawsPerCase }));
  // A case as read and as float32, cropped; its labels; the foreground of a channel with the order of its values.
  const perVoxel = 10 * Object.keys(dataset.json.channel_names).length + 26;
  const images = dataset.cases.flatMap((files) => files.images.slice(0, 1));
  const pool: PoolOptions = { ...options, workers: options.workers ?? workersForCases(images, perVoxel), what: 'fingerprint' };
  const cases = await runJobs<FingerprintJob, CaseFingerprint>(new URL('./fingerprintWorker.js', import.meta.url), jobs, pool);
  return joinFingerprints(cases, Object.keys(dataset.json.channel_names).length);
}

/** One case's part: a fresh generator of seed 1234, channel after channel. */
export function caseFingerprint({ files, drawsPerCase }: FingerprintJob): CaseFingerprint {
  const { image, label } = loadCase(files);
  const cropped = cropToNonzero(image.data, image.shape, image.channels, label?.data);
  const random = new NumpyRandom(1234);
  let n = 0;
  for (let i = 0; i < cropped.seg.length; i++) if (cropped.seg[i] > 0) n++;
  const channels: Drawn[] = [];
  for (let c = 0; c < image.channels; c++) {
    const values = new Float32Array(n);
    for (let i = 0, at = 0; i < cropped.seg.length; i++)
      if (cropped.seg[i] > 0) values[at++] = cropped.image[i * image.channels + c];
    channels.push(n > 0 ? drawForeground(values, drawsPerCase, random) : { values });
  }
  return {
    shape: [...cropped.shape],
    spacing: [...image.spacingMm],
    relativeSize: product(cropped.shape) / product(image.shape),
    channels,
  };
}

/** All cases' parts as nnU-Net's JSON. */
export function joinFingerprints(cases: readonly CaseFingerprint[], channels: number): Fingerprint {
  const perChannel = Array.from(
    { length: channels },
    (_, c) => [String(c), statistics(cases.map((k) => k.channels[c]))] as const,
  );
  return displayFingerprint({
    foreground_intensity_properties_per_channel: Object.fromEntries(perChannel),
    median_relative_size_after_cropping: median(cases.map((c) => c.relativeSize)),
    shapes_after_crop: cases.map((c) => c.shape),
    spacings: cases.map((c) => c.spacing),
  });
}
