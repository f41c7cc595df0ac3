import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { slack } from '../../src/volume/gzip.js';
import { decodeTiff, readVolume } from '../../src/volume/index.js';

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
