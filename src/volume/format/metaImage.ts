// MetaImage files in and out (.mha; .mhd with its data file in), as SimpleITK reads and writes them.
//
// Source: the MetaIO documentation (Kitware); sizes of its number types and the default values as in ITK's MetaImageIO.
import { atomicWrite } from '../../base/atomicWrite.js';
import { encodeNumbers, type NumberType, numberTypeOf } from '../dtype.js';
import { checkLength, isPicture, type Volume } from '../volume.js';
import { zlibbed } from './gzip.js';
import {
  controls,
  decimal,
  geometryFromLps,
  geometryToLps,
  HeaderFaults,
  headText,
  type ImageFormat,
  type ImageHeader,
  readImage,
  unitAxes,
} from './imageFile.js';

const types: Record<string, NumberType> = {
  MET_CHAR: 'int8',
  MET_UCHAR: 'uint8',
  MET_SHORT: 'int16',
  MET_USHORT: 'uint16',
  MET_INT: 'int32',
  MET_UINT: 'uint32',
  MET_LONG_LONG: 'int64',
  MET_ULONG_LONG: 'uint64',
  MET_FLOAT: 'float32',
  MET_DOUBLE: 'float64',
  // Four bytes on every machine.
  MET_LONG: 'int32',
  MET_ULONG: 'uint32',
};

/** Fields that say something about each axis: they follow NDims, as MetaIO asks. */
const axisFields = [
  'DimSize',
  'TransformMatrix',
  'Rotation',
  'Orientation',
  'Offset',
  'Position',
  'Origin',
  'CenterOfRotation',
  'ElementSpacing',
  'ElementSize',
  'AnatomicalOrientation',
];

/**
 * Reads .mha, or .mhd with its data file.
 * @returns voxels `[depth, height, width, channel]` in the file's type (float64 for 64-bit integers)
 * @throws VoxelbookError naming file, field, found and expected
 */
export const readMetaImage = (file: string): Volume => readImage(file, metaImage);

export const metaImage: ImageFormat = { end: /^[ \t]*ElementDataFile[ \t]*[=:][^\n]*\n/m, read: readMetaImageHeader };

/**
 * Reads and checks a header: binary voxels, plain or zlib-packed, two to four dimensions.
 * @throws VoxelbookError naming every field at fault
 */
function readMetaImageHeader(bytes: Uint8Array, name: string): ImageHeader {
  const faults = new HeaderFaults('metaimage', name);
  const start = headText(bytes);
  const last = /^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*)\r?(?:\n|$)/m.exec(start);
  if (!last) {
    faults.say(
      'ElementDataFile',
      `none in ${start.length} bytes`,
      'a header that ends with it',
      'This is no MetaImage file, or it is cut.',
    );
    faults.throwHere();
  }
  const end = last!.index + last![0].length;
  const fields = fieldsOf(start.slice(0, last!.index), faults);
  faults.throwHere();
  const first = (...names: string[]) => fields.get(names.find((n) => fields.has(n)) ?? '');
  const list = (text: string | undefined) => text?.split(/\s+/).map(decimal);
  const flag = (text: string | undefined, otherwise: boolean) => (text === undefined ? otherwise : /^[t1]/i.test(text));

  const object = fields.get('ObjectType') ?? 'Image';
  if (object !== 'Image') faults.say('ObjectType', object, 'Image', 'Read an image, not another MetaIO object.');
  const type = Object.hasOwn(types, fields.get('ElementType') ?? '') ? types[fields.get('ElementType')!] : undefined;
  if (!type) faults.say('ElementType', fields.get('ElementType') ?? 'missing', `one of ${Object.keys(types).join(', ')}`);
  const values = decimal(fields.get('ElementNumberOfChannels') ?? '1');
  const size = list(fields.get('DimSize')) ?? [];
  const rank = decimal(fields.get('NDims') ?? '');
  if (!(rank >= 2 && rank <= 4)) faults.say('NDims', fields.get('NDims') ?? 'missing', '2, 3 or 4');
  else if (size.length !== rank) faults.say('DimSize', fields.get('DimSize') ?? 'missing', `${rank} sizes`);
  faults.checkSizes('DimSize, ElementNumberOfChannels', [...size, values], type);
  if (!flag(fields.get('BinaryData'), true))
    faults.say('BinaryData', fields.get('BinaryData'), 'True', 'Save the file again, with SimpleITK or ITK-SNAP.');
  const packed = flag(fields.get('CompressedData'), false);
  const packedBytes = fields.has('CompressedDataSize') ? decimal(fields.get('CompressedDataSize')!) : undefined;
  if (packed && !(Number.isSafeInteger(packedBytes) && packedBytes! > 0))
    faults.say('CompressedDataSize', fields.get('CompressedDataSize') ?? 'missing', 'a whole number beside CompressedData');
  const headerSize = decimal(fields.get('HeaderSize') ?? '0');
  if (!(Number.isSafeInteger(headerSize) && headerSize >= (packed ? 0 : -1)))
    faults.say('HeaderSize', fields.get('HeaderSize'), packed ? 'a whole number' : 'a whole number, or -1');
  const place = last![1].trim();
  const local = ['LOCAL', 'Local', 'local'].includes(place);
  if (local && headerSize > 0 && headerSize < end)
    faults.say('HeaderSize', headerSize, `at least ${end}, where this header ends`);
  if (/^LIST\b|%/.test(place)) faults.say('ElementDataFile', place, 'LOCAL or one file', 'Save the image in one file.');
  faults.throwHere();

  const space = Math.min(rank, 3);
  const vectorOf = (field: string, text: string | undefined, length: number, otherwise: number[]) => {
    const given = list(text) ?? otherwise;
    if (given.length !== length || !given.every(Number.isFinite)) faults.say(field, text, `${length} numbers`);
    return given;
  };
  const matrix = vectorOf(
    'TransformMatrix',
    first('TransformMatrix', 'Rotation', 'Orientation'),
    rank * rank,
    unitAxes(rank).flat(),
  );
  const origin = vectorOf('Offset', first('Offset', 'Position', 'Origin'), rank, new Array(rank).fill(0));
  const spacing = vectorOf('ElementSpacing', first('ElementSpacing', 'ElementSize'), rank, new Array(rank).fill(1));
  // Not used, but MetaIO reads it, and takes what follows for part of it where numbers are missing.
  vectorOf('CenterOfRotation', fields.get('CenterOfRotation'), rank, new Array(rank).fill(0));
  faults.throwHere();
  // Numbers that follow each other in the matrix are the direction of one axis.
  const axes = [0, 1, 2].slice(0, space).map((i) => matrix.slice(i * rank, i * rank + space));
  // ITK keeps the lengths; as these are directions, others than 1 are no voxel size.
  if (!axes.every((axis) => Math.abs(Math.hypot(...axis) - 1) < 1e-3))
    faults.say('TransformMatrix', matrix.join(' '), 'axes of length 1', 'Set the orientation again.');
  const geometry = geometryFromLps(spacing.slice(0, space), origin.slice(0, space), axes, faults);
  faults.throwHere();
  return {
    size: [size[0], size[1], size[2] ?? 1],
    values,
    frames: size[3] ?? 1,
    type: type!,
    littleEndian: !flag(first('BinaryDataByteOrderMSB', 'ElementByteOrderMSB'), false),
    packed,
    packedBytes,
    offset: Math.max(headerSize, local ? end : 0),
    atEnd: headerSize < 0,
    dataFile: local ? undefined : place,
    ...geometry,
  };
}

/** Fields by name. A line that is none, a field given twice or before NDims changes what MetaIO reads of all that follows. */
function fieldsOf(text: string, faults: HeaderFaults): Map<string, string> {
  const fields = new Map<string, string>();
  if (controls.test(text)) faults.say('header', 'control characters', 'text');
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const [, field, value] = /^\s*(\w+)\s*[=:](.*)$/.exec(line) ?? [];
    if (field === undefined) faults.say('line', JSON.stringify(line), 'a field, =, and its value');
    else if (fields.has(field)) faults.say(field, 'given twice', 'each field once');
    else if (axisFields.includes(field) && !fields.has('NDims')) faults.say(field, 'before NDims', 'NDims before it');
    else fields.set(field, value.trim());
  }
  return fields;
}

/** Writes a volume as .mha, zlib-packed; a 2-D image with two dimensions. */
export function writeMetaImage(file: string, volume: Volume): void {
  checkLength(volume);
  const { data, shape, channels } = volume;
  const dimensions = isPicture(volume) ? 2 : 3;
  const { spacing, origin, axes } = geometryToLps(volume, dimensions);
  const type = numberTypeOf(data);
  const packed = [...zlibbed([encodeNumbers(data)])];
  const header = [
    'ObjectType = Image',
    `NDims = ${dimensions}`,
    'BinaryData = True',
    'BinaryDataByteOrderMSB = False',
    'CompressedData = True',
    `CompressedDataSize = ${packed.reduce((sum, part) => sum + part.length, 0)}`,
    `TransformMatrix = ${axes.flat().join(' ')}`,
    `Offset = ${origin.join(' ')}`,
    `ElementSpacing = ${spacing.join(' ')}`,
    `DimSize = ${[...shape].reverse().slice(0, dimensions).join(' ')}`,
    ...(channels > 1 ? [`ElementNumberOfChannels = ${channels}`] : []),
    `ElementType = ${Object.keys(types).find((name) => types[name] === type)}`,
    'ElementDataFile = LOCAL',
  ];
  atomicWrite(file, [Buffer.from(`${header.join('\n')}\n`, 'latin1'), ...packed]);
}
