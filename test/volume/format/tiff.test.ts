import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../../src/base/errors.js';
import { Random } from '../../../src/base/random.js';
import { slack } from '../../../src/volume/format/gzip.js';
import { decodeTiff, readVolume, type Volume, writeVolume } from '../../../src/volume/index.js';
import stored from '../tiffs.json' with { type: 'json' };

const given = fileURLToPath(new URL('../tiffs/', import.meta.url));

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-tiff-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** A little-endian TIFF, one strip a page. */
function tiff(pages: Buffer[], { width = 3, height = 2, bits = 8, channels = 1, compression = 1 } = {}): Buffer {
  const parts: Buffer[] = [Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0])];
  let at = 8;
  let link = { part: 0, offset: 4 };
  pages.forEach((body, i) => {
    const entries: [number, number, number][] = [
      [256, 3, width],
      [257, 3, height],
      [258, 3, bits],
      [259, 3, compression],
      [262, 3, channels > 1 ? 2 : 1],
      [273, 4, 0],
      [277, 3, channels],
      [278, 3, height],
      [279, 4, body.length],
    ];
    const ifd = Buffer.alloc(2 + entries.length * 12 + 4);
    entries[5][2] = at + ifd.length;
    ifd.writeUInt16LE(entries.length, 0);
    entries.forEach(([tag, type, value], k) => {
      ifd.writeUInt16LE(tag, 2 + 12 * k);
      ifd.writeUInt16LE(type, 4 + 12 * k);
      ifd.writeUInt32LE(1, 6 + 12 * k);
      if (type === 3) ifd.writeUInt16LE(value, 10 + 12 * k);
      else ifd.writeUInt32LE(value, 10 + 12 * k);
    });
    parts[link.part].writeUInt32LE(at, link.offset);
    parts.push(ifd, body);
    link = { part: 1 + 2 * i, offset: ifd.length - 4 };
    at += ifd.length + body.length;
  });
  return Buffer.concat(parts);
}

describe('TIFF', () => {
  it('one page is a picture; 8 and 16 bit, one and three channels, packed or not', () => {
    const grey = decodeTiff(tiff([Buffer.from([1, 2, 3, 4, 5, 6])]));
    assert.deepEqual(
      [grey.shape, grey.channels, grey.spacingMm, [...grey.data]],
      [[1, 2, 3], 1, [999, 1, 1], [1, 2, 3, 4, 5, 6]],
    );
    const wide = Buffer.from(Uint16Array.from([1, 500, 60000, 4, 5, 6]).buffer);
    assert.deepEqual([...decodeTiff(tiff([wide], { bits: 16 })).data], [1, 500, 60000, 4, 5, 6]);
    const packed = tiff([zlib.deflateSync(Buffer.from([1, 2, 3, 4, 5, 6]))], { compression: 8 });
    assert.deepEqual([...decodeTiff(packed).data], [1, 2, 3, 4, 5, 6]);
  });

  it('several pages are a stack, with the spacing that stands beside it', () => {
    const file = path.join(folder, 'case_0000.tif');
    fs.writeFileSync(file, tiff([Buffer.from([1, 2, 3, 4, 5, 6]), Buffer.from([7, 8, 9, 10, 11, 12])]));
    assert.deepEqual(readVolume(file).spacingMm, [1, 1, 1]);
    fs.writeFileSync(path.join(folder, 'case.json'), '{"spacing": [2, 0.5, 0.5]}');
    const stack = readVolume(file);
    assert.deepEqual([stack.shape, stack.spacingMm, stack.data[6]], [[2, 2, 3], [2, 0.5, 0.5], 7]);
    fs.writeFileSync(path.join(folder, 'case.json'), '{"spacing": [2, 0]}');
    assert.throws(() => readVolume(file), /three numbers above 0 as "spacing"/);
  });

  it('damaged files, absurd sizes and bombs are refused with a typed error', () => {
    const good = tiff([Buffer.from([1, 2, 3, 4, 5, 6])]);
    assert.throws(() => decodeTiff(good.subarray(0, 40), 'x.tif'), /x\.tif/);
    assert.throws(() => decodeTiff(Buffer.from('hello world'), 'x.tif'), /x\.tif/);
    const bomb = tiff([zlib.deflateSync(Buffer.alloc(slack + 1000))], { compression: 8 });
    assert.throws(() => decodeTiff(bomb, 'x.tif'), /more than \d+ bytes when expanded; expected 6 bytes of pixels/);
    assert.throws(() => decodeTiff(tiff([Buffer.alloc(6)], { width: 65535, height: 65535 }), 'x.tif'), /at most 2 GiB of pixels/);
  });
});

/** What tiffs.py stored: the upper bits of a linear congruential generator. */
function noise(type: string, length: number): number[] {
  let x = 1;
  return Array.from({ length }, () => {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    const v = x >> 16;
    if (type === 'bool') return v % 2;
    return type.startsWith('float') ? v / 16 : type.startsWith('int') ? (v % 200) - 100 : v % 256;
  });
}

describe('TIFF files of tifffile', () => {
  for (const { file, type, shape, channels } of stored)
    it(`${file} is read as tifffile reads it`, () => {
      const volume = readVolume(path.join(given, file));
      assert.deepEqual([volume.shape, volume.channels], [shape, channels]);
      const wanted = type === 'bool' ? 'uint8' : type;
      assert.equal(volume.data.constructor.name.toLowerCase(), `${wanted}array`);
      assert.deepEqual([...volume.data], noise(type, volume.data.length));
    });
});

describe('TIFF out', () => {
  it('what is written is read back: every number type, pictures and stacks, one to four channels', () => {
    for (const Kind of [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array])
      for (const channels of [1, 2, 3, 4])
        for (const depth of [1, 3])
          for (const ending of ['.tif', '.tiff']) {
            const file = path.join(folder, `out${depth}${ending}`);
            const written: Volume = {
              data: new Kind(Array.from({ length: depth * 35 * channels }, (_, i) => (i * 37) % 101)),
              shape: [depth, 5, 7],
              channels,
              spacingMm: depth > 1 ? [2.5, 0.5, 0.7] : [999, 1, 1],
              originMm: [0, 0, 0],
              direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
            };
            writeVolume(file, written);
            assert.deepEqual(readVolume(file), written);
          }
  });

  it('more channels than four are refused', () => {
    const five = { ...decodeTiff(tiff([Buffer.alloc(6)])), data: new Uint8Array(30), channels: 5 };
    assert.throws(() => writeVolume(path.join(folder, 'five.tif'), five), /1×2×3 with 5 channels; expected at most four/);
  });
});

/** LZW codes of zeros, as dense as they can be: each code stands for a string one longer than the code before; `times` tables of them. */
function lzwZeros(times: number): Buffer {
  const bytes: number[] = [];
  let [bits, held] = [0, 0];
  const put = (code: number, width: number) => {
    bits = (bits << width) | code;
    for (held += width; held >= 8; held -= 8) bytes.push((bits >> (held - 8)) & 0xff);
    bits &= (1 << held) - 1;
  };
  const widthAt = (next: number) => (next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9);
  for (let t = 0; t < times; t++) {
    put(256, t === 0 ? 9 : 12);
    put(0, 9);
    for (let code = 258; code < 4094; code++) put(code, widthAt(code));
  }
  put(257, 12);
  put(0, 12);
  return Buffer.from(bytes);
}

describe('hostile TIFF files', () => {
  const refused = (bytes: Buffer, message: RegExp) =>
    assert.throws(
      () => decodeTiff(bytes, 'x.tif'),
      (error) => error instanceof VoxelbookError && message.test(error.message),
    );
  /** Runs `read` within 64 MiB; what it must not do without bound takes memory, or does not end. */
  const bounded = <T>(read: () => T): T => {
    const before = process.memoryUsage();
    const result = read();
    const after = process.memoryUsage();
    assert.ok(after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed < slack);
    return result;
  };

  it('LZW data that would expand to 280 MB is expanded to the six bytes declared, and no further', () => {
    const bomb = tiff([lzwZeros(38)], { compression: 5 });
    assert.ok(bomb.length < 250_000);
    const { data } = bounded(() => decodeTiff(bomb));
    assert.deepEqual([...data], [0, 0, 0, 0, 0, 0]);
  });

  it('the same codes, where the header declares as much, are all read', () => {
    const [height, width] = [3000, 2400];
    const { data } = decodeTiff(tiff([lzwZeros(1)], { compression: 5, width, height }));
    assert.equal(data.length, height * width);
  });

  it('PackBits runs that go on behind the declared pixels are refused, and not expanded', () => {
    bounded(() =>
      refused(tiff([Buffer.alloc(200_000, 0x81)], { compression: 32773 }), /128 bytes when expanded; expected 6 bytes/),
    );
  });

  it('a deflated strip that holds more rows than the page declares is refused', () => {
    refused(tiff([zlib.deflateSync(Buffer.alloc(9))], { compression: 8 }), /9 bytes when expanded; expected 6 bytes/);
  });

  it('codes and runs that end too early are refused', () => {
    for (const compression of [5, 32773])
      refused(tiff([Buffer.from([128, 0, 0, 1])], { compression }), /bytes when expanded; expected 6/);
    // Six bytes said, five there, of which four are wanted.
    refused(tiff([Buffer.from([254, 7, 5, 1, 2, 3])], { compression: 32773 }), /3 bytes when expanded; expected 6/);
    refused(
      tiff([lzwZeros(1)], { compression: 5, width: 3000, height: 3000 }),
      /\d+ bytes when expanded; expected 9000000 bytes/,
    );
  });

  it('what no compressed byte can hold is refused before it is expanded', () => {
    for (const compression of [1, 5, 8, 32773])
      bounded(() => refused(tiff([Buffer.alloc(6)], { compression, width: 40000, height: 40000 }), /strip or tile 0 of 6 bytes/));
  });

  it('directories that run in a circle are refused', () => {
    const good = tiff([Buffer.from([1, 2, 3, 4, 5, 6])]);
    const circle = Buffer.from(good);
    circle.writeUInt32LE(8, 8 + 2 + 9 * 12);
    bounded(() => refused(circle, /directories that lie on each other/));
    const two = tiff([Buffer.from([1, 2, 3, 4, 5, 6]), Buffer.from([1, 2, 3, 4, 5, 6])]);
    two.writeUInt32LE(8, two.length - 6 - 4);
    bounded(() => refused(two, /directories that lie on each other/));
  });

  it('many entries that name the same values, and strips that are the same bytes, are refused', () => {
    const entry = (tag: number, type: number, count: number, value: number) => {
      const out = Buffer.alloc(12);
      out.writeUInt16LE(tag, 0);
      out.writeUInt16LE(type, 2);
      out.writeUInt32LE(count, 4);
      out.writeUInt32LE(value, 8);
      return out;
    };
    const directory = (entries: Buffer[]) => {
      const count = Buffer.alloc(2);
      count.writeUInt16LE(entries.length);
      return Buffer.concat([Buffer.from([0x49, 0x49, 42, 0, 8, 0, 0, 0]), count, ...entries, Buffer.alloc(4)]);
    };
    const shared = Array.from({ length: 1000 }, () => entry(273, 4, 100_000, 8));
    bounded(() => refused(Buffer.concat([directory(shared), Buffer.alloc(400_000)]), /100000 values at byte 8/));
    // 10000 strips of 1000 bytes, all of them the same.
    const [at, n] = [8 + 2 + 7 * 12 + 4, 10_000];
    const offsets = new Uint32Array(n).fill(at);
    const counts = new Uint32Array(n).fill(1000);
    const entries = [
      entry(256, 4, 1, 1000),
      entry(257, 4, 1, n),
      entry(258, 3, 1, 8),
      entry(259, 3, 1, 1),
      entry(273, 4, n, at),
      entry(278, 4, 1, 1),
      entry(279, 4, n, at + 4 * n),
    ];
    bounded(() =>
      refused(
        Buffer.concat([directory(entries), Buffer.from(offsets.buffer), Buffer.from(counts.buffer)]),
        /none of them used twice/,
      ),
    );
  });

  for (const file of ['uint16.tif', 'lzw-strips.tif', 'deflate-stack.tif', 'planar-tiles.tif'])
    it(`${file} cut at any byte is refused or keeps its pixels`, () => {
      const bytes = fs.readFileSync(path.join(given, file));
      const whole = decodeTiff(bytes).data;
      for (let n = 0; n < bytes.length; n += n < 600 ? 1 : 13) {
        let cut: Volume | undefined;
        try {
          cut = decodeTiff(bytes.subarray(0, n));
        } catch (error) {
          assert.ok(error instanceof VoxelbookError, String(error));
        }
        if (cut) assert.deepEqual(cut.data, whole, `cut at ${n}`);
      }
    });

  it('20000 mutated files become a valid picture or a typed error', () => {
    const random = new Random('tiff');
    const seeds = stored.map(({ file }) => fs.readFileSync(path.join(given, file))).filter((bytes) => bytes.length < 4000);
    let read = 0;
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(seeds[i % seeds.length]);
      // Directories and their values stand at the start and at the end.
      for (let k = random.int(1, 4); k > 0; k--) {
        const at = random.chance(0.8) ? random.int(0, Math.min(400, bytes.length)) : random.int(0, bytes.length);
        bytes[at] = random.chance(0.5) ? random.choice([0, 1, 2, 127, 128, 255]) : random.int(0, 256);
      }
      try {
        const v = decodeTiff(bytes);
        read++;
        assert.equal(v.data.length, v.shape[0] * v.shape[1] * v.shape[2] * v.channels);
      } catch (error) {
        if (!(error instanceof VoxelbookError)) throw new Error(bytes.toString('hex'), { cause: error });
      }
    }
    assert.ok(read > 1000 && read < 19_000, `${read} read`);
  });
});

describe('BMP', () => {
  it('24 bits, bottom row first, blue first; others are refused', () => {
    const bmp = Buffer.alloc(54 + 2 * 8);
    bmp.write('BM');
    bmp.writeUInt32LE(54, 10);
    bmp.writeUInt32LE(40, 14);
    bmp.writeInt32LE(2, 18);
    bmp.writeInt32LE(2, 22);
    bmp.writeUInt16LE(24, 28);
    [3, 2, 1, 6, 5, 4].forEach((v, i) => {
      bmp[62 + i] = v;
    });
    const file = path.join(folder, 'a.bmp');
    fs.writeFileSync(file, bmp);
    const read = readVolume(file);
    assert.deepEqual(
      [read.shape, [...read.data]],
      [
        [1, 2, 2],
        [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0],
      ],
    );
    bmp.writeUInt32LE(1, 30);
    fs.writeFileSync(file, bmp);
    assert.throws(() => readVolume(file), /24 bits, compression 1; expected an uncompressed BMP/);
    fs.writeFileSync(file, bmp.subarray(0, 30));
    assert.throws(() => readVolume(file), /no BMP header/);
  });
});
