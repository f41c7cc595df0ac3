import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../src/base/errors.js';
import { nativeFunctions } from '../../src/base/native/load.js';
import { Random } from '../../src/base/random.js';
import { ChunkedArray, type ChunkedValues, type ChunkGrid, encodeChunks, indexWidth } from '../../src/preprocess/chunks.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-chunks-'));
const descriptor = fs.openSync(path.join(folder, 'chunks'), 'w+');
const native = process.env.VOXELBOOK_NATIVE;
const asBefore = () => {
  if (native === undefined) delete process.env.VOXELBOOK_NATIVE;
  else process.env.VOXELBOOK_NATIVE = native;
};
afterEach(asBefore);
after(() => {
  fs.closeSync(descriptor);
  fs.rmSync(folder, { recursive: true });
});

const bytesOf = (values: ChunkedValues) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** Of n voxels: values whose bits are the given words. */
const floats = (words: ArrayLike<number>) => new Float32Array(Uint32Array.from(words).buffer);

/** By the codec that they are stored by: 1 constant, 2 numbers in bits, 3 in bytes, 4 values in bytes, 0 as they are. */
function kinds(n: number): Record<string, [number, ChunkedValues]> {
  const random = new Random(`chunks ${n}`);
  const words = (make: (i: number) => number) => floats(Array.from({ length: n }, (_, i) => make(i)));
  const rarely = (other: () => number) => (random.chance(0.02) ? other() : 0);
  // Not a number in many forms, both zeros, the smallest and the infinite: all of them are bits like others.
  const odd = [0, 0x80000000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x7f800000, 0xff800000, 1, 0x80000001];
  return {
    'one value, -0': [1, words(() => 0x80000000)],
    'odd values': [2, words(() => random.choice(odd))],
    '200 values': [2, words(() => 0x3f800000 + 1000 * random.int(0, 200))],
    '256 values': [2, words(() => 0xc0000000 + random.int(0, 256))],
    '600 values': [2, words(() => 0x3f800000 + 7 * random.int(0, 600))],
    'few values, mostly one': [3, words(() => rarely(() => 0x40000000 + random.int(0, 90)))],
    'many values, mostly one': [3, words((i) => (i < 500 ? 0x40000000 + 3 * i : 0))],
    'smooth values': [4, Float32Array.from({ length: n }, (_, i) => Math.sin(i / 90) + 0.1 * random.normal())],
    'any bits': [0, words(() => random.bits() >>> 0)],
    labels: [3, Int16Array.from({ length: n }, () => rarely(() => random.int(-1, 4)))],
    'labels in no order': [2, Int16Array.from({ length: n }, () => random.int(-1, 7))],
    '400 labels': [2, Uint16Array.from({ length: n }, () => 300 + random.int(0, 400))],
    'any 16 bits': [0, Int16Array.from({ length: n }, () => random.int(-32768, 32768))],
    'labels of a byte': [2, Uint8Array.from({ length: n }, () => random.int(0, 5))],
    'any bytes': [0, Uint8Array.from({ length: n }, () => random.int(0, 256))],
  };
}

function arrayOf(values: ChunkedValues, grid: ChunkGrid, { bytes, index }: { bytes: Uint8Array; index: Uint32Array }) {
  fs.writeSync(descriptor, bytes, 0, bytes.length, 11);
  return new ChunkedArray<ChunkedValues>(grid, values.constructor as never, index, bytes.length, 'this array');
}
const source = { descriptor, begin: 11 };

describe('chunks of voxels', () => {
  const grid: ChunkGrid = { shape: [17, 23, 29], channels: 1, chunk: [17, 23, 29] };
  for (const [name, [codec, values]] of Object.entries(kinds(17 * 23 * 29)))
    it(`${name}: by codec ${codec}, bit for bit, compiled and plain, of one and of many chunks`, () => {
      const one = encodeChunks(values, grid);
      assert.equal(one.index[1], codec);
      for (const chunk of [grid.chunk, [8, 16, 5], [1, 23, 16], [16, 8, 32]] as const) {
        const cut = { ...grid, chunk };
        const array = arrayOf(values, cut, encodeChunks(values, cut));
        for (const plain of [false, true]) {
          if (plain) process.env.VOXELBOOK_NATIVE = '0';
          assert.ok(bytesOf(array.read(source)).equals(bytesOf(values)), `${chunk} ${plain}`);
          const part = array.read(source, [3, 20, 7], [9, 5, 40], undefined, 9);
          for (let v = 0; v < part.length; v++) {
            const at = [3 + Math.floor(v / 200), 20 + (Math.floor(v / 40) % 5), 7 + (v % 40)];
            const width = values.BYTES_PER_ELEMENT;
            const from = ((at[0] * 23 + at[1]) * 29 + at[2]) * width;
            const wanted = at[1] < 23 && at[2] < 29 ? bytesOf(values).subarray(from, from + width) : Buffer.alloc(width, 9);
            assert.ok(
              bytesOf(part)
                .subarray(v * width, v * width + width)
                .equals(wanted),
              `${at}`,
            );
          }
          asBefore();
        }
      }
    });

  it('compiled code reads every codec itself, with any number of channels, and clears masked ones', () => {
    const read = nativeFunctions()?.readChunks;
    if (!read) return console.log('      not compiled here');
    const random = new Random('channels');
    for (const channels of [1, 2, 3, 4, 7]) {
      const n = 9 * 10 * 11;
      const columns = Object.values(kinds(n)).flatMap(([, v]) => (v instanceof Float32Array ? [v] : []));
      const values = new Float32Array(n * channels);
      const words = new Uint32Array(values.buffer);
      for (let c = 0; c < channels; c++) {
        const own = new Uint32Array(random.choice(columns).buffer);
        for (let v = 0; v < n; v++) words[v * channels + c] = own[v];
      }
      const cut: ChunkGrid = { shape: [9, 10, 11], channels, chunk: [4, 4, 8] };
      const array = arrayOf(values, cut, encodeChunks(values, cut));
      const labels = Int16Array.from({ length: n }, (_, v) => (v % 300 < 120 || v % 7 === 0 ? -1 : 2));
      for (const masked of [[], [channels - 1], [...Array(channels).keys()]]) {
        const out = new Float32Array(n * channels);
        const mask = { labels, channels: masked };
        const compiled = array.read(source, undefined, undefined, out, 0, mask);
        process.env.VOXELBOOK_NATIVE = '0';
        const plain = array.read(source, undefined, undefined, undefined, 0, mask);
        asBefore();
        assert.ok(bytesOf(compiled).equals(bytesOf(plain)), `${channels} ${masked}`);
        for (let i = 0; i < words.length; i++) {
          const cleared = labels[Math.floor(i / channels)] < 0 && masked.includes(i % channels);
          assert.equal(new Uint32Array(plain.buffer)[i], cleared ? 0 : words[i]);
        }
        const status = new Int32Array(1);
        const { index, offsets } = array as unknown as { index: Uint32Array; offsets: Float64Array };
        const bytes = new Uint8Array(out.buffer);
        read(descriptor, 11, index, offsets, cut.shape, cut.chunk, channels, 4, [0, 0, 0], cut.shape, bytes, 0, null, [], status);
        assert.equal(status[0], -1);
      }
    }
  });

  it('bytes nobody packed, under a checksum that fits, are damaged in compiled and in plain code', () => {
    const n = 30;
    const small: ChunkGrid = { shape: [2, 3, 5], channels: 1, chunk: [2, 3, 5] };
    const u16 = (value: number) => [value & 255, value >> 8];
    const u32 = (value: number) => [...u16(value & 65535), ...u16(value >>> 16)];
    const table = (count: number) => [...u16(count - 1), ...Array.from({ length: count }, (_, i) => u32(i)).flat()];
    const stream = (how: number, bytes: number[], length = bytes.length) => [how, ...u32(length), ...bytes];
    const zeros = (length: number, value = 0) => new Array<number>(length).fill(value);
    const { zstdCompressSync } = zlib as unknown as { zstdCompressSync?: (bytes: Uint8Array) => Uint8Array };
    const packed = (length: number) => [...(zstdCompressSync ?? zlib.deflateRawSync)(Buffer.alloc(length, 1))];
    const zip = zstdCompressSync ? 2 : 3;
    const good: [number, number[]][] = [
      [0, zeros(4 * n)],
      [1, u32(7)],
      [2, [...table(5), ...zeros(12, 0b00100100)]],
      [3, [...table(2), ...stream(0, zeros(n, 1))]],
      [3, [...table(2), ...stream(1, [1])]],
      [4, [zip, zip, 0, 1].flatMap((how) => stream(how, how === 0 ? zeros(n) : how === 1 ? [3] : packed(n)))],
    ];
    const bad: Record<string, [number, number[]]> = {
      'another codec': [5, zeros(8)],
      'too few values': [0, zeros(4 * n - 4)],
      'half a value': [1, [1, 2]],
      'two values for one': [1, zeros(8)],
      'no table': [2, [1]],
      'a table that ends early': [2, [...u16(65535), ...zeros(40)]],
      'a number beyond its table, in bits': [2, [...table(5), ...zeros(12, 255)]],
      'too few bits': [2, [...table(5), ...zeros(11)]],
      'too many bits': [2, [...table(5), ...zeros(13)]],
      'a number beyond its table, in bytes': [3, [...table(2), ...stream(0, zeros(n, 2))]],
      'only such numbers': [3, [...table(2), ...stream(1, [9])]],
      'a stream without a header': [3, [...table(2), 0, 1]],
      'a stream of another length': [3, [...table(2), ...stream(0, zeros(n - 1))]],
      'a stream longer than its part': [3, [...table(2), ...stream(0, zeros(n), 2 ** 32 - 1)]],
      'a stream of no codec': [3, [...table(2), ...stream(7, zeros(n))]],
      'a constant stream of two': [3, [...table(2), ...stream(1, [0, 0])]],
      'a byte too many': [3, [...table(2), ...stream(0, zeros(n)), 0]],
      'nothing compressed': [3, [...table(2), ...stream(zip, zeros(n))]],
      'fewer bytes compressed': [3, [...table(2), ...stream(zip, packed(n - 1))]],
      'more bytes compressed': [3, [...table(2), ...stream(zip, packed(n + 1))]],
      'a million bytes compressed': [3, [...table(2), ...stream(zip, packed(1e6))]],
      'three planes of four': [4, zeros(3).flatMap(() => stream(1, [0]))],
      nothing: [4, []],
    };
    const read = nativeFunctions()?.readChunks;
    const of = ([how, bytes]: [number, number[]]) => {
      const index = Uint32Array.of(bytes.length, how, zlib.crc32(Uint8Array.from(bytes)));
      const array = arrayOf(new Float32Array(), small, { bytes: Uint8Array.from(bytes), index });
      const status = Int32Array.of(-2);
      const out = new Uint8Array(4 * n);
      const offsets = Float64Array.of(0, bytes.length);
      read?.(descriptor, 11, index, offsets, small.shape, small.chunk, 1, 4, [0, 0, 0], small.shape, out, 0, null, [], status);
      return { array, status: read ? status[0] : undefined, out };
    };
    for (const part of good) {
      const { array, status, out } = of(part);
      const plainly = bytesOf(array.read(source));
      if (status === undefined || (!zstdCompressSync && part[0] === 4)) continue;
      assert.equal(status, -1);
      assert.ok(plainly.equals(out));
    }
    for (const [name, part] of Object.entries(bad)) {
      const { array, status } = of(part);
      if (status !== undefined) assert.equal(status, 0, name);
      for (const plain of [false, true]) {
        if (plain) process.env.VOXELBOOK_NATIVE = '0';
        assert.throws(
          () => array.read(source),
          (error) => error instanceof VoxelbookError && /this array is damaged/.test(error.message),
          name,
        );
        asBefore();
      }
    }
  });

  it('an index and a grid that nobody wrote are refused before anything is read', () => {
    const open = (grid: ChunkGrid, index: number[], bytes: number) =>
      new ChunkedArray(grid, Float32Array, Uint32Array.from(index), bytes, 'this array');
    const grid: ChunkGrid = { shape: [2, 2, 2], channels: 1, chunk: [2, 2, 2] };
    assert.ok(open(grid, [4, 1, 0], 4));
    for (const [message, make] of [
      [/part 0 of 33 bytes; expected at most 32/, () => open(grid, [33, 0, 0], 33)],
      [/parts of 4 bytes; expected 5/, () => open(grid, [4, 1, 0], 5)],
      [/an index of 2 parts; expected 1/, () => open(grid, [4, 1, 0, 4, 1, 0], 8)],
      [/chunks of 0×2×2/, () => open({ ...grid, chunk: [0, 2, 2] }, [4, 1, 0], 4)],
      [/voxels × 0/, () => open({ ...grid, channels: 0 }, [], 0)],
      [/chunks of 9000×9000×9000/, () => open({ ...grid, chunk: [9000, 9000, 9000] }, [4, 1, 0], 4)],
      [/of 2×-2×2 voxels/, () => open({ ...grid, shape: [2, -2, 2] }, [4, 1, 0], 4)],
    ] as const)
      assert.throws(make, message);
    assert.equal(indexWidth, 3);
  });
});
