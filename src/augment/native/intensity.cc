// What changes the values of a plane voxel by voxel: brightness, contrast, gamma (augment/brightness.ts, contrast.ts, gamma.ts).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/native/elementary.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

constexpr int lanes = 8;
typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef float FourFloats __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(32)));

template <class V>
inline V read(const float* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

/// Sum of v − centre, or of its square: eight sums side by side, put together as contrast.ts does.
template <bool squared>
double eightSums(const Values<float>& values, double centre) {
  Doubles a{}, b{};
  int64_t i = 0;
  for (; i + lanes <= values.size; i += lanes) {
    const Doubles d = __builtin_convertvector(read<FourFloats>(values.data + i), Doubles) - centre;
    const Doubles e = __builtin_convertvector(read<FourFloats>(values.data + i + 4), Doubles) - centre;
    a += squared ? d * d : d;
    b += squared ? e * e : e;
  }
  for (int l = 0; i < values.size; i++, l++) {
    const double d = values[i] - centre;
    (l < 4 ? a : b)[l & 3] += squared ? d * d : d;
  }
  return ((a[0] + a[1]) + (a[2] + a[3])) + ((b[0] + b[1]) + (b[2] + b[3]));
}

/// statistics(plane: Float32Array, out: Float64Array): mean, unbiased standard deviation, smallest and largest value
void statistics(const Arguments& a) {
  const Values<float> values = a.values<float>(0);
  const Values<double> out = a.values<double>(1);
  EXPECT(values.size >= 1 && out.size == 4, std::to_string(values.size) + " values, " + std::to_string(out.size) + " results");
  const int64_t n = values.size;
  Floats lows = values[0] - Floats{}, highs = lows;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Floats v = read<Floats>(values.data + i);
    lows = v < lows ? v : lows;
    highs = v > highs ? v : highs;
  }
  float low = values[0], high = values[0];
  auto take = [&](float small, float large) {
    low = small < low ? small : low;
    high = large > high ? large : high;
  };
  for (int l = 0; l < lanes; l++) take(lows[l], highs[l]);
  for (; i < n; i++) take(values[i], values[i]);
  const double mean = eightSums<false>(values, 0) / static_cast<double>(n);
  out[0] = mean;
  out[1] = std::sqrt(eightSums<true>(values, mean) / static_cast<double>(n - 1));
  out[2] = low;
  out[3] = high;
}

/// scaleAbout(plane: Float32Array, centre, factor, target, low, high): (v − centre) · factor + target, kept in [low, high]
void scaleAbout(const Arguments& a) {
  const Values<float> plane = a.values<float>(0);
  const double centre = a.number(1), factor = a.number(2), target = a.number(3), low = a.number(4), high = a.number(5);
  for (int64_t i = 0; i < plane.size; i++) {
    const double v = (plane[i] - centre) * factor + target;
    plane[i] = static_cast<float>(v < low ? low : v > high ? high : v);
  }
}

/// multiply(plane: Float32Array, factor)
void multiply(const Arguments& a) {
  const Values<float> plane = a.values<float>(0);
  const double factor = a.number(1);
  for (int64_t i = 0; i < plane.size; i++) plane[i] = static_cast<float>(plane[i] * factor);
}

/// add(plane: Float32Array, shift)
void add(const Arguments& a) {
  const Values<float> plane = a.values<float>(0);
  const double shift = a.number(1);
  for (int64_t i = 0; i < plane.size; i++) plane[i] = static_cast<float>(plane[i] + shift);
}

/// power(plane: Float32Array, gamma, low, range, divisor): ((v − low) / divisor)^gamma · range + low
void power(const Arguments& a) {
  const Values<float> plane = a.values<float>(0);
  const double gamma = a.number(1), low = a.number(2), range = a.number(3), scale = 1 / a.number(4);
  for (int64_t i = 0; i < plane.size; i++) {
    const double v = (plane[i] - low) * scale;
    const double powered = exponential(gamma * logarithm(v));
    // 0 stays 0 and what is not a number stays so.
    plane[i] = static_cast<float>((v > 0 ? powered : v) * range + low);
  }
}

const Exported all[] = {
    {"statistics", statistics}, {"scaleAbout", scaleAbout}, {"multiply", multiply}, {"add", add}, {"power", power}};

}  // namespace
}  // namespace voxelbook
