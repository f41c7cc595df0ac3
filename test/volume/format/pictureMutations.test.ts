// Mutated PNG, TIFF and BMP files: a sound picture or a typed error.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { encode } from 'fast-png';
import { VoxelbookError } from '../../../src/base/errors.js';
import { Random } from '../../../src/base/random.js';
import { readVolume } from '../../../src/volume/index.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-pictures-'));
after(() => fs.rmSync(folder, { recursive: true }));

const png = (channels: 1 | 2 | 3 | 4, depth: 8 | 16) => {
  const length = 20 * 14 * channels;
  const data = depth === 8 ? new Uint8Array(length).map((_, i) => i * 7) : new Uint16Array(length).map((_, i) => i * 77);
  return Buffer.from(encode({ width: 20, height: 14, data, depth, channels }));
};
const tiff = Buffer.from(
  '49492a00080000000900000103000100000003000000010103000100000002000000020103000100000008000000030103000100000001000000060103000100000001000000110104000100000080000000150103000100000001000000160103000100000002000000170104000100000006000000000000000000000000000000010203040506',
  'hex',
);
const bmp = Buffer.alloc(54 + 16 * 4);
bmp.write('BM');
bmp.writeUInt32LE(54, 10);
bmp.writeUInt32LE(40, 14);
bmp.writeInt32LE(5, 18);
bmp.writeInt32LE(4, 22);
bmp.writeUInt16LE(24, 28);
const seeds: [string, Buffer][] = [
  ...[1, 2, 3, 4].flatMap((c) => [8, 16].map((d): [string, Buffer] => ['.png', png(c as 1, d as 8)])),
  ['.tif', tiff],
  ['.bmp', bmp],
];

describe('hostile pictures', () => {
  it('3000 mutated files become a sound picture or a typed error', () => {
    const random = new Random('pictures');
    let read = 0;
    for (let i = 0; i < 3000; i++) {
      const [ending, bytes] = seeds[i % seeds.length];
      let out = Buffer.from(bytes);
      for (let k = random.int(1, 5); k > 0; k--)
        out[random.int(0, out.length)] = random.chance(0.4) ? random.choice([0, 1, 127, 128, 255]) : random.int(0, 256);
      if (random.chance(0.1)) out = out.subarray(0, random.int(0, out.length));
      const file = path.join(folder, `x${ending}`);
      fs.writeFileSync(file, out);
      try {
        const v = readVolume(file);
        read++;
        assert.equal(v.data.length, v.shape[0] * v.shape[1] * v.shape[2] * v.channels, out.toString('hex'));
      } catch (error) {
        if (!(error instanceof VoxelbookError)) throw new Error(`${ending} ${out.toString('hex')}`, { cause: error });
      }
    }
    console.log(`      3000 pictures, ${read} read`);
    assert.ok(read > 0 && read < 3000);
  });
});
