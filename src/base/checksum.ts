// Checksums of what is written here, asked whenever it is read again.
//
// CRC-32 is several times faster than reading and finds every burst of up to 32 flipped bits; checkpoints carry SHA-256 besides.
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';

/** SHA-256 over a header and every tensor's name, shape and bytes, in name order. */
export function contentChecksum(
  header: string,
  tensors: Record<string, { shape: readonly number[]; data: ArrayBufferView }>,
): string {
  const hash = createHash('sha256').update(header);
  for (const name of Object.keys(tensors).sort()) {
    const { shape, data } = tensors[name];
    hash.update(JSON.stringify([name, shape, data.constructor.name]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** CRC-32 of parts one after another, as eight hexadecimal digits. */
export const crc32 = (...parts: (Uint8Array | string)[]): string =>
  parts
    .filter((part) => part.length > 0) // of nothing zlib gives 0, whatever the sum so far
    .reduce((sum, part) => zlib.crc32(part, sum), 0)
    .toString(16)
    .padStart(8, '0');
