// NIfTI files in and out. The file's x runs fastest, so its bytes are already in our order (z, y, x).
import fs from 'node:fs';
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import type { Volume } from '../volume.js';
import { type ByteSource, sourceOf, withFile } from './bytes.js';
import { expand, gunzipStart, gzipped, isGzip } from './gzip.js';
import { longestHeader, type NiftiHeader, readNiftiHeader } from './niftiHeader.js';
import { niftiParts, voxelBytes, voxelsOf } from './niftiVoxels.js';

/**
 * Reads .nii, .nii.gz or the .hdr of a pair.
 * @returns voxels `[depth, height, width, channel]` in the file's type (float32 when the header scales them, float64 for 64-bit integers)
 * and what the header said
 * @throws VoxelbookError naming file, field, found and expected
 */
export const readNifti = (file: string): { volume: Volume; header: NiftiHeader } => withFile(file, decode);

/** Decodes NIfTI bytes that are already in memory (plain or gzip). */
export const decodeNifti = (bytes: Uint8Array, name = 'NIfTI'): { volume: Volume; header: NiftiHeader } =>
  decode(sourceOf(bytes, name));

/** Reads shape and geometry only; the voxels stay packed. */
export const readNiftiGeometry = (file: string): NiftiHeader => withFile(file, headerIn);

const isPacked = (source: ByteSource) => isGzip(source.read(0, 2));

const headerIn = (source: ByteSource) =>
  readNiftiHeader(isPacked(source) ? gunzipStart(source, longestHeader) : source.read(0, longestHeader), source.name);

function decode(source: ByteSource): { volume: Volume; header: NiftiHeader } {
  const header = headerIn(source);
  if (header.single) return { volume: volumeOf(source, header), header };
  return { volume: withFile(imageOfPair(source.name), (image) => volumeOf(image, header)), header };
}

function imageOfPair(file: string): string {
  const base = file.replace(/\.hdr(\.gz)?$/, '');
  const found = [`${base}.img`, `${base}.img.gz`].find((name) => name !== file && fs.existsSync(name));
  if (found) return found;
  throw new VoxelbookError(`${file} cannot be read`, {
    code: 'nifti-pair',
    path: file,
    given: 'the header of a .hdr/.img pair alone',
    expected: `${base}.img beside it`,
    fix: 'Put the .img file next to the .hdr file and read the .hdr.',
  });
}

function volumeOf(source: ByteSource, header: NiftiHeader): Volume {
  const { name } = source;
  const whole = () => expand(source.read(0, source.size), header.offset + voxelBytes(header), name);
  const file = isPacked(source) ? sourceOf(whole(), name, true) : source;
  return voxelsOf(file, header);
}

/** Writes a volume as .nii or .nii.gz, with the header of `niftiHeaderOf`. */
export function writeNifti(file: string, volume: Volume): void {
  atomicWrite(file, /\.gz$/i.test(file) ? gzipped(niftiParts(volume)) : niftiParts(volume));
}

/** The bytes of `writeNifti` before compression. */
export const encodeNifti = (volume: Volume): Uint8Array => new Uint8Array(Buffer.concat([...niftiParts(volume)]));
