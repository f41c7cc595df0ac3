// What is wrong with one case, found by reading its files; runs in a worker.
import { createHash } from 'node:crypto';
import path from 'node:path';
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { isPicture, type Volume } from '../volume/index.js';
import { contentOf, type KnownContent, statOf } from './content.js';
import type { CaseFiles, DatasetJson } from './dataset.js';
import { labels, maxLabel } from './labels.js';
import { readAs } from './reader.js';
import { filesOf, spacingFile } from './sideFile.js';

export interface CheckJob {
  id: string;
  files: CaseFiles;
  /** Paths are shown from here. */
  folder: string;
  json: Pick<DatasetJson, 'channel_names' | 'labels' | 'label_order' | 'regions_class_order' | 'file_ending'>;
  /** Names of the channels' files end in `_0000`; not so where `dataset.json` lists the files. */
  numbered: boolean;
  /** A label file must be there. */
  labelled: boolean;
}

/** What reading a case told; plain JSON. */
export interface CaseFindings {
  faults: Fault[];
  warnings: Fault[];
  /** Labels with voxels. */
  labels: number[];
  /** Of the first image: voxels `[depth, height, width]`, mm; absent when it could not be read. */
  grid?: { shape: number[]; spacingMm: number[]; picture: boolean };
  /** Least and greatest value of each channel. */
  values: { low: number; high: number }[];
  /** SHA-256 of the first image's voxels; absent where all are the same. */
  image?: string;
  /** What its files held. */
  contents: Record<string, KnownContent>;
}

/** Reads every file of a case and lists what is wrong with it. */
export function caseFindings(job: CheckJob): CaseFindings {
  const { files, folder, json } = job;
  const faults = new FaultList();
  const warnings = new FaultList();
  const contents: CaseFindings['contents'] = {};
  for (const file of filesOf(files)) if (statOf(file)) contents[file] = contentOf(file);
  const at = (file: string) => path.relative(folder, file);
  const read = (file: string): Volume | undefined => {
    try {
      const onWarning = (text: string) =>
        warnings.add('geometry', at(file), text.replace(`${file}: `, ''), 'one geometry', 'Check the orientation in a viewer.');
      const volume = readAs(file, files.reader, { onWarning });
      if (volume.shape[0] > 1 && spacingFile(file) && !contents[spacingFile(file)!]) {
        const beside = at(spacingFile(file)!);
        warnings.add('stack-spacing', at(file), 'no voxel size; 1 mm assumed', `${beside} {"spacing": [z, y, x]}`, 'Write it.');
      }
      return volume;
    } catch (error) {
      if (!(error instanceof VoxelbookError)) throw error;
      for (const f of error.faults) faults.add(f.code, at(file), f.given, f.expected, f.fix);
      return undefined;
    }
  };
  const images = files.images.flatMap((file): [string, Volume][] => {
    const volume = read(file);
    return volume ? [[file, volume]] : [];
  });
  channelFaults(job, images, faults);
  const values = images.flatMap(([file, volume]) => checkValues(at(file), volume, faults, warnings));
  if (!files.label && job.labelled) labelMissing(job, faults);
  const label = files.label && statOf(files.label) ? read(files.label) : undefined;
  if (files.label && !contents[files.label]) labelMissing(job, faults);
  const seen = label ? checkLabel(at(files.label!), label, json, faults) : [];
  const [first] = images;
  const found = { faults: faults.faults, warnings: warnings.faults, labels: seen, values, contents };
  if (!first) return found;
  const others = [...images.slice(1), ...(label ? [[files.label!, label] as [string, Volume]] : [])];
  for (const [file, volume] of others) checkGeometry(at(file), volume, at(first[0]), first[1], faults, warnings);
  const [, image] = first;
  const grid = { shape: [...image.shape], spacingMm: [...image.spacingMm], picture: isPicture(image) };
  if (values.every(({ low, high }) => low === high)) return { ...found, grid };
  const { data } = image;
  const digest = createHash('sha256').update(`${image.shape} ${image.channels}`);
  return { ...found, grid, image: digest.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest('hex') };
}

/** The four digits before the ending. */
const numberOf = (file: string, ending: string) => Number(/_(\d{4})$/.exec(path.basename(file).slice(0, -ending.length))?.[1]);

/** Files numbered from 0 without a gap, together as many channels as `dataset.json` names; one file may hold them all. */
function channelFaults({ id, files, json, numbered }: CheckJob, images: readonly [string, Volume][], faults: FaultList): void {
  const names = Object.values(json.channel_names);
  const given = files.images.map((file) => (numbered ? `_${pad(numberOf(file, json.file_ending))}` : path.basename(file)));
  const wanted = `${names.length} ${names.length === 1 ? 'channel' : 'channels'} (${names
    .map((name, c) => (numbered ? `_${pad(c)} ${name}` : name))
    .join(', ')})`;
  const refuse = (found: string, fix: string) => faults.add('channels', id, found, wanted, fix);
  const list = `${given.length} ${given.length === 1 ? 'file' : 'files'} (${given.join(', ')})`;
  if (numbered) {
    const gap = files.images.findIndex((file, c) => numberOf(file, json.file_ending) !== c);
    if (gap >= 0) {
      refuse(list, `The file of channel _${pad(gap)} is missing: names count from _0000 without a gap.`);
      return;
    }
  }
  if (images.length !== files.images.length) return;
  const channels = images.reduce((sum, [, v]) => sum + v.channels, 0);
  if (channels === names.length) return;
  const inFiles = channels === given.length ? list : `${channels} channels in ${list}`;
  const cases = names.length === 1 && channels === given.length;
  const fixes = {
    few: 'Add the missing files, or correct channel_names.',
    many: 'Remove a file, or correct channel_names.',
    cases: `If these are ${channels} cases, name them <case>_0000${json.file_ending}: the last four digits are the channel. Else correct channel_names.`,
  };
  refuse(inFiles, channels < names.length ? fixes.few : cases ? fixes.cases : fixes.many);
}

const pad = (n: number) => String(n).padStart(4, '0');

const labelMissing = ({ id, json, files, folder }: CheckJob, faults: FaultList) =>
  faults.add(
    'label-missing',
    files.label ? path.relative(folder, files.label) : `labelsTr/${id}${json.file_ending}`,
    'no file',
    'a label file for every training case',
    'Add it, or move the images to imagesTs.',
  );

/** @returns least and greatest value of each channel */
function checkValues(where: string, { data, channels }: Volume, faults: FaultList, warnings: FaultList) {
  let bad = 0;
  const found = Array.from({ length: channels }, () => ({ low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY }));
  for (let c = 0; c < channels; c++) {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = c; i < data.length; i += channels) {
      const v = data[i];
      if (v < low) low = v;
      if (v > high) high = v;
      // NaN and the infinities alone are not equal to themselves after subtraction.
      if (v - v !== 0) bad++;
    }
    found[c] = { low, high };
  }
  const low = Math.min(...found.map((f) => f.low));
  if (bad > 0)
    faults.add(
      'not-finite',
      where,
      `${bad} voxels are NaN or infinite`,
      'finite numbers',
      'Replace them, for example by 0, and write the file again.',
    );
  else if (found.every((f) => f.low === low && f.high === low))
    warnings.add('constant', where, `${low} everywhere`, 'an image with contrast', 'Check that the right file was exported.');
  return found;
}

/** How many voxels each value has. */
export function countValues(data: ArrayLike<number>): Map<number, number> {
  const found = new Map<number, number>();
  let last = Number.NaN;
  let run = 0;
  const add = () => run > 0 && found.set(last, (found.get(last) ?? 0) + run);
  for (let i = 0; i < data.length; i++) {
    if (data[i] === last || (run > 0 && Number.isNaN(last) && Number.isNaN(data[i]))) {
      run++;
      continue;
    }
    add();
    last = data[i];
    run = 1;
  }
  add();
  return found;
}

/** `9 (5 voxels), 12 (1 voxels)`, at most eight of them. */
const listed = (entries: [number, number][]) =>
  entries
    .slice(0, 8)
    .map(([l, n]) => `${l} (${n} voxels)`)
    .join(', ');

/** Faults of the values of a label map, whatever the labels are called: whole numbers from 0 to `maxLabel`. */
export function labelValueFaults(where: string, found: ReadonlyMap<number, number>, faults: FaultList): void {
  const broken = [...found].filter(([l]) => !Number.isInteger(l));
  const outside = [...found].filter(([l]) => Number.isInteger(l) && (l < 0 || l > maxLabel)).sort(([a], [b]) => a - b);
  if (broken.length > 0)
    faults.add(
      'label-values',
      where,
      listed(broken),
      'whole numbers',
      'Labels were interpolated or scaled; export them again with nearest neighbour.',
    );
  if (outside.length > 0)
    faults.add(
      'label-range',
      where,
      listed(outside),
      `labels from 0 to ${maxLabel}`,
      'Give these voxels a label of their own in this range (what is to be left out: "ignore").',
    );
}

function checkLabel(where: string, { data, channels }: Volume, json: CheckJob['json'], faults: FaultList): number[] {
  if (channels !== 1) {
    faults.add('label-channels', where, `${channels} channels`, 'one label per voxel', 'Write a label file with one channel.');
    return [];
  }
  const found = countValues(data);
  labelValueFaults(where, found, faults);
  const { all, ignoreLabel } = labels(json);
  const known = new Set(ignoreLabel === null ? all : [...all, ignoreLabel]);
  const unknown = [...found].filter(([l]) => Number.isInteger(l) && l >= 0 && l <= maxLabel && !known.has(l));
  const mask = unknown.length === 1 && unknown[0][0] === 255;
  if (unknown.length > 0)
    faults.add(
      'label-unknown',
      where,
      listed(unknown.sort(([a], [b]) => a - b)),
      `labels ${[...known].join(', ')}`,
      mask && known.size === 2 && known.has(1)
        ? 'A mask of 0 and 255: npx voxelbook check --fix makes it 0 and 1 and keeps a copy.'
        : 'Name the label in dataset.json, or correct the file.',
    );
  return [...found.keys()].filter((l) => Number.isInteger(l));
}

/** Grid of one file of a case against the first image's: shape and spacing must be the same, origin and direction should be. */
export function checkGeometry(
  where: string,
  volume: Volume,
  firstName: string,
  first: Volume,
  faults: FaultList,
  warnings: FaultList,
): void {
  const same = (a: readonly number[], b: readonly number[], tolerance: number) =>
    a.every((v, i) => Math.abs(v - b[i]) <= tolerance);
  // Relative, as numpy's allclose: voxels may be micrometres or centimetres.
  const alike = (a: readonly number[], b: readonly number[]) => a.every((v, i) => Math.abs(v - b[i]) <= 1e-3 * b[i]);
  const mm = (list: readonly number[]) => `${list.map((v) => +v.toPrecision(6)).join('×')} mm`;
  if (!same(volume.shape, first.shape, 0))
    faults.add(
      'shape',
      where,
      volume.shape.join('×'),
      `${first.shape.join('×')} as ${firstName}`,
      'Resample the file onto the image grid.',
    );
  if (!alike(volume.spacingMm, first.spacingMm))
    faults.add(
      'spacing',
      where,
      mm(volume.spacingMm),
      `${mm(first.spacingMm)} as ${firstName}`,
      'Copy the geometry of the image if the grids are the same.',
    );
  const fix = 'Check in a viewer that image and label overlap.';
  const moved = (a: readonly number[], b: readonly number[]) =>
    !same(a, b, Math.max(1e-2 * Math.min(1, ...first.spacingMm), 1e-5 * Math.max(...b.map(Math.abs))));
  if (moved(volume.originMm, first.originMm))
    warnings.add(
      'origin',
      where,
      volume.originMm.map((v) => v.toFixed(2)).join(' '),
      `${first.originMm.map((v) => v.toFixed(2)).join(' ')} as ${firstName}`,
      fix,
    );
  if (!same(volume.direction, first.direction, 1e-2))
    warnings.add(
      'direction',
      where,
      volume.direction.map((v) => v.toFixed(2)).join(' '),
      `${first.direction.map((v) => v.toFixed(2)).join(' ')} as ${firstName}`,
      fix,
    );
}
