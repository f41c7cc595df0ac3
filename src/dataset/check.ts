// Integrity of a data set: every fault of every case in one report, before anything long starts.
import path from 'node:path';
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { displayed, shownTable } from '../base/show.js';
import { readVolume, type Volume } from '../volume/index.js';
import type { CaseFiles, Dataset } from './dataset.js';
import { labels } from './labels.js';

export interface IntegrityReport {
  cases: number;
  /** What must be mended before planning. */
  faults: Fault[];
  /** What a person should know; nnU-Net would go on. */
  warnings: Fault[];
}

/**
 * Reads every file of a data set and lists what is wrong with it.
 * Checked: files missing or unreadable, channels, shapes, spacing, origin and direction within a case, NaN and infinity, constant images,
 * labels that are no integers or have no name, names without voxels, number of cases.
 * @returns a report that shows itself as a table
 */
export async function check(dataset: Dataset, options: WorkOptions = {}): Promise<IntegrityReport> {
  const faults = new FaultList();
  const warnings = new FaultList();
  const report = progressOf(dataset.cases.length, options);
  const { json } = dataset;
  if (dataset.cases.length !== json.numTraining)
    faults.add(
      'num-training',
      'dataset.json numTraining',
      String(json.numTraining),
      `${dataset.cases.length}, the cases in imagesTr`,
      'Set it to the number of cases, or add the missing ones.',
    );
  const seen = new Set<number>();
  for (const [i, files] of dataset.cases.entries()) {
    report(i, `check ${files.id}`);
    checkCase(dataset, files, seen, faults, warnings);
    await new Promise(setImmediate);
  }
  for (const files of dataset.testCases) {
    report(dataset.cases.length, `check ${files.id}`);
    if (dataset.cases.some((c) => c.id === files.id))
      faults.add(
        'test-case',
        `imagesTs/${files.id}`,
        'also a training case',
        'test cases that training does not see',
        'Rename it, or take it out of one of the two folders.',
      );
    checkCase(dataset, files, new Set(), faults, warnings, true);
    await new Promise(setImmediate);
  }
  report(dataset.cases.length, 'checked');
  const { all } = labels(json);
  for (const label of all.filter((l) => l !== 0 && !seen.has(l)))
    if (dataset.cases.length > 0)
      warnings.add(
        'label-unused',
        `dataset.json label ${label}`,
        'no voxel in any case',
        'voxels of every label',
        'Remove the label if it is not part of the task.',
      );
  const rows = [...faults.faults.map((f) => ['fault', f]), ...warnings.faults.map((f) => ['warning', f])] as [string, Fault][];
  const caption = `${dataset.name}: ${dataset.cases.length} cases, ${faults.faults.length} faults, ${warnings.faults.length} warnings`;
  const table = shownTable(
    caption,
    ['', 'where', 'found', 'expected', 'do'],
    rows.map(([kind, f]) => [kind, f.path, f.given, f.expected, f.fix]),
  );
  return displayed({ cases: dataset.cases.length, faults: faults.faults, warnings: warnings.faults }, table);
}

function checkCase(
  dataset: Dataset,
  files: CaseFiles,
  seen: Set<number>,
  faults: FaultList,
  warnings: FaultList,
  test = false,
): void {
  const { json } = dataset;
  const wanted = Object.keys(json.channel_names).length;
  const images: [string, Volume][] = [];
  const at = (file: string) => path.relative(dataset.folder, file);
  const read = (file: string): Volume | undefined => {
    try {
      return readVolume(file, {
        onWarning: (text) => warnings.add('geometry', at(file), text, 'one geometry', 'Check the orientation in a viewer.'),
      });
    } catch (error) {
      if (!(error instanceof VoxelbookError)) throw error;
      for (const f of error.faults) faults.add(f.code, at(file), f.given, f.expected, f.fix);
      return undefined;
    }
  };
  for (const file of files.images) {
    const volume = read(file);
    if (volume) images.push([file, volume]);
  }
  const channels = images.reduce((sum, [, v]) => sum + v.channels, 0);
  if (images.length === files.images.length && channels !== wanted)
    faults.add(
      'channels',
      files.id,
      `${channels} channels in ${images.length} files`,
      `${wanted} (${Object.values(json.channel_names).join(', ')})`,
      'Add the missing channel files, or mend channel_names.',
    );
  for (const [file, volume] of images) checkValues(at(file), volume, faults, warnings);
  const label = files.label ? read(files.label) : undefined;
  if (!files.label && !test)
    faults.add(
      'label-missing',
      `labelsTr/${files.id}${json.file_ending}`,
      'no file',
      'a label file for every training case',
      'Add it, or move the images to imagesTs.',
    );
  if (label) checkLabel(at(files.label!), label, json, seen, faults);
  const first = images[0];
  if (!first) return;
  const others = [...images.slice(1), ...(label ? [[files.label!, label] as [string, Volume]] : [])];
  for (const [file, volume] of others) checkGeometry(at(file), volume, at(first[0]), first[1], faults, warnings);
}

function checkValues(where: string, { data }: Volume, faults: FaultList, warnings: FaultList): void {
  let bad = 0;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (v < low) low = v;
    if (v > high) high = v;
    if (!Number.isFinite(v)) bad++;
  }
  if (bad > 0)
    faults.add(
      'not-finite',
      where,
      `${bad} voxels are NaN or infinite`,
      'finite numbers',
      'Replace them, for example by 0, and write the file again.',
    );
  else if (low === high)
    warnings.add('constant', where, `${low} everywhere`, 'an image with contrast', 'Check that the right file was exported.');
}

function checkLabel(
  where: string,
  { data, channels }: Volume,
  json: Dataset['json'],
  seen: Set<number>,
  faults: FaultList,
): void {
  if (channels !== 1)
    faults.add('label-channels', where, `${channels} channels`, 'one label per voxel', 'Write a label file with one channel.');
  const found = new Map<number, number>();
  let last = Number.NaN;
  let run = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === last) {
      run++;
      continue;
    }
    if (run > 0) found.set(last, (found.get(last) ?? 0) + run);
    last = data[i];
    run = 1;
    if (Number.isNaN(last)) found.set(last, (found.get(last) ?? 0) + 1);
  }
  if (run > 0 && !Number.isNaN(last)) found.set(last, (found.get(last) ?? 0) + run);
  const { all, ignoreLabel } = labels(json);
  const known = new Set(ignoreLabel === null ? all : [...all, ignoreLabel]);
  const broken = [...found].filter(([l]) => !Number.isInteger(l));
  const unknown = [...found].filter(([l]) => Number.isInteger(l) && !known.has(l)).sort(([a], [b]) => a - b);
  const list = (entries: [number, number][]) =>
    entries
      .slice(0, 8)
      .map(([l, n]) => `${l} (${n} voxels)`)
      .join(', ');
  if (broken.length > 0)
    faults.add(
      'label-values',
      where,
      list(broken),
      'whole numbers',
      'Labels were interpolated or scaled; export them again with nearest neighbour.',
    );
  if (unknown.length > 0)
    faults.add(
      'label-unknown',
      where,
      list(unknown),
      `labels ${[...known].join(', ')}`,
      'Name the label in dataset.json, or mend the file.',
    );
  for (const l of found.keys()) seen.add(l);
}

function checkGeometry(
  where: string,
  volume: Volume,
  firstName: string,
  first: Volume,
  faults: FaultList,
  warnings: FaultList,
): void {
  const same = (a: readonly number[], b: readonly number[], tolerance: number) =>
    a.every((v, i) => Math.abs(v - b[i]) <= tolerance);
  if (!same(volume.shape, first.shape, 0))
    faults.add(
      'shape',
      where,
      volume.shape.join('×'),
      `${first.shape.join('×')} as ${firstName}`,
      'Resample the file onto the image grid.',
    );
  if (!same(volume.spacingMm, first.spacingMm, 1e-3))
    faults.add(
      'spacing',
      where,
      `${volume.spacingMm.map((v) => +v.toPrecision(6)).join('×')} mm`,
      `${first.spacingMm.map((v) => +v.toPrecision(6)).join('×')} mm as ${firstName}`,
      'Copy the geometry of the image if the grids are the same.',
    );
  if (!same(volume.originMm, first.originMm, 1e-2))
    warnings.add(
      'origin',
      where,
      volume.originMm.map((v) => v.toFixed(2)).join(' '),
      `${first.originMm.map((v) => v.toFixed(2)).join(' ')} as ${firstName}`,
      'Check in a viewer that image and label overlap.',
    );
  if (!same(volume.direction, first.direction, 1e-2))
    warnings.add(
      'direction',
      where,
      volume.direction.map((v) => v.toFixed(2)).join(' '),
      `${first.direction.map((v) => v.toFixed(2)).join(' ')} as ${firstName}`,
      'Check in a viewer that image and label overlap.',
    );
}
