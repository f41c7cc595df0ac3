// What a converter says about a published folder: its cases, and how to write each.
import fs from 'node:fs';
import path from 'node:path';
import { type FaultList, VoxelbookError } from '../../base/errors.js';
import { readVolume, type Volume } from '../../volume/index.js';
import { maxLabel } from '../labels.js';
import { isMacFile } from '../names.js';
import { exactLabels } from './exactLabels.js';

/** A file to take over, or a function that makes the volume. */
export type SourceVolume = string | (() => Volume);

/** A 4-D file with the channels side by side: each becomes an image of its own. */
export interface ChannelsOf {
  file: string;
  channels: number;
}

/** One case of the published layout. */
export interface SourceCase {
  id: string;
  images: SourceVolume[] | ChannelsOf;
  label?: SourceVolume;
  /** Goes to imagesTs (and labelsTs). */
  test?: boolean;
  /** The patient, where one has several cases: they stay on one side of every split. */
  group?: string;
}

/** Looks at a folder without reading voxels. Missing files become faults. */
export type Converter = (folder: string, faults: FaultList) => SourceCase[];

/** Names in a folder, sorted; what macOS leaves beside them (`._name`) is none. */
export const names = (folder: string, pattern: RegExp) =>
  fs.existsSync(folder)
    ? fs
        .readdirSync(folder)
        .filter((name) => pattern.test(name) && !isMacFile(name))
        .sort()
    : [];

export const nifti = ['.nii.gz', '.nii'];
export const stem = (name: string) => name.replace(/\.nii(\.gz)?$/, '');

/** The first of several places the published folder may start at. */
export function rootOf(folder: string, parts: readonly string[], faults: FaultList): string {
  for (const part of parts) if (fs.existsSync(path.join(folder, part))) return path.join(folder, part);
  faults.add(
    'source-layout',
    folder,
    'no such folder inside',
    parts.map((p) => `${p}/`).join(' or '),
    'Give the folder as it comes out of the published archive.',
  );
  return path.join(folder, parts[0]);
}

/** The file with one of the endings, or a fault. */
export function fileOf(base: string, endings: readonly string[], faults: FaultList): string {
  for (const ending of endings) if (fs.existsSync(base + ending)) return base + ending;
  faults.add(
    'source-file',
    base + endings[0],
    'no file',
    'a file of every case',
    'Fetch the archive again, or leave the whole case out.',
  );
  return base + endings[0];
}

/** The labels of a file replaced by a table, which has every label but 0. @throws VoxelbookError for what is no label, or none of the table */
export function relabelled(file: string, table: Record<number, number>): Volume<Uint8Array> {
  const volume = exactLabels(readVolume(file, { onWarning: () => {} }), file);
  const lookup = new Int16Array(maxLabel + 1).fill(-1);
  for (const [from, to] of Object.entries({ 0: 0, ...table })) lookup[Number(from)] = to;
  const unknown = volume.data.find((label) => lookup[label] < 0);
  if (unknown !== undefined)
    throw new VoxelbookError(`${file} cannot be converted`, {
      code: 'label-unknown',
      path: file,
      given: `label ${unknown}`,
      expected: `one of 0, ${Object.keys(table).join(', ')}`,
      fix: 'Fetch the file again: the published set has no such label.',
    });
  return { ...volume, data: Uint8Array.from(volume.data, (label) => lookup[label]) };
}

/** Two files that would become one case are a fault. */
export function refuseTwice(cases: readonly SourceCase[], folder: string, faults: FaultList): void {
  const seen = new Set<string>();
  for (const { id } of cases) {
    if (seen.has(id)) faults.add('source-twice', folder, `${id} twice`, 'every case once', 'Leave one of the files out.');
    seen.add(id);
  }
}
