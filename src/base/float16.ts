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

/** The bits of `x` as a half number. */
export function halfBits(x: number): number {
  cell[0] = toHalf(x);
  const sign = (bits[0] >>> 16) & 0x8000;
  const exponent = ((bits[0] >>> 23) & 255) - 127;
  if (exponent > 15) return sign | 0x7c00 | (Number.isNaN(x) ? 1 : 0);
  if (exponent >= -14) return sign | ((exponent + 15) << 10) | ((bits[0] >>> 13) & 1023);
  return sign | (Math.abs(cell[0]) * 2 ** 24);
}
