// NRRD files in and out, as SimpleITK reads and writes them (3D Slicer's format).
//
// Source: the NRRD file format definition (teem); where it leaves a choice (spaces, axis kinds, negative spacings), ITK's NrrdImageIO.
import zlib from 'node:zlib';
import { atomicWrite } from '../base/atomicWrite.js';
import { geometryFromLps, geometryToLps, HeaderFaults, type ImageHeader, longestText, readImage } from './imageFile.js';
import { bytesOf, encodeNumbers, type NumberType, numberTypeOf } from './numbers.js';
import { checkLength, isPicture, type Volume } from './volume.js';

const types: Record<NumberType, string[]> = {
  int8: ['signed char', 'int8', 'int8_t'],
  uint8: ['unsigned char', 'uchar', 'uint8', 'uint8_t'],
  int16: ['short', 'short int', 'signed short', 'signed short int', 'int16', 'int16_t'],
  uint16: ['unsigned short', 'ushort', 'unsigned short int', 'uint16', 'uint16_t'],
  int32: ['int', 'signed int', 'int32', 'int32_t'],
  uint32: ['unsigned int', 'uint', 'uint32', 'uint32_t'],
  int64: ['long long int', 'longlong', 'long long', 'signed long long', 'signed long long int', 'int64', 'int64_t'],
  uint64: ['unsigned long long int', 'ulonglong', 'unsigned long long', 'uint64', 'uint64_t'],
  float32: ['float'],
  float64: ['double'],
};

/** Kinds of an axis along which voxels lie; any other axis holds the numbers of one voxel. */
const voxelKinds = ['domain', 'space', 'time', '???', 'none'];

/**
 * Dimensions of each space, and the signs that turn x, y, z to the left, to the back and up. Spaces without a side are taken for that
 * already, and so are those with time: as ITK does.
 */
const spaces = new Map<string, { dimensions: number; signs?: number[] }>([
  ...['right-anterior-superior', 'ras'].map((s) => [s, { dimensions: 3, signs: [-1, -1, 1] }] as const),
  ...['left-anterior-superior', 'las'].map((s) => [s, { dimensions: 3, signs: [1, -1, 1] }] as const),
  ...['left-posterior-superior', 'lps', 'scanner-xyz', '3d-right-handed', '3d-left-handed'].map(
    (s) => [s, { dimensions: 3 }] as const,
  ),
  ...[
    'right-anterior-superior',
    'left-anterior-superior',
    'left-posterior-superior',
    'scanner-xyz',
    '3d-right-handed',
    '3d-left-handed',
  ].map((s) => [`${s}-time`, { dimensions: 4 }] as const),
  ...['rast', 'last', 'lpst'].map((s) => [s, { dimensions: 4 }] as const),
]);

/**
 * Reads .nrrd, or .nhdr with its data file.
 * @returns voxels `[depth, height, width, channel]` in the file's type (float64 for 64-bit integers)
 * @throws VoxelbookError naming file, field, found and expected
 */
export const readNrrd = (file: string): Volume => readImage(file, readNrrdHeader);

/**
 * Reads and checks a header: raw and gzip encoding, two to four axes of voxels and at most one of channels, at either end.
 * @throws VoxelbookError naming every field at fault
 */
export function readNrrdHeader(bytes: Uint8Array, name: string): ImageHeader {
  const faults = new HeaderFaults('nrrd', name);
  const { fields, end, detached } = fieldsOf(bytes, faults);
  faults.throwHere();

  const type = (Object.keys(types) as NumberType[]).find((t) => types[t].includes((fields.get('type') ?? '').toLowerCase()));
  if (!type) faults.say('type', fields.get('type') ?? 'missing', `one of ${Object.values(types).flat().join(', ')}`);
  const sizes = numbers(fields.get('sizes'));
  faults.checkSizes('sizes', sizes, type);
  if (Number(fields.get('dimension')) !== sizes.length)
    faults.say('dimension', fields.get('dimension') ?? 'missing', `${sizes.length}, the number of sizes`);

  const encoding = (fields.get('encoding') ?? 'missing').toLowerCase();
  const packed = encoding === 'gzip' || encoding === 'gz';
  if (!packed && encoding !== 'raw')
    faults.say('encoding', encoding, 'raw or gzip', 'Save the file again, with SimpleITK or 3D Slicer.');
  const endian = fields.get('endian')?.toLowerCase();
  if (endian !== 'little' && endian !== 'big' && !(endian === undefined && type && bytesOf[type] === 1))
    faults.say('endian', endian ?? 'missing', 'little or big');
  if (Number(fields.get('line skip') ?? 0) !== 0)
    faults.say('line skip', fields.get('line skip'), '0', 'Save the file again, with SimpleITK or 3D Slicer.');
  const skip = Number(fields.get('byte skip') ?? 0);
  if (!(Number.isSafeInteger(skip) && skip >= (packed ? 0 : -1) && (!packed || skip === 0)))
    faults.say('byte skip', fields.get('byte skip'), packed ? '0 with packed voxels' : 'a whole number of at least -1');
  faults.throwHere();

  const dataFile = fields.get('data file');
  if (dataFile === undefined && detached)
    faults.say('data file', 'missing, and no voxels follow', 'voxels after an empty line, or a file');
  if (dataFile !== undefined && /^LIST\b|%|\s-?\d+\s+-?\d+/.test(dataFile))
    faults.say('data file', dataFile, 'one file', 'Save the image in one file.');
  const layout = layoutOf(fields, sizes, faults);
  faults.throwHere();
  const geometry = geometryOf(fields, layout!.voxelAxes, sizes.length, faults);
  faults.throwHere();
  return {
    ...layout!,
    type: type!,
    littleEndian: endian !== 'big',
    packed,
    offset: Math.max(skip, 0) + (dataFile === undefined ? end : 0),
    atEnd: skip < 0,
    dataFile,
    ...geometry!,
  };
}

/** Fields by name, where the header ends, and whether no empty line ends it (then the voxels must be elsewhere). */
function fieldsOf(bytes: Uint8Array, faults: HeaderFaults) {
  const fields = new Map<string, string>();
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, longestText)).toString('latin1');
  const empty = /\n\r?\n/.exec(text);
  const end = empty ? empty.index + empty[0].length : text.length;
  if (!/^NRRD000[1-9]\r?\n/.test(text))
    faults.say('magic', JSON.stringify(text.slice(0, 8)), 'NRRD0001 to NRRD0009', 'This is no NRRD file.');
  else if (!empty && bytes.length > longestText)
    faults.say('header', `no end in ${longestText} bytes`, 'an empty line before the voxels');
  else
    for (const line of text.slice(0, end).split('\n').slice(1)) {
      const [, field, value] = /^([^:#=]+): (.*?)\r?$/.exec(line) ?? [];
      if (field === undefined) continue;
      const key = aliases.get(field.toLowerCase()) ?? field.toLowerCase();
      if (fields.has(key)) faults.say(key, 'given twice', 'each field once');
      fields.set(key, value.trim());
    }
  return { fields, end, detached: !empty };
}

/** Other spellings of fields. */
const aliases = new Map([
  ['lineskip', 'line skip'],
  ['byteskip', 'byte skip'],
  ['datafile', 'data file'],
  ['centerings', 'centers'],
  ['axismins', 'axis mins'],
]);

const numbers = (text = '') => text.split(/\s+/).filter(Boolean).map(Number);

/** Which axes voxels lie along, and where the numbers of one voxel are: first (`values`) or last (`frames`). */
function layoutOf(fields: Map<string, string>, sizes: number[], faults: HeaderFaults) {
  const kinds = (fields.get('kinds') ?? '').toLowerCase().split(/\s+/);
  const directions = vectors(fields.get('space directions'));
  const isVoxelAxis = sizes.map(
    (_, i) => voxelKinds.includes(kinds[i] || 'none') && (directions.length === 0 || !!directions[i]),
  );
  const voxelAxes = sizes.map((_, i) => i).filter((i) => isVoxelAxis[i]);
  const others = sizes.map((_, i) => i).filter((i) => !isVoxelAxis[i]);
  if (kinds.includes('complex')) faults.say('kinds', 'complex numbers', 'real numbers', 'Convert the file to real numbers.');
  if (others.length > 1 || (others.length === 1 && others[0] !== 0 && others[0] !== sizes.length - 1))
    faults.say('kinds', kinds.join(' '), 'at most one axis of channels, the first or the last');
  if (voxelAxes.length < 2 || voxelAxes.length > 4) faults.say('sizes', sizes.join(' '), '2, 3 or 4 axes of voxels');
  const first = others[0] === 0 ? sizes[0] : 1;
  const last = others.length === 1 && others[0] !== 0 ? sizes[others[0]] : 1;
  const [x, y, z = 1, t = 1] = voxelAxes.map((i) => sizes[i]);
  return { voxelAxes, size: [x, y, z] as ImageHeader['size'], values: first, frames: last * t };
}

/** `(1,0,0) none (0,1,0)` as numbers, null for none. */
const vectors = (text = ''): (number[] | null)[] =>
  (text.match(/\([^()]*\)|none/gi) ?? []).map((v) => (v.startsWith('(') ? v.slice(1, -1).split(',').map(Number) : null));

function geometryOf(fields: Map<string, string>, voxelAxes: number[], dimension: number, faults: HeaderFaults) {
  const space = fields.get('space')?.toLowerCase();
  const known = space === undefined ? { dimensions: Number(fields.get('space dimension') ?? 0) } : spaces.get(space);
  if (!known) {
    faults.say('space', space, `one of ${[...spaces.keys()].join(', ')}`);
    return undefined;
  }
  const { dimensions: spaceDimension, signs = [1, 1, 1] }: { dimensions: number; signs?: number[] } = known;
  const rank = Math.min(voxelAxes.length, 3);
  const turned = (v: number[]) => v.slice(0, rank).map((value, i) => value * signs[i]);

  const origins = vectors(fields.get('space origin'));
  const directions = vectors(fields.get('space directions'));
  if (directions.length > 0) {
    if (spaceDimension !== voxelAxes.length)
      faults.say('space', `${spaceDimension} dimensions`, `${voxelAxes.length}, one for each axis of voxels`);
    const axes = voxelAxes.map((i) => directions[i]!);
    if (directions.length !== dimension || axes.some((v) => v.length !== spaceDimension || !v.every(Number.isFinite)))
      faults.say(
        'space directions',
        fields.get('space directions'),
        `${dimension} vectors of ${spaceDimension} numbers, or none`,
      );
    else if (origins.length > 0 && origins[0]?.length !== spaceDimension)
      faults.say('space origin', fields.get('space origin'), `${spaceDimension} numbers`);
    else {
      const own = axes.slice(0, rank).map(turned);
      // ITK takes an origin of nan for none.
      const origin = origins[0]?.every(Number.isFinite) ? turned(origins[0]) : new Array(rank).fill(0);
      return geometryFromLps(
        own.map((v) => Math.hypot(...v)),
        origin,
        own,
        faults,
      );
    }
    return undefined;
  }
  if (spaceDimension > 0 && fields.has('spacings'))
    faults.say(
      'spacings',
      fields.get('spacings'),
      'space directions beside a space',
      'Save the file again, with SimpleITK or 3D Slicer.',
    );
  const along = (field: string) => voxelAxes.slice(0, rank).map((i) => numbers(fields.get(field))[i]);
  const spacing = along('spacings').map((s) => (Number.isFinite(s) ? s : 1));
  const least = along('axis mins');
  const centers = (fields.get('centers') ?? '').toLowerCase().split(/\s+/);
  // The least position is a cell's edge unless the axis is node-centred.
  const origin = least.every(Number.isFinite)
    ? least.map((m, i) => (centers[voxelAxes[i]] === 'node' ? m : m + spacing[i] / 2))
    : new Array(rank).fill(0);
  const axes = [0, 1, 2].slice(0, rank).map((i) => [0, 1, 2].slice(0, rank).map((j) => (i === j ? 1 : 0)));
  return geometryFromLps(spacing, origin, axes, faults);
}

/** Writes a volume gzip-packed, channels as a vector axis; a 2-D image with two dimensions. */
export function writeNrrd(file: string, volume: Volume): void {
  checkLength(volume);
  const { data, shape, channels } = volume;
  const dimensions = isPicture(volume) ? 2 : 3;
  const { spacing, origin, axes } = geometryToLps(volume, dimensions);
  const vector = (v: number[]) => `(${v.join(',')})`;
  const ahead = <T>(first: T, rest: T[]) => (channels > 1 ? [first, ...rest] : rest).join(' ');
  const header = [
    'NRRD0004',
    `type: ${types[numberTypeOf(data)][0]}`,
    `dimension: ${dimensions + (channels > 1 ? 1 : 0)}`,
    dimensions === 2 ? 'space dimension: 2' : 'space: left-posterior-superior',
    `sizes: ${ahead(channels, [...shape].reverse().slice(0, dimensions))}`,
    `space directions: ${ahead(
      'none',
      axes.map((axis, i) => vector(axis.map((v) => v * spacing[i]))),
    )}`,
    `kinds: ${ahead('vector', new Array(dimensions).fill('domain'))}`,
    'endian: little',
    'encoding: gzip',
    `space origin: ${vector(origin)}`,
  ];
  atomicWrite(file, [Buffer.from(`${header.join('\n')}\n\n`, 'latin1'), zlib.gzipSync(encodeNumbers(data), { level: 6 })]);
}
