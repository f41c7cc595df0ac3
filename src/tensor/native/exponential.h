// exp, softplus and the logistic function, vectorised to float accuracy. NaN gives NaN.
#pragma once
#include <cstring>

#include "vector.h"

namespace voxelbook {

/// The second of two values where they do not compare: a limit goes first, so that NaN passes it.
template <int W>
inline Vec<W> smaller(Vec<W> a, Vec<W> b) {
  return a < b ? a : b;
}
template <int W>
inline Vec<W> larger(Vec<W> a, Vec<W> b) {
  return a > b ? a : b;
}

/// exp(x), between exp(−87) and exp(88): 2^n · 2^f with |f| ≤ ½, a polynomial for the second factor.
template <int W>
inline Vec<W> exponential(Vec<W> x) {
  using V = Vec<W>;
  const V limited = larger<W>(broadcast<W>(-87.0f), smaller<W>(broadcast<W>(88.0f), x));
  const V scaled = limited * 1.44269504f;
  // Adding and subtracting 1.5·2^23 rounds to the nearest integer and leaves it in the low bits.
  const V magic = broadcast<W>(12582912.0f);
  const V shifted = scaled + magic;
  const V n = shifted - magic;
  // f = x − n·ln 2 in two parts, so that no bit is lost.
  V f = limited - n * 0.693359375f;
  f = f + n * 2.12194440e-4f;
  V p = broadcast<W>(1.0f / 5040);
  p = p * f + 1.0f / 720;
  p = p * f + 1.0f / 120;
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  if constexpr (W == 1) {
    int32_t bits;
    float s = shifted, r = p;
    std::memcpy(&bits, &s, 4);
    uint32_t power = static_cast<uint32_t>(bits + 127) << 23;
    float two;
    std::memcpy(&two, &power, 4);
    return r * two;
  } else {
    typedef int32_t I __attribute__((vector_size(4 * W)));
    typedef float A __attribute__((vector_size(4 * W)));
    I bits = (I)(A)shifted;
    I power = (bits + 127) << 23;
    return p * (V)(A)power;
  }
}

/// log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(−|x|): log(1 + e)/e is a polynomial of degree 10 on [0, 1], so that
/// small results keep their digits (relative error 1.3e-7).
template <int W>
inline Vec<W> softplus(Vec<W> x) {
  using V = Vec<W>;
  const V zero = broadcast<W>(0.0f);
  const V e = exponential<W>(smaller<W>(x, -x));
  V p = broadcast<W>(0.00203769052f);
  p = p * e - 0.0134448311f;
  p = p * e + 0.0415576227f;
  p = p * e - 0.0825353322f;
  p = p * e + 0.124251029f;
  p = p * e - 0.161086319f;
  p = p * e + 0.198915375f;
  p = p * e - 0.249873928f;
  p = p * e + 0.333325692f;
  p = p * e - 0.499999817f;
  p = p * e + 1.0f;
  return larger<W>(x, zero) + p * e;
}

/// 1 / (1 + exp(−x)).
template <int W>
inline Vec<W> logistic(Vec<W> x) {
  return 1.0f / (1.0f + exponential<W>(-x));
}

}  // namespace voxelbook
