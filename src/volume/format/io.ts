// One door for every image file: the ending picks the reader.
import { VoxelbookError } from '../../base/errors.js';
import type { Geometry, Volume } from '../volume.js';
import { readBmp } from './bmp.js';
import { gipl, readGipl, writeGipl } from './gipl.js';
import { readHeaderOf } from './imageFile.js';
import { metaImage, readMetaImage, writeMetaImage } from './metaImage.js';
import { readNifti, readNiftiGeometry, writeNifti } from './nifti.js';
import { nrrd, readNrrd, writeNrrd } from './nrrd.js';
import { pictureOf, readPng, writePng } from './png.js';
import { readTiff } from './tiff.js';
import { writeTiff } from './tiffWriter.js';

export interface ReadOptions {
  /** Told about what a person should know though the file could be read (default: a process warning). */
  onWarning?: (text: string) => void;
}

/** Endings of data sets that can be read (BMP) or read and written (the others). */
export const fileEndings = ['.nii.gz', '.nii', '.nrrd', '.mha', '.gipl', '.png', '.bmp', '.tif', '.tiff'] as const;

/** Headers with their voxels in another file; read only. */
const headerEndings = ['.hdr', '.nhdr', '.mhd'] as const;

/** The ending among `fileEndings` (or .hdr, .nhdr, .mhd) that `file` has; undefined for others. */
export const endingOf = (file: string) =>
  [...fileEndings, ...headerEndings].find((ending) => file.toLowerCase().endsWith(ending));

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
    case '.nrrd':
    case '.nhdr':
      return readNrrd(file);
    case '.mha':
    case '.mhd':
      return readMetaImage(file);
    case '.gipl':
      return readGipl(file);
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

/**
 * Shape and place without the voxels; undefined for pictures, which say so only as a whole.
 * @throws VoxelbookError for damaged headers
 */
export function readGrid(file: string): Geometry | undefined {
  const header = headerOf(file);
  if (!header) return undefined;
  const { size, spacingMm, stepMm, originMm, direction } = header;
  return { shape: [size[2], size[1], size[0]], spacingMm, ...(stepMm ? { stepMm } : {}), originMm, direction };
}

function headerOf(file: string) {
  switch (endingOf(file)) {
    case '.nii':
    case '.nii.gz':
    case '.hdr':
      return readNiftiGeometry(file);
    case '.nrrd':
    case '.nhdr':
      return readHeaderOf(file, nrrd);
    case '.mha':
    case '.mhd':
      return readHeaderOf(file, metaImage);
    case '.gipl':
      return readHeaderOf(file, gipl);
    default:
      return undefined;
  }
}

/** Writes a volume atomically; the ending picks the format. Labels for nnU-Net: Uint8Array below 255, else Uint16Array. */
export function writeVolume(file: string, volume: Volume): void {
  const ending = endingOf(file);
  if (ending === '.nii' || ending === '.nii.gz') writeNifti(file, volume);
  else if (ending === '.nrrd') writeNrrd(file, volume);
  else if (ending === '.mha') writeMetaImage(file, volume);
  else if (ending === '.gipl') writeGipl(file, volume);
  else if (ending === '.tif' || ending === '.tiff') writeTiff(file, volume);
  else if (ending === '.png') writePng(file, pictureOf(volume, file));
  else throw unsupported(file, 'written');
}

const warn = (text: string) => process.emitWarning(text, 'VoxelbookWarning');

const unsupported = (file: string, done: string) =>
  new VoxelbookError(`${file} cannot be ${done}`, {
    code: 'file-ending',
    path: file,
    given: `an ending without a ${done === 'read' ? 'reader' : 'writer'}`,
    expected: done === 'read' ? `one of ${fileEndings.join(', ')}` : '.nii.gz, .nii, .nrrd, .mha, .gipl, .png, .tif or .tiff',
    fix: 'Convert the file, for example with SimpleITK or ITK-SNAP.',
  });
