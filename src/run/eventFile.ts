// TensorBoard's event files: records of a length, its checksum, a message and its checksum, as TensorFlow's record writer lays them out
// (tensorflow/core/lib/io/record_writer.cc); the messages are `Event`s (tensorflow/core/util/event.proto).
import { bytes, double, float, integer, type Pieces, text } from '../base/protobuf.js';

/** One number at a step. */
export interface Scalar {
  tag: string;
  step: number;
  /** Seconds since 1970. */
  wallTime: number;
  value: number;
}

/** The whole file. */
export const eventFile = (scalars: readonly Scalar[]): Buffer =>
  Buffer.concat([
    record([...double(1, scalars[0]?.wallTime ?? 0), ...text(3, 'brain.Event:2')]),
    ...scalars.map((scalar) => record(event(scalar))),
  ]);

function event({ tag, step, wallTime, value }: Scalar): Pieces {
  const summary = bytes(1, [...text(1, tag), ...float(2, value)]);
  // A step of 0 is left out, as protocol buffers leave out what is the default.
  return [...double(1, wallTime), ...(step === 0 ? [] : integer(2, step)), ...bytes(5, summary)];
}

function record(message: Pieces): Buffer {
  const data = Buffer.concat(message);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, masked(length), data, masked(data)]);
}

/** The checksum rotated and shifted, so that checksums of data that holds checksums stay apart. */
function masked(data: Buffer): Buffer {
  const sum = crc32c(data);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0);
  return out;
}

/** CRC-32 of Castagnoli's polynomial, which zlib does not have. */
export function crc32c(data: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of data) sum = (sum >>> 8) ^ table[(sum ^ byte) & 0xff];
  return ~sum >>> 0;
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});
