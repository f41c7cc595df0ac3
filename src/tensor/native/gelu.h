// Exact GELU x·Φ(x) and its derivative, vectorised. Φ is the normal distribution function, Φ(x) = (1 + erf(x/√2)) / 2.
//
// Φ(x) − ½ = x·P(x²)/Q(x²), a rational minimax fit of degree 5/5 on |x| ≤ 5.5 (relative error 1.7e-8 before rounding,
// 3.4e-7 in float arithmetic); beyond 5.5 the difference to ½ is below float's resolution.
#pragma once
#include <cstring>

#include "vector.h"

namespace voxelbook {

template <int W>
inline Vec<W> smaller(Vec<W> a, Vec<W> b) {
  return a < b ? a : b;
}
template <int W>
inline Vec<W> larger(Vec<W> a, Vec<W> b) {
  return a > b ? a : b;
}

template <int W>
inline Vec<W> normalCdf(Vec<W> x) {
  using V = Vec<W>;
  const V c = larger<W>(smaller<W>(x, broadcast<W>(5.5f)), broadcast<W>(-5.5f));
  const V t = c * c;
  V p = broadcast<W>(2.29311148e-08f);
  p = p * t + 6.30158651e-06f;
  p = p * t + 0.000164573851f;
  p = p * t + 0.00465148279f;
  p = p * t + 0.0334589062f;
  p = p * t + 0.398942274f;
  V q = broadcast<W>(1.19902682e-06f);
  q = q * t + 7.2167041e-05f;
  q = q * t + 0.00186064663f;
  q = q * t + 0.0284161375f;
  q = q * t + 0.250535442f;
  q = q * t + 1.0f;
  const V half = smaller<W>(larger<W>(c * p / q, broadcast<W>(-0.5f)), broadcast<W>(0.5f));
  return half + 0.5f;
}

/// exp(x) for x ≤ 88: 2^n · 2^f with |f| ≤ ½, a polynomial for the second factor.
template <int W>
inline Vec<W> exponential(Vec<W> x) {
  using V = Vec<W>;
  const V limited = larger<W>(smaller<W>(x, broadcast<W>(88.0f)), broadcast<W>(-87.0f));
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

template <int W>
inline Vec<W> gelu(Vec<W> x) {
  return x * normalCdf<W>(x);
}

/// gelu(x) into `value`, its derivative Φ(x) + x·φ(x) as the result.
template <int W>
inline Vec<W> geluDerivative(Vec<W> x, Vec<W>& value) {
  const Vec<W> cdf = normalCdf<W>(x);
  value = x * cdf;
  return cdf + x * exponential<W>(x * x * -0.5f) * 0.398942280f;
}

}  // namespace voxelbook
