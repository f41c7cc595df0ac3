import assert from 'node:assert';
import { toHalf } from '../../src/base/float16.js';
import { Random } from '../../src/base/random.js';

/** Value of the half number with these 16 bits, by the format's definition. */
function halfFromBits(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >>> 10) & 31;
  const fraction = word & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

describe('half precision', () => {
  it('every half number is itself', () => {
    for (let word = 0; word < 0x7c00; word++)
      for (const bits of [word, word | 0x8000]) {
        const value = halfFromBits(bits);
        assert.equal(toHalf(value) + 0, value + 0);
      }
  });

  it('rounds to the nearest, and halfway to even', () => {
    const random = new Random('half');
    for (let i = 0; i < 2000; i++) {
      const low = random.int(0, 0x7bff);
      const [a, b] = [halfFromBits(low), halfFromBits(low + 1)];
      assert.equal(toHalf((a + b) / 2), low % 2 === 0 ? a : b);
      assert.equal(toHalf(a + (b - a) * 0.49), a);
      assert.equal(toHalf(a + (b - a) * 0.51), b);
    }
  });

  it('overflows from 65520 on', () => {
    assert.equal(toHalf(65519.99), 65504);
    assert.equal(toHalf(65520), Number.POSITIVE_INFINITY);
    assert.equal(toHalf(-1e9), Number.NEGATIVE_INFINITY);
  });
});
