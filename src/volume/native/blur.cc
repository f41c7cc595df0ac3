// Blur along one axis (volume/gaussian.ts): sums in double, from the first tap to the last.
#include <algorithm>

#include "base/native/functions.h"

namespace voxelbook {
namespace {

/// Columns blurred together: a block of them stays in the first cache for the usual lengths.
constexpr int64_t columns = 32;

struct Line {
  int64_t length;
  /// Where each of `length + taps − 1` places of the line reads; −1: nowhere.
  const int32_t* index;
  Values<double> taps;
  /// What each sum is divided by, or null.
  const double* totals;
};

/// `count` neighbouring columns of a block of `length` rows, `stride` apart.
template <class T>
void blurColumns(T* data, int64_t stride, int64_t count, const Line& line, double* rows) {
  for (int64_t i = 0; i < line.length; i++) {
    double* row = rows + i * columns;
    for (int64_t c = 0; c < count; c++) row[c] = data[i * stride + c];
    for (int64_t c = count; c < columns; c++) row[c] = 0;
  }
  for (int64_t i = 0; i < line.length; i++) {
    double sums[columns] = {};
    for (int64_t k = 0; k < line.taps.size; k++) {
      if (line.index[i + k] < 0) continue;
      const double w = line.taps[k];
      const double* row = rows + line.index[i + k] * columns;
      for (int64_t c = 0; c < columns; c++) sums[c] += w * row[c];
    }
    if (line.totals)
      for (int64_t c = 0; c < columns; c++) sums[c] /= line.totals[i];
    for (int64_t c = 0; c < count; c++) data[i * stride + c] = static_cast<T>(sums[c]);
  }
}

/// One line whose values are neighbours in memory.
template <class T>
void blurRow(T* data, const Line& line, double* padded) {
  const int64_t more = line.length + line.taps.size - 1;
  for (int64_t i = 0; i < more; i++) padded[i] = line.index[i] < 0 ? 0 : data[line.index[i]];
  constexpr int64_t together = 16;
  for (int64_t first = 0; first < line.length; first += together) {
    double sums[together] = {};
    for (int64_t k = 0; k < line.taps.size; k++)
      for (int64_t i = 0; i < together; i++) sums[i] += line.taps[k] * padded[first + k + i];
    const int64_t count = std::min(together, line.length - first);
    if (line.totals)
      for (int64_t i = 0; i < count; i++) sums[i] /= line.totals[first + i];
    for (int64_t i = 0; i < count; i++) data[first + i] = static_cast<T>(sums[i]);
  }
}

template <class T>
void blurAll(const Values<T>& data, int64_t inner, const Line& line) {
  const int64_t block = line.length * inner;
  if (block == 0) return;
  std::vector<double> scratch(inner == 1 ? line.length + line.taps.size + 16 : line.length * columns);
  for (int64_t base = 0; base < data.size; base += block) {
    if (inner == 1) {
      blurRow(data.data + base, line, scratch.data());
      continue;
    }
    for (int64_t c = 0; c < inner; c += columns)
      blurColumns(data.data + base + c, inner, std::min(columns, inner - c), line, scratch.data());
  }
}

/// blurAxis(data: Float32Array | Float64Array, length, inner, index: Int32Array, taps: Float64Array, totals: Float64Array | null)
void blurAxis(const Arguments& a) {
  const int64_t length = static_cast<int64_t>(a.number(1)), inner = static_cast<int64_t>(a.number(2));
  const Values<int32_t> index = a.values<int32_t>(3);
  const Values<double> taps = a.values<double>(4);
  EXPECT(length >= 1 && inner >= 1 && taps.size >= 1 && index.size == length + taps.size - 1,
         std::to_string(index.size) + " places and " + std::to_string(taps.size) + " taps for a line of " + std::to_string(length));
  for (int64_t i = 0; i < index.size; i++)
    EXPECT(index[i] >= -1 && index[i] < length, "place " + std::to_string(index[i]) + " of a line of " + std::to_string(length));
  Line line{length, index.data, taps, nullptr};
  if (!a.none(5)) {
    const Values<double> totals = a.values<double>(5);
    EXPECT(totals.size == length, std::to_string(totals.size) + " totals for a line of " + std::to_string(length));
    line.totals = totals.data;
  }
  const bool single = a.is<float>(0);
  const int64_t size = single ? a.values<float>(0).size : a.values<double>(0).size;
  // Whether length × inner overflows does not matter where it is no divisor of the size.
  EXPECT(inner <= size / length && size % (length * inner) == 0,
         std::to_string(size) + " values for lines of " + std::to_string(length) + " × " + std::to_string(inner));
  if (single) blurAll(a.values<float>(0), inner, line);
  else blurAll(a.values<double>(0), inner, line);
}

const Exported all[] = {{"blurAxis", blurAxis}};

}  // namespace
}  // namespace voxelbook
