// What changes the values of a plane voxel by voxel: brightness, contrast, gamma (augment/brightness.ts, contrast.ts, gamma.ts).
#include <algorithm>
#include <cmath>

#include "base/native/elementary.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

constexpr int lanes = 8;

/// The eight sums of a plane, in the order contrast.ts adds them.
inline double total(const double* s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }

/// statistics(plane: Float32Array, out: Float64Array): mean, unbiased standard deviation, smallest and largest value
void statistics(const Arguments& a) {
  const Values<float> values = a.values<float>(0);
  const Values<double> out = a.values<double>(1);
  EXPECT(values.size >= 1 && out.size == 4, std::to_string(values.size) + " values, " + std::to_string(out.size) + " results");
  const int64_t n = values.size, whole = n / lanes * lanes;
  double sums[lanes] = {};
  float low[lanes], high[lanes];
  std::fill(low, low + lanes, values[0]);
  std::fill(high, high + lanes, values[0]);
  auto take = [&](int64_t i, int l) {
    const float v = values[i];
    sums[l] += v;
    low[l] = v < low[l] ? v : low[l];
    high[l] = v > high[l] ? v : high[l];
  };
  for (int64_t i = 0; i < whole; i += lanes)
    for (int l = 0; l < lanes; l++) take(i + l, l);
  for (int64_t i = whole; i < n; i++) take(i, i - whole);
  const double mean = total(sums) / static_cast<double>(n);
  std::fill(sums, sums + lanes, 0);
  auto square = [&](int64_t i, int l) {
    const double d = values[i] - mean;
    sums[l] += d * d;
  };
  for (int64_t i = 0; i < whole; i += lanes)
    for (int l = 0; l < lanes; l++) square(i + l, l);
  for (int64_t i = whole; i < n; i++) square(i, i - whole);
  for (int l = 1; l < lanes; l++) {
    low[0] = low[l] < low[0] ? low[l] : low[0];
    high[0] = high[l] > high[0] ? high[l] : high[0];
  }
  out[0] = mean;
  out[1] = std::sqrt(total(sums) / static_cast<double>(n - 1));
  out[2] = low[0];
  out[3] = high[0];
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
  const double gamma = a.number(1), low = a.number(2), range = a.number(3), divisor = a.number(4);
  for (int64_t i = 0; i < plane.size; i++) {
    const double v = (plane[i] - low) / divisor;
    const double powered = exponential(gamma * logarithm(v));
    // 0 stays 0 and what is not a number stays so.
    plane[i] = static_cast<float>((v > 0 ? powered : v) * range + low);
  }
}

const Exported all[] = {
    {"statistics", statistics}, {"scaleAbout", scaleAbout}, {"multiply", multiply}, {"add", add}, {"power", power}};

}  // namespace
}  // namespace voxelbook
