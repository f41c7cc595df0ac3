// Checksums of what is written here, asked whenever it is read again.
//
// CRC-32 finds every burst of up to 32 flipped bits and costs less than 3 % of reading, where it is taken of pieces that have just been
// read: what no longer lies in the processor's cache is read from memory once more (test/bench/checksum.ts).
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import zlib from 'node:zlib';
import { type Functions, nativeFunctions } from './native/load.js';
import { partsOf, type TensorData, type TensorSource } from './tensorData.js';

/** SHA-256 over a header and every tensor's name, shape and bytes, in name order; one tensor at a time. */
export function contentChecksum(header: string, tensors: Record<string, TensorSource>): string {
  const hash = createHash('sha256').update(header);
  for (const name of Object.keys(tensors).sort()) {
    const { shape } = tensors[name];
    let first = true;
    for (const part of partsOf(tensors[name])) {
      if (first) hash.update(JSON.stringify([name, shape, part.constructor.name]));
      first = false;
      for (const bytes of slices(part)) hash.update(bytes);
    }
  }
  return hash.digest('hex');
}

/** SHA-256 of parts one after another, as hexadecimal digits. */
export function sha256(...parts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** SHA-256 of a file, as hexadecimal digits. */
export const fileSha256 = (file: string): string => fileHash(file, 'sha256');

/** Hash of a file, a piece at a time: it may be larger than any array. */
export function fileHash(file: string, algorithm: 'sha256' | 'md5'): string {
  const hash = createHash(algorithm);
  const piece = Buffer.allocUnsafe(2 ** 20);
  const descriptor = fs.openSync(file, 'r');
  try {
    for (let n = 1; n > 0; ) {
      n = fs.readSync(descriptor, piece, 0, piece.length, null);
      hash.update(piece.subarray(0, n));
    }
  } finally {
    fs.closeSync(descriptor);
  }
  return hash.digest('hex');
}

/** The bytes of an array, as many at a time as one call takes. */
function* slices(data: TensorData): Generator<Uint8Array> {
  for (let at = 0; at < data.byteLength; at += 2 ** 30)
    yield new Uint8Array(data.buffer, data.byteOffset + at, Math.min(2 ** 30, data.byteLength - at));
}

let native: Functions['crc32'] | null = null;
const state = new Uint32Array(1);
/** Below this the call costs more than it saves. */
const worthwhile = 256;

/** CRC-32 of bytes, on from the one of what stands before them. */
export function crc32Of(bytes: Uint8Array, before = 0): number {
  if (native === null) native = nativeFunctions()?.crc32;
  if (!native || bytes.length < worthwhile) return zlib.crc32(bytes, before);
  state[0] = before;
  native(bytes, state);
  return state[0];
}

/** CRC-32 of what is added, as eight hexadecimal digits. */
export class Crc32 {
  private sum = 0;

  add(part: TensorData | string): void {
    if (typeof part !== 'string') for (const bytes of slices(part)) this.sum = crc32Of(bytes, this.sum);
    // Of nothing zlib gives 0, whatever the sum so far.
    else if (part.length > 0) this.sum = zlib.crc32(part, this.sum);
  }

  get hex(): string {
    return this.sum.toString(16).padStart(8, '0');
  }
}

/** CRC-32 of parts one after another, as eight hexadecimal digits. */
export function crc32(...parts: (Uint8Array | string)[]): string {
  const sum = new Crc32();
  for (const part of parts) sum.add(part);
  return sum.hex;
}
