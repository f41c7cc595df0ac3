// Voxels of a NIfTI file that is not packed, in and out.
import { VoxelbookError } from '../../base/errors.js';
import { channelArrays, channelsLast, decodeNumbers, encodeNumbers } from '../dtype.js';
import { checkLength, type Volume, type VoxelArray, voxelCount } from '../volume.js';
import type { ByteSource } from './bytes.js';
import { datatypes, type NiftiHeader, niftiHeaderOf } from './niftiHeader.js';

/** Bytes that the voxels of a file take. */
export const voxelBytes = ({ size, frames, bytesPerVoxel }: NiftiHeader): number =>
  size[0] * size[1] * size[2] * frames * bytesPerVoxel;

/**
 * The volume in a file, or in the image file of a pair.
 * @throws VoxelbookError for a file that is cut short
 */
export function voxelsOf(file: ByteSource, header: NiftiHeader): Volume {
  const type = datatypes[header.datatype];
  const [width, height, depth] = header.size;
  const voxels = width * height * depth;
  const bytes = voxelBytes(header);
  const { name } = file;
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

/** Header and voxels of a file, a channel at a time. */
export function* niftiParts(volume: Volume): Generator<Uint8Array> {
  checkLength(volume);
  const { channels, data } = volume;
  yield niftiHeaderOf(volume);
  if (channels === 1) yield encodeNumbers(data);
  else for (const channel of channelArrays(data, voxelCount(volume), channels)) yield encodeNumbers(channel);
}
