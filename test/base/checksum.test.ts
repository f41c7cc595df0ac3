import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { Crc32, crc32Of } from '../../src/base/checksum.js';
import { nativeFunctions } from '../../src/base/native/load.js';
import { Random } from '../../src/base/random.js';

describe('CRC-32', () => {
  const random = new Random(7);
  const bytes = Uint8Array.from({ length: 5000 }, () => random.int(0, 256));

  it('is that of zlib for every length to 3000, wherever the bytes begin and whatever stands before them', () => {
    for (let n = 0; n <= 3000; n++) {
      const part = bytes.subarray(n % 67, (n % 67) + n);
      const before = zlib.crc32(bytes.subarray(0, n % 5));
      assert.equal(crc32Of(part, before), zlib.crc32(part, before), `${n} bytes`);
    }
  });

  it('of pieces is that of the whole', () => {
    const sum = new Crc32();
    for (let at = 0; at < bytes.length; at += 777) sum.add(bytes.subarray(at, at + 777));
    assert.equal(sum.hex, zlib.crc32(bytes).toString(16).padStart(8, '0'));
  });

  it('the compiled function refuses what is no sum', function () {
    const { crc32 } = nativeFunctions() ?? {};
    if (!crc32) return this.skip();
    assert.throws(() => crc32(bytes, new Uint32Array(2)), /crc32: sum of 2 numbers, 1 wanted/);
    assert.throws(() => crc32(new Float32Array(2) as never, new Uint32Array(1)), /argument 0 is no Uint8Array/);
  });
});
