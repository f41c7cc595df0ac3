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
 * @param owned the bytes are nobody else's: their order may be turned in place
 * @throws VoxelbookError for integers that float64 would round
 */
export function decodeNumbers(
  bytes: Uint8Array,
  type: NumberType,
  littleEndian: boolean,
  name: string,
  owned = false,
): VoxelArray {
  const size = bytesOf[type];
  const swap = !littleEndian && size > 1;
  // A typed array needs an aligned start. Not `slice`: on a buffer of Node's that shares memory.
  const own = (swap && !owned) || bytes.byteOffset % size !== 0 ? new Uint8Array(bytes) : bytes;
  if (swap) swapInPlace(own, size);
  const range = [own.buffer as ArrayBuffer, own.byteOffset, own.byteLength / size] as const;
  if (type === 'int64' || type === 'uint64') return fromWide(new Int32Array(range[0], range[1], 2 * range[2]), type, name);
  return new kinds[type](...range);
}

/** The array's bytes in the byte order asked for. */
export function encodeNumbers(data: VoxelArray, littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (littleEndian || data.BYTES_PER_ELEMENT === 1) return bytes;
  const out = new Uint8Array(bytes);
  swapInPlace(out, data.BYTES_PER_ELEMENT);
  return out;
}

function swapInPlace(bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size)
    for (let i = at, j = at + size - 1; i < j; i++, j--) {
      const byte = bytes[i];
      bytes[i] = bytes[j];
      bytes[j] = byte;
    }
}

/** 64-bit integers from their halves, the low one first: no BigInt is made for each value. */
function fromWide(halves: Int32Array, type: 'int64' | 'uint64', name: string): Float64Array {
  const out = new Float64Array(halves.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = type === 'int64' ? halves[2 * i + 1] : halves[2 * i + 1] >>> 0;
    out[i] = high * 2 ** 32 + (halves[2 * i] >>> 0);
    if (!Number.isSafeInteger(out[i]))
      throw new VoxelbookError(`${name} cannot be read`, {
        code: 'integer-too-large',
        path: `${name} voxel ${i}`,
        given: String((BigInt(high) << 32n) | BigInt(halves[2 * i] >>> 0)),
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

/** `[voxel][channel]` to one array after another, a channel each. */
export function* channelArrays<A extends VoxelArray>(values: A, voxels: number, channels: number): Generator<A> {
  for (let c = 0; c < channels; c++) {
    const out = new (values.constructor as new (n: number) => A)(voxels);
    for (let v = 0, at = c; v < voxels; v++, at += channels) out[v] = values[at];
    yield out;
  }
}
