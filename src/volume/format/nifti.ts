// NIfTI files in and out. The file's x runs fastest, so its bytes are already in our order (z, y, x).
import fs from 'node:fs';
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { channelArrays, channelsLast, decodeNumbers, encodeNumbers } from '../dtype.js';
import { checkLength, type Volume, type VoxelArray, voxelCount } from '../volume.js';
import { type ByteSource, sourceOf, withFile } from './bytes.js';
import { expand, gunzipStart, gzipped, isGzip } from './gzip.js';
import { datatypes, longestHeader, type NiftiHeader, niftiHeaderOf, readNiftiHeader } from './niftiHeader.js';

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
  const type = datatypes[header.datatype];
  const [width, height, depth] = header.size;
  const voxels = width * height * depth;
  const bytes = voxels * header.frames * header.bytesPerVoxel;
  const { name } = source;
  const whole = () => expand(source.read(0, source.size), header.offset + bytes, name);
  const file = isPacked(source) ? sourceOf(whole(), name, true) : source;
  if (file.size < header.offset + bytes)
    throw new VoxelbookError(`${name} cannot be read`, {
      code: 'nifti-cut',
      path: name,
      given: `${Math.max(0, file.size - header.offset)} bytes of voxels`,
      expected: `${bytes} (${[...header.size, header.frames].join('×')} of ${type.name})`,
      fix: 'The file is cut short; fetch it again.',
    });
  let values = decodeNumbers(file.read(header.offset, bytes), type.number, header.littleEndian, name, file.owned);
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
  atomicWrite(file, /\.gz$/i.test(file) ? gzipped(partsOf(volume)) : partsOf(volume));
}

/** The bytes of `writeNifti` before compression. */
export const encodeNifti = (volume: Volume): Uint8Array => new Uint8Array(Buffer.concat([...partsOf(volume)]));

/** Header and voxels, a channel at a time. */
function* partsOf(volume: Volume): Generator<Uint8Array> {
  checkLength(volume);
  const { channels, data } = volume;
  yield niftiHeaderOf(volume);
  if (channels === 1) yield encodeNumbers(data);
  else for (const channel of channelArrays(data, voxelCount(volume), channels)) yield encodeNumbers(channel);
}
