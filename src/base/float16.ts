// Half precision in JavaScript: rounding as IEEE 754 binary16 does it, for buffers that must agree with nnU-Net's float16 ones.

const cell = new Float32Array(1);
const bits = new Uint32Array(cell.buffer);

/** 1.5·2⁵² times the spacing of half numbers for each float32 exponent: adding and taking it away again rounds half-even. */
const magic = Float64Array.from({ length: 256 }, (_, exponent) => 1.5 * 2 ** 52 * 2 ** Math.max(exponent - 127 - 10, -24));

/** `x` (any number) as the nearest half number, ties to even; ±Infinity from 65520 on. */
export function toHalf(x: number): number {
  cell[0] = x;
  const m = magic[(bits[0] >>> 23) & 255];
  const rounded = x + m - m;
  if (rounded > 65504 || rounded < -65504) return x > 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  return rounded;
}

/** Value of the half number with these 16 bits. */
export function halfFromBits(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >>> 10) & 31;
  const fraction = word & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The 16 bits of `toHalf(x)`. */
export function halfBits(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const h = toHalf(Math.fround(x));
  const sign = h < 0 || Object.is(h, -0) ? 0x8000 : 0;
  const a = Math.abs(h);
  if (a === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (a < 2 ** -14) return sign | (a * 2 ** 24);
  const exponent = Math.floor(Math.log2(a));
  const scaled = a / 2 ** exponent; // log2 of a value just below a power of two may round up
  if (scaled < 1) return sign | ((exponent - 1 + 15) << 10) | ((scaled * 2 - 1) * 1024);
  return sign | ((exponent + 15) << 10) | ((scaled - 1) * 1024);
}
