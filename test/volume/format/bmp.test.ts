import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readVolume } from '../../../src/volume/index.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-bmp-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** 3×2 pixels of 8 bits, bottom row first; `colour(i)` is entry i of the palette as blue, green, red. */
function paletteBmp(pixels: number[][], colour: (i: number) => number[]): string {
  const bmp = Buffer.alloc(54 + 1024 + 2 * 4);
  bmp.write('BM');
  bmp.writeUInt32LE(54 + 1024, 10);
  bmp.writeUInt32LE(40, 14);
  bmp.writeInt32LE(3, 18);
  bmp.writeInt32LE(2, 22);
  bmp.writeUInt16LE(8, 28);
  for (let i = 0; i < 256; i++) bmp.set(colour(i), 54 + 4 * i);
  pixels.forEach((row, y) => {
    bmp.set(row, 54 + 1024 + 4 * (1 - y));
  });
  const file = path.join(folder, 'a.bmp');
  fs.writeFileSync(file, bmp);
  return file;
}

describe('BMP with a palette', () => {
  const pixels = [
    [3, 200, 0],
    [7, 8, 9],
  ];

  it('a grey ramp is one channel, its indices: label maps come so', () => {
    const { data, shape, channels } = readVolume(paletteBmp(pixels, (i) => [i, i, i]));
    assert.deepEqual([[...data], shape, channels], [pixels.flat(), [1, 2, 3], 1]);
  });

  it('any other palette is colours', () => {
    const { data, channels } = readVolume(paletteBmp(pixels, (i) => [i, i, 255 - i]));
    assert.equal(channels, 3);
    assert.deepEqual([...data.subarray(0, 6)], [252, 3, 3, 55, 200, 200]);
  });
});
