import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../../src/base/errors.js';
import { slack } from '../../../src/volume/format/gzip.js';
import { decodePng, readVolume, writePng, writeVolume } from '../../../src/volume/index.js';
import { ihdr, pngOf } from '../../hostile/mutations.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-png-'));
after(() => fs.rmSync(folder, { recursive: true }));

describe('PNG', () => {
  it('what is written is read back: 8 and 16 bit, 1 to 4 channels', () => {
    for (const channels of [1, 2, 3, 4])
      for (const data of [
        Uint8Array.from({ length: 6 * channels }, (_, i) => i),
        Uint16Array.from({ length: 6 * channels }, (_, i) => i * 1000),
      ]) {
        const file = path.join(folder, 'a.png');
        writePng(file, { data, width: 3, height: 2, channels });
        const read = readVolume(file);
        assert.deepEqual([read.shape, read.channels, read.spacingMm], [[1, 2, 3], channels, [999, 1, 1]]);
        assert.deepEqual(read.data, data);
      }
  });

  it('one bit is 0 and 1; a palette is its colours, without transparency', () => {
    const oneBit = 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACAQAAAAC1D1u3AAAADElEQVR4nGNwYDgAAAGEAQEKf5BQAAAAAElFTkSuQmCC';
    assert.deepEqual([...decodePng(Buffer.from(oneBit, 'base64')).data], [0, 1, 0, 1, 1, 0]);
    const palette =
      'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACAgMAAAAP2OW3AAAACVBMVEUJCAcBAgMEBQYJtqwnAAAAAnRSTlP/AOW3MEoAAAAMSURBVHicYxBgmAAAAMQAoRZcupYAAAAASUVORK5CYII=';
    const colours = decodePng(Buffer.from(palette, 'base64'));
    assert.deepEqual([colours.channels, [...colours.data]], [3, [9, 8, 7, 1, 2, 3, 4, 5, 6, 1, 2, 3]]);
  });

  it('a volume that no picture can hold is refused', () => {
    const v = {
      data: new Float32Array(8),
      shape: [2, 2, 2] as [number, number, number],
      channels: 1,
      spacingMm: [1, 1, 1] as [number, number, number],
      originMm: [0, 0, 0] as [number, number, number],
      direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] as any,
    };
    assert.throws(
      () => writeVolume(path.join(folder, 'b.png'), v),
      /Float32Array of shape 2×2×2 with 1 channels; expected a Uint8Array or Uint16Array of depth 1/,
    );
  });

  const kind = { width: 8, height: 8, depth: 8, colour: 0, interlaced: false };
  const rows = Buffer.alloc(72);
  const end: [string, Buffer] = ['IEND', Buffer.alloc(0)];
  const picture = (change: Partial<typeof kind>, packed: Buffer, ...between: [string, Buffer][]) =>
    pngOf([ihdr({ ...kind, ...change }), ...between, ['IDAT', packed], end]);
  const good = picture({}, zlib.deflateSync(rows));

  it('cut at any byte it is refused', () => {
    decodePng(good);
    for (let i = 0; i < good.length; i++) assert.throws(() => decodePng(good.subarray(0, i), 'x.png'), /x\.png/);
  });

  it('a picture that expands far beyond its size is stopped', () => {
    const bomb = picture({}, zlib.deflateSync(Buffer.alloc(slack + 1000)));
    assert.throws(() => decodePng(bomb, 'x.png'), /more than \d+ bytes when expanded; expected 72 bytes of pixels/);
  });

  it('absurd sizes are refused before anything is expanded', () => {
    const absurd: [number, number, RegExp][] = [
      [2 ** 31 - 1, 2 ** 31 - 1, /at most 134217728 pixels and 1000000 along a side/],
      [2_000_000, 1, /1000000 along a side/],
      [0, 8, /0×8/],
      [10_000, 10_000, /packed pixels; expected 100010000 bytes/],
    ];
    for (const [width, height, message] of absurd)
      assert.throws(() => decodePng(picture({ width, height }, Buffer.alloc(9)), 'x.png'), message);
  });

  it('a colour profile, gamma or suggested palette is never expanded and changes no value', () => {
    const bomb = Buffer.concat([Buffer.from('p\0\0'), zlib.deflateSync(Buffer.alloc(2 ** 26))]);
    const colours = zlib.deflateSync(Buffer.from([0, 10, 20, 30]));
    const file = picture(
      { colour: 2, width: 1, height: 1 },
      colours,
      ['iCCP', bomb],
      ['gAMA', Buffer.from([0, 0, 0, 9])],
      ['PLTE', Buffer.from([1, 2, 3])],
    );
    const before = process.memoryUsage().arrayBuffers;
    assert.deepEqual([...decodePng(file).data], [10, 20, 30]);
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 24);
  });

  const packed = zlib.deflateSync(rows);
  const wrong: [string, Buffer, RegExp][] = [
    ['a wrong checksum', pngOf([ihdr(kind), ['IDAT', packed], end], 0), /a wrong checksum of IHDR/],
    ['a second header', picture({}, packed, ihdr(kind)), /IHDR as a later chunk/],
    ['no header', pngOf([['IDAT', packed], end]), /IDAT as the first chunk/],
    ['an illegal depth', picture({ colour: 2, depth: 4 }, packed), /4 bits, colour type 2/],
    ['a palette picture without colours', picture({ colour: 3 }, packed), /without PLTE/],
    ['an empty palette', picture({ colour: 3 }, packed, ['PLTE', Buffer.alloc(0)]), /a palette of 0 bytes/],
    [
      'a palette too long for its bits',
      picture({ colour: 3, depth: 1 }, packed, ['PLTE', Buffer.alloc(9)]),
      /palette of 9 bytes for 1 bits/,
    ],
    [
      'a colour the palette has not',
      picture({ colour: 3 }, zlib.deflateSync(rows.map((_, i) => (i % 9 ? 7 : 0))), ['PLTE', Buffer.alloc(6)]),
      /index 7 not in palette/,
    ],
    ['a row cut short', picture({}, zlib.deflateSync(rows.subarray(0, 67))), /67 bytes when expanded; expected 72/],
    ['a filter that is none', picture({}, zlib.deflateSync(rows.map((v, i) => (i === 9 ? 5 : v)))), /damaged picture/],
    ['a critical chunk nobody knows', picture({}, packed, ['ABCD', Buffer.alloc(1)]), /unknown critical chunk ABCD/],
    [
      'pixels in two places',
      pngOf([ihdr(kind), ['IDAT', packed], ['tEXt', Buffer.from('a\0')], ['IDAT', packed], end]),
      /tEXt between the pixels/,
    ],
    ['an animation', picture({}, packed, ['acTL', Buffer.alloc(8)]), /an animated picture \(acTL\)/],
  ];
  for (const [what, bytes, message] of wrong)
    it(`refuses ${what}`, () => {
      assert.throws(
        () => decodePng(bytes, 'x.png'),
        (error) => error instanceof VoxelbookError && message.test(error.message),
      );
    });
});
