import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { encode } from 'fast-png';
import { slack } from '../../../src/volume/format/gzip.js';
import { decodePng, readVolume, writePng, writeVolume } from '../../../src/volume/index.js';

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

  const good = Buffer.from(encode({ width: 8, height: 8, data: new Uint8Array(64), depth: 8, channels: 1 }));
  it('cut at any byte it is refused', () => {
    for (let i = 0; i < good.length - 12; i++) assert.throws(() => decodePng(good.subarray(0, i), 'x.png'), /x\.png/);
  });

  it('a picture that expands far beyond its size is stopped', () => {
    const bomb = pngOf(8, 8, zlib.deflateSync(Buffer.alloc(slack + 1000)));
    assert.throws(() => decodePng(bomb, 'x.png'), /more than \d+ bytes when expanded; expected 72 bytes of pixels/);
  });

  it('absurd sizes are refused before anything is expanded', () => {
    assert.throws(() => decodePng(pngOf(2 ** 31 - 1, 2 ** 31 - 1, Buffer.alloc(0)), 'x.png'), /at most 2 GiB of pixels/);
    assert.throws(() => decodePng(pngOf(0, 8, Buffer.alloc(0)), 'x.png'), /0×8/);
  });
});

function pngOf(width: number, height: number, data: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const chunk = (type: string, body: Buffer) => {
    const out = Buffer.alloc(12 + body.length);
    out.writeUInt32BE(body.length, 0);
    out.write(type, 4, 'latin1');
    body.copy(out, 8);
    return out;
  };
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
