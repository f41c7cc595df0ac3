// Logarithm, exponential, sine and cosine of doubles without branches, so that loops over them become vectors. Their error is
// about one unit in the last place of a double: rounded to a float they are what any other exact library gives.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace voxelbook {

inline double fromBits(uint64_t bits) {
  double x;
  std::memcpy(&x, &bits, 8);
  return x;
}
inline uint64_t bitsOf(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  return bits;
}

/// ln 2 in two pieces; the first has so few bits that its product with an exponent is exact.
constexpr double ln2High = 0x1.62e42fefa0000p-1, ln2Low = 0x1.cf79abc9e3b3ap-40;

/// ln x for positive normal x: x = 2^e·m with m around 1, ln m = 2·artanh((m − 1)/(m + 1)).
inline double logarithm(double x) {
  // The exponent is that of x/√½, so that m lies in [√½, √2).
  const uint64_t shifted = bitsOf(x) + (0x3ff0000000000000ull - 0x3fe6a09e667f3bcdull);
  // An integer below 2^52 as a double: its bits below those of 2^52.
  const double e = fromBits((shifted >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023);
  const double m = fromBits((shifted & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull);
  const double s = (m - 1) / (m + 1), q = s * s;
  double sum = 1.0 / 21;
  sum = sum * q + 1.0 / 19;
  sum = sum * q + 1.0 / 17;
  sum = sum * q + 1.0 / 15;
  sum = sum * q + 1.0 / 13;
  sum = sum * q + 1.0 / 11;
  sum = sum * q + 1.0 / 9;
  sum = sum * q + 1.0 / 7;
  sum = sum * q + 1.0 / 5;
  sum = sum * q + 1.0 / 3;
  return e * ln2High + (2 * s + (2 * s * (q * sum) + e * ln2Low));
}

/// Adding and taking away 1.5·2^52 rounds to whole numbers.
constexpr double rounding = 6755399441055744.0;

/// e^x for x from −700 to 700; beyond them as at these ends.
inline double exponential(double x) {
  x = x < -700 ? -700 : x > 700 ? 700 : x;
  const double shifted = x * 1.4426950408889634074 + rounding;
  const double n = shifted - rounding;
  const double r = (x - n * ln2High) - n * ln2Low;
  double sum = 1.0 / 6227020800;
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r * r + r + 1;
  return sum * fromBits((bitsOf(shifted) + 1023) << 52);
}

struct SinCos {
  double sin, cos;
};

/// Sine and cosine for |x| up to some thousand.
inline SinCos sinCos(double x) {
  const double shifted = x * 0.63661977236758134308 + rounding;
  const double n = shifted - rounding;
  // π/2 in two pieces.
  const double r = (x - n * 0x1.921fb54400000p0) - n * 0x1.0b4611a626331p-34;
  const double q = r * r;
  double s = 1.0 / 355687428096000;
  s = s * q - 1.0 / 1307674368000;
  s = s * q + 1.0 / 6227020800;
  s = s * q - 1.0 / 39916800;
  s = s * q + 1.0 / 362880;
  s = s * q - 1.0 / 5040;
  s = s * q + 1.0 / 120;
  s = s * q - 1.0 / 6;
  s = r + r * q * s;
  double c = -1.0 / 6402373705728000;
  c = c * q + 1.0 / 20922789888000;
  c = c * q - 1.0 / 87178291200;
  c = c * q + 1.0 / 479001600;
  c = c * q - 1.0 / 3628800;
  c = c * q + 1.0 / 40320;
  c = c * q - 1.0 / 720;
  c = c * q + 1.0 / 24;
  c = c * q - 0.5;
  c = 1 + q * c;
  // The quarter: odd ones swap the two, their signs follow.
  const uint64_t quarter = bitsOf(shifted);
  const uint64_t odd = 0 - (quarter & 1);
  const uint64_t a = (bitsOf(c) & odd) | (bitsOf(s) & ~odd), b = (bitsOf(s) & odd) | (bitsOf(c) & ~odd);
  return {fromBits(a ^ ((quarter & 2) << 62)), fromBits(b ^ (((quarter + 1) & 2) << 62))};
}

}  // namespace voxelbook
