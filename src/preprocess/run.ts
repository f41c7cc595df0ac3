// Preprocessing a data set: cases side by side in workers, each made only if its files or settings changed.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson, sweepTemporaryFiles } from '../base/atomicWrite.js';
import { preprocessedFolder } from '../base/paths.js';
import { runJobs } from '../base/pool.js';
import type { WorkOptions } from '../base/progress.js';
import { type CaseFiles, type Dataset, type DatasetJson, labels, loadCase, splits } from '../dataset/index.js';
import { configuration } from '../plan/index.js';
import type { Plan } from '../plan/plan.js';
import { forecastBytes, workersThatFit } from './memory.js';
import { preprocessCase } from './preprocessCase.js';
import { saveCase, storedHash } from './store.js';

export interface PreprocessOptions extends WorkOptions {
  /** `<preprocessed>` folder of the data set; default below the data folder. */
  folder?: string;
  /** Threads; default one per core, as far as the largest case fits into memory so many times. */
  workers?: number;
}

export interface PreprocessResult {
  /** Folder of the cases: `<preprocessed>/<data_identifier>`. */
  folder: string;
  /** All cases, sorted. */
  cases: string[];
  /** Those made now; the others were there. */
  computed: string[];
}

export interface PreprocessJob {
  id: string;
  files: CaseFiles;
  plan: Plan;
  configuration: string;
  labels: Pick<DatasetJson, 'labels' | 'regions_class_order'>;
  folder: string;
}

/** Changing how a case is made changes this, and cases are made anew. */
const version = 'voxelbook-preprocess-3';

/**
 * Preprocesses every training case for one configuration.
 * Can be interrupted or killed at any time: finished cases stay, and are not made again while their files and settings are the same.
 * Beside the cases: `dataset.json`, `<plans_name>.json` and `splits_final.json` (kept if there is one) as nnU-Net places them.
 * @throws VoxelbookError with the faults of all cases that failed, after the others are done
 */
export async function run(
  dataset: Dataset,
  plan: Plan,
  configurationName: string,
  options: PreprocessOptions = {},
): Promise<PreprocessResult> {
  const base = options.folder ?? preprocessedFolder(dataset);
  const folder = path.join(base, configuration(plan, configurationName).data_identifier);
  fs.mkdirSync(folder, { recursive: true });
  sweepTemporaryFiles(folder);
  atomicWriteJson(path.join(base, 'dataset.json'), dataset.json);
  atomicWriteJson(path.join(base, `${plan.plans_name}.json`), plan);
  const ids = dataset.cases.map((c) => c.id);
  const splitsFile = path.join(base, 'splits_final.json');
  if (ids.length >= 5 && !fs.existsSync(splitsFile)) atomicWriteJson(splitsFile, splits(ids));
  const { labels: names, regions_class_order } = dataset.json;
  const shared = {
    plan: JSON.parse(JSON.stringify(plan)),
    configuration: configurationName,
    labels: { labels: names, regions_class_order },
    folder,
  };
  const all = dataset.cases.map((files): PreprocessJob => ({ id: files.id, files, ...shared }));
  const jobs = isSmall(dataset) ? all.filter((job) => !isFresh(job)) : all;
  const workers = options.workers ?? workersThatFit(forecastBytes(dataset, plan, configurationName));
  const pool = { ...options, workers, what: 'preprocess' };
  const made = await runJobs<PreprocessJob, boolean>(new URL('./worker.js', import.meta.url), jobs, pool);
  return { folder, cases: ids, computed: jobs.filter((_, i) => made[i]).map(({ id }) => id) };
}

/** Whether comparing all cases takes less than starting threads for it. */
function isSmall(dataset: Dataset): boolean {
  const files = dataset.cases.flatMap(({ images, label }) => [...images, ...(label ? [label] : [])]);
  return files.reduce((sum, file) => sum + (fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0) < 32e6;
}

/** Whether the case is there as it would be made now; a file that cannot be read is left to the making, which says so. */
function isFresh(job: PreprocessJob): boolean {
  try {
    return storedHash(job.folder, job.id) === contentHash(job);
  } catch {
    return false;
  }
}

/** One case in a worker. @returns whether it had to be made */
export function preprocessJob(job: PreprocessJob, stage: (name: string) => void): boolean {
  stage('compare');
  const hash = contentHash(job);
  if (storedHash(job.folder, job.id) === hash) return false;
  stage('read');
  const loaded = loadCase(job.files);
  const done = preprocessCase(loaded, job.plan, job.configuration, labels(job.labels), stage);
  stage('write');
  saveCase(job.folder, job.id, hash, done, configuration(job.plan, job.configuration).patch_size);
  return true;
}

/** Over the bytes of the case's files and everything of plan and labels that acts on it. */
function contentHash({ files, plan, configuration: name, labels: names }: PreprocessJob): string {
  const { spacing, normalization_schemes, use_mask_for_norm, resampling_fn_data_kwargs, resampling_fn_seg_kwargs } =
    configuration(plan, name);
  const settings = {
    version,
    spacing,
    normalization_schemes,
    use_mask_for_norm,
    resampling_fn_data_kwargs,
    resampling_fn_seg_kwargs,
    transpose: plan.transpose_forward,
    intensities: normalization_schemes.includes('CTNormalization') ? plan.foreground_intensity_properties_per_channel : null,
    names,
  };
  const hash = crypto.createHash('sha256').update(JSON.stringify(settings));
  for (const file of [...files.images, ...(files.label ? [files.label] : [])]) {
    const bytes = fs.readFileSync(file);
    hash.update(`${bytes.length} `).update(bytes);
  }
  return hash.digest('hex');
}
