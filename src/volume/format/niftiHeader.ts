// A NIfTI-1 or NIfTI-2 header: a battery of checks before anything is believed, and the header of what we write.
//
// Source: nifti1.h, nifti2.h. nifti-reader-js knows where each field stands, for reader and writer alike; it is given exactly the header's
// bytes without extensions, never outside lengths or offsets.
import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { FaultList } from '../../base/errors.js';
import { type NumberType, numberTypeOf } from '../dtype.js';
import { type Geometry, isPicture, type Volume } from '../volume.js';
import { geometryOf, type NiftiFields, quaternionOf, type Report } from './niftiGeometry.js';

/** A NIfTI header that has passed its checks; spacing in mm. */
export interface NiftiHeader extends Omit<Geometry, 'shape'> {
  version: 1 | 2;
  littleEndian: boolean;
  /** True for one file (`n+1`), false for the header of a .hdr/.img pair (`ni1`). */
  single: boolean;
  /** Sizes along the file's x, y, z. */
  size: [number, number, number];
  /** Product of the dimensions after z. */
  frames: number;
  datatype: number;
  bytesPerVoxel: number;
  /** Where the voxels start. */
  offset: number;
  slope: number;
  intercept: number;
  /** Row-major 4×4, voxel (x, y, z) to mm RAS+. */
  affine: number[];
  /** Peculiarities that were read, but that a person should know: qform and sform that disagree, units other than mm. */
  warnings: string[];
}

/** Bytes per voxel, and how many numbers that is (RGB 3, RGBA 4). */
export const datatypes: Record<number, { name: string; number: NumberType; bytes: number; values: number }> = {
  2: { name: 'uint8', number: 'uint8', bytes: 1, values: 1 },
  4: { name: 'int16', number: 'int16', bytes: 2, values: 1 },
  8: { name: 'int32', number: 'int32', bytes: 4, values: 1 },
  16: { name: 'float32', number: 'float32', bytes: 4, values: 1 },
  64: { name: 'float64', number: 'float64', bytes: 8, values: 1 },
  128: { name: 'rgb24', number: 'uint8', bytes: 3, values: 3 },
  256: { name: 'int8', number: 'int8', bytes: 1, values: 1 },
  512: { name: 'uint16', number: 'uint16', bytes: 2, values: 1 },
  768: { name: 'uint32', number: 'uint32', bytes: 4, values: 1 },
  1024: { name: 'int64', number: 'int64', bytes: 8, values: 1 },
  1280: { name: 'uint64', number: 'uint64', bytes: 8, values: 1 },
  2304: { name: 'rgba32', number: 'uint8', bytes: 4, values: 4 },
};
const unreadable: Record<number, string> = {
  0: 'unknown',
  1: 'binary',
  32: 'complex64',
  1536: 'float128',
  1792: 'complex128',
  2048: 'complex256',
};

/** Header bytes of either version; a caller that reads a prefix needs this many. */
export const longestHeader = 544;
const lengthOf = { 1: 348, 2: 540 } as const;

/**
 * Reads and checks a header.
 * @param bytes the start of the (decompressed) file, at least `longestHeader` bytes if the file has them
 * @param name shown in errors
 * @throws VoxelbookError naming every field at fault
 */
export function readNiftiHeader(bytes: Uint8Array, name: string): NiftiHeader {
  const faults = new FaultList();
  const report: Report = (field, given, expected, fix = 'The file is damaged or no NIfTI file; fetch it again.') =>
    faults.add(`nifti-${field}`, `${name} ${field}`, String(given), expected, fix);
  const kind = recognise(bytes);
  if (!kind) {
    const given = bytes.length < 348 ? `${bytes.length} bytes` : firstBytes(bytes);
    report('sizeof_hdr', given, '348 (NIfTI-1) or 540 (NIfTI-2) at the start');
    faults.throwIfAny('this is no NIfTI file');
  }
  const { version, littleEndian } = kind!;
  const fields = fieldsOf(bytes, version, littleEndian);
  const single = checkMagic(fields, version, report);
  const extent = checkDims(fields, report);
  checkDatatype(fields, report);
  checkBytes(fields, extent, report);
  checkOffset(fields, single ? lengthOf[version] + 4 : 0, report);
  const [slope, intercept] = checkScaling(fields, report);
  const geometry = geometryOf(fields, version, report);
  faults.throwIfAny(`${name} cannot be read`);
  return {
    version,
    littleEndian,
    single,
    size: [extent[0], extent[1], extent[2]],
    frames: extent[3] * extent[4] * extent[5] * extent[6],
    datatype: fields.datatypeCode,
    bytesPerVoxel: datatypes[fields.datatypeCode].bytes,
    offset: fields.vox_offset,
    slope,
    intercept,
    ...geometry,
  };
}

/** Version and byte order by `sizeof_hdr`, which must be 348 or 540 in one of the two byte orders. */
function recognise(bytes: Uint8Array): { version: 1 | 2; littleEndian: boolean } | null {
  if (bytes.length < 348) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const littleEndian of [true, false]) {
    const size = view.getInt32(0, littleEndian);
    if (size === 348) return { version: 1, littleEndian };
    if (size === 540 && bytes.length >= 540) return { version: 2, littleEndian };
  }
  return null;
}

const firstBytes = (bytes: Uint8Array) =>
  `bytes ${[...bytes.subarray(0, 4)].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`;

/** The fields by name; `affine` is the sform as stored. */
function fieldsOf(bytes: Uint8Array, version: 1 | 2, littleEndian: boolean): NiftiFields {
  // Extension flag zeroed: the reader's extension parser is never entered.
  const copy = new Uint8Array(lengthOf[version] + 4);
  copy.set(bytes.subarray(0, lengthOf[version]));
  const fields = version === 1 ? new NIFTI1() : new NIFTI2();
  fields.littleEndian = littleEndian;
  fields.readHeader(copy.buffer);
  if (fields instanceof NIFTI1) {
    // It puts its own reading of the quaternion in place of the sform where both stand: the codes are taken away for a second look.
    const stored = new NIFTI1();
    stored.littleEndian = littleEndian;
    const view = new DataView(copy.buffer);
    view.setInt16(252, 0, littleEndian);
    view.setInt16(254, 1, littleEndian);
    stored.readHeader(copy.buffer);
    fields.affine = stored.affine;
  }
  return fields;
}

/** @returns whether header and voxels are one file */
function checkMagic({ magic }: NiftiFields, version: 1 | 2, report: Report): boolean {
  const text = magic.slice(0, 3);
  const [one, pair] = [`n+${version}`, `ni${version}`];
  // nifti-reader-js leaves zeros out. NIfTI-2 goes on with line ends, which a transfer as text changes; nibabel lets zeros pass.
  const ends = version === 1 ? [''] : ['\r\n\x1a\n', ''];
  if (magic === '') report('magic', 'none (ANALYZE 7.5)', `${one} or ${pair}`, 'Convert the file to NIfTI.');
  else if ((text !== one && text !== pair) || !ends.includes(magic.slice(3)))
    report('magic', JSON.stringify(text), `${one} or ${pair}`);
  return text === one;
}

/** @returns seven sizes, 1 along what the file does not have */
function checkDims({ dims }: NiftiFields, report: Report): number[] {
  const rank = dims[0];
  if (!(rank >= 1 && rank <= 7)) report('dim[0]', rank, '1 to 7');
  const extent = Array.from({ length: 7 }, (_, i) => (i < rank ? dims[i + 1] : 1));
  for (let i = 0; i < Math.min(rank, 7); i++)
    if (!(Number.isSafeInteger(extent[i]) && extent[i] >= 1)) report(`dim[${i + 1}]`, extent[i], 'a whole number of at least 1');
  return extent;
}

function checkDatatype({ datatypeCode, numBitsPerVoxel }: NiftiFields, report: Report): void {
  const type = datatypes[datatypeCode];
  if (!type) {
    const known = unreadable[datatypeCode];
    const names = Object.entries(datatypes).map(([code, t]) => `${code} ${t.name}`);
    report(
      'datatype',
      known ? `${datatypeCode} (${known})` : datatypeCode,
      `one of ${names.join(', ')}`,
      known ? 'Convert the file to a real number type.' : undefined,
    );
  } else if (numBitsPerVoxel !== 0 && numBitsPerVoxel !== type.bytes * 8)
    report('bitpix', numBitsPerVoxel, `${type.bytes * 8} for ${type.name}`);
}

function checkBytes({ datatypeCode }: NiftiFields, extent: readonly number[], report: Report): void {
  const bytes = extent.reduce((a, b) => a * b, datatypes[datatypeCode]?.bytes ?? 1);
  if (!(bytes <= 2 ** 40))
    report('dim', extent.join('×'), 'at most 1 TiB of voxels', 'The header is damaged; fetch the file again.');
}

/** nibabel and ITK read 0 in a single file differently (0 and 348): no value below the header's end is believed. */
function checkOffset({ vox_offset }: NiftiFields, smallest: number, report: Report): void {
  if (!(Number.isSafeInteger(vox_offset) && vox_offset >= smallest && vox_offset <= 2 ** 31))
    report('vox_offset', vox_offset, `a whole number from ${smallest}`);
}

/** nibabel's rule: slope 0 or not finite means no scaling at all; a good slope with a bad intercept is no file to trust. */
function checkScaling({ scl_slope, scl_inter, datatypeCode }: NiftiFields, report: Report): [number, number] {
  if (scl_slope === 0 || !Number.isFinite(scl_slope)) return [1, 0];
  if (!Number.isFinite(scl_inter))
    report('scl_inter', scl_inter, 'a finite number beside a slope', 'Write the right intercept into the header, or 0.');
  if (datatypes[datatypeCode]?.values > 1 && (scl_slope !== 1 || scl_inter !== 0))
    report('scl_slope', scl_slope, '1, and intercept 0, for colours', 'Write slope 1 and intercept 0 into the header.');
  return [scl_slope, scl_inter];
}

/**
 * The header of a file with this volume's voxels, up to where they start: geometry as qform and sform, free-text fields empty, so that
 * nothing about a patient travels along. NIfTI-1; NIfTI-2 where an axis exceeds 32767.
 */
export function niftiHeaderOf(volume: Volume): Uint8Array {
  const { shape, channels, data, spacingMm, stepMm = spacingMm, originMm, direction } = volume;
  const flat = isPicture(volume) && channels === 1;
  const dims = [channels > 1 ? 4 : flat ? 2 : 3, shape[2], shape[1], shape[0], channels, 1, 1, 1];
  const version = Math.max(...dims) > 32767 ? 2 : 1;
  const fields = version === 1 ? new NIFTI1() : new NIFTI2();
  const alongXyz = ([z, y, x]: readonly number[]) => [x, y, flat ? 1 : z];
  const step = alongXyz(stepMm);
  const { quaternion, qfac, rigid } = quaternionOf(direction);
  const type = numberTypeOf(data);
  fields.littleEndian = true;
  fields.magic = version === 1 ? 'n+1\0' : 'n+2\0\r\n\x1a\n';
  fields.dims = dims;
  fields.datatypeCode = Number(Object.keys(datatypes).find((code) => datatypes[Number(code)].name === type));
  fields.numBitsPerVoxel = data.BYTES_PER_ELEMENT * 8;
  fields.pixDims = [qfac, ...alongXyz(spacingMm), 1, 1, 1, 1];
  fields.vox_offset = lengthOf[version] + 4;
  fields.scl_slope = 1;
  fields.xyzt_units = NIFTI1.UNITS_MM;
  fields.qform_code = rigid ? 1 : 0;
  fields.sform_code = 1;
  [fields.quatern_b, fields.quatern_c, fields.quatern_d] = quaternion;
  [fields.qoffset_x, fields.qoffset_y, fields.qoffset_z] = originMm;
  fields.affine = [0, 1, 2].map((r) => [...step.map((mm, i) => direction[3 * r + i] * mm), originMm[r]]);
  return new Uint8Array(fields.toArrayBuffer());
}
