// Preprocessing a data set: cases side by side in workers, each made only if its files or settings changed.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, sweepTemporaryFiles } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { refuseIfDiskTooSmall } from '../base/disk.js';
import { casesFolder, preprocessedFolder } from '../base/paths.js';
import { runJobs } from '../base/pool.js';
import type { WorkOptions } from '../base/progress.js';
import { workersThatFit } from '../base/threads.js';
import {
  type CaseFiles,
  Contents,
  type Dataset,
  type DatasetJson,
  datasetJsonText,
  filesOf,
  gate,
  keepSplits,
  labels,
  loadCase,
  open,
} from '../dataset/index.js';
import { configuration, needsStatistics, normalisationCode, storePlan } from '../plan/index.js';
import type { Plan } from '../plan/plan.js';
import { readerCode } from '../volume/index.js';
import { forecastBytes, forecastDiskBytes } from './memory.js';
import { preprocessCase } from './preprocessCase.js';
import { listCases, saveCase, storedHash } from './store.js';

/** Where the cases of a data set are prepared, and by how many threads. */
export interface PreprocessOptions extends WorkOptions {
  /** `<preprocessed>` folder of the data set; default below the data folder. */
  folder?: string;
  /** Threads; default one per core, as far as the largest case fits into memory so many times. */
  workers?: number;
}

/** What preparing a data set left; shows itself as a table. */
export interface PreprocessResult {
  /** Folder of the cases: `<preprocessed>/<data_identifier>`, see `casesFolder`. */
  folder: string;
  /** All cases, sorted. */
  cases: string[];
  /** Those made now; the others were there. */
  computed: string[];
}

export interface PreprocessJob {
  id: string;
  files: CaseFiles;
  /** SHA-256 of each of its files. */
  contents: string[];
  plan: Plan;
  configuration: string;
  labels: Pick<DatasetJson, 'labels' | 'label_order' | 'regions_class_order'>;
  folder: string;
}

/** Changing how a case is made changes this, and cases are made again. */
const version = 'voxelbook-preprocess-3';

/**
 * Preprocesses every training case for one configuration.
 * Can be interrupted or killed at any time: finished cases stay, and are not made again while their files and settings are the same.
 * What was made of cases that are no longer in the data set is removed.
 * Beside the cases: `dataset.json`, `<plans_name>.json` and `splits_final.json` (the last two kept if somebody wrote them) as nnU-Net places them.
 * @throws VoxelbookError with all faults of the data set before anything is made
 */
export async function run(
  dataset: Dataset,
  plan: Plan,
  configurationName: string,
  options: PreprocessOptions = {},
): Promise<PreprocessResult> {
  await gate(dataset, options);
  return runChecked(dataset, plan, configurationName, options);
}

/** The same for a data set that has been checked just now. */
export async function runChecked(
  dataset: Dataset,
  plan: Plan,
  configurationName: string,
  options: PreprocessOptions = {},
): Promise<PreprocessResult> {
  const base = options.folder ?? preprocessedFolder(dataset);
  const folder = casesFolder(base, configuration(plan, configurationName).data_identifier);
  fs.mkdirSync(folder, { recursive: true });
  sweepTemporaryFiles(folder);
  atomicWrite(path.join(base, 'dataset.json'), datasetJsonText(dataset.json));
  if (!fs.existsSync(path.join(base, `${plan.plans_name}.json`))) storePlan(base, plan);
  const ids = dataset.cases.map((c) => c.id);
  keepSplits(dataset, base);
  removeGone(dataset, folder);
  const { labels: names, label_order, regions_class_order } = dataset.json;
  const shared = {
    plan: JSON.parse(JSON.stringify(plan)),
    configuration: configurationName,
    labels: { labels: names, label_order, regions_class_order },
    folder,
  };
  const known = new Contents(dataset.folder);
  const all = dataset.cases.map((files): PreprocessJob => {
    const contents = filesOf(files).map((file) => known.sha256(file));
    return { id: files.id, files, contents, ...shared };
  });
  known.save();
  const jobs = all.filter((job) => storedHash(folder, job.id) !== contentHash(job));
  const result = { folder, cases: ids, computed: jobs.map(({ id }) => id) };
  if (jobs.length === 0) return result;
  const channels = Object.keys(dataset.json.channel_names).length;
  const waiting = new Set(jobs.map(({ id }) => id));
  const unmade = dataset.cases.filter(({ id }) => waiting.has(id));
  refuseIfDiskTooSmall(folder, forecastDiskBytes(unmade, { folder, plan, configuration: configurationName, channels }), {
    what: `${jobs.length} preprocessed cases`,
    elsewhere: 'set VOXELBOOK_DATA to a larger disk',
  });
  const workers = options.workers ?? workersThatFit(forecastBytes(dataset, plan, configurationName));
  const pool = { ...options, workers, what: 'preprocess' };
  await runJobs<PreprocessJob, void>(new URL('./worker.js', import.meta.url), jobs, pool);
  return result;
}

/** Removes what was made of cases that left the data set; a caller that gave a part of the cases loses nothing of the others. */
function removeGone(dataset: Dataset, folder: string): void {
  const ids = new Set(dataset.cases.map(({ id }) => id));
  const gone = listCases(folder).filter((id) => !ids.has(id));
  if (gone.length === 0 || !fs.existsSync(path.join(dataset.folder, 'dataset.json'))) return;
  const present = new Set(open(dataset.folder).cases.map(({ id }) => id));
  for (const id of gone.filter((name) => !present.has(name)))
    for (const ending of ['json', 'safetensors']) fs.rmSync(path.join(folder, `${id}.${ending}`), { force: true });
}

/** One case in a worker. */
export function preprocessJob(job: PreprocessJob, stage: (name: string) => void): void {
  stage('read');
  const loaded = loadCase(job.files);
  const done = preprocessCase(loaded, job.plan, job.configuration, labels(job.labels), stage);
  stage('write');
  saveCase(job.folder, job.id, contentHash(job), done, configuration(job.plan, job.configuration).patch_size);
}

/** Over the contents of the case's files and everything of plan and labels that acts on it. */
function contentHash({ files, contents, plan, configuration: name, labels: names }: PreprocessJob): string {
  const config = configuration(plan, name);
  const { spacing, normalization_schemes, use_mask_for_norm, resampling_fn_data_kwargs, resampling_fn_seg_kwargs } = config;
  const functions = [config.resampling_fn_data, config.resampling_fn_seg];
  const settings = {
    version,
    spacing,
    normalization_schemes,
    use_mask_for_norm,
    resampling_fn_data_kwargs,
    resampling_fn_seg_kwargs,
    // The default is not named, so that what was made before other functions were known stays.
    functions: functions.every((f) => f === 'resample_data_or_seg_to_shape') ? undefined : functions,
    transpose: plan.transpose_forward,
    intensities: needsStatistics(config) ? plan.foreground_intensity_properties_per_channel : null,
    names,
    reader: files.reader,
    contents,
    normalisationCode: normalisationCode(config),
    readerCode: readerCode([...files.images, files.label ?? []].flat()),
  };
  return sha256(JSON.stringify(settings));
}
