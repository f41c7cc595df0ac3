// Exact GELU x·Φ(x) and its derivative, vectorised. Φ is the normal distribution function, Φ(x) = (1 + erf(x/√2)) / 2.
//
// Φ(x) − ½ = x·P(x²)/Q(x²), a rational minimax fit of degree 5/5 on |x| ≤ 5.5 (relative error 1.7e-8 before rounding,
// 3.4e-7 in float arithmetic); beyond 5.5 the difference to ½ is below float's resolution.
#pragma once
#include "exponential.h"

namespace voxelbook {

template <int W>
inline Vec<W> normalCdf(Vec<W> x) {
  using V = Vec<W>;
  const V c = larger<W>(broadcast<W>(-5.5f), smaller<W>(broadcast<W>(5.5f), x));
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
  const V half = c * p / q;
  return x >= 5.5f ? broadcast<W>(1.0f) : x <= -5.5f ? V{} : half + 0.5f;
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
