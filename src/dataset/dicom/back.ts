// Predicted labels back as DICOM segmentations of the series that they were predicted on.
import fs from 'node:fs';
import path from 'node:path';
import { type Fault, VoxelbookError } from '../../base/errors.js';
import { progressOf, type WorkOptions } from '../../base/progress.js';
import { endingOf, orderDicomSeries, readVolume, writeDicomSeg } from '../../volume/index.js';
import { exactLabels } from '../convert/exactLabels.js';
import { readDatasetJson } from '../datasetJson.js';
import { isMacFile } from '../names.js';
import { caseIdOf, scan, seriesList } from './scan.js';

/** How predicted labels become DICOM segmentations. */
export interface BackOptions extends WorkOptions {
  /** A dataset.json whose labels name the segments; default that beside the labels. */
  names?: string;
  workers?: number;
}

/**
 * Writes a DICOM segmentation for every label file.
 * @param labels a label file, or a folder of them, named by case as `convertDicom` names them (a single file of a single series by any name)
 * @param source the folder of the series
 * @param out a folder: `<case>.dcm`
 * @returns the files written
 */
export async function dicomSegOf(labels: string, source: string, out: string, options: BackOptions = {}): Promise<string[]> {
  const single = fs.statSync(labels, { throwIfNoEntry: false })?.isFile() ?? false;
  const folder = single ? path.dirname(labels) : labels;
  const entries = single ? [path.basename(labels)] : fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [];
  const files = entries.filter((name) => endingOf(name) !== undefined && !isMacFile(name));
  const { series } = await scan(source, options);
  const byId = new Map([...series].map(([uid, headers]) => [caseIdOf(uid), headers]));
  const [only] = byId.values();
  const faults: Fault[] = [];
  const pairs = files.flatMap((name) => {
    const id = name.slice(0, -endingOf(name)!.length);
    const headers = byId.get(id) ?? (single && byId.size === 1 ? only : undefined);
    if (headers) return [{ id, file: path.join(folder, name), headers }];
    const ids = [...byId.keys()].join(', ');
    faults.push({
      code: 'dicom-series',
      path: name,
      given: 'labels of no series there',
      expected: `one of ${ids}`,
      fix: `The series: ${seriesList(series)}.`,
    });
    return [];
  });
  if (files.length === 0)
    faults.push({
      code: 'labels',
      path: labels,
      given: 'no label file',
      expected: 'case_….nii.gz',
      fix: 'Give the folder of predictions.',
    });
  if (faults.length > 0) throw new VoxelbookError('these labels cannot go back', faults);
  const names = namesOf(options.names ?? path.join(folder, 'dataset.json'), options.names !== undefined);
  fs.mkdirSync(out, { recursive: true });
  const report = progressOf(pairs.length, options);
  const written: string[] = [];
  for (const [i, { id, file, headers }] of pairs.entries()) {
    report(i, `write ${id}`);
    const volume = exactLabels(readVolume(file, { onWarning: () => {} }), file);
    const to = path.join(out, `${id}.dcm`);
    await writeDicomSeg(to, volume, orderDicomSeries(headers), names);
    written.push(to);
  }
  report(pairs.length, 'written');
  return written;
}

function namesOf(file: string, asked: boolean): Map<number, string> {
  if (!asked && !fs.existsSync(file)) return new Map();
  const { labels } = readDatasetJson(file);
  return new Map(
    Object.entries(labels).flatMap(([name, label]): [number, string][] => (Array.isArray(label) ? [] : [[label, name]])),
  );
}
