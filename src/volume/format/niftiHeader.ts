// A NIfTI-1 or NIfTI-2 header, checked before anything is believed.
//
// Source: nifti1.h, nifti2.h; the affine follows nibabel (sform before qform, then pixdim with the centre of the volume at 0 and x pointing left).
// nifti-reader-js decodes the fields; it is given exactly the header's bytes without extensions, never outside lengths or offsets.
import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { FaultList } from '../../base/errors.js';
import type { NumberType } from '../dtype.js';
import { sliceSpacing, type Volume } from '../volume.js';

export interface NiftiHeader {
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
  spacingMm: Volume['spacingMm'];
  originMm: Volume['originMm'];
  direction: Volume['direction'];
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

/**
 * Reads and checks a header.
 * @param bytes the start of the (decompressed) file, at least `longestHeader` bytes if the file has them
 * @param name shown in errors
 * @throws VoxelbookError naming every field at fault
 */
export function readNiftiHeader(bytes: Uint8Array, name: string): NiftiHeader {
  const faults = new FaultList();
  const say = (field: string, given: unknown, expected: string, fix = 'The file is damaged or no NIfTI file; fetch it again.') =>
    faults.add(`nifti-${field}`, `${name} ${field}`, String(given), expected, fix);
  const kind = recognise(bytes);
  if (!kind) {
    say(
      'sizeof_hdr',
      bytes.length < 348 ? `${bytes.length} bytes` : firstBytes(bytes),
      '348 (NIfTI-1) or 540 (NIfTI-2) at the start',
    );
    faults.throwIfAny('this is no NIfTI file');
  }
  const { version, littleEndian } = kind!;
  const length = version === 1 ? 348 : 540;
  const header = version === 1 ? new NIFTI1() : new NIFTI2();
  header.littleEndian = littleEndian;
  // Extension flag zeroed: the reader's extension parser is never entered.
  const copy = new Uint8Array(length + 4);
  copy.set(bytes.subarray(0, length));
  header.readHeader(copy.buffer);

  const magic = String.fromCharCode(...bytes.subarray(version === 1 ? 344 : 4, version === 1 ? 347 : 7));
  const single = magic === `n+${version}`;
  if (!single && magic !== `ni${version}`) {
    if (magic === '\0\0\0') say('magic', 'none (ANALYZE 7.5)', `n+${version} or ni${version}`, 'Convert the file to NIfTI.');
    else say('magic', JSON.stringify(magic), `n+${version} or ni${version}`);
  }

  const dims = header.dims;
  const rank = dims[0];
  if (!(rank >= 1 && rank <= 7)) say('dim[0]', rank, '1 to 7');
  const extent = Array.from({ length: 7 }, (_, i) => (i < rank ? dims[i + 1] : 1));
  for (let i = 0; i < Math.min(rank, 7); i++)
    if (!(Number.isSafeInteger(extent[i]) && extent[i] >= 1)) say(`dim[${i + 1}]`, extent[i], 'a whole number of at least 1');
  const frames = extent[3] * extent[4] * extent[5] * extent[6];

  const type = datatypes[header.datatypeCode];
  if (!type) {
    const known = unreadable[header.datatypeCode];
    const fix = known ? 'Convert the file to a real number type.' : undefined;
    const names = Object.entries(datatypes).map(([code, t]) => `${code} ${t.name}`);
    say('datatype', known ? `${header.datatypeCode} (${known})` : header.datatypeCode, `one of ${names.join(', ')}`, fix);
  } else if (header.numBitsPerVoxel !== 0 && header.numBitsPerVoxel !== type.bytes * 8) {
    say('bitpix', header.numBitsPerVoxel, `${type.bytes * 8} for ${type.name}`);
  }
  const voxels = extent.reduce((a, b) => a * b, 1);
  if (type && !(voxels * type.bytes <= 2 ** 40))
    say('dim', extent.join('×'), 'at most 1 TiB of voxels', 'The header is damaged; fetch the file again.');

  const smallest = single ? length + 4 : 0;
  const offset = header.vox_offset;
  if (!(Number.isSafeInteger(offset) && offset >= smallest && offset <= 2 ** 31) && !(single && offset === 0))
    say('vox_offset', offset, `a whole number from ${smallest}`);

  const geometry = geometryOf(header, copy, version, littleEndian, say);
  faults.throwIfAny(`${name} cannot be read`);
  const [slope, intercept] = scaling(header.scl_slope, header.scl_inter);
  return {
    version,
    littleEndian,
    single,
    size: [extent[0], extent[1], extent[2]],
    frames,
    datatype: header.datatypeCode,
    bytesPerVoxel: type.bytes,
    offset: Math.max(offset, smallest),
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

/** nibabel's rule: slope 0 or not finite means no scaling at all; a finite slope with a bad intercept is no file to trust. */
function scaling(slope: number, intercept: number): [number, number] {
  if (slope === 0 || !Number.isFinite(slope)) return [1, 0];
  return [slope, Number.isFinite(intercept) ? intercept : 0];
}

type Say = (field: string, given: unknown, expected: string, fix?: string) => void;

/** The affine (sform, else qform, else pixdim), split into spacing, origin and unit directions. */
function geometryOf(header: NIFTI1 | NIFTI2, bytes: Uint8Array, version: 1 | 2, littleEndian: boolean, say: Say) {
  const warnings: string[] = [];
  const rank = header.dims[0];
  const zoom = [1, 2, 3].map((i) => (i <= rank ? Math.abs(header.pixDims[i]) : 1));
  const useSform = header.sform_code > 0;
  const useQform = header.qform_code > 0;
  for (let i = 0; i < 3; i++) {
    if (!useSform && zoom[i] === 0 && header.dims[i + 1] <= 1) zoom[i] = 1;
    if (!useSform && !(zoom[i] > 0 && Number.isFinite(zoom[i])))
      say(`pixdim[${i + 1}]`, header.pixDims[i + 1], 'a voxel size above 0', 'Write the right voxel size into the header.');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const real = (at1: number, at2: number, i: number) =>
    version === 1 ? view.getFloat32(at1 + 4 * i, littleEndian) : view.getFloat64(at2 + 8 * i, littleEndian);

  const sform = () => Array.from({ length: 12 }, (_, i) => real(280, 400, i));
  const qform = () =>
    qformOf(
      [0, 1, 2].map((i) => real(256, 352, i)),
      [0, 1, 2].map((i) => real(268, 376, i)),
      zoom,
      header.pixDims[0],
      version,
      say,
    );
  // No orientation at all: nibabel's base affine, x pointing left as in ANALYZE files.
  const centred = () => {
    const size = [1, 2, 3].map((i) => (i <= rank ? header.dims[i] : 1));
    const step = [-zoom[0], zoom[1], zoom[2]];
    return [0, 1, 2].flatMap((r) => [0, 1, 2, 3].map((c) => (c === 3 ? (-step[r] * (size[r] - 1)) / 2 : r === c ? step[r] : 0)));
  };
  const rows = useSform ? sform() : useQform ? qform() : centred();
  if (rows.some((v) => !Number.isFinite(v)))
    say(
      useSform ? 'srow' : 'quatern',
      rows.join(' '),
      'finite numbers',
      'The orientation in the header is damaged; write it anew.',
    );
  const column = (c: number) => [rows[c], rows[4 + c], rows[8 + c]];
  const norms = [0, 1, 2].map((c) => Math.hypot(...column(c)));
  const determinant =
    rows[0] * (rows[5] * rows[10] - rows[6] * rows[9]) -
    rows[1] * (rows[4] * rows[10] - rows[6] * rows[8]) +
    rows[2] * (rows[4] * rows[9] - rows[5] * rows[8]);
  if (!(Math.abs(determinant) > 1e-9 * norms[0] * norms[1] * norms[2]))
    say(
      useSform ? 'srow' : 'quatern',
      `determinant ${determinant}`,
      'three independent axes',
      'Set the orientation in the header anew.',
    );

  if (norms.some((n) => !(n >= 1e-9 && n <= 1e9)))
    say(
      useSform ? 'srow' : 'pixdim',
      `voxels of ${norms.join(' × ')} mm`,
      'between 1e-9 and 1e9 mm',
      'Write the right voxel size into the header.',
    );

  if (useSform && useQform) {
    const quiet = () => {};
    const other = qformOf(
      [0, 1, 2].map((i) => real(256, 352, i)),
      [0, 1, 2].map((i) => real(268, 376, i)),
      zoom,
      header.pixDims[0],
      version,
      quiet,
    );
    const far = other.reduce((worst, v, i) => Math.max(worst, Math.abs(v - rows[i])), 0);
    if (!(far <= 1e-3 * Math.max(1, ...norms)))
      warnings.push(`qform and sform disagree by up to ${far.toPrecision(3)} mm; sform was used`);
  }

  const unit = { 1: 1000, 3: 0.001 }[header.xyzt_units & 7] ?? 1;
  if (unit !== 1) warnings.push(`voxel size is given in ${unit === 1000 ? 'metres' : 'micrometres'}; read as mm`);
  // pixdim is what nnU-Net reports as spacing; columns of the sform carry the same number rounded differently.
  const spacing = norms.map((n, i) => (Math.abs(n - zoom[i]) <= 1e-4 * n ? zoom[i] : n));
  if (useSform && spacing.some((s, i) => s !== zoom[i]))
    warnings.push(
      `pixdim ${zoom.join(' ')} is not the sform's voxel size ${norms.map((n) => +n.toPrecision(6)).join(' ')}; the sform was used`,
    );
  const scaled = rows.map((v) => v * unit);
  if (rank <= 2) spacing[2] = sliceSpacing(spacing[1], spacing[0]);
  return {
    affine: [...scaled, 0, 0, 0, 1],
    spacingMm: [spacing[2] * unit, spacing[1] * unit, spacing[0] * unit] as Volume['spacingMm'],
    originMm: [scaled[3], scaled[7], scaled[11]] as Volume['originMm'],
    direction: [0, 1, 2].flatMap((r) => [0, 1, 2].map((c) => rows[4 * r + c] / norms[c])) as unknown as Volume['direction'],
    warnings,
  };
}

/** Quaternion to the first three rows of the affine. Norms within rounding of 1 mean a = 0 (nibabel's `fillpositive`). */
function qformOf(bcd: number[], offset: number[], zoom: number[], qfacField: number, version: 1 | 2, say: Say): number[] {
  let [b, c, d] = bcd;
  const norm = b * b + c * c + d * d;
  let a = 0;
  const tolerance = 3 * (version === 1 ? 2 ** -23 : 2 ** -52);
  if (Math.abs(1 - norm) < tolerance) a = 0;
  else if (1 - norm > 0) a = Math.sqrt(1 - norm);
  else {
    say('quatern', `length ${Math.sqrt(norm)}`, 'at most 1', 'The orientation in the header is damaged; write it anew.');
    [b, c, d] = [0, 0, 0];
    a = 1;
  }
  const total = a * a + b * b + c * c + d * d;
  const s = 2 / total;
  const qfac = qfacField < 0 ? -1 : 1;
  const r = [
    1 - s * (c * c + d * d),
    s * (b * c - d * a),
    s * (b * d + c * a),
    s * (b * c + d * a),
    1 - s * (b * b + d * d),
    s * (c * d - b * a),
    s * (b * d - c * a),
    s * (c * d + b * a),
    1 - s * (b * b + c * c),
  ];
  const scale = [zoom[0], zoom[1], zoom[2] * qfac];
  return [0, 1, 2].flatMap((i) => [r[3 * i] * scale[0], r[3 * i + 1] * scale[1], r[3 * i + 2] * scale[2], offset[i]]);
}
