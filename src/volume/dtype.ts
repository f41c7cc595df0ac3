// Numbers as files store them: type, byte order, and whether channels run fastest or slowest.
import { VoxelbookError } from '../base/errors.js';
import type { VoxelArray } from './volume.js';

export type NumberType = 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'float32' | 'float64';

/** Bytes of one number. */
export const bytesOf: Record<NumberType, number> = {
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  float32: 4,
  float64: 8,
};

const kinds = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

/** The type of an array's numbers. */
export const numberTypeOf = (data: VoxelArray): keyof typeof kinds =>
  (Object.keys(kinds) as (keyof typeof kinds)[]).find((name) => data instanceof kinds[name])!;

/**
 * The numbers that `bytes` are; 64-bit integers become float64. The result may share the bytes' memory.
 * @throws VoxelbookError for integers that float64 would round
 */
export function decodeNumbers(bytes: Uint8Array, type: NumberType, littleEndian: boolean, name: string): VoxelArray {
  const size = bytesOf[type];
  const native = littleEndian || size === 1 ? bytes : swapped(bytes, size);
  // A typed array needs an aligned start. Not `slice`: on a Buffer that shares memory.
  const aligned = native.byteOffset % size === 0 ? native : new Uint8Array(native);
  const place = [aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size] as const;
  if (type === 'int64') return fromBig(new BigInt64Array(...place), name);
  if (type === 'uint64') return fromBig(new BigUint64Array(...place), name);
  return new kinds[type](...place);
}

/** The array's bytes in the byte order asked for. */
export function encodeNumbers(data: VoxelArray, littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return littleEndian || data.BYTES_PER_ELEMENT === 1 ? bytes : swapped(bytes, data.BYTES_PER_ELEMENT);
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const out = Buffer.from(bytes);
  if (size === 2) return out.swap16();
  if (size === 4) return out.swap32();
  return out.swap64();
}

function fromBig(values: BigInt64Array | BigUint64Array, name: string): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(values[i]);
    if (!Number.isSafeInteger(out[i]))
      throw new VoxelbookError(`${name} cannot be read`, {
        code: 'integer-too-large',
        path: `${name} voxel ${i}`,
        given: String(values[i]),
        expected: 'an integer below 2^53',
        fix: 'Store the image as float64.',
      });
  }
  return out;
}

/** `[frame][voxel][value]` to `[voxel][frame][value]`. */
export function channelsLast(values: VoxelArray, voxels: number, frames: number, inner: number): VoxelArray {
  const out = new (values.constructor as Float32ArrayConstructor)(values.length);
  const channels = frames * inner;
  for (let f = 0; f < frames; f++)
    for (let v = 0; v < voxels; v++)
      for (let i = 0; i < inner; i++) out[v * channels + f * inner + i] = values[(f * voxels + v) * inner + i];
  return out;
}

/** `[voxel][channel]` to `[channel][voxel]`. */
export function channelsFirst(values: VoxelArray, voxels: number, channels: number): VoxelArray {
  const out = new (values.constructor as Float32ArrayConstructor)(values.length);
  for (let v = 0; v < voxels; v++) for (let c = 0; c < channels; c++) out[c * voxels + v] = values[v * channels + c];
  return out;
}
