// A folder of DICOM files looked through: image series, segmentations, and what was neither. Names of files and folders say nothing.
import fs from 'node:fs';
import path from 'node:path';
import { sha256 } from '../../base/checksum.js';
import { type Fault, VoxelbookError } from '../../base/errors.js';
import { runJobs } from '../../base/pool.js';
import type { WorkOptions } from '../../base/progress.js';
import { type DicomHeader, dicomSeriesName, type ImageHeader, type SegHeader } from '../../volume/index.js';

export interface DicomFolder {
  /** Files of each image series, by its UID. */
  series: Map<string, ImageHeader[]>;
  segs: SegHeader[];
  /** Objects that are no images, by modality. */
  others: Map<string, number>;
}

export interface ScanJob {
  kind: 'scan';
  id: string;
  files: string[];
}

/** The worker of this room. */
export const workerUrl = new URL('./worker.js', import.meta.url);

/**
 * The id of a series' case: no name, number or date of the patient, the same whenever the series is converted again, and found again when
 * a prediction goes back.
 */
export const caseIdOf = (uid: string) => `case_${sha256(uid).slice(0, 12)}`;

/** Files below a folder; links are not followed. */
function filesBelow(folder: string): string[] {
  const found: string[] = [];
  const open = [folder];
  while (open.length > 0) {
    const at = open.pop()!;
    for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      if (entry.isDirectory()) open.push(path.join(at, entry.name));
      else if (entry.isFile()) found.push(path.join(at, entry.name));
    }
  }
  return found.sort();
}

/**
 * Reads the header of every file below a folder, in workers.
 * @throws VoxelbookError for damaged files, and where there is no DICOM image
 */
export async function scan(folder: string, options: WorkOptions & { workers?: number }): Promise<DicomFolder> {
  const refuse = (given: string) =>
    new VoxelbookError(`${folder} holds no images`, {
      code: 'dicom-none',
      path: folder,
      given,
      expected: 'a folder with DICOM images, at any depth',
      fix: 'Check the path.',
    });
  if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw refuse('no such folder');
  const files = filesBelow(folder);
  const each = 128;
  const jobs = Array.from({ length: Math.ceil(files.length / each) }, (_, i): ScanJob => {
    const part = files.slice(i * each, (i + 1) * each);
    return { kind: 'scan', id: `files ${i * each + 1} to ${i * each + part.length}`, files: part };
  });
  const headers = (await runJobs<ScanJob, DicomHeader[]>(workerUrl, jobs, { what: 'look at', ...options })).flat();
  refuseBad(folder, headers);
  const found: DicomFolder = { series: new Map(), segs: [], others: new Map() };
  for (const header of headers) {
    if (header.kind === 'image') found.series.set(header.series, [...(found.series.get(header.series) ?? []), header]);
    else if (header.kind === 'seg') found.segs.push(header);
    else if (header.kind === 'other') found.others.set(header.modality, (found.others.get(header.modality) ?? 0) + 1);
  }
  if (found.series.size === 0)
    throw refuse(files.length === 0 ? 'no file' : `${files.length} files, none with planes in a patient`);
  return found;
}

/** The same fault of many files is one fault. */
function refuseBad(folder: string, headers: readonly DicomHeader[]): void {
  const kinds = new Map<string, { fault: Fault; files: string[] }>();
  for (const header of headers) {
    if (header.kind !== 'bad') continue;
    const [fault] = header.faults;
    const key = `${fault.code} ${fault.given}`;
    kinds.set(key, { fault, files: [...(kinds.get(key)?.files ?? []), header.file] });
  }
  if (kinds.size === 0) return;
  throw new VoxelbookError(
    `${folder} holds files that cannot be read`,
    [...kinds.values()].map(({ fault, files }) => ({
      ...fault,
      path: files.length > 1 ? `${files[0]} and ${files.length - 1} more` : files[0],
    })),
  );
}

/** Every series in a line of its own, for a person to choose. */
export const seriesList = (series: ReadonlyMap<string, ImageHeader[]>) => [...series.values()].map(dicomSeriesName).join('; ');
