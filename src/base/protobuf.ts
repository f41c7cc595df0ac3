// Protocol Buffers' wire format, as much of it as is written here (https://protobuf.dev/programming-guides/encoding): a message is a list of
// pieces, so that gigabytes of weights are never copied.

export type Pieces = readonly Uint8Array[];

/** Bytes of all pieces. */
export const sizeOf = (pieces: Pieces): number => pieces.reduce((sum, piece) => sum + piece.byteLength, 0);

function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Uint8Array.from(out);
}

const tag = (field: number, wire: number) => varint(field * 8 + wire);

/** An integer of any kind but the zigzag ones. */
export const integer = (field: number, value: number | bigint): Pieces => [tag(field, 0), varint(value)];

export const float = (field: number, value: number): Pieces => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [tag(field, 5), bytes];
};

export const double = (field: number, value: number): Pieces => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return [tag(field, 1), bytes];
};

/** Bytes, or a message within a message. */
export const bytes = (field: number, pieces: Pieces): Pieces => [tag(field, 2), varint(sizeOf(pieces)), ...pieces];

export const text = (field: number, value: string): Pieces => bytes(field, [new TextEncoder().encode(value)]);
