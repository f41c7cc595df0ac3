// NRRD files in and out, as SimpleITK reads and writes them (3D Slicer's format).
//
// Source: the NRRD file format definition (teem); where it leaves a choice (spaces, axis kinds, negative spacings), ITK's NrrdImageIO.
import { atomicWrite } from '../../base/atomicWrite.js';
import { bytesOf, encodeNumbers, type NumberType, numberTypeOf } from '../dtype.js';
import { checkLength, isPicture, type Volume } from '../volume.js';
import { gzipped } from './gzip.js';
import {
  controls,
  decimal,
  geometryFromLps,
  geometryToLps,
  HeaderFaults,
  headText,
  type ImageFormat,
  type ImageHeader,
  longestText,
  readImage,
  unitAxes,
} from './imageFile.js';

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
const valueKinds =
  /^(list|point|vector|covariant-vector|normal|stub|scalar|complex|[234]-vector|[34]-color|(rgb|hsv|xyz|rgba)-color|3-gradient|3-normal|quaternion|[23]d-(symmetric-|masked-|masked-symmetric-)?matrix)$/;
const centerings = ['cell', 'node', '???', 'none'];

interface Space {
  dimensions: number;
  signs?: number[];
}

/**
 * Dimensions of each space, and the signs that turn x, y, z to the left, to the back and up. Spaces without a side are taken for that
 * already, and so are those with time: as ITK does.
 */
const spaces = new Map<string, Space>([
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
export const readNrrd = (file: string): Volume => readImage(file, nrrd);

export const nrrd: ImageFormat = { end: /\n\r?\n/, read: readNrrdHeader };

/**
 * Reads and checks a header: raw and gzip encoding, two to four axes of voxels and at most one of channels, at either end.
 * @throws VoxelbookError naming every field at fault
 */
function readNrrdHeader(bytes: Uint8Array, name: string): ImageHeader {
  const faults = new HeaderFaults('nrrd', name);
  const { fields, end, detached } = fieldsOf(bytes, faults);
  faults.throwHere();

  const type = (Object.keys(types) as NumberType[]).find((t) => types[t].includes((fields.get('type') ?? '').toLowerCase()));
  if (!type) faults.say('type', fields.get('type') ?? 'missing', `one of ${Object.values(types).flat().join(', ')}`);
  const sizes = numbers(fields.get('sizes'));
  faults.checkSizes('sizes', sizes, type);
  checkEntries(fields, sizes.length, faults);
  if (decimal(fields.get('dimension') ?? '') !== sizes.length)
    faults.say('dimension', fields.get('dimension') ?? 'missing', `${sizes.length}, the number of sizes`);

  const encoding = (fields.get('encoding') ?? 'missing').toLowerCase();
  const packed = encoding === 'gzip' || encoding === 'gz';
  if (!packed && encoding !== 'raw')
    faults.say('encoding', encoding, 'raw or gzip', 'Save the file again, with SimpleITK or 3D Slicer.');
  const endian = fields.get('endian')?.toLowerCase();
  if (endian !== 'little' && endian !== 'big' && !(endian === undefined && type && bytesOf[type] === 1))
    faults.say('endian', endian ?? 'missing', 'little or big');
  if (decimal(fields.get('line skip') ?? '0') !== 0)
    faults.say('line skip', fields.get('line skip'), '0', 'Save the file again, with SimpleITK or 3D Slicer.');
  const skip = decimal(fields.get('byte skip') ?? '0');
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
  const text = headText(bytes);
  const empty = /\n\r?\n/.exec(text);
  const end = empty ? empty.index + empty[0].length : text.length;
  if (!/^NRRD000[1-9]\r?\n/.test(text))
    faults.say('magic', JSON.stringify(text.slice(0, 8)), 'NRRD0001 to NRRD0009', 'This is no NRRD file.');
  else if (!empty && bytes.length > longestText)
    faults.say('header', `no end in ${longestText} bytes`, 'an empty line before the voxels');
  else if (!text.endsWith('\n') && !empty) faults.say('header', 'an end within a line', 'whole lines');
  else if (controls.test(text.slice(0, end).replace(/^data ?file: .*$/im, '')))
    faults.say('header', 'control characters', 'text');
  else for (const line of text.slice(0, end).split(/\r?\n/).slice(1)) addField(line, fields, faults);
  return { fields, end, detached: !empty };
}

/** A line as teem reads it: a remark, a key with its value, or a known field, once, behind the fields it depends on. */
function addField(line: string, fields: Map<string, string>, faults: HeaderFaults): void {
  if (line === '' || line.startsWith('#') || /^[^:]+:=/.test(line)) return;
  const [, field = '', value = ''] = /^([^:]+): (.*)$/.exec(line) ?? [];
  const key = aliases.get(field.toLowerCase()) ?? field.toLowerCase();
  if (!field || !knownFields.has(key)) faults.say('line', JSON.stringify(line), 'a remark, a key:=value, or a field: value');
  else if (fields.has(key)) faults.say(key, 'given twice', 'each field once');
  else if (axisFields.has(key) && !fields.has('dimension')) faults.say(key, 'before dimension', 'dimension before it');
  else if (spaceFields.has(key) && !fields.has('space') && !fields.has('space dimension'))
    faults.say(key, 'before a space', 'space or space dimension before it');
  else if ((key === 'space' && fields.has('space dimension')) || (key === 'space dimension' && fields.has('space')))
    faults.say(key, 'beside another', 'either space or space dimension');
  fields.set(key, value.trim());
}

/** Fields with an entry for each axis, and fields that need a space. */
const axisFields = new Set([
  'sizes',
  'spacings',
  'thicknesses',
  'axis mins',
  'axis maxs',
  'centers',
  'kinds',
  'labels',
  'units',
  'space directions',
]);
const spaceFields = new Set(['space origin', 'space directions', 'space units', 'measurement frame']);
const knownFields = new Set([
  ...axisFields,
  ...spaceFields,
  ...['type', 'dimension', 'space', 'space dimension', 'encoding', 'endian', 'line skip', 'byte skip', 'data file'],
  ...['content', 'number', 'min', 'max', 'old min', 'old max', 'sample units'],
]);

const quoted = /^("[^"]*"(\s+|$))+$/;
const inBrackets = /^((\([^()]*\)|none)(\s+|$))+$/i;

/** Fields that we do not use are read as teem reads them: an entry for each axis, none where the axis has a direction. */
function checkEntries(fields: Map<string, string>, dimension: number, faults: HeaderFaults): void {
  const count = (key: string, pattern: RegExp) => (fields.get(key)?.match(pattern) ?? []).length;
  for (const key of ['axis maxs', 'thicknesses', 'kinds', 'centers'])
    if (fields.has(key) && count(key, /\S+/g) !== dimension) faults.say(key, fields.get(key), `${dimension} entries`);
  for (const key of ['labels', 'units'])
    if (fields.has(key) && (count(key, /"[^"]*"/g) !== dimension || !quoted.test(fields.get(key)!)))
      faults.say(key, fields.get(key), `${dimension} entries in quotes`);
  for (const center of (fields.get('centers') ?? 'none').toLowerCase().split(/\s+/))
    if (!centerings.includes(center)) faults.say('centers', center, `one of ${centerings.join(', ')}`);
  for (const kind of (fields.get('kinds') ?? 'none').toLowerCase().split(/\s+/))
    if (!voxelKinds.includes(kind) && !valueKinds.test(kind)) faults.say('kinds', kind, 'a kind that NRRD names');
  if (fields.has('space directions') && !inBrackets.test(fields.get('space directions')!))
    faults.say('space directions', fields.get('space directions'), `${dimension} vectors, or none for an axis of channels`);
  for (const key of ['spacings', 'axis mins', 'axis maxs', 'thicknesses'])
    if (
      fields.has(key) &&
      !fields
        .get(key)!
        .split(/\s+/)
        .every((text) => Number.isFinite(decimal(text)) || /^nan$/i.test(text))
    )
      faults.say(key, fields.get(key), 'numbers');
  if (fields.has('space directions'))
    for (const key of ['axis mins', 'axis maxs', 'units'])
      if (fields.has(key)) faults.say(key, fields.get(key), 'none beside space directions');
}

/** Other spellings of fields. */
const aliases = new Map([
  ['lineskip', 'line skip'],
  ['byteskip', 'byte skip'],
  ['datafile', 'data file'],
  ['centerings', 'centers'],
  ['axismins', 'axis mins'],
  ['axismaxs', 'axis maxs'],
  ['sampleunits', 'sample units'],
  ['oldmin', 'old min'],
  ['oldmax', 'old max'],
]);

/** A number, or NaN where the file says nan; what is neither becomes infinite, which no geometry may be. */
const numberOf = (text: string) => {
  const value = decimal(text.trim());
  return Number.isNaN(value) && text.trim().toLowerCase() !== 'nan' ? Number.POSITIVE_INFINITY : value;
};

const numbers = (text = '') => text.split(/\s+/).filter(Boolean).map(numberOf);

/** Which axes voxels lie along, and where the numbers of one voxel are: first (`values`) or last (`frames`). */
function layoutOf(fields: Map<string, string>, sizes: number[], faults: HeaderFaults) {
  const kinds = (fields.get('kinds') ?? '').toLowerCase().split(/\s+/);
  const directions = vectors(fields.get('space directions'));
  if (fields.has('space directions') && directions.length !== sizes.length) {
    faults.say('space directions', fields.get('space directions'), `${sizes.length} vectors, or none for an axis of channels`);
    return undefined;
  }
  const isVoxelAxis = sizes.map((_, i) => voxelKinds.includes(kinds[i] || 'none'));
  if (fields.has('space directions') && isVoxelAxis.some((voxels, i) => voxels !== !!directions[i]))
    faults.say('space directions', fields.get('space directions'), 'a vector for each axis of voxels, none for channels');
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
  (text.match(/\([^()]*\)|none/gi) ?? []).map((v) => (v.startsWith('(') ? v.slice(1, -1).split(',').map(numberOf) : null));

function geometryOf(fields: Map<string, string>, voxelAxes: number[], dimension: number, faults: HeaderFaults) {
  const space = fields.get('space')?.toLowerCase();
  const known: Space | undefined =
    space === undefined ? { dimensions: decimal(fields.get('space dimension') ?? '0') } : spaces.get(space);
  if (!known) {
    faults.say('space', space, `one of ${[...spaces.keys()].join(', ')}`);
    return undefined;
  }
  const { dimensions, signs = [1, 1, 1] } = known;
  if (dimensions > 0 && dimensions !== voxelAxes.length)
    faults.say('space', `${dimensions} dimensions`, `${voxelAxes.length}, one for each axis of voxels`);
  const units = fields.get('space units');
  if (units !== undefined && (units.match(/"[^"]*"/g)?.length !== dimensions || !quoted.test(units)))
    faults.say('space units', units, `${dimensions} entries in quotes`);
  const frame = fields.get('measurement frame');
  const isFrame = (text: string) =>
    inBrackets.test(text) && vectors(text).length === dimensions && !vectors(text).flat().includes(Number.POSITIVE_INFINITY);
  if (frame !== undefined && !isFrame(frame)) faults.say('measurement frame', frame, `${dimensions} vectors`);
  const rank = Math.min(voxelAxes.length, 3);
  const turned = (v: number[]) => v.slice(0, rank).map((value, i) => value * signs[i]);
  const axes = axesOf(fields, voxelAxes, dimensions, faults)?.map(turned);
  const spacing = axes ? axes.map((v) => Math.hypot(...v)) : numbersAlong('spacings', fields, voxelAxes, dimension, faults);
  const origin = originOf(fields, dimensions, faults) ?? leastOf(fields, voxelAxes, dimension, spacing, faults);
  if (dimensions > 0 && fields.has('spacings'))
    faults.say(
      'spacings',
      fields.get('spacings'),
      'space directions beside a space',
      'Save the file again, with SimpleITK or 3D Slicer.',
    );
  if (faults.faults.length > 0) return undefined;
  return geometryFromLps(
    spacing.map((s) => (Number.isNaN(s) ? 1 : s)),
    origin ? turned(origin) : new Array(rank).fill(0),
    axes ?? unitAxes(rank),
    faults,
  );
}

/** The vectors from voxel to voxel, of at most three axes; undefined where the file has none. */
function axesOf(fields: Map<string, string>, voxelAxes: number[], dimensions: number, faults: HeaderFaults) {
  if (!fields.has('space directions')) return undefined;
  const directions = vectors(fields.get('space directions'));
  const axes = voxelAxes.map((i) => directions[i]!);
  if (axes.some((v) => v.length !== dimensions || !v.every(Number.isFinite)))
    faults.say('space directions', fields.get('space directions'), `vectors of ${dimensions} numbers`);
  return axes.slice(0, 3);
}

/** Position of voxel 0; undefined where the file says nothing or, what is the same to ITK, nan. */
function originOf(fields: Map<string, string>, dimensions: number, faults: HeaderFaults) {
  if (!fields.has('space origin')) return undefined;
  const [origin, ...more] = vectors(fields.get('space origin'));
  if (origin?.length !== dimensions || more.length > 0 || !inBrackets.test(fields.get('space origin')!))
    faults.say('space origin', fields.get('space origin'), `${dimensions} numbers in brackets`);
  return origin?.includes(Number.NaN) ? undefined : (origin ?? undefined);
}

/** The older way to say an origin: the least position along each axis, a cell's edge unless the axis is node-centred. */
function leastOf(fields: Map<string, string>, voxelAxes: number[], dimension: number, spacing: number[], faults: HeaderFaults) {
  const least = numbersAlong('axis mins', fields, voxelAxes, dimension, faults);
  // Without a spacing ITK heeds the least positions of cells, and not those of nodes.
  if (fields.has('axis mins') && !fields.has('spacings') && fields.has('centers'))
    faults.say('spacings', 'missing', 'a spacing beside axis mins and centers');
  const centers = (fields.get('centers') ?? '').toLowerCase().split(/\s+/);
  const origin = least.map((m, i) => (centers[voxelAxes[i]] === 'node' ? m : m + spacing[i] / 2));
  return origin.some(Number.isNaN) ? undefined : origin;
}

/** A field with one number an axis, for at most three axes of voxels; NaN where it is absent. */
function numbersAlong(field: string, fields: Map<string, string>, voxelAxes: number[], dimension: number, faults: HeaderFaults) {
  const list = fields.has(field) ? numbers(fields.get(field)) : new Array<number>(dimension).fill(Number.NaN);
  if (list.length !== dimension) faults.say(field, fields.get(field), `${dimension} numbers`);
  return voxelAxes.slice(0, 3).map((i) => list[i]);
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
  atomicWrite(file, fileOf(`${header.join('\n')}\n\n`, gzipped([encodeNumbers(data)])));
}

function* fileOf(header: string, voxels: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield Buffer.from(header, 'latin1');
  yield* voxels;
}
