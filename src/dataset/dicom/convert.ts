// DICOM into nnU-Net v2's raw layout: a series is a case, segmentations that refer to it are its labels.
//
// Of a patient nothing gets out: NIfTI has no place for it, cases are named by a hash of their series' UID, groups by a case.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson, sweepTemporaryFiles } from '../../base/atomicWrite.js';
import { type Fault, FaultList, VoxelbookError } from '../../base/errors.js';
import { runJobs } from '../../base/pool.js';
import type { WorkOptions } from '../../base/progress.js';
import { type ImageHeader, orderDicomSeries, readDicomSegments, type Segment } from '../../volume/index.js';
import { groupsFile } from '../groups.js';
import { rawFolder, refuseName } from '../listed/write.js';
import { caseIdOf, type DicomFolder, scan, seriesList, workerUrl } from './scan.js';

/** Which series become cases, and under what name. */
export interface DicomOptions extends WorkOptions {
  /** Name of the raw folder; default `Dataset500_Dicom`. */
  as?: string;
  /** UIDs of the series to take; default those that segmentations refer to, else all where every study has one. */
  series?: readonly string[];
  /** Where the raw folder goes; default the environment's `nnUNet_raw`, else the own data folder. */
  root?: string;
  workers?: number;
}

/** The raw folder that DICOM series became, and its cases. */
export interface DicomCases {
  folder: string;
  /** Cases with labels (imagesTr) and without (imagesTs). */
  training: string[];
  test: string[];
  /** What lay there and was not taken, in words. */
  left: string[];
}

/** One series to write, as plain data. */
export interface CaseJob {
  kind: 'case';
  id: string;
  headers: ImageHeader[];
  image: string;
  label?: { file: string; segs: { file: string; labels: Record<number, number> }[] };
}

interface Chosen {
  id: string;
  headers: ImageHeader[];
  segs: { file: string; segments: Segment[] }[];
}

/**
 * Converts a folder of DICOM files, at any depth and in any order. Complete cases are not written again.
 * @throws VoxelbookError with every series that is no regular volume, before anything is written; where a study has several series and none
 *   is chosen, with all of them by name
 */
export async function convertDicom(source: string, options: DicomOptions = {}): Promise<DicomCases> {
  const { as = 'Dataset500_Dicom', root, series: _series, ...work } = options;
  refuseName(as);
  const found = await scan(source, work);
  const cases = await choose(found, options.series);
  const names = labelNames(cases);
  const folder = rawFolder(as, root);
  for (const part of ['imagesTr', 'labelsTr', 'imagesTs']) {
    fs.mkdirSync(path.join(folder, part), { recursive: true });
    sweepTemporaryFiles(path.join(folder, part));
  }
  const jobs = cases.map((one) => jobOf(one, folder, names));
  const open = jobs.filter(({ image, label }) => !fs.existsSync(image) || (label && !fs.existsSync(label.file)));
  if (open.length > 0) await runJobs(workerUrl, open, { what: 'convert', ...work });
  const [training, test] = [cases.filter((c) => c.segs.length > 0), cases.filter((c) => c.segs.length === 0)];
  if (training.length > 0) writeJson(folder, training, names);
  const others = [...found.others].map(([modality, n]) => `${n} of ${modality}`);
  const untaken = found.series.size - cases.length;
  return {
    folder,
    training: training.map((c) => c.id),
    test: test.map((c) => c.id),
    left: [...(untaken > 0 ? [`${untaken} other series`] : []), ...others],
  };
}

/** The series to convert, each a regular volume, with the segmentations that refer to it. */
async function choose({ series, segs }: DicomFolder, wanted: readonly string[] | undefined): Promise<Chosen[]> {
  const faults = new FaultList();
  for (const { file, references } of segs)
    if (!series.has(references))
      faults.add(
        'seg-series',
        file,
        `a segmentation of series ${references || 'unknown'}`,
        'its series beside it',
        'Add the series, or take it out.',
      );
  for (const uid of wanted ?? [])
    if (!series.has(uid))
      faults.add('dicom-series', '--series', uid, `one of: ${seriesList(series)}`, 'Give the UID of a series that is there.');
  faults.throwIfAny('these DICOM files cannot be converted');
  const uids = wanted ?? chosenOf(series, segs);
  const chosen = [...new Set(uids)].map((uid) => ({ uid, headers: series.get(uid)! }));
  for (const { headers } of chosen)
    try {
      orderDicomSeries(headers);
    } catch (error) {
      if (!(error instanceof VoxelbookError)) throw error;
      faults.faults.push(...error.faults);
    }
  const modalities = new Set(chosen.map(({ headers }) => headers[0].modality));
  if (modalities.size > 1)
    faults.add(
      'dicom-modality',
      'modality',
      [...modalities].join(' and '),
      'one for a data set of one channel',
      'Choose the series of one with --series.',
    );
  faults.throwIfAny('these DICOM series cannot be converted');
  const made: Chosen[] = [];
  for (const { uid, headers } of chosen) {
    const own = segs.filter((seg) => seg.references === uid);
    made.push({
      id: caseIdOf(uid),
      headers,
      segs: await Promise.all(own.map(async ({ file }) => ({ file, segments: await readDicomSegments(file) }))),
    });
  }
  return made.sort((a, b) => (a.id < b.id ? -1 : 1));
}

function chosenOf(series: DicomFolder['series'], segs: DicomFolder['segs']): string[] {
  if (segs.length > 0) return segs.map((seg) => seg.references);
  const studies = new Map<string, string[]>();
  for (const [uid, [{ study }]] of series) studies.set(study, [...(studies.get(study) ?? []), uid]);
  const several = [...studies].filter(([, uids]) => uids.length > 1);
  if (several.length > 0)
    throw new VoxelbookError('it is not clear which series are meant', [
      ...several.map(
        ([study, uids]): Fault => ({
          code: 'dicom-series',
          path: `study ${study}`,
          given: `${uids.length} series: ${seriesList(new Map(uids.map((uid) => [uid, series.get(uid)!])))}`,
          expected: 'one series a study, or a choice',
          fix: 'Choose by UID: --series, once for each that is wanted.',
        }),
      ),
    ]);
  return [...series.keys()];
}

/**
 * Name → label. Where all files give the same number to a name, and each number to one name, these numbers count; else names in
 * alphabetical order.
 */
function labelNames(cases: readonly Chosen[]): Map<string, number> {
  const pairs = cases.flatMap(({ segs }) => segs.flatMap(({ segments }) => segments));
  const names = [...new Set(pairs.map((p) => p.label || `segment ${p.number}`))].sort();
  const numbersOf = (name: string) =>
    new Set(pairs.filter((p) => (p.label || `segment ${p.number}`) === name).map((p) => p.number));
  const taken = names.map(numbersOf);
  const numbers = taken.map((of) => [...of][0]);
  const agreed =
    taken.every((of) => of.size === 1) && new Set(numbers).size === names.length && Math.max(0, ...numbers) === names.length;
  return new Map(names.map((name, i) => [name, agreed ? numbers[i] : i + 1]));
}

function jobOf({ id, headers, segs }: Chosen, folder: string, names: ReadonlyMap<string, number>): CaseJob {
  const image = path.join(folder, segs.length > 0 ? 'imagesTr' : 'imagesTs', `${id}_0000.nii.gz`);
  if (segs.length === 0) return { kind: 'case', id, headers, image };
  const label = path.join(folder, 'labelsTr', `${id}.nii.gz`);
  const tables = segs.map(({ file, segments }) => ({
    file,
    labels: Object.fromEntries(segments.map((s) => [s.number, names.get(s.label || `segment ${s.number}`)!])),
  }));
  return { kind: 'case', id, headers, image, label: { file: label, segs: tables } };
}

function writeJson(folder: string, training: readonly Chosen[], names: ReadonlyMap<string, number>): void {
  const sorted = [...names].sort((a, b) => a[1] - b[1]);
  const patients = new Map<string, string>();
  const keyOf = ({ headers: [{ patient, study }] }: Chosen) => patient || study;
  for (const one of training) if (!patients.has(keyOf(one))) patients.set(keyOf(one), `patient of ${one.id}`);
  if (patients.size < training.length && !fs.existsSync(groupsFile(folder)))
    atomicWriteJson(groupsFile(folder), Object.fromEntries(training.map((one) => [one.id, patients.get(keyOf(one))])));
  atomicWriteJson(path.join(folder, 'dataset.json'), {
    channel_names: { '0': training[0].headers[0].modality },
    labels: { background: 0, ...Object.fromEntries(sorted) },
    numTraining: training.length,
    file_ending: '.nii.gz',
  });
}
