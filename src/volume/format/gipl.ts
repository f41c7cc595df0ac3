// GIPL files in and out (Guy's Image Processing Lab), as SimpleITK reads and writes them: 256 bytes of header, then the voxels, big-endian.
//
// Source: ITK's GiplImageIO. The format keeps no direction: axes run along ITK's world.
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { encodeNumbers, type NumberType, numberTypeOf } from '../dtype.js';
import { checkLength, isPicture, type Volume } from '../volume.js';
import {
  geometryFromLps,
  geometryToLps,
  HeaderFaults,
  type ImageFormat,
  type ImageHeader,
  readImage,
  unitAxes,
} from './imageFile.js';

const headerBytes = 256;
const magics = [0xefffe9b0, 0x2ae389b8];
const types: Record<number, NumberType> = {
  7: 'int8',
  8: 'uint8',
  15: 'int16',
  16: 'uint16',
  31: 'uint32',
  32: 'int32',
  64: 'float32',
  65: 'float64',
};

/**
 * Reads .gipl.
 * @returns voxels `[depth, height, width, channel]` in the file's type
 * @throws VoxelbookError naming file, field, found and expected
 */
export const readGipl = (file: string): Volume => readImage(file, gipl);

export const gipl: ImageFormat = { end: /^[\s\S]{256}/, read: readGiplHeader };

/**
 * Reads and checks a header.
 * @throws VoxelbookError naming every field at fault
 */
function readGiplHeader(bytes: Uint8Array, name: string): ImageHeader {
  const faults = new HeaderFaults('gipl', name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes)
    faults.say('header', `${bytes.length} bytes`, `${headerBytes} bytes`, 'This is no GIPL file, or it is cut.');
  else if (!magics.includes(view.getUint32(252)))
    faults.say('magic', `0x${view.getUint32(252).toString(16)}`, '0xefffe9b0 at byte 252', 'This is no GIPL file.');
  faults.throwHere();
  const dims = [0, 2, 4, 6].map((at) => view.getUint16(at));
  // A size of 0 ends the list.
  const rank = dims.indexOf(0) < 0 ? 4 : dims.indexOf(0);
  const code = view.getUint16(8);
  const type = types[code];
  if (!type) {
    const names = Object.entries(types).map(([c, t]) => `${c} ${t}`);
    faults.say('image type', code, `one of ${names.join(', ')}`, 'Convert the file to a real number type.');
  }
  if (rank < 2 || dims.slice(rank).some((n) => n > 0))
    faults.say('dimensions', dims.join(' '), 'at least 2 sizes above 0, and none behind a 0');
  else faults.checkSizes('dimensions', dims.slice(0, rank), type);
  faults.throwHere();
  const space = Math.min(rank, 3);
  const spacing = [10, 14, 18].slice(0, space).map((at) => view.getFloat32(at));
  const origin = [204, 212, 220].slice(0, space).map((at) => view.getFloat64(at));
  const geometry = geometryFromLps(spacing, origin, unitAxes(space), faults);
  faults.throwHere();
  const [x, y, z, t] = dims.map((n, i) => (i < rank ? n : 1));
  return { size: [x, y, z], values: 1, frames: t, type, littleEndian: false, packed: false, offset: headerBytes, ...geometry };
}

/**
 * Writes a volume of one channel, spacing in float32; a 2-D image as one slice of 1 mm, as SimpleITK does.
 * @throws VoxelbookError for what the format cannot hold: turned axes, channels, more than 65535 voxels along an axis
 */
export function writeGipl(file: string, volume: Volume): void {
  checkLength(volume);
  const { data, shape, channels } = volume;
  const { spacing, origin, axes } = geometryToLps(volume, 3);
  const refuse = (given: string, expected: string) => {
    throw new VoxelbookError(`${file} cannot be written`, {
      code: 'gipl-volume',
      path: file,
      given,
      expected,
      fix: 'Use .nii.gz, .nrrd or .mha.',
    });
  };
  if (channels !== 1) refuse(`${channels} channels`, 'one channel, as GIPL has no more');
  if (shape.some((n) => n > 65535)) refuse(shape.join('×'), 'at most 65535 voxels along each axis');
  if (unitAxes(3).some((axis, i) => axis.some((v, j) => Math.abs(axes[i][j] - v) > 1e-6)))
    refuse(
      `axes along ${axes.map((axis) => `(${axis.join(' ')})`).join(' ')}`,
      'axes along left, back and up, as GIPL keeps no direction',
    );
  const type = numberTypeOf(data);
  if (type === 'int32' || type === 'uint32') refuse(type, 'another number type, as ITK reads GIPL without this one');
  const header = Buffer.alloc(headerBytes);
  [shape[2], shape[1], shape[0], 1].forEach((n, i) => {
    header.writeUInt16BE(n, 2 * i);
  });
  header.writeUInt16BE(Number(Object.keys(types).find((code) => types[Number(code)] === type)), 8);
  [spacing[0], spacing[1], isPicture(volume) ? 1 : spacing[2], 1].forEach((mm, i) => {
    header.writeFloatBE(mm, 10 + 4 * i);
  });
  origin.forEach((mm, i) => {
    header.writeDoubleBE(mm, 204 + 8 * i);
  });
  header.writeUInt32BE(magics[0], 252);
  atomicWrite(file, [header, encodeNumbers(data, false)]);
}
