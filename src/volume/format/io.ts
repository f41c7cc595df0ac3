// Readers: one door for every image file, the ending picks the reader. Built-in formats and those that a module brings are registered alike.

import { VoxelbookError } from '../../base/errors.js';
import { codeOf } from '../../base/extensions.js';
import { definitions, openKind, register } from '../../base/registry.js';
import type { Geometry, Volume } from '../volume.js';
import { readBmp } from './bmp.js';
import { gipl, readGipl, writeGipl } from './gipl.js';
import { type ImageHeader, readHeaderOf } from './imageFile.js';
import { metaImage, readMetaImage, writeMetaImage } from './metaImage.js';
import { readNifti, readNiftiGeometry, writeNifti } from './nifti.js';
import { nrrd, readNrrd, writeNrrd } from './nrrd.js';
import { pictureOf, readPng, writePng } from './png.js';
import { readTiff } from './tiff.js';
import { writeTiff } from './tiffWriter.js';

/** Who is told of what is odd in a file. */
export interface ReadOptions {
  /** Told about what a person should know though the file could be read (default: a process warning). */
  onWarning?: (text: string) => void;
}

/** A file format: its endings, and how its files become volumes and back. */
export interface ReaderDefinition {
  /** What the format is called. */
  name: string;
  /** Endings of its files in data sets, in small letters, with the dot: `.nii.gz`. */
  endings: readonly string[];
  /** Endings of headers with their voxels in another file; read only. */
  headers?: readonly string[];
  /**
   * @returns voxels `[depth, height, width, channel]` in the file's own number type, spacing in mm
   * @throws VoxelbookError naming file, field, found and expected
   */
  read(file: string, options: Required<ReadOptions>): Volume;
  /** Shape and place without the voxels; left out where only the whole file says so. */
  grid?(file: string): Geometry;
  /** Writes atomically; left out for a format that is read only: a data set whose labels come in it cannot be predicted. */
  write?(file: string, volume: Volume): void;
}

declare module '../../base/registry.js' {
  interface Kinds {
    readers: ReaderDefinition;
  }
}

openKind('readers', 'read', ({ name, endings }, faults, path) => {
  if (!Array.isArray(endings) || endings.length === 0 || endings.some((e) => !/^(\.[a-z0-9_-]+)+$/.test(e)))
    return faults.add(
      'extension',
      `${path}.endings`,
      JSON.stringify(endings) ?? 'missing',
      "a list like ['.nii.gz']",
      'Name them.',
    );
  for (const ending of endings) {
    const other = definitions('readers').find((r) => r.name !== name && endingsOf(r).includes(ending));
    if (other) faults.add('extension', `${path}.endings`, ending, 'an ending that no other reader has', `${other.name} has it.`);
  }
});

const endingsOf = ({ endings, headers = [] }: ReaderDefinition) => [...endings, ...headers];

register('readers', {
  name: 'nifti',
  endings: ['.nii.gz', '.nii'],
  headers: ['.hdr'],
  read(file, { onWarning }) {
    const { volume, header } = readNifti(file);
    for (const text of header.warnings) onWarning(`${file}: ${text}`);
    return volume;
  },
  grid: (file) => geometryOf(readNiftiGeometry(file)),
  write: writeNifti,
});
register('readers', {
  name: 'nrrd',
  endings: ['.nrrd'],
  headers: ['.nhdr'],
  read: readNrrd,
  grid: (file) => geometryOf(readHeaderOf(file, nrrd)),
  write: writeNrrd,
});
register('readers', {
  name: 'metaImage',
  endings: ['.mha'],
  headers: ['.mhd'],
  read: readMetaImage,
  grid: (file) => geometryOf(readHeaderOf(file, metaImage)),
  write: writeMetaImage,
});
register('readers', {
  name: 'gipl',
  endings: ['.gipl'],
  read: readGipl,
  grid: (file) => geometryOf(readHeaderOf(file, gipl)),
  write: writeGipl,
});
register('readers', {
  name: 'png',
  endings: ['.png'],
  read: readPng,
  write: (file, volume) => writePng(file, pictureOf(volume, file)),
});
register('readers', { name: 'bmp', endings: ['.bmp'], read: readBmp });
register('readers', { name: 'tiff', endings: ['.tif', '.tiff'], read: readTiff, write: writeTiff });

const geometryOf = ({
  size,
  spacingMm,
  stepMm,
  originMm,
  direction,
}: Omit<Geometry, 'shape'> & Pick<ImageHeader, 'size'>): Geometry => ({
  shape: [size[2], size[1], size[0]],
  spacingMm,
  ...(stepMm ? { stepMm } : {}),
  originMm,
  direction,
});

/** Endings of data sets that can be read. */
export const fileEndings = (): string[] => definitions('readers').flatMap(({ endings }) => endings);

/** The ending of a reader that `file` has, the longest of several; undefined for others. */
export function endingOf(file: string): string | undefined {
  const name = file.toLowerCase();
  const found = definitions('readers').flatMap((reader) => endingsOf(reader).filter((ending) => name.endsWith(ending)));
  return found.sort((a, b) => b.length - a.length)[0];
}

function readerOfFile(file: string): ReaderDefinition | undefined {
  const ending = endingOf(file);
  return ending === undefined ? undefined : definitions('readers').find((reader) => endingsOf(reader).includes(ending));
}

/** Checksums of the modules that brought the readers of these files; undefined where all are built in. */
export const readerCode = (files: readonly string[]) =>
  codeOf('readers', [...new Set(files.flatMap((file) => readerOfFile(file)?.name ?? []))]);

/**
 * Reads an image or label file.
 * @returns voxels `[depth, height, width, channel]` in the file's own number type, spacing in mm
 * @throws VoxelbookError naming file, field, found and expected
 */
export function readVolume(file: string, { onWarning = warn }: ReadOptions = {}): Volume {
  const reader = readerOfFile(file);
  if (!reader) throw unsupported(file, 'read');
  return reader.read(file, { onWarning });
}

/**
 * Shape and place without the voxels; undefined for pictures, which say so only as a whole.
 * @throws VoxelbookError for damaged headers
 */
export const readGrid = (file: string): Geometry | undefined => readerOfFile(file)?.grid?.(file);

/** Writes a volume atomically; the ending picks the format. Labels for nnU-Net: Uint8Array below 255, else Uint16Array. */
export function writeVolume(file: string, volume: Volume): void {
  const reader = readerOfFile(file);
  const isHeader = reader?.headers?.some((ending) => file.toLowerCase().endsWith(ending));
  if (!reader?.write || isHeader) throw unsupported(file, 'written');
  reader.write(file, volume);
}

const warn = (text: string) => process.emitWarning(text, 'VoxelbookWarning');

function unsupported(file: string, done: 'read' | 'written'): VoxelbookError {
  const able = definitions('readers').filter((reader) => done === 'read' || reader.write);
  return new VoxelbookError(`${file} cannot be ${done}`, {
    code: 'file-ending',
    path: file,
    given: `an ending without a ${done === 'read' ? 'reader' : 'writer'}`,
    expected: `one of ${able.flatMap(({ endings }) => endings).join(', ')}`,
    fix: 'Convert the file, for example with SimpleITK or ITK-SNAP, or bring a reader for it by an extension.',
  });
}
