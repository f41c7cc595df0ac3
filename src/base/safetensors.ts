// Safetensors in and out: a JSON header and raw little-endian arrays, nothing that can run.
//
// Format: 8 bytes header length, header (UTF-8 JSON), data. The rules of the official reader are enforced: header at most
// 100 MB, offsets contiguous in some order without holes or overlap, dtype × shape equal to the byte range, no duplicate names.
// A file written here carries a CRC-32 over names, shapes and arrays in its metadata, which reading the whole file asks for.
import fs from 'node:fs';
import { atomicWrite } from './atomicWrite.js';
import { Crc32 } from './checksum.js';
import { FaultList, failedOn, VoxelbookError } from './errors.js';
import { partsOf, type TensorData, type TensorSource } from './tensorData.js';

export type { TensorData } from './tensorData.js';

/** One stored array. F16 and BF16 are widened to Float32Array on reading; `dtype` keeps the stored name. */
export interface StoredTensor {
  dtype: string;
  shape: number[];
  data: TensorData;
}

const sizes: Record<string, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};
const views: Record<string, new (b: ArrayBuffer) => TensorData> = {
  F64: Float64Array,
  F32: Float32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};
const maxHeader = 100_000_000;

/** Where a stored array lies: bytes `begin` to `end` of the file. */
export interface TensorRange {
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Reads a safetensors file (or its bytes).
 * @returns arrays by name, in the file's data order, and the header's text metadata; the arrays are copies and own their memory.
 *   `checked` tells whether the file carries a checksum
 * @throws VoxelbookError naming every fault: truncated, header, dtype, shape, offsets, overlap, hole, duplicate, checksum
 */
export function readSafetensors(source: string | Uint8Array): {
  tensors: Record<string, StoredTensor>;
  metadata: Record<string, string>;
  checked: boolean;
} {
  if (typeof source !== 'string')
    return readArrays('safetensors bytes', source.byteLength, (begin, end, sum) => {
      const bytes = source.subarray(begin, end).slice();
      sum?.add(bytes);
      return bytes;
    });
  return withFile(source, (descriptor) =>
    readArrays(source, fs.fstatSync(descriptor).size, (begin, end, sum) => readRange(descriptor, begin, end, sum)),
  );
}

/** Every array by its own range, in the file's order, so that a file may be larger than any one array. */
function readArrays(file: string, size: number, read: (begin: number, end: number, sum?: Crc32) => Uint8Array) {
  const { ranges, metadata, sum, written } = begun(file, size, read);
  const tensors: Record<string, StoredTensor> = Object.create(null);
  for (const [name, { dtype, shape, begin, end }] of inOrder(ranges))
    tensors[name] = { dtype, shape, data: decode(dtype, read(begin, end, sum)) };
  return { tensors, metadata, checked: checkSum(file, metadata, written, sum) };
}

/** The header of a file whose checksum is to be asked, and the sum over it. */
function begun(file: string, size: number, read: (begin: number, end: number) => Uint8Array) {
  const {
    ranges,
    metadata: { crc32: written, ...metadata },
    start,
  } = parse(file, size, read);
  const sum = new Crc32();
  sum.add(headerOf(ranges, start, metadata));
  return { ranges, metadata, start, sum, written };
}

const inOrder = (ranges: Record<string, TensorRange>) => Object.entries(ranges).sort(([, a], [, b]) => a.begin - b.begin);

/** Whether there is a checksum. @throws VoxelbookError where it does not fit, or was there and is gone */
function checkSum(file: string, metadata: Record<string, string>, written: string | undefined, sum: Crc32): boolean {
  const lost = written === undefined && Object.keys(metadata).some(wasChecksum);
  if (lost || (written !== undefined && written !== sum.hex))
    throw new VoxelbookError(`${file} is damaged`, {
      code: 'checksum',
      path: file,
      given: 'a checksum that does not fit the content',
      expected: 'the content as it was written',
      fix: 'Restore the file from a copy, or make it again.',
    });
  return written !== undefined;
}

/**
 * As `readSafetensors`, but only checked: an array is read when its `data` is asked for, and forgotten when the next one is, so that
 * weights need their memory once, where they go to.
 * @throws VoxelbookError as `readSafetensors`; later, where the file has become another one
 */
export function openSafetensors(file: string): ReturnType<typeof readSafetensors> {
  const stamp = (s: fs.Stats) => [s.dev, s.ino, s.size, s.mtimeMs].join();
  return withFile(file, (descriptor) => {
    const stat = fs.fstatSync(descriptor);
    const { ranges, metadata, sum, written, start } = begun(file, stat.size, (begin, end) => readRange(descriptor, begin, end));
    if (written !== undefined) addRange(descriptor, start, stat.size, sum);
    const checked = checkSum(file, metadata, written, sum);
    let last: { name: string; data: TensorData } | undefined;
    const read = (name: string, { dtype, begin, end }: TensorRange) => {
      if (last?.name === name) return last.data;
      last = undefined;
      const data = withFile(file, (again) => {
        if (stamp(fs.fstatSync(again)) !== stamp(stat))
          throw new VoxelbookError(`${file} was changed while it was read`, {
            code: 'changed',
            path: file,
            given: 'another file of this name',
            expected: 'the one that was opened',
            fix: 'Read it again.',
          });
        return decode(dtype, readRange(again, begin, end));
      });
      last = { name, data };
      return data;
    };
    const tensors: Record<string, StoredTensor> = Object.create(null);
    for (const [name, range] of inOrder(ranges))
      tensors[name] = {
        dtype: range.dtype,
        shape: range.shape,
        get data() {
          return read(name, range);
        },
      };
    return { tensors, metadata, checked };
  });
}

/** Runs `read` on an open file. @throws VoxelbookError for what the system says */
function withFile<T>(file: string, read: (descriptor: number) => T): T {
  try {
    const descriptor = fs.openSync(file, 'r');
    try {
      return read(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  } catch (error) {
    throw error instanceof VoxelbookError ? error : failedOn(file, error, 'read');
  }
}

/** Whether a name is that of the checksum with one to three bits flipped: no other program writes such a one. */
function wasChecksum(name: string): boolean {
  const [found, ours] = [Buffer.from(name), Buffer.from('crc32')];
  if (found.length !== ours.length) return false;
  let bits = 0;
  for (const [i, byte] of found.entries()) for (let rest = byte ^ ours[i]; rest > 0; rest >>= 1) bits += rest & 1;
  return bits <= 3;
}

/** What the checksum covers of a header: everything in it, by name. */
const headerOf = (ranges: Record<string, TensorRange>, start: number, metadata: Record<string, string>) =>
  JSON.stringify([
    Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)),
    Object.keys(ranges)
      .sort()
      .map((name) => [name, ranges[name].dtype, ranges[name].shape, ranges[name].begin - start, ranges[name].end - start]),
  ]);

/**
 * What a safetensors file holds and where, without reading the arrays.
 * @throws VoxelbookError as `readSafetensors`
 */
export function safetensorsTable(file: string): { ranges: Record<string, TensorRange>; metadata: Record<string, string> } {
  const descriptor = fs.openSync(file, 'r');
  try {
    return parse(file, fs.fstatSync(descriptor).size, (begin, end) => readRange(descriptor, begin, end));
  } finally {
    fs.closeSync(descriptor);
  }
}

/** What lies in the processor's cache when it has been read. */
const piece = 2 ** 18;

/** Bytes `begin` to `end` of an open file, added to `sum` as they come; fewer where it is shorter. */
export function readRange(descriptor: number, begin: number, end: number, sum?: Crc32): Uint8Array {
  const bytes = new Uint8Array(end - begin);
  const most = sum ? piece : 2 ** 30;
  let at = 0;
  while (at < bytes.length) {
    const n = fs.readSync(descriptor, bytes, at, Math.min(bytes.length - at, most), begin + at);
    if (n === 0) return bytes.subarray(0, at);
    sum?.add(bytes.subarray(at, at + n));
    at += n;
  }
  return bytes;
}

/** Adds bytes `begin` to `end` of an open file to `sum`; none of them is kept. */
function addRange(descriptor: number, begin: number, end: number, sum: Crc32): void {
  const bytes = new Uint8Array(piece);
  for (let at = begin; at < end; ) {
    const n = fs.readSync(descriptor, bytes, 0, Math.min(piece, end - at), at);
    if (n === 0) return;
    sum.add(bytes.subarray(0, n));
    at += n;
  }
}

function parse(file: string, size: number, read: (begin: number, end: number) => Uint8Array) {
  const refuse = (code: string, given: string, expected: string): never => {
    throw new VoxelbookError(`${file} is not a readable safetensors file`, {
      code,
      path: 'header',
      given,
      expected,
      fix: 'Fetch or write the file again.',
    });
  };
  if (size < 8) refuse('truncated', `${size} bytes`, 'at least 8 bytes');
  const first = read(0, 8);
  const headerLength = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (headerLength > BigInt(maxHeader)) refuse('header-too-large', `header of ${headerLength} bytes`, `at most ${maxHeader}`);
  const start = 8 + Number(headerLength);
  if (start > size) refuse('truncated', `header of ${headerLength} bytes in a file of ${size}`, 'a complete header');
  const entries = parseHeader(read(8, start), refuse);
  const metadata = takeMetadata(entries, refuse);
  const ranges: Record<string, TensorRange> = Object.create(null);
  for (const { name, dtype, shape, begin, end } of checkEntries(entries, size - start, file))
    ranges[name] = { dtype, shape, begin: start + begin, end: start + end };
  return { ranges, metadata, start };
}

type Refuse = (code: string, given: string, expected: string) => never;

/** Header text → entries in order. A name that stands twice in any object, which JSON.parse would silently merge, is refused. */
function parseHeader(bytes: Uint8Array, refuse: Refuse): [string, unknown][] {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse('header-not-utf8', 'bytes that are not UTF-8', 'UTF-8 JSON');
  }
  // A byte-order mark or white space before the brace would be another file to another reader.
  if (!text.startsWith('{')) refuse('header-not-json', JSON.stringify(text.slice(0, 20)), 'a JSON object');
  if (nesting(text) > 3) refuse('header-too-deep', `JSON nested ${nesting(text)} levels deep`, 'at most 3 levels');
  let header: object;
  try {
    header = JSON.parse(text);
  } catch (error) {
    return refuse('header-not-json', (error as Error).message, 'a JSON object');
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) refuse('duplicate-name', `${JSON.stringify(twice)} stands twice`, 'every name once');
  // JSON.parse makes `__proto__` an own property, and Object.entries lists it: it is an ordinary name here.
  return Object.entries(header);
}

function nesting(text: string): number {
  let depth = 0;
  let most = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') i = stringEnd(text, i);
    else if (c === '{' || c === '[') most = Math.max(most, ++depth);
    else if (c === '}' || c === ']') depth--;
  }
  return most;
}

/** Index of the closing quote of the string that opens at `i`. */
function stringEnd(text: string, i: number): number {
  for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
  return i;
}

/** The first key that stands twice in one object of valid JSON. There a string is a key exactly when `:` is the next sign after it. */
function repeatedKey(text: string): string | undefined {
  const objects: Set<string>[] = [];
  let string: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const end = stringEnd(text, i);
      string = text.slice(i, end + 1);
      i = end;
    } else if (c === '{') objects.push(new Set());
    else if (c === '}') objects.pop();
    else if (c === ':') {
      const key: string = JSON.parse(string!);
      const keys = objects[objects.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function takeMetadata(entries: [string, unknown][], refuse: Refuse): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  const at = entries.findIndex(([name]) => name === '__metadata__');
  if (at < 0) return metadata;
  const [[, value]] = entries.splice(at, 1);
  if (typeof value !== 'object' || value === null) return refuse('metadata', 'no object', 'text by name');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') refuse('metadata', `${key}: ${typeof text}`, 'text by name');
    metadata[key] = text;
  }
  return metadata;
}

interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

const isSize = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;

function checkEntries(entries: [string, unknown][], body: number, file: string): Entry[] {
  const faults = new FaultList();
  const fix = 'Fetch or write the file again.';
  const list: Entry[] = [];
  for (const [name, value] of entries) {
    const { dtype, shape, data_offsets } = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    if (typeof dtype !== 'string' || !Object.hasOwn(sizes, dtype)) {
      faults.add('dtype', name, `dtype ${JSON.stringify(dtype)}`, Object.keys(sizes).join(', '), fix);
      continue;
    }
    if (!Array.isArray(shape) || !shape.every(isSize)) {
      faults.add('shape', name, `shape ${JSON.stringify(shape)}`, 'whole numbers from 0 to 2^53', fix);
      continue;
    }
    if (
      !Array.isArray(data_offsets) ||
      data_offsets.length !== 2 ||
      !data_offsets.every(isSize) ||
      data_offsets[0] > data_offsets[1]
    ) {
      faults.add('offsets', name, `data_offsets ${JSON.stringify(data_offsets)}`, 'two whole numbers [begin, end]', fix);
      continue;
    }
    const [begin, end] = data_offsets;
    const bytes = shape.reduce((a, b) => a * b, 1) * sizes[dtype];
    if (bytes !== end - begin) faults.add('size', name, `${end - begin} bytes`, `${bytes} bytes for ${dtype} [${shape}]`, fix);
    else if (end > body) faults.add('truncated', name, `bytes ${begin} to ${end} of ${body}`, 'a range inside the file', fix);
    else list.push({ name, dtype, shape, begin, end });
  }
  list.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  if (faults.faults.length === 0) {
    for (const e of list) {
      if (e.begin < position)
        faults.add('overlap', e.name, `begins at ${e.begin}`, `${position}, where the tensor before it ends`, fix);
      else if (e.begin > position)
        faults.add('hole', e.name, `begins at ${e.begin}`, `${position}: no bytes between tensors`, fix);
      position = Math.max(position, e.end);
    }
    if (position !== body) faults.add('hole', 'end of file', `${body - position} bytes belong to no tensor`, 'none', fix);
  }
  faults.throwIfAny(`${file} is not a readable safetensors file`);
  return list;
}

function decode(dtype: string, bytes: Uint8Array): TensorData {
  // A Buffer's own `slice` shares memory that is not aligned.
  const own = bytes.byteOffset === 0 && bytes.buffer.byteLength === bytes.length ? bytes : new Uint8Array(bytes);
  const buffer = own.buffer as ArrayBuffer;
  if (dtype === 'BF16') return Float32Array.from(new Uint16Array(buffer), bfloat16);
  if (dtype === 'F16') return Float32Array.from(new Uint16Array(buffer), float16);
  return new views[dtype](buffer);
}

const scratch = new DataView(new ArrayBuffer(4));

/** The float a bfloat16 bit pattern stands for. */
export function bfloat16(bits: number): number {
  scratch.setUint32(0, bits * 65536);
  return scratch.getFloat32(0);
}

/** The float a float16 bit pattern stands for. */
export function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const nameOf = (data: TensorData): string => {
  const name = Object.keys(views).find((k) => views[k] === data.constructor);
  if (!name) throw new TypeError(`cannot store a ${data.constructor.name}`);
  return name;
};

/**
 * Writes arrays to a safetensors file, atomically, each tensor aligned to 8 bytes by ordering wide types first.
 * @param tensors arrays, or what makes them (`TensorSource`): those are asked part by part, for the checksum and for writing
 * @throws VoxelbookError when an array's length is not the product of its shape, and as `atomicWrite`
 */
export function writeSafetensors(
  file: string,
  tensors: Record<string, TensorSource>,
  metadata: Record<string, string> = {},
): void {
  atomicWrite(file, safetensorsChunks(tensors, metadata));
}

/** The bytes of a safetensors file, in pieces; none is copied. */
export function safetensorsChunks(
  tensors: Record<string, TensorSource>,
  metadata: Record<string, string> = {},
): Iterable<Uint8Array> {
  const faults = new FaultList();
  const entries = Object.entries(tensors).map(([name, source]) => {
    const { shape } = source;
    const count = shape.reduce((a, b) => a * b, 1);
    if ('data' in source && count !== source.data.length)
      faults.add(
        'size',
        name,
        `${source.data.length} values`,
        `${count} for shape [${shape}]`,
        'Pass data and shape that agree.',
      );
    const dtype = 'data' in source ? nameOf(source.data) : source.dtype;
    return { name, shape: [...shape], dtype, source, length: count * sizes[dtype] };
  });
  faults.throwIfAny('these arrays cannot be written as safetensors');
  entries.sort((a, b) => sizes[b.dtype] - sizes[a.dtype]);
  const ranges: Record<string, TensorRange> = Object.create(null);
  let offset = 0;
  for (const { name, shape, dtype, length } of entries) {
    ranges[name] = { dtype, shape, begin: offset, end: offset + length };
    offset += length;
  }
  const sum = new Crc32();
  sum.add(headerOf(ranges, 0, metadata));
  for (const { source } of entries) for (const part of partsOf(source)) sum.add(part);
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = { ...metadata, crc32: sum.hex };
  for (const [name, { dtype, shape, begin, end }] of Object.entries(ranges))
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  const text = JSON.stringify(header);
  const length = Buffer.byteLength(text);
  const head = Buffer.alloc(8 + Math.ceil(length / 8) * 8, ' ');
  head.writeBigUInt64LE(BigInt(head.length - 8), 0);
  head.write(text, 8);
  return pieces(
    head,
    entries.map(({ source }) => source),
  );
}

function* pieces(head: Uint8Array, sources: TensorSource[]): Generator<Uint8Array> {
  yield head;
  for (const source of sources)
    for (const { buffer, byteOffset, byteLength } of partsOf(source)) yield new Uint8Array(buffer, byteOffset, byteLength);
}
