// Public data sets into nnU-Net v2's raw layout. `datasets/*.json` says what each set is, where to apply for it and how it comes.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson, sweepTemporaryFiles } from '../../base/atomicWrite.js';
import { refuseIfDiskTooSmall } from '../../base/disk.js';
import { FaultList, VoxelbookError } from '../../base/errors.js';
import { runJobs } from '../../base/pool.js';
import type { WorkOptions } from '../../base/progress.js';
import { type Descriptor, descriptor } from '../descriptor.js';
import { groupsFile } from '../groups.js';
import { rawFolder } from '../listed/write.js';
import { workersForCases } from '../workersForCases.js';
import { anyMsd, converters, type Source } from './converters.js';
import { type ConvertJob, readSource } from './job.js';
import { msdFolder } from './msd.js';
import type { SourceCase } from './source.js';
import { isWritten } from './writeCase.js';

/** Names of the public data sets that can be converted. */
export const publicNames = Object.keys(converters);

/** How a downloaded set becomes a raw folder. */
export interface ConvertOptions extends WorkOptions {
  /** Where `DatasetXXX_…` goes; default the environment's `nnUNet_raw`, else the own data folder. */
  root?: string;
  /** Threads; default as many as this process may use, as far as the largest case fits into memory so many times. */
  workers?: number;
}

/**
 * Converts a public data set as it was downloaded, several cases at a time. Can be interrupted: complete cases are not written again,
 * and `dataset.json` appears last.
 * @param name a public set's name, or `MSD` for any task of the Decathlon, by its folder's name
 * @param source folder of the published layout (`descriptor(name).sourceLayout`)
 * @returns the raw folder, for `dataset.open`
 * @throws VoxelbookError with everything missing in the source, before anything is written; with every case that cannot be converted,
 *   after the others are done
 */
export async function convert(name: string, source: string, { root, workers, ...options }: ConvertOptions = {}): Promise<string> {
  const about = name === anyMsd.name ? undefined : descriptor(name);
  const known = about?.name ?? anyMsd.name;
  const faults = new FaultList();
  const target = about?.folder ?? msdFolder(source) ?? unknownTask(source);
  const read = readSource(known, source, faults);
  if (read.cases.length === 0 && faults.faults.length === 0)
    faults.add('source-layout', source, 'no case', layoutOf(about), `Get the data: ${about?.apply ?? 'medicaldecathlon.com'}.`);
  faults.throwIfAny(`${source} is not ${about?.title ?? 'a task of the Decathlon'} as published`);
  const folder = rawFolder(target, root);
  for (const part of ['imagesTr', 'labelsTr', 'imagesTs', 'labelsTs']) {
    fs.mkdirSync(path.join(folder, part), { recursive: true });
    sweepTemporaryFiles(path.join(folder, part));
  }
  await writeCases(read, { name: known, source, folder }, { workers, ...options });
  writeGroups(read, folder);
  atomicWriteJson(path.join(folder, 'dataset.json'), read.json);
  return folder;
}

async function writeCases(
  { cases, json }: Source,
  where: Omit<ConvertJob, 'id' | 'test'>,
  options: Omit<ConvertOptions, 'root'>,
): Promise<void> {
  const open = cases.filter((one) => !isWritten(where.folder, one, json.file_ending));
  if (open.length === 0) return;
  // As they come, so they go: most files are copied, the others are compressed as well.
  const bytes = open.flatMap(filesOf).reduce((sum, file) => sum + fs.statSync(file).size, 0);
  const elsewhere = 'choose a folder on a larger disk with --root or nnUNet_raw';
  refuseIfDiskTooSmall(where.folder, bytes, { what: 'images and labels', elsewhere });
  const jobs = open.map(({ id, test = false }): ConvertJob => ({ ...where, id, test }));
  const first = open.flatMap(filesOf);
  const channels = Math.max(...open.map(({ images }) => (Array.isArray(images) ? 1 : images.channels)));
  // All channels of one file and each by itself; labels as read and as whole numbers.
  const workers = options.workers ?? workersForCases(first, 8 * channels + 16);
  await runJobs(new URL('./worker.js', import.meta.url), jobs, { what: 'convert', ...options, workers });
}

/** The files of a case that are known before its voxels are read. */
const filesOf = ({ images, label }: SourceCase): string[] =>
  [Array.isArray(images) ? images : images.file, label].flat().filter((from): from is string => typeof from === 'string');

/** Patients with several cases stay on one side of every split; a person's own groups are left as they are. */
function writeGroups({ cases }: Source, folder: string): void {
  const grouped = cases.filter((c) => !c.test && c.group !== undefined);
  if (grouped.length === 0 || fs.existsSync(groupsFile(folder))) return;
  atomicWriteJson(groupsFile(folder), Object.fromEntries(grouped.map(({ id, group }) => [id, group])));
}

const layoutOf = (about: Descriptor | undefined) => about?.sourceLayout.join('; ') ?? 'TaskXX_Name/imagesTr/<case>.nii.gz';

function unknownTask(source: string): never {
  throw new VoxelbookError('it is not clear which task of the Decathlon this is', {
    code: 'source-layout',
    path: source,
    given: path.basename(source),
    expected: 'a folder named as published: Task04_Hippocampus',
    fix: 'Rename the folder, or name the set: MSD04_Hippocampus.',
  });
}
