// Decompression with a limit: what a file may expand to is known from its own header before it is expanded.
import { constants } from 'node:buffer';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../base/errors.js';

/** Bytes a file may expand to beyond what its header declares. */
export const slack = 64 * 2 ** 20;

/** Deflate codes 258 bytes in two bits at best. */
const largestRatio = 1032;

export const isGzip = (bytes: Uint8Array) => bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The first `length` bytes of what `bytes` (gzip) expands to; fewer when it holds fewer. */
export function gunzipStart(bytes: Uint8Array, length: number, name: string): Uint8Array {
  // A few kilobytes suffice for a header; they cannot expand to more than about 1000 times their size.
  try {
    const start = zlib.gunzipSync(bytes.subarray(0, 8192), {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      maxOutputLength: 16 * 2 ** 20,
    });
    // Too little came out: either the content is so short, or the file is damaged, which expanding it whole will say.
    return start.length >= length ? start.subarray(0, length) : expand(bytes, 0, name).subarray(0, length);
  } catch (error) {
    throw error instanceof VoxelbookError ? error : damaged(name, error as Error);
  }
}

/**
 * Expands gzip or zlib data, checking length and checksum; zero bytes after the last gzip member are tolerated.
 * @param expected bytes the content declares; more than this plus 64 MiB is refused while expanding
 * @throws VoxelbookError for damaged, cut or too large content
 */
export function expand(bytes: Uint8Array, expected: number, name: string): Uint8Array {
  if (expected > largestRatio * bytes.length)
    throw damaged(name, new Error(`${bytes.length} bytes cannot expand to the ${expected} its header declares`));
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
