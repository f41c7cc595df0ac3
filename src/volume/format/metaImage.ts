// MetaImage files in and out (.mha; .mhd with its data file in), as SimpleITK reads and writes them.
//
// Source: the MetaIO documentation (Kitware); sizes of its number types and the default values as in ITK's MetaImageIO.
import zlib from 'node:zlib';
import { atomicWrite } from '../../base/atomicWrite.js';
import { encodeNumbers, type NumberType, numberTypeOf } from '../dtype.js';
import { checkLength, isPicture, type Volume } from '../volume.js';
import { geometryFromLps, geometryToLps, HeaderFaults, type ImageHeader, longestText, readImage, unitAxes } from './imageFile.js';

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

/**
 * Reads .mha, or .mhd with its data file.
 * @returns voxels `[depth, height, width, channel]` in the file's type (float64 for 64-bit integers)
 * @throws VoxelbookError naming file, field, found and expected
 */
export const readMetaImage = (file: string): Volume => readImage(file, readMetaImageHeader);

/**
 * Reads and checks a header: binary voxels, plain or zlib-packed, two to four dimensions.
 * @throws VoxelbookError naming every field at fault
 */
export function readMetaImageHeader(bytes: Uint8Array, name: string): ImageHeader {
  const faults = new HeaderFaults('metaimage', name);
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, longestText)).toString('latin1');
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
  const fields = new Map<string, string>();
  for (const line of start.slice(0, last!.index).split(/\r?\n/)) {
    const [, field, value] = /^\s*(\w+)\s*[=:](.*)$/.exec(line) ?? [];
    if (field !== undefined) fields.set(field, value.trim());
  }
  const first = (...names: string[]) => fields.get(names.find((n) => fields.has(n)) ?? '');
  const list = (text: string | undefined) => text?.split(/\s+/).map(Number);
  const flag = (text: string | undefined, otherwise: boolean) => (text === undefined ? otherwise : /^[t1]/i.test(text));

  const object = fields.get('ObjectType') ?? 'Image';
  if (object !== 'Image') faults.say('ObjectType', object, 'Image', 'Read an image, not another MetaIO object.');
  const type = Object.hasOwn(types, fields.get('ElementType') ?? '') ? types[fields.get('ElementType')!] : undefined;
  if (!type) faults.say('ElementType', fields.get('ElementType') ?? 'missing', `one of ${Object.keys(types).join(', ')}`);
  const values = Number(fields.get('ElementNumberOfChannels') ?? 1);
  const size = list(fields.get('DimSize')) ?? [];
  const rank = Number(fields.get('NDims'));
  if (!(rank >= 2 && rank <= 4)) faults.say('NDims', fields.get('NDims') ?? 'missing', '2, 3 or 4');
  else if (size.length !== rank) faults.say('DimSize', fields.get('DimSize') ?? 'missing', `${rank} sizes`);
  faults.checkSizes('DimSize, ElementNumberOfChannels', [...size, values], type);
  if (!flag(fields.get('BinaryData'), true))
    faults.say('BinaryData', fields.get('BinaryData'), 'True', 'Save the file again, with SimpleITK or ITK-SNAP.');
  const packed = flag(fields.get('CompressedData'), false);
  const packedBytes = fields.has('CompressedDataSize') ? Number(fields.get('CompressedDataSize')) : undefined;
  if (packed && packedBytes !== undefined && !(Number.isSafeInteger(packedBytes) && packedBytes >= 0))
    faults.say('CompressedDataSize', fields.get('CompressedDataSize'), 'a whole number');
  const headerSize = Number(fields.get('HeaderSize') ?? 0);
  if (!(Number.isSafeInteger(headerSize) && headerSize >= (packed ? 0 : -1)))
    faults.say('HeaderSize', fields.get('HeaderSize'), packed ? 'a whole number' : 'a whole number, or -1');
  const place = last![1].trim();
  const local = /^local$/i.test(place);
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
  faults.throwHere();
  // Numbers that follow each other in the matrix are the direction of one axis.
  const axes = [0, 1, 2].slice(0, space).map((i) => matrix.slice(i * rank, i * rank + space));
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

/** Writes a volume as .mha, zlib-packed; a 2-D image with two dimensions. */
export function writeMetaImage(file: string, volume: Volume): void {
  checkLength(volume);
  const { data, shape, channels } = volume;
  const dimensions = isPicture(volume) ? 2 : 3;
  const { spacing, origin, axes } = geometryToLps(volume, dimensions);
  const type = numberTypeOf(data);
  const packed = zlib.deflateSync(encodeNumbers(data), { level: 6 });
  const header = [
    'ObjectType = Image',
    `NDims = ${dimensions}`,
    'BinaryData = True',
    'BinaryDataByteOrderMSB = False',
    'CompressedData = True',
    `CompressedDataSize = ${packed.length}`,
    `TransformMatrix = ${axes.flat().join(' ')}`,
    `Offset = ${origin.join(' ')}`,
    `ElementSpacing = ${spacing.join(' ')}`,
    `DimSize = ${[...shape].reverse().slice(0, dimensions).join(' ')}`,
    ...(channels > 1 ? [`ElementNumberOfChannels = ${channels}`] : []),
    `ElementType = ${Object.keys(types).find((name) => types[name] === type)}`,
    'ElementDataFile = LOCAL',
  ];
  atomicWrite(file, [Buffer.from(`${header.join('\n')}\n`, 'latin1'), packed]);
}
