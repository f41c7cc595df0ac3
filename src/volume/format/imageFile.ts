// What NRRD, MetaImage and GIPL have in common: a header, then the voxels as plain or packed numbers, in this file or in one beside it.
import { FaultList, VoxelbookError } from '../../base/errors.js';
import { bytesOf, channelsLast, decodeNumbers, type NumberType } from '../dtype.js';
import { type Geometry, sliceSpacing, type Volume } from '../volume.js';
import { type ByteSource, fileBeside, withFile } from './bytes.js';
import { expand } from './gzip.js';

export interface ImageHeader extends Omit<Geometry, 'shape'> {
  /** Sizes along the file's x, y, z. */
  size: [number, number, number];
  /** Numbers of one voxel side by side. */
  values: number;
  /** Whole volumes one after another. */
  frames: number;
  type: NumberType;
  littleEndian: boolean;
  packed: boolean;
  /** Bytes of packed voxels; undefined: to the end of the file. */
  packedBytes?: number;
  /** Where the voxels start in their file. */
  offset: number;
  /** They are its last bytes, at `offset` or later. */
  atEnd?: boolean;
  /** The file with the voxels, by its name beside the header; undefined: the header's own file. */
  dataFile?: string;
}

/** Bytes within which a text header must end. */
export const longestText = 4 * 2 ** 20;

/** The beginning of a file as text, as much of it as may be a header. */
export const headText = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, longestText)).toString('latin1');

/** A format: how its header ends, and what it says. */
export interface ImageFormat {
  /** Found in the start of a file once the whole header is read. */
  end: RegExp;
  /** Reads and checks a header; `bytes` are the start of the file. */
  read: (bytes: Uint8Array, name: string) => ImageHeader;
}

export const channelsOf = ({ values, frames }: ImageHeader) => values * frames;

/** Reads shape and geometry only, and no more of the file than the header. */
export const readHeaderOf = (file: string, format: ImageFormat) => withFile(file, (source) => headerIn(source, format));

function headerIn(source: ByteSource, { end, read }: ImageFormat): ImageHeader {
  for (let length = 4096; ; length *= 4) {
    const bytes = source.read(0, Math.min(length, longestText + 1));
    const whole = bytes.length === source.size || bytes.length > longestText;
    if (whole || end.test(headText(bytes))) return read(bytes, source.name);
  }
}

/**
 * Reads a file of which `format` knows the header.
 * @returns voxels `[depth, height, width, channel]` in the file's type (float64 for 64-bit integers)
 * @throws VoxelbookError naming file, field, found and expected
 */
export const readImage = (file: string, format: ImageFormat): Volume =>
  withFile(file, (source) => {
    const header = headerIn(source, format);
    if (header.dataFile === undefined) return volumeOf(source, header);
    return withFile(fileBeside(file, header.dataFile), (image) => volumeOf(image, header));
  });

/** The volume that `header` says lies in `source`. */
function volumeOf(source: ByteSource, header: ImageHeader): Volume {
  const { name, size } = source;
  const [width, height, depth] = header.size;
  const voxels = width * height * depth;
  const length = voxels * channelsOf(header) * bytesOf[header.type];
  const body = header.packed ? unpacked(source, header, length) : plain(source, header, length);
  if (body.length < length)
    throw new VoxelbookError(`${name} cannot be read`, {
      code: 'voxels-cut',
      path: name,
      given: `${header.packed ? body.length : Math.max(0, size - header.offset)} bytes of voxels`,
      expected: `${length} (${header.size.join('×')}, ${channelsOf(header)} × ${header.type})`,
      fix: 'The file is cut short; fetch it again.',
    });
  const values = decodeNumbers(body.subarray(0, length), header.type, header.littleEndian, name, true);
  const { spacingMm, originMm, direction } = header;
  return {
    data: header.frames === 1 ? values : channelsLast(values, voxels, header.frames, header.values),
    shape: [depth, height, width],
    channels: channelsOf(header),
    spacingMm,
    originMm,
    direction,
  };
}

function unpacked(source: ByteSource, { offset, packedBytes }: ImageHeader, length: number): Uint8Array {
  return expand(source.read(offset, Math.min(packedBytes ?? source.size, source.size)), length, source.name);
}

/** The voxels as they stand in the file; nothing where it is too short for them. */
function plain(source: ByteSource, { offset, atEnd }: ImageHeader, length: number): Uint8Array {
  const at = atEnd ? Math.max(offset, source.size - length) : offset;
  return at + length <= source.size ? source.read(at, length) : new Uint8Array(0);
}

/** Characters that end or hide text for one reader and not for another. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const controls = /[\0-\x08\x0b-\x0c\x0e-\x1f\x7f]/;

/** A decimal number as every reader takes it; NaN for any other text (hexadecimal, words, nothing). */
export const decimal = (text: string) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN);

/** Faults of one header, by field. */
export class HeaderFaults extends FaultList {
  constructor(
    private readonly format: string,
    private readonly name: string,
  ) {
    super();
  }

  say(field: string, given: unknown, expected: string, fix = 'The file is damaged; fetch it again.'): void {
    const text = String(given);
    const short = text.length > 200 ? `${text.slice(0, 200)}…` : text;
    this.add(`${this.format}-${field.replaceAll(' ', '-').toLowerCase()}`, `${this.name} ${field}`, short, expected, fix);
  }

  /** Every size a whole number above 0, all voxels together no more than a file can hold. */
  checkSizes(field: string, sizes: readonly number[], type: NumberType | undefined): void {
    if (sizes.length === 0 || !sizes.every((n) => Number.isSafeInteger(n) && n >= 1))
      this.say(field, sizes.join(' ') || 'missing', 'whole numbers of at least 1');
    else if (!(sizes.reduce((a, b) => a * b, type ? bytesOf[type] : 1) <= 2 ** 40))
      this.say(field, sizes.join('×'), 'at most 1 TiB of voxels');
  }

  throwHere(): void {
    this.throwIfAny(`${this.name} cannot be read`);
  }
}

/**
 * A geometry in ITK's world (x to the left, y to the back, z up) as a volume keeps it (RAS+). A negative spacing turns its axis round, as in ITK.
 * @param size along x, y and, in three dimensions, z
 * @param spacing mm along each axis
 * @param origin of voxel 0, mm
 * @param axes direction of each axis; brought to length 1
 */
export function geometryFromLps(
  spacing: readonly number[],
  origin: readonly number[],
  axes: readonly (readonly number[])[],
  faults: HeaderFaults,
): Pick<ImageHeader, 'spacingMm' | 'originMm' | 'direction'> {
  if (!spacing.every((s) => Math.abs(s) >= 1e-9 && Math.abs(s) <= 1e9))
    faults.say('spacing', spacing.join(' '), 'voxels between 1e-9 and 1e9 mm', 'Write the right voxel size into the header.');
  if (!origin.every(Number.isFinite)) faults.say('origin', origin.join(' '), 'finite numbers', 'Write the origin again.');
  const flat = spacing.length === 2;
  const [sx, sy] = spacing.map(Math.abs);
  const sz = flat ? sliceSpacing(sy, sx) : Math.abs(spacing[2]);
  const columns = (flat ? [...axes.map(([x, y]) => [x, y, 0]), [0, 0, 1]] : axes).map((axis, i) => {
    const length = Math.hypot(...axis) * (spacing[i] < 0 ? -1 : 1);
    return [0 - axis[0] / length, 0 - axis[1] / length, axis[2] / length];
  });
  const [a, b, c] = columns;
  const determinant =
    a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1]) + c[0] * (a[1] * b[2] - a[2] * b[1]);
  if (!(Math.abs(determinant) > 1e-9))
    faults.say(
      'direction',
      axes.map((axis) => `(${axis.join(' ')})`).join(' '),
      'independent axes',
      'Set the orientation again.',
    );
  return {
    spacingMm: [sz, sy, sx],
    originMm: [0 - origin[0], 0 - origin[1], flat ? 0 : origin[2]],
    direction: [0, 1, 2].flatMap((row) => columns.map((column) => column[row])) as unknown as Volume['direction'],
  };
}

/** Axes along the world's own, for `rank` dimensions. */
export const unitAxes = (rank: number) =>
  Array.from({ length: rank }, (_, i) => Array.from({ length: rank }, (_, j) => (i === j ? 1 : 0)));

/** A volume's geometry in ITK's world; two axes for a 2-D image. */
export function geometryToLps(volume: Volume, dimensions: 2 | 3): { spacing: number[]; origin: number[]; axes: number[][] } {
  const { spacingMm, originMm, direction } = volume;
  const lps = ([x, y, z]: readonly number[]) => [0 - x, 0 - y, z].slice(0, dimensions);
  return {
    spacing: [...spacingMm].reverse().slice(0, dimensions),
    origin: lps(originMm),
    axes: [0, 1, 2].slice(0, dimensions).map((i) => lps([direction[i], direction[3 + i], direction[6 + i]])),
  };
}
