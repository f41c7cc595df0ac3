// Decompression with a limit: what a file may expand to is known from its own header before it is expanded. Compression piece by piece.
import { constants } from 'node:buffer';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../base/errors.js';
import { type ByteSource, tooLarge } from './bytes.js';

/** Bytes a file may expand to beyond what its header declares. */
export const slack = 64 * 2 ** 20;

/** Deflate codes 258 bytes in two bits at best. */
export const largestRatio = 1032;

export const isGzip = (bytes: Uint8Array) => bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Bytes of a packed file in which a header must be found. */
const startBytes = 8192;

/** The first `length` bytes of what `source` (gzip) expands to; fewer when it holds fewer. */
export function gunzipStart(source: ByteSource, length: number): Uint8Array {
  const bytes = source.read(0, startBytes);
  let start: Uint8Array;
  try {
    // They cannot expand to more than about 1000 times their size.
    start = zlib.gunzipSync(bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH, maxOutputLength: 16 * 2 ** 20 });
  } catch (error) {
    throw damaged(source.name, error as Error);
  }
  if (start.length >= length) return start.subarray(0, length);
  // Too little came out: either the content is so short, or the file is damaged, which expanding it whole says.
  if (source.size <= startBytes) return expand(bytes, 0, source.name).subarray(0, length);
  throw damaged(source.name, new Error(`${start.length} bytes in its first ${startBytes}`));
}

/**
 * Expands gzip or zlib data, checking length and checksum; zero bytes after the last gzip member are tolerated.
 * @param expected bytes the content declares; more than this plus 64 MiB is refused while expanding
 * @throws VoxelbookError for damaged, cut or too large content
 */
export function expand(bytes: Uint8Array, expected: number, name: string): Uint8Array {
  if (expected > largestRatio * bytes.length)
    throw damaged(name, new Error(`${bytes.length} bytes cannot expand to the ${expected} its header declares`));
  if (expected > constants.MAX_LENGTH) throw tooLarge(name, `${expected} bytes when expanded`);
  if (bytes.length >= 2 ** 32) throw tooLarge(name, `${bytes.length} bytes of packed data`);
  try {
    // One chunk of the declared size: the result is not assembled from pieces.
    const chunkSize = Math.max(1024, Math.min(expected + 1024, 2 ** 30));
    const maxOutputLength = Math.min(expected + slack, constants.MAX_LENGTH);
    return (isGzip(bytes) ? zlib.gunzipSync : zlib.inflateSync)(bytes, { maxOutputLength, chunkSize });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new VoxelbookError(`${name} cannot be read`, {
        code: 'gzip-too-large',
        path: name,
        given: `more than ${expected + slack} bytes when expanded`,
        expected: `the ${expected} bytes its header declares`,
        fix: 'The file is damaged or made to exhaust memory; fetch it from its source again.',
      });
    throw damaged(name, error as Error);
  }
}

const damaged = (name: string, error: Error) =>
  new VoxelbookError(`${name} cannot be read`, {
    code: 'gzip-damaged',
    path: name,
    given: `compressed data with a fault (${error.message})`,
    expected: 'whole compressed data with matching checksum',
    fix: 'The file is cut or damaged; fetch it again.',
  });

/** Bytes compressed in one go; a longer file is compressed in pieces that make one stream. */
const piece = 2 ** 30;

/** Deflate data of the bytes of `parts`, piece by piece, between `head` and what `tail` makes of them. */
function* deflated(
  parts: Iterable<Uint8Array>,
  head: Uint8Array,
  check: (bytes: Uint8Array) => void,
  tail: () => Uint8Array,
): Generator<Uint8Array> {
  yield head;
  for (const part of parts)
    for (let at = 0; at < part.length; at += piece) {
      const bytes = part.subarray(at, at + piece);
      check(bytes);
      yield zlib.deflateRawSync(bytes, { level: 6, finishFlush: zlib.constants.Z_SYNC_FLUSH });
    }
  yield zlib.deflateRawSync(new Uint8Array(0));
  yield tail();
}

/** A gzip file of `parts`, piece by piece. */
export function gzipped(parts: Iterable<Uint8Array>): Iterable<Uint8Array> {
  const tail = Buffer.alloc(8);
  let [crc, length] = [0, 0];
  const check = (bytes: Uint8Array) => {
    crc = zlib.crc32(bytes, crc);
    length += bytes.length;
  };
  return deflated(parts, Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), check, () => {
    tail.writeUInt32LE(crc, 0);
    tail.writeUInt32LE(length % 2 ** 32, 4);
    return tail;
  });
}

/** A zlib stream of `parts`, piece by piece. */
export function zlibbed(parts: Iterable<Uint8Array>): Iterable<Uint8Array> {
  let [a, b] = [1, 0];
  const adler = (bytes: Uint8Array) => {
    // The sums stay below 2^32 for 5552 bytes.
    for (let at = 0; at < bytes.length; ) {
      const stop = Math.min(at + 5552, bytes.length);
      for (; at < stop; at++) {
        a += bytes[at];
        b += a;
      }
      a %= 65521;
      b %= 65521;
    }
  };
  const tail = Buffer.alloc(4);
  return deflated(parts, Buffer.from([0x78, 0x9c]), adler, () => {
    tail.writeUInt32BE(b * 65536 + a, 0);
    return tail;
  });
}
