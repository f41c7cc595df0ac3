// F2: damaged, cut, forged and oversized gzip.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../../src/base/errors.js';
import { slack } from '../../../src/volume/format/gzip.js';
import { decodeNifti } from '../../../src/volume/index.js';
import { niftiFile } from './niftiFile.js';

const plain = niftiFile({ dim: [3, 20, 15, 10, 1, 1, 1, 1], values: Array.from({ length: 3000 }, (_, i) => (i * 7919) % 1000) });
const packed = zlib.gzipSync(plain);
const refused = (bytes: Uint8Array, expected: RegExp) =>
  assert.throws(
    () => decodeNifti(bytes, 'x.nii.gz'),
    (error) => error instanceof VoxelbookError && expected.test(error.message),
  );
let inputs = 0;
const count = (n = 1) => {
  inputs += n;
};

describe('gzip (F2)', () => {
  after(() => {
    console.log(`      ${inputs} gzip inputs`);
    assert.ok(inputs >= 90, `${inputs} inputs are fewer than the 90 of the test matrix`);
  });

  it('cut at each 1/64 of its length is refused', () => {
    for (let i = 0; i < 64; i++) {
      refused(packed.subarray(0, Math.floor((packed.length * i) / 64)), /compressed data with a fault|sizeof_hdr|no NIfTI/);
      count();
    }
  });

  it('a wrong checksum or length is refused', () => {
    for (let i = 1; i <= 8; i++) {
      const forged = Buffer.from(packed);
      forged[forged.length - i] ^= 0x55;
      refused(forged, /compressed data with a fault/);
      count();
    }
  });

  it('bombs stop at the declared size plus 64 MiB, not at what they expand to', () => {
    for (const times of [2, 4, 8]) {
      const zeros = Buffer.alloc(slack);
      const bomb = zlib.gzipSync(Buffer.concat([plain, ...Array.from({ length: times }, () => zeros)]), { level: 1 });
      const before = process.memoryUsage().arrayBuffers;
      refused(bomb, /more than \d+ bytes when expanded; expected the 6352 bytes its header declares/);
      assert.ok(process.memoryUsage().arrayBuffers - before <= 2 * slack + 2 ** 20);
      count();
    }
  });

  it('two members are one stream; zeros after the end are padding; anything else is refused', () => {
    const half = Math.floor(plain.length / 2);
    for (const bytes of [
      Buffer.concat([zlib.gzipSync(plain.subarray(0, half)), zlib.gzipSync(plain.subarray(half))]),
      ...[1, 7, 512].map((n) => Buffer.concat([packed, Buffer.alloc(n)])),
      ...[1, 6, 9].map((level) => zlib.gzipSync(plain, { level })),
    ]) {
      assert.deepEqual(decodeNifti(bytes).volume.data, decodeNifti(plain).volume.data);
      count();
    }
    for (const tail of ['x', 'rubbish', 'PK\x03\x04', '\x1f', '\x1f\x8b']) {
      refused(Buffer.concat([packed, Buffer.from(tail, 'latin1')]), /compressed data with a fault/);
      count();
    }
  });

  it('only both magic bytes make a gzip file', () => {
    for (const [a, b] of [
      [31, 0],
      [0, 139],
      [139, 31],
    ]) {
      const bytes = Buffer.from(plain);
      bytes[0] = a;
      bytes[1] = b;
      refused(bytes, /no NIfTI file/);
      count();
    }
  });
});
