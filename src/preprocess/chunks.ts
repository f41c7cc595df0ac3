// An array of voxels in compressed chunks, so that a patch reads only what it covers.
//
// A part is one channel of one chunk. Where it holds few different values, they stand in a table and each voxel is a number of it: scans are
// whole grey values, and stay few when they are normalised. The numbers are stored as so many bits as they need, which is read row by row
// and fastest, or, where that saves more than a little, in compressed bytes. Where nearly every voxel differs (values between those of a scan),
// a part is stored byte by byte of its values (the highest bytes of all voxels, then the next, …): exponents shrink, noise of low bytes stays as it is.
// Each part carries its CRC-32. Compression is zstd of Node (≥ 22.15), deflate where Node has none; a part says which.
import zlib from 'node:zlib';
import { crc32Of } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { nativeFunctions } from '../base/native/load.js';
import { readRange } from '../base/safetensors.js';

export type ChunkedValues = Float32Array | Int16Array | Uint16Array | Uint8Array;
/** The bits of values, one word a value. */
type Words = Uint32Array | Uint16Array | Uint8Array;
type Shape = readonly [number, number, number];

/** How an array lies in its chunks: `[depth, height, width, channel]` cut along the three axes. */
export interface ChunkGrid {
  shape: Shape;
  channels: number;
  /** Voxels of a chunk along each axis; those at the end are cut off where the array ends. */
  chunk: Shape;
}

/** Numbers of the index for one part: bytes stored, codec, CRC-32 of the stored bytes. */
export const indexWidth = 3;
/** Values as they are; one value; a table and numbers of it in bits; a table and numbers of it in bytes; values in bytes. */
const codec = { raw: 0, constant: 1, packed: 2, indexed: 3, planes: 4 } as const;
/** Bytes as they are; one byte; compressed. */
const streamCodec = { raw: 0, constant: 1, zstd: 2, deflate: 3 } as const;
/** Bytes before a stream: codec, length. */
const streamHeader = 5;
/** Bytes are compressed only where that saves this much: reading what is stored raw costs no time. */
const worthwhile = 0.97;
/** Numbers of a table are compressed only where that saves this much more than packing them: it takes four times as long to read. */
const worthwhileOfPacked = 0.9;
/** Voxels of a chunk at most. */
const mostVoxels = 2 ** 21;
const mostChannels = 2 ** 16;

const z = zlib as typeof zlib & {
  zstdCompressSync?: (bytes: Uint8Array, options: object) => Buffer;
  zstdDecompressSync?: (bytes: Uint8Array, options: object) => Buffer;
};

/**
 * Chunk that suits patches of a size: an eighth, a quarter and half of the patch along the axes, powers of two, at most 64 (slices: a
 * quarter, at most 128). Rows are read fastest when they are long; how much is unpacked for nothing where a patch cuts chunks depends on the
 * three together.
 * @param patch of the network, 2 or 3 sides
 */
export function chunkFor(patch: readonly number[]): Shape {
  const side = (n: number, share: number, most: number) => Math.min(most, Math.max(1, 2 ** Math.round(Math.log2(n / share))));
  return patch.length === 2
    ? [1, side(patch[0], 4, 128), side(patch[1], 4, 128)]
    : [side(patch[0], 8, 64), side(patch[1], 4, 64), side(patch[2], 2, 64)];
}

/** Chunks along each axis. */
const countsOf = ({ shape, chunk }: ChunkGrid) => shape.map((n, i) => Math.ceil(n / chunk[i]));

/** Voxels of the chunk at `[i, j, k]` along each axis. */
const sizeOf = ({ shape, chunk }: ChunkGrid, at: readonly number[]) =>
  shape.map((n, i) => Math.min(chunk[i], n - at[i] * chunk[i]));

function wordsOf({ buffer, byteOffset, length, BYTES_PER_ELEMENT: width }: ChunkedValues): Words {
  if (width === 4) return new Uint32Array(buffer, byteOffset, length);
  return width === 2 ? new Uint16Array(buffer, byteOffset, length) : new Uint8Array(buffer, byteOffset, length);
}

const newWords = (width: number, n: number): Words =>
  width === 4 ? new Uint32Array(n) : width === 2 ? new Uint16Array(n) : new Uint8Array(n);

/** Bits that numbers below `count` need. */
const bitsFor = (count: number) => Math.max(1, 32 - Math.clz32(count - 1));

/**
 * @param values `[depth, height, width, channel]`
 * @returns the stored bytes in order, and the index: `indexWidth` numbers a part; parts ordered by chunk, then channel
 */
export function encodeChunks(values: ChunkedValues, grid: ChunkGrid): { bytes: Uint8Array; index: Uint32Array } {
  const { shape, channels, chunk } = grid;
  const source = wordsOf(values);
  const counts = countsOf(grid);
  const index = new Uint32Array(counts[0] * counts[1] * counts[2] * channels * indexWidth);
  const stored: Uint8Array[] = [];
  const encoder = new PartEncoder(values.BYTES_PER_ELEMENT, chunk[0] * chunk[1] * chunk[2]);
  let part = 0;
  for (let i = 0; i < counts[0]; i++)
    for (let j = 0; j < counts[1]; j++)
      for (let k = 0; k < counts[2]; k++) {
        const [d, h, w] = sizeOf(grid, [i, j, k]);
        for (let c = 0; c < channels; c++) {
          const words = encoder.words.subarray(0, d * h * w);
          let to = 0;
          for (let y = 0; y < d * h; y++) {
            const row = (i * chunk[0] + Math.floor(y / h)) * shape[1] + j * chunk[1] + (y % h);
            const from = (row * shape[2] + k * chunk[2]) * channels + c;
            if (channels === 1) words.set(source.subarray(from, from + w), to);
            else for (let x = 0; x < w; x++) words[to + x] = source[from + x * channels];
            to += w;
          }
          const [how, bytes] = encoder.encode(words);
          stored.push(bytes);
          index.set([bytes.length, how, crc32Of(bytes)], part++ * indexWidth);
        }
      }
  const { buffer, byteOffset, length } = Buffer.concat(stored);
  return { bytes: new Uint8Array(buffer, byteOffset, length), index };
}

/** Encodes parts of one width; keeps its scratch. */
class PartEncoder {
  /** Where the words of a part are gathered. */
  readonly words: Words;
  /** Values found, in the order found, and the number of each voxel's among them. */
  private readonly found: Uint32Array;
  private readonly numbers: Uint16Array;
  /** Hash table: number of a value among `found`, plus one. */
  private readonly slots: Uint32Array;
  private readonly shift: number;

  constructor(
    private readonly width: number,
    voxels: number,
  ) {
    this.words = newWords(width, voxels);
    const most = mostOf(voxels);
    const bits = bitsFor(2 * most + 1);
    this.found = new Uint32Array(most);
    this.numbers = new Uint16Array(voxels);
    this.slots = new Uint32Array(2 ** bits);
    this.shift = 32 - bits;
  }

  /** @returns codec and stored bytes, which are never more than those of the values */
  encode(words: Words): [number, Uint8Array] {
    const raw = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    if (isOneValue(words)) return [codec.constant, raw.slice(0, this.width)];
    const count = this.count(words);
    const [how, bytes] = count > 0 ? this.withTable(words.length, count) : [codec.planes, this.planes(words)];
    return bytes.length < raw.length * worthwhile ? [how, bytes] : [codec.raw, raw.slice()];
  }

  /** Fills `found` and `numbers`; 0 where there are too many values for a table. */
  private count(words: Words): number {
    const { found, numbers, slots, shift } = this;
    const most = mostOf(words.length);
    const last = slots.length - 1;
    slots.fill(0);
    let count = 0;
    for (let v = 0; v < words.length; v++) {
      const word = words[v];
      let slot = Math.imul(word, 0x9e3779b1) >>> shift;
      for (;;) {
        const at = slots[slot];
        if (at === 0) {
          if (count === most) return 0;
          found[count++] = word;
          slots[slot] = count;
          numbers[v] = count - 1;
          break;
        }
        if (found[at - 1] === word) {
          numbers[v] = at - 1;
          break;
        }
        slot = (slot + 1) & last;
      }
    }
    return count;
  }

  private withTable(n: number, count: number): [number, Uint8Array] {
    const { found, numbers, width } = this;
    // Ascending: neighbours in value are neighbours in number.
    const order = Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => found[a] - found[b]);
    const rank = new Uint16Array(count);
    const table = newWords(width, count);
    order.forEach((from, to) => {
      rank[from] = to;
      table[to] = found[from];
    });
    for (let v = 0; v < n; v++) numbers[v] = rank[numbers[v]];
    const head = Buffer.concat([Uint16Array.of(count - 1), table].map((a) => Buffer.from(a.buffer)));
    const bits = bitsFor(count);
    const packed = head.length + Math.ceil((n * bits) / 8);
    const own = numbers.subarray(0, n);
    const indexed = Buffer.concat([
      head,
      ...(count > 256 ? [8, 0] : [0]).flatMap((shift) => encodeStream(bytesFrom(own, shift))),
    ]);
    if (indexed.length < packed * worthwhileOfPacked) return [codec.indexed, indexed];
    const bytes = new Uint8Array(packed);
    bytes.set(head);
    let at = head.length;
    for (let v = 0, held = 0, holds = 0; v < n; v++) {
      held |= numbers[v] << holds;
      for (holds += bits; holds >= 8 || (v === n - 1 && holds > 0); holds -= 8) {
        bytes[at++] = held;
        held >>>= 8;
      }
    }
    return [codec.packed, bytes];
  }

  private planes(words: Words): Uint8Array {
    const shifts = Array.from({ length: this.width }, (_, i) => 8 * (this.width - 1 - i));
    return Buffer.concat(shifts.flatMap((shift) => encodeStream(bytesFrom(words, shift))));
  }
}

function isOneValue(words: Words): boolean {
  const [first] = words;
  for (let v = 1; v < words.length; v++) if (words[v] !== first) return false;
  return true;
}

/** One byte of each word. */
function bytesFrom(words: Words, shift: number): Uint8Array {
  const bytes = new Uint8Array(words.length);
  for (let v = 0; v < bytes.length; v++) bytes[v] = words[v] >>> shift;
  return bytes;
}

/** Values that a table holds at most: it is worth its bytes. */
const mostOf = (voxels: number) => Math.min(65536, Math.max(1, voxels >> 2));

/** Header and bytes of a stream. */
function encodeStream(plane: Uint8Array): [Uint8Array, Uint8Array] {
  let how: number = streamCodec.raw;
  let bytes = plane;
  if (isOneValue(plane)) [how, bytes] = [streamCodec.constant, plane.subarray(0, 1)];
  else {
    const small = z.zstdCompressSync ? z.zstdCompressSync(plane, {}) : zlib.deflateRawSync(plane, { level: 4 });
    if (small.length < plane.length * worthwhile)
      [how, bytes] = [z.zstdCompressSync ? streamCodec.zstd : streamCodec.deflate, small];
  }
  const header = Buffer.alloc(streamHeader);
  header[0] = how;
  header.writeUInt32LE(bytes.length, 1);
  return [header, bytes];
}

/** Reads the stored bytes of a part from front to back. */
class PartReader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  take(n: number): Uint8Array {
    if (this.at + n > this.bytes.length) throw new Error(`${this.bytes.length} bytes, where more are needed`);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  /** Bytes in words of their own. */
  words(width: number, n: number): Words {
    const words = newWords(width, n);
    new Uint8Array(words.buffer).set(this.take(width * n));
    return words;
  }

  /** One byte a voxel. */
  stream(voxels: number): Uint8Array {
    const header = this.take(streamHeader);
    const how = header[0];
    const bytes = this.take(new DataView(header.buffer, header.byteOffset).getUint32(1, true));
    const plane = decodeStream(how, bytes, voxels);
    if (plane.length !== voxels) throw new Error(`${plane.length} voxels, where ${voxels} are expected`);
    return plane;
  }

  end(): void {
    if (this.at !== this.bytes.length) throw new Error(`${this.bytes.length - this.at} bytes too many`);
  }
}

function decodeStream(how: number, bytes: Uint8Array, voxels: number): Uint8Array {
  if (how === streamCodec.raw) return bytes;
  if (how === streamCodec.constant && bytes.length === 1) return new Uint8Array(voxels).fill(bytes[0]);
  const options = { maxOutputLength: voxels, chunkSize: Math.max(64, voxels) };
  if (how === streamCodec.deflate) return zlib.inflateRawSync(bytes, options);
  if (how !== streamCodec.zstd) throw new Error(`${bytes.length} bytes of codec ${how}`);
  if (!z.zstdDecompressSync)
    throw new VoxelbookError('this preprocessed case was made under a newer Node', {
      code: 'no-zstd',
      path: 'preprocessed case',
      given: `chunks compressed by zstd, and Node ${process.version}, which has none`,
      expected: 'Node 22.15 or newer',
      fix: 'Use a current Node, or preprocess again under this one.',
    });
  return z.zstdDecompressSync(bytes, options);
}

/** The words of a part from its stored bytes. */
function decodePart(how: number, bytes: Uint8Array, voxels: number, width: number): Words {
  const reader = new PartReader(bytes);
  let out: Words;
  if (how === codec.raw) out = reader.words(width, voxels);
  else if (how === codec.constant) out = newWords(width, voxels).fill(reader.words(width, 1)[0]);
  else if (how === codec.planes) {
    out = newWords(width, voxels);
    for (let byte = 0; byte < width; byte++) {
      const plane = reader.stream(voxels);
      for (let v = 0; v < voxels; v++) out[v] = (out[v] << 8) | plane[v];
    }
  } else if (how === codec.packed || how === codec.indexed) {
    const count = reader.words(2, 1)[0] + 1;
    const table = reader.words(width, count);
    const numbers = how === codec.packed ? unpacked(reader, bitsFor(count), voxels) : indexed(reader, count, voxels);
    out = newWords(width, voxels);
    for (let v = 0; v < voxels; v++) {
      if (numbers[v] >= count) throw new Error(`number ${numbers[v]} of a table of ${count}`);
      out[v] = table[numbers[v]];
    }
  } else throw new Error(`codec ${how}`);
  reader.end();
  return out;
}

function unpacked(reader: PartReader, bits: number, voxels: number): Uint16Array {
  const numbers = new Uint16Array(voxels);
  const bytes = reader.take(Math.ceil((voxels * bits) / 8));
  const mask = 2 ** bits - 1;
  let at = 0;
  for (let v = 0, held = 0, holds = 0; v < voxels; v++, held >>>= bits, holds -= bits) {
    for (; holds < bits; holds += 8) held |= bytes[at++] << holds;
    numbers[v] = held & mask;
  }
  return numbers;
}

function indexed(reader: PartReader, count: number, voxels: number): Uint8Array | Uint16Array {
  const first = reader.stream(voxels);
  if (count <= 256) return first;
  const second = reader.stream(voxels);
  const numbers = new Uint16Array(voxels);
  for (let v = 0; v < voxels; v++) numbers[v] = (first[v] << 8) | second[v];
  return numbers;
}

const status = new Int32Array(1);

/** Where an array's chunks lie: an open file, and the first byte of them in it. */
export interface ChunkSource {
  descriptor: number;
  begin: number;
}

/** Channels that are 0 where the label, of the box that is read, is negative. */
export interface ChannelMask {
  labels: Int16Array;
  channels: readonly number[];
}

/** A chunked array on disk: the part of it that is asked for is read, checked and put together. */
export class ChunkedArray<A extends ChunkedValues = ChunkedValues> {
  private readonly offsets: Float64Array;
  private readonly width: number;

  /**
   * @param Values constructor of the array's values
   * @param bytes of all chunks
   * @param what names the array in errors
   * @throws VoxelbookError when index and grid do not fit
   */
  constructor(
    readonly grid: ChunkGrid,
    private readonly Values: { new (length: number): A; BYTES_PER_ELEMENT: number },
    private readonly index: Uint32Array,
    bytes: number,
    private readonly what: string,
  ) {
    this.width = Values.BYTES_PER_ELEMENT;
    const { shape, chunk, channels } = grid;
    const sides = [...shape, ...chunk, channels];
    if (
      !sides.every((n) => Number.isSafeInteger(n) && n >= 0) ||
      chunk.includes(0) ||
      channels < 1 ||
      channels > mostChannels ||
      chunk[0] * chunk[1] * chunk[2] > mostVoxels
    )
      throw damaged(
        what,
        `chunks of ${chunk.join('×')} of ${shape.join('×')} voxels × ${channels}`,
        `chunks of 1 to ${mostVoxels} voxels, 1 to ${mostChannels} channels`,
      );
    const counts = countsOf(grid);
    const parts = counts[0] * counts[1] * counts[2] * channels;
    if (index.length !== parts * indexWidth)
      throw damaged(what, `an index of ${index.length / indexWidth} parts`, `${parts} parts`);
    this.offsets = new Float64Array(parts + 1);
    const most = chunk[0] * chunk[1] * chunk[2] * this.width;
    for (let i = 0; i < parts; i++) {
      const length = index[i * indexWidth];
      if (length > most) throw damaged(what, `part ${i} of ${length} bytes`, `at most ${most} bytes`);
      this.offsets[i + 1] = this.offsets[i] + length;
    }
    if (this.offsets[parts] !== bytes) throw damaged(what, `parts of ${this.offsets[parts]} bytes`, `${bytes} bytes`);
  }

  /**
   * Reads a box, which may reach over the array's border.
   * @param start first voxel along each axis
   * @param size of the box
   * @param out takes the values, `[depth, height, width, channel]` of the box
   * @param outside every byte of voxels that lie outside of the array
   * @param mask clears channels while they lie in the processor's cache
   * @returns `out`
   * @throws VoxelbookError for damaged chunks
   */
  read(
    source: ChunkSource,
    start: readonly number[] = [0, 0, 0],
    size: readonly number[] = this.grid.shape,
    out: A = new this.Values(size[0] * size[1] * size[2] * this.grid.channels),
    outside = 0,
    mask?: ChannelMask,
  ): A {
    const { shape, channels, chunk } = this.grid;
    const native = nativeFunctions()?.readChunks;
    if (native) {
      const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
      const { descriptor, begin } = source;
      native(
        ...([descriptor, begin, this.index, this.offsets, shape, chunk, channels, this.width, start, size, bytes] as const),
        ...([outside, mask?.labels ?? null, mask?.channels ?? [], status] as const),
      );
      if (status[0] < 0) return out;
      // What could not be read there is read here, or it is said why not.
    }
    const words = wordsOf(out);
    const low = start.map((s) => Math.max(s, 0));
    const high = start.map((s, i) => Math.min(s + size[i], shape[i]));
    const inside = low.every((l, i) => l < high[i]);
    if (!inside || low.some((l, i) => l !== start[i] || high[i] !== l + size[i]))
      new Uint8Array(out.buffer, out.byteOffset, out.byteLength).fill(outside);
    if (!inside) return out;
    const counts = countsOf(this.grid);
    const first = low.map((l, i) => Math.floor(l / chunk[i]));
    const last = high.map((h, i) => Math.floor((h - 1) / chunk[i]));
    for (let i = first[0]; i <= last[0]; i++)
      for (let j = first[1]; j <= last[1]; j++) {
        // Chunks side by side along the width lie side by side in the file: one read.
        const row = (i * counts[1] + j) * counts[2];
        const begin = this.offsets[(row + first[2]) * channels];
        const end = this.offsets[(row + last[2] + 1) * channels];
        const bytes = readRange(source.descriptor, source.begin + begin, source.begin + end);
        for (let k = first[2]; k <= last[2]; k++)
          for (let c = 0; c < channels; c++) {
            const number = (row + k) * channels + c;
            this.place(this.part(bytes, begin, number, sizeOf(this.grid, [i, j, k])), [i, j, k], c, words, start, size);
          }
      }
    if (mask)
      for (let i = 0; i < mask.labels.length; i++)
        if (mask.labels[i] < 0) for (const c of mask.channels) words[i * channels + c] = 0;
    return out;
  }

  /** Puts what the box covers of one part into `out`. */
  private place(
    part: Words,
    at: readonly number[],
    c: number,
    out: Words,
    start: readonly number[],
    size: readonly number[],
  ): void {
    const { channels, chunk } = this.grid;
    const full = sizeOf(this.grid, at);
    // Of the chunk in the box's coordinates, and what of it the box covers, in the chunk's own.
    const from = at.map((n, i) => n * chunk[i] - start[i]);
    const low = from.map((f) => Math.max(0, -f));
    const high = from.map((f, i) => Math.min(full[i], size[i] - f));
    for (let zz = low[0]; zz < high[0]; zz++)
      for (let y = low[1]; y < high[1]; y++) {
        const row = (zz * full[1] + y) * full[2];
        let to = (((zz + from[0]) * size[1] + y + from[1]) * size[2] + low[2] + from[2]) * channels + c;
        for (let x = low[2]; x < high[2]; x++, to += channels) out[to] = part[row + x];
      }
  }

  private part(bytes: Uint8Array, begin: number, part: number, [d, h, w]: readonly number[]): Words {
    const [length, how, crc] = this.index.subarray(part * indexWidth, (part + 1) * indexWidth);
    const at = this.offsets[part] - begin;
    const stored = bytes.subarray(at, at + length);
    if (stored.length !== length || crc32Of(stored) !== crc)
      throw damaged(this.what, `part ${part} with another checksum than was written`, 'the bytes that were written');
    try {
      return decodePart(how, stored, d * h * w, this.width);
    } catch (error) {
      if (error instanceof VoxelbookError) throw error;
      throw damaged(this.what, `part ${part}: ${(error as Error).message}`, 'bytes as they were packed');
    }
  }
}

const damaged = (what: string, given: string, expected: string) =>
  new VoxelbookError(`${what} is damaged`, {
    code: 'damaged-chunk',
    path: what,
    given,
    expected,
    fix: 'Remove the file and preprocess again: only this case is made.',
  });
