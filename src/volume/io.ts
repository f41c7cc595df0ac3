// One door for every image file: the ending picks the reader.
import { VoxelbookError } from '../base/errors.js';
import { readBmp } from './bmp.js';
import { readNifti, writeNifti } from './nifti.js';
import { pictureOf, readPng, writePng } from './png.js';
import { readTiff } from './tiff.js';
import type { Volume } from './volume.js';

export interface ReadOptions {
  /** Told about what a person should know though the file could be read (default: a process warning). */
  onWarning?: (text: string) => void;
}

/** Endings of data sets that can be read (BMP, TIFF) or read and written (the others). */
export const fileEndings = ['.nii.gz', '.nii', '.png', '.bmp', '.tif', '.tiff'] as const;

/** The ending among `fileEndings` (or .hdr) that `file` has; undefined for others. */
export const endingOf = (file: string) => [...fileEndings, '.hdr'].find((ending) => file.toLowerCase().endsWith(ending));

/**
 * Reads an image or label file.
 * @returns voxels `[depth, height, width, channel]` in the file's own number type, spacing in mm
 * @throws VoxelbookError naming file, field, found and expected
 */
export function readVolume(file: string, { onWarning = warn }: ReadOptions = {}): Volume {
  switch (endingOf(file)) {
    case '.nii':
    case '.nii.gz':
    case '.hdr': {
      const { volume, header } = readNifti(file);
      for (const text of header.warnings) onWarning(`${file}: ${text}`);
      return volume;
    }
    case '.png':
      return readPng(file);
    case '.bmp':
      return readBmp(file);
    case '.tif':
    case '.tiff':
      return readTiff(file);
    default:
      throw unsupported(file, 'read');
  }
}

/** Writes a volume atomically; the ending picks the format. Labels for nnU-Net: Uint8Array below 255, else Uint16Array. */
export function writeVolume(file: string, volume: Volume): void {
  if (file.endsWith('.nii') || file.endsWith('.nii.gz')) writeNifti(file, volume);
  else if (file.endsWith('.png')) writePng(file, pictureOf(volume, file));
  else throw unsupported(file, 'written');
}

const warn = (text: string) => process.emitWarning(text, 'VoxelbookWarning');

const unsupported = (file: string, done: string) =>
  new VoxelbookError(`${file} cannot be ${done}`, {
    code: 'file-ending',
    path: file,
    given: 'an ending without a reader',
    expected: done === 'read' ? `one of ${fileEndings.join(', ')}` : '.nii.gz, .nii or .png',
    fix: 'Convert the file, for example with SimpleITK or ITK-SNAP.',
  });
