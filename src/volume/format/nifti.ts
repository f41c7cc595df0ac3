// NIfTI files in and out. The file's x runs fastest, so its bytes are already in our order (z, y, x).
import fs from 'node:fs';
import zlib from 'node:zlib';
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { channelsFirst, channelsLast, decodeNumbers, encodeNumbers, numberTypeOf } from '../dtype.js';
import { checkLength, isPicture, type Volume, type VoxelArray, voxelCount } from '../volume.js';
import { readBytes, readStart } from './bytes.js';
import { expand, gunzipStart, isGzip } from './gzip.js';
import { datatypes, longestHeader, type NiftiHeader, readNiftiHeader } from './niftiHeader.js';

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
    originMm: header.originMm,
    direction: header.direction,
  };
}

function scaled(values: VoxelArray, slope: number, intercept: number): Float32Array | Float64Array {
  const out = values instanceof Float64Array ? new Float64Array(values.length) : new Float32Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = values[i] * slope + intercept;
  return out;
}

/**
 * Writes a volume as .nii or .nii.gz (NIfTI-1; NIfTI-2 where an axis exceeds 32767), geometry as qform and sform.
 * Free-text fields stay empty: nothing about a patient travels along.
 */
export function writeNifti(file: string, volume: Volume): void {
  const bytes = encodeNifti(volume);
  atomicWrite(file, /\.gz$/i.test(file) ? zlib.gzipSync(bytes, { level: 6 }) : bytes);
}

/** The bytes of `writeNifti` before compression. */
export function encodeNifti(volume: Volume): Uint8Array {
  checkLength(volume);
  const { shape, channels, data } = volume;
  const rank = channels > 1 ? 4 : isPicture(volume) ? 2 : 3;
  const dims = [rank, shape[2], shape[1], shape[0], channels, 1, 1, 1];
  const version = Math.max(...dims) > 32767 ? 2 : 1;
  const offset = version === 1 ? 352 : 544;
  const bytes = new Uint8Array(offset + data.byteLength);
  writeHeader(new DataView(bytes.buffer), volume, dims, version);
  bytes.set(encodeNumbers(channels === 1 ? data : channelsFirst(data, voxelCount(volume), channels)), offset);
  return bytes;
}

function writeHeader(view: DataView, volume: Volume, dims: number[], version: 1 | 2): void {
  const one = version === 1;
  const int = (at1: number, at2: number, v: number) => (one ? view.setInt16(at1, v, true) : view.setInt32(at2, v, true));
  const real = (at1: number, at2: number, v: number) => (one ? view.setFloat32(at1, v, true) : view.setFloat64(at2, v, true));
  const step = one ? 4 : 8;
  view.setInt32(0, one ? 348 : 540, true);
  const magic = one ? [0x6e, 0x2b, 0x31, 0] : [0x6e, 0x2b, 0x32, 0, 0x0d, 0x0a, 0x1a, 0x0a];
  magic.forEach((b, i) => {
    view.setUint8((one ? 344 : 4) + i, b);
  });
  dims.forEach((n, i) => {
    if (one) view.setInt16(40 + 2 * i, n, true);
    else view.setBigInt64(16 + 8 * i, BigInt(n), true);
  });
  const type = numberTypeOf(volume.data);
  view.setInt16(one ? 70 : 12, Number(Object.keys(datatypes).find((code) => datatypes[Number(code)].name === type)), true);
  view.setInt16(one ? 72 : 14, volume.data.BYTES_PER_ELEMENT * 8, true);
  const [sz, sy, sx] = [dims[0] === 2 ? 1 : volume.spacingMm[0], volume.spacingMm[1], volume.spacingMm[2]];
  const { quaternion, qfac, rigid } = quaternionOf(volume.direction);
  [qfac, sx, sy, sz, 1, 1, 1, 1].forEach((v, i) => {
    real(76 + step * i, 104 + step * i, v);
  });
  if (one) view.setFloat32(108, 352, true);
  else view.setBigInt64(168, 544n, true);
  real(112, 176, 1);
  if (one) view.setUint8(123, 2);
  else view.setInt32(500, 2, true);
  int(252, 344, rigid ? 1 : 0);
  int(254, 348, 1);
  const d = volume.direction;
  quaternion.forEach((v, i) => {
    real(256 + step * i, 352 + step * i, v);
  });
  volume.originMm.forEach((v, i) => {
    real(268 + step * i, 376 + step * i, v);
  });
  for (let r = 0; r < 3; r++)
    [d[3 * r] * sx, d[3 * r + 1] * sy, d[3 * r + 2] * sz, volume.originMm[r]].forEach((v, c) => {
      real(280 + step * (4 * r + c), 400 + step * (4 * r + c), v);
    });
}

/** (b, c, d) of a rotation; `qfac` -1 when the third axis is mirrored; not rigid when the axes are not at right angles. */
function quaternionOf(direction: Volume['direction']): { quaternion: [number, number, number]; qfac: 1 | -1; rigid: boolean } {
  const m = [...direction];
  const dot = (i: number, j: number) => m[i] * m[j] + m[3 + i] * m[3 + j] + m[6 + i] * m[6 + j];
  const rigid = Math.max(Math.abs(dot(0, 1)), Math.abs(dot(0, 2)), Math.abs(dot(1, 2))) < 1e-4;
  const determinant =
    m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
  const qfac = determinant < 0 ? -1 : 1;
  if (qfac < 0) for (const i of [2, 5, 8]) m[i] = -m[i];
  // The largest of the four components is computed from the diagonal, the others by division with it.
  const squares = [1 + m[0] + m[4] + m[8], 1 + m[0] - m[4] - m[8], 1 - m[0] + m[4] - m[8], 1 - m[0] - m[4] + m[8]];
  const k = squares.indexOf(Math.max(...squares));
  const h = Math.sqrt(Math.max(squares[k], 0)) / 2;
  const t = 1 / (4 * h);
  const [a, b, c, d] = [
    [h, (m[7] - m[5]) * t, (m[2] - m[6]) * t, (m[3] - m[1]) * t],
    [(m[7] - m[5]) * t, h, (m[1] + m[3]) * t, (m[2] + m[6]) * t],
    [(m[2] - m[6]) * t, (m[1] + m[3]) * t, h, (m[5] + m[7]) * t],
    [(m[3] - m[1]) * t, (m[2] + m[6]) * t, (m[5] + m[7]) * t, h],
  ][k];
  const sign = a < 0 ? -1 : 1;
  return { quaternion: [b * sign, c * sign, d * sign], qfac, rigid };
}
