// What a converter says about a published folder: its cases, and how to write each.
import fs from 'node:fs';
import path from 'node:path';
import type { FaultList } from '../../base/errors.js';
import type { Volume } from '../../volume/index.js';

/** One case of the published layout. A text is a file to take over; a function makes the volume. */
export interface SourceCase {
  id: string;
  images: (string | (() => Volume))[];
  label?: string | (() => Volume);
  /** Goes to imagesTs (and labelsTs). */
  test?: boolean;
}

/** Looks at a folder without reading voxels. Missing files become faults. */
export type Converter = (folder: string, faults: FaultList) => SourceCase[];

export const names = (folder: string, pattern: RegExp) =>
  fs.existsSync(folder)
    ? fs
        .readdirSync(folder)
        .filter((name) => pattern.test(name))
        .sort()
    : [];

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

/** The volume with its labels replaced by a table; labels not in the table become 0. */
export function relabelled(volume: Volume, table: Record<number, number>): Volume<Uint8Array> {
  const lookup = new Uint8Array(65536);
  for (const [from, to] of Object.entries(table)) lookup[Number(from)] = to;
  return { ...volume, data: Uint8Array.from(volume.data as ArrayLike<number>, (v) => lookup[v]) };
}
