// An array of voxels in compressed chunks, so that a patch reads only what it covers.
//
// Every channel of a chunk is stored byte by byte of its values (the highest bytes of all voxels, then the next, …): exponents and
// label maps shrink to little, the noise of low bytes is stored as it is. A part that is one value throughout is one byte. Each part
// carries its CRC-32. Compression is zstd of Node (≥ 22.15), deflate where Node has none; a file says which.
import zlib from 'node:zlib';
import { crc32Of } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { nativeFunctions } from '../base/native/load.js';

export type ChunkedValues = Float32Array | Int16Array | Uint16Array | Uint8Array;
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
const codec = { raw: 0, constant: 1, zstd: 2, deflate: 3 } as const;
/** A part is compressed only where that saves this much: reading what is stored raw costs no time. */
const worthwhile = 0.97;

const z = zlib as typeof zlib & {
  zstdCompressSync?: (bytes: Uint8Array, options: object) => Buffer;
  zstdDecompressSync?: (bytes: Uint8Array, options: object) => Buffer;
};

/**
 * Chunk that suits patches of a size: about a quarter of the patch along each axis, a power of two, at most 64 (128 for slices).
 * @param patch of the network, 2 or 3 sides
 */
export function chunkFor(patch: readonly number[]): Shape {
  const side = (n: number, most: number) => Math.min(most, Math.max(1, 2 ** Math.round(Math.log2(n / 4))));
  return patch.length === 2
    ? [1, side(patch[0], 128), side(patch[1], 128)]
    : [side(patch[0], 64), side(patch[1], 64), side(patch[2], 64)];
}

/** Chunks along each axis. */
const countsOf = ({ shape, chunk }: ChunkGrid) => shape.map((n, i) => Math.ceil(n / chunk[i]));

/** Voxels of the chunk at `[i, j, k]` along each axis. */
const sizeOf = ({ shape, chunk }: ChunkGrid, at: readonly number[]) =>
  shape.map((n, i) => Math.min(chunk[i], n - at[i] * chunk[i]));

/**
 * @param values `[depth, height, width, channel]`
 * @returns the stored bytes in order, and the index: `indexWidth` numbers a part; parts ordered by chunk, channel, byte (highest first)
 */
export function encodeChunks(values: ChunkedValues, grid: ChunkGrid): { bytes: Uint8Array; index: Uint32Array } {
  const { shape, channels, chunk } = grid;
  const width = values.BYTES_PER_ELEMENT;
  const source = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const counts = countsOf(grid);
  const index = new Uint32Array(counts[0] * counts[1] * counts[2] * channels * width * indexWidth);
  const stored: Uint8Array[] = [];
  let part = 0;
  for (let i = 0; i < counts[0]; i++)
    for (let j = 0; j < counts[1]; j++)
      for (let k = 0; k < counts[2]; k++) {
        const [d, h, w] = sizeOf(grid, [i, j, k]);
        for (let c = 0; c < channels; c++)
          for (let byte = width - 1; byte >= 0; byte--) {
            const plane = new Uint8Array(d * h * w);
            let to = 0;
            for (let y = 0; y < d * h; y++) {
              const row = (i * chunk[0] + Math.floor(y / h)) * shape[1] + j * chunk[1] + (y % h);
              let from = ((row * shape[2] + k * chunk[2]) * channels + c) * width + byte;
              for (let x = 0; x < w; x++, from += channels * width) plane[to++] = source[from];
            }
            const [how, bytes] = encodePart(plane);
            stored.push(bytes);
            index.set([bytes.length, how, crc32Of(bytes)], part++ * indexWidth);
          }
      }
  const bytes = new Uint8Array(stored.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const one of stored) {
    bytes.set(one, at);
    at += one.length;
  }
  return { bytes, index };
}

function encodePart(plane: Uint8Array): [number, Uint8Array] {
  if (plane.every((value) => value === plane[0])) return [codec.constant, plane.subarray(0, 1)];
  const [how, small] = z.zstdCompressSync
    ? ([codec.zstd, z.zstdCompressSync(plane, {})] as const)
    : ([codec.deflate, zlib.deflateRawSync(plane, { level: 4 })] as const);
  return small.length < plane.length * worthwhile ? [how, small] : [codec.raw, plane];
}

function decodePart(how: number, bytes: Uint8Array, size: number): Uint8Array {
  if (how === codec.raw) return bytes;
  if (how === codec.constant) return new Uint8Array(size).fill(bytes[0]);
  const options = { maxOutputLength: size, chunkSize: Math.max(64, size) };
  if (how === codec.deflate) return zlib.inflateRawSync(bytes, options);
  if (how !== codec.zstd) throw new Error(`codec ${how}`);
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

const status = new Int32Array(1);

/** Gives the stored bytes from `begin` to `end` of the array's own bytes. */
export type ReadBytes = (begin: number, end: number) => Uint8Array;

/** A chunked array on disk: the part of it that is asked for is read, checked and put together. */
export class ChunkedArray {
  private readonly offsets: Float64Array;

  /**
   * @param Values constructor of the array's values
   * @param what names the array in errors
   * @throws VoxelbookError when index and grid do not fit
   */
  constructor(
    readonly grid: ChunkGrid,
    private readonly Values: new (buffer: ArrayBuffer) => ChunkedValues,
    private readonly bytesPerValue: number,
    private readonly index: Uint32Array,
    bytes: number,
    private readonly what: string,
  ) {
    const counts = countsOf(grid);
    const parts = counts[0] * counts[1] * counts[2] * grid.channels * bytesPerValue;
    if (index.length !== parts * indexWidth)
      throw damaged(what, `an index of ${index.length / indexWidth} parts`, `${parts} parts`);
    this.offsets = new Float64Array(parts + 1);
    for (let i = 0; i < parts; i++) this.offsets[i + 1] = this.offsets[i] + index[i * indexWidth];
    if (this.offsets[parts] !== bytes) throw damaged(what, `parts of ${this.offsets[parts]} bytes`, `${bytes} bytes`);
  }

  /**
   * Reads a box that lies inside the array.
   * @param start first voxel along each axis
   * @param size of the box
   * @returns `[depth, height, width, channel]` of the box
   * @throws VoxelbookError for damaged chunks
   */
  read(from: ReadBytes, start: readonly number[] = [0, 0, 0], size: readonly number[] = this.grid.shape): ChunkedValues {
    const { shape, channels, chunk } = this.grid;
    if (size.some((n, i) => n < 0 || start[i] < 0 || start[i] + n > shape[i]))
      throw damaged(this.what, `a box of ${size.join('×')} from ${start.join(', ')}`, `a box inside ${shape.join('×')}`);
    const buffer = new ArrayBuffer(size[0] * size[1] * size[2] * channels * this.bytesPerValue);
    const out = new Uint8Array(buffer);
    if (out.length === 0) return new this.Values(buffer);
    const first = start.map((s, i) => Math.floor(s / chunk[i]));
    const last = start.map((s, i) => Math.floor((s + size[i] - 1) / chunk[i]));
    const counts = countsOf(this.grid);
    const each = channels * this.bytesPerValue;
    for (let i = first[0]; i <= last[0]; i++)
      for (let j = first[1]; j <= last[1]; j++) {
        // Chunks side by side along the width lie side by side in the file: one read.
        const row = (i * counts[1] + j) * counts[2];
        const begin = this.offsets[(row + first[2]) * each];
        const bytes = from(begin, this.offsets[(row + last[2] + 1) * each]);
        for (let k = first[2]; k <= last[2]; k++) this.place(bytes, begin, [i, j, k], row + k, out, start, size);
      }
    return new this.Values(buffer);
  }

  /** Puts what the box covers of one chunk into `out`. */
  private place(
    bytes: Uint8Array,
    begin: number,
    at: readonly number[],
    number: number,
    out: Uint8Array,
    start: readonly number[],
    size: readonly number[],
  ): void {
    const { channels, chunk } = this.grid;
    const full = sizeOf(this.grid, at);
    const voxels = full[0] * full[1] * full[2];
    // Half-open range of the chunk's voxels inside the box, in the chunk's own coordinates.
    const low = at.map((n, i) => Math.max(0, start[i] - n * chunk[i]));
    const high = at.map((n, i) => Math.min(full[i], start[i] + size[i] - n * chunk[i]));
    const width = this.bytesPerValue;
    const first = ((at[0] * chunk[0] + low[0] - start[0]) * size[1] + at[1] * chunk[1] + low[1] - start[1]) * size[2];
    const target = [(first + at[2] * chunk[2] + low[2] - start[2]) * channels, size[2] * channels, size[1] * size[2] * channels];
    const part = number * channels * width;
    const stored = bytes.subarray(this.offsets[part] - begin, this.offsets[part + channels * width] - begin);
    const index = this.index.subarray(part * indexWidth, (part + channels * width) * indexWidth);
    const native = nativeFunctions()?.placeChunk;
    native?.(
      stored,
      index,
      full,
      low,
      high.map((n, i) => n - low[i]),
      out,
      target,
      channels,
      width,
      status,
    );
    // What could not be placed there is placed here, or it is said why not.
    if (native && status[0] < 0) return;
    for (let c = 0; c < channels; c++) {
      const planes = Array.from({ length: width }, (_, byte) => this.part(bytes, begin, number, c, byte, voxels));
      for (let zz = low[0]; zz < high[0]; zz++)
        for (let y = low[1]; y < high[1]; y++) {
          const source = (zz * full[1] + y) * full[2];
          const row = target[0] + (zz - low[0]) * target[2] + (y - low[1]) * target[1] + c;
          fillRow(out, planes, source, row - low[2] * channels, low[2], high[2], channels);
        }
    }
  }

  private part(bytes: Uint8Array, begin: number, number: number, channel: number, byte: number, voxels: number): Uint8Array {
    const part = (number * this.grid.channels + channel) * this.bytesPerValue + byte;
    const [length, how, crc] = this.index.subarray(part * indexWidth, (part + 1) * indexWidth);
    const at = this.offsets[part] - begin;
    const stored = bytes.subarray(at, at + length);
    if (stored.length !== length || crc32Of(stored) !== crc)
      throw damaged(this.what, `part ${part} with another checksum than was written`, 'the bytes that were written');
    let plane: Uint8Array;
    try {
      plane = decodePart(how, stored, voxels);
    } catch (error) {
      if (error instanceof VoxelbookError) throw error;
      throw damaged(this.what, `part ${part}: ${(error as Error).message}`, 'compressed bytes');
    }
    if (plane.length !== voxels) throw damaged(this.what, `part ${part} of ${plane.length} voxels`, `${voxels} voxels`);
    return plane;
  }
}

/** One row of voxels from its bytes, highest plane first; values in `out` are little-endian. */
function fillRow(
  out: Uint8Array,
  planes: Uint8Array[],
  source: number,
  target: number,
  low: number,
  high: number,
  channels: number,
): void {
  if (planes.length === 4) {
    const words = new Uint32Array(out.buffer);
    const [a, b, c, d] = planes;
    for (let x = low, t = target + low * channels; x < high; x++, t += channels) {
      const s = source + x;
      words[t] = (a[s] << 24) | (b[s] << 16) | (c[s] << 8) | d[s];
    }
  } else if (planes.length === 2) {
    const words = new Uint16Array(out.buffer);
    const [a, b] = planes;
    for (let x = low, t = target + low * channels; x < high; x++, t += channels) words[t] = (a[source + x] << 8) | b[source + x];
  } else for (let x = low, t = target + low * channels; x < high; x++, t += channels) out[t] = planes[0][source + x];
}

const damaged = (what: string, given: string, expected: string) =>
  new VoxelbookError(`${what} is damaged`, {
    code: 'damaged-chunk',
    path: what,
    given,
    expected,
    fix: 'Remove the file and preprocess again: only this case is made.',
  });
