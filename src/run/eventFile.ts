// TensorBoard's event files: records of a length, its checksum, a message and its checksum, as TensorFlow's record writer lays them out
// (tensorflow/core/lib/io/record_writer.cc); the messages are `Event`s (tensorflow/core/util/event.proto).

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
    record(Buffer.concat([doubleField(1, scalars[0]?.wallTime ?? 0), bytesField(3, Buffer.from('brain.Event:2'))])),
    ...scalars.map((scalar) => record(event(scalar))),
  ]);

function event({ tag, step, wallTime, value }: Scalar): Buffer {
  const summary = bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), floatField(2, value)]));
  // A step of 0 is left out, as protocol buffers leave out what is the default.
  const at = step === 0 ? [] : [varint(tagOf(2, 0)), varint(step)];
  return Buffer.concat([doubleField(1, wallTime), ...at, bytesField(5, summary)]);
}

function record(data: Buffer): Buffer {
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

// Protocol buffers: a field's number and kind, then its value.
const tagOf = (field: number, kind: number) => field * 8 + kind;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

const bytesField = (field: number, data: Buffer): Buffer => Buffer.concat([varint(tagOf(field, 2)), varint(data.length), data]);

function doubleField(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([varint(tagOf(field, 1)), out]);
}

function floatField(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([varint(tagOf(field, 5)), out]);
}
