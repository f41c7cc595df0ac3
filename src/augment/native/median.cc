// The median over a window around every voxel (augment/median.ts).
#include <algorithm>
#include <cstring>
#include <limits>

#include "base/native/functions.h"

namespace voxelbook {
namespace {

/// Whole numbers in the order of the values: -0 before 0, what is not a number last.
int32_t keyOf(float value) {
  if (value != value) return std::numeric_limits<int32_t>::max();
  int32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

float valueOf(int32_t key) {
  if (key == std::numeric_limits<int32_t>::max()) return std::numeric_limits<float>::quiet_NaN();
  const int32_t bits = key ^ ((key >> 31) & 0x7fffffff);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// medianFilter(plane: Float32Array, shape, index: Int32Array[], out: Float32Array): `index` says for each axis where it is read, so many
/// places more than the axis is long as the window is, less one
void medianFilter(const Arguments& a) {
  const Values<float> plane = a.values<float>(0), out = a.values<float>(3);
  const std::vector<int64_t> shape = a.sides(1);
  const std::vector<Values<int32_t>> index = a.arrays<int32_t>(2);
  EXPECT(plane.size == voxels(shape) && out.size == plane.size, std::to_string(plane.size) + " values");
  EXPECT(index.size() == 3, std::to_string(index.size()) + " axes");
  if (plane.size == 0) return;
  int64_t edge[3], padded[3];
  for (int axis = 0; axis < 3; axis++) {
    padded[axis] = index[axis].size;
    edge[axis] = padded[axis] - shape[axis] + 1;
    EXPECT(edge[axis] >= 1 && edge[axis] <= 1024, "a window of " + std::to_string(edge[axis]));
    for (int64_t i = 0; i < padded[axis]; i++)
      EXPECT(index[axis][i] >= 0 && index[axis][i] < shape[axis], "place " + std::to_string(index[axis][i]));
  }
  // Keys of the plane with its border, so that a window is rows that lie together.
  std::vector<int32_t> keys(padded[0] * padded[1] * padded[2]);
  int32_t* key = keys.data();
  for (int64_t z = 0; z < padded[0]; z++)
    for (int64_t y = 0; y < padded[1]; y++) {
      const float* row = plane.data + (index[0][z] * shape[1] + index[1][y]) * shape[2];
      for (int64_t x = 0; x < padded[2]; x++) *key++ = keyOf(row[index[2][x]]);
    }
  std::vector<int32_t> window(edge[0] * edge[1] * edge[2]);
  const auto middle = window.begin() + window.size() / 2;
  float* to = out.data;
  for (int64_t z = 0; z < shape[0]; z++)
    for (int64_t y = 0; y < shape[1]; y++)
      for (int64_t x = 0; x < shape[2]; x++) {
        int32_t* next = window.data();
        for (int64_t i = z; i < z + edge[0]; i++)
          for (int64_t j = y; j < y + edge[1]; j++, next += edge[2])
            std::memcpy(next, keys.data() + (i * padded[1] + j) * padded[2] + x, edge[2] * sizeof(int32_t));
        std::nth_element(window.begin(), middle, window.end());
        *to++ = valueOf(*middle);
      }
}

const Exported all[] = {{"medianFilter", medianFilter}};

}  // namespace
}  // namespace voxelbook
