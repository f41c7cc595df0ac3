// NIfTI files in and out. The file's x runs fastest, so its bytes are already in our order (z, y, x).
import fs from 'node:fs';
import zlib from 'node:zlib';
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { channelsFirst, channelsLast, decodeNumbers, encodeNumbers } from '../dtype.js';
import { checkLength, type Volume, type VoxelArray, voxelCount } from '../volume.js';
import { readBytes, readStart } from './bytes.js';
import { expand, gunzipStart, isGzip } from './gzip.js';
import { datatypes, longestHeader, type NiftiHeader, niftiHeaderOf, readNiftiHeader } from './niftiHeader.js';

/**
 * Reads .nii, .nii.gz or the .hdr of a pair.
 * @returns voxels `[depth, height, width, channel]` in the file's type (float32 when the header scales them, float64 for 64-bit integers)
 * and what the header said
 * @throws VoxelbookError naming file, field, found and expected
 */
export function readNifti(file: string): { volume: Volume; header: NiftiHeader } {
  const bytes = readBytes(file);
  const packed = isGzip(bytes);
  const start = packed ? gunzipStart(bytes, longestHeader, file) : bytes;
  const header = readNiftiHeader(start, file);
  const declared = header.size[0] * header.size[1] * header.size[2] * header.frames * header.bytesPerVoxel;
  if (header.single)
    return { volume: volumeOf(packed ? expand(bytes, header.offset + declared, file) : bytes, header, file), header };
  const image = imageOfPair(file);
  const body = readBytes(image);
  return { volume: volumeOf(isGzip(body) ? expand(body, header.offset + declared, image) : body, header, image), header };
}

/** Decodes NIfTI bytes that are already in memory (plain or gzip). */
export function decodeNifti(bytes: Uint8Array, name = 'NIfTI'): { volume: Volume; header: NiftiHeader } {
  const packed = isGzip(bytes);
  const header = readNiftiHeader(packed ? gunzipStart(bytes, longestHeader, name) : bytes, name);
  const declared = header.size[0] * header.size[1] * header.size[2] * header.frames * header.bytesPerVoxel;
  return { volume: volumeOf(packed ? expand(bytes, header.offset + declared, name) : bytes, header, name), header };
}

/** Reads shape and geometry only; the voxels stay packed. */
export function readNiftiGeometry(file: string): NiftiHeader {
  const bytes = readStart(file, 8192);
  return readNiftiHeader(isGzip(bytes) ? gunzipStart(bytes, longestHeader, file) : bytes, file);
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

function volumeOf(file: Uint8Array, header: NiftiHeader, name: string): Volume {
  const type = datatypes[header.datatype];
  const [width, height, depth] = header.size;
  const voxels = width * height * depth;
  const bytes = voxels * header.frames * header.bytesPerVoxel;
  if (file.length < header.offset + bytes)
    throw new VoxelbookError(`${name} cannot be read`, {
      code: 'nifti-cut',
      path: name,
      given: `${Math.max(0, file.length - header.offset)} bytes of voxels`,
      expected: `${bytes} (${[...header.size, header.frames].join('×')} of ${type.name})`,
      fix: 'The file is cut short; fetch it again.',
    });
  const body = file.subarray(header.offset, header.offset + bytes);
  let values = decodeNumbers(body, type.number, header.littleEndian, name);
  if (header.slope !== 1 || header.intercept !== 0) values = scaled(values, header.slope, header.intercept);
  const channels = header.frames * type.values;
  return {
    // RGB already has its channels last; frames of a 4-D file have them first.
    data: header.frames === 1 ? values : channelsLast(values, voxels, header.frames, type.values),
    shape: [depth, height, width],
    channels,
    spacingMm: header.spacingMm,
    ...(header.stepMm ? { stepMm: header.stepMm } : {}),
    originMm: header.originMm,
    direction: header.direction,
  };
}

function scaled(values: VoxelArray, slope: number, intercept: number): Float32Array | Float64Array {
  const out = values instanceof Float64Array ? new Float64Array(values.length) : new Float32Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = values[i] * slope + intercept;
  return out;
}

/** Writes a volume as .nii or .nii.gz, with the header of `niftiHeaderOf`. */
export function writeNifti(file: string, volume: Volume): void {
  const bytes = encodeNifti(volume);
  atomicWrite(file, /\.gz$/i.test(file) ? zlib.gzipSync(bytes, { level: 6 }) : bytes);
}

/** The bytes of `writeNifti` before compression. */
export function encodeNifti(volume: Volume): Uint8Array {
  checkLength(volume);
  const { channels, data } = volume;
  const header = niftiHeaderOf(volume);
  const bytes = new Uint8Array(header.length + data.byteLength);
  bytes.set(header);
  bytes.set(encodeNumbers(channels === 1 ? data : channelsFirst(data, voxelCount(volume), channels)), header.length);
  return bytes;
}
