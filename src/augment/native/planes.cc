// Patches as channels-last arrays and as one plane a channel, mirrored planes, and labels cleaned (augment/sample.ts, mirror.ts,
// mask.ts).
#include <algorithm>
#include <cstring>

#include "augment/native/channels.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

void checkBox(const std::vector<int64_t>& shape, const std::vector<double>& start, const std::vector<int64_t>& size) {
  EXPECT(start.size() == 3, "a start of " + std::to_string(start.size()) + " numbers");
  for (int k = 0; k < 3; k++)
    EXPECT(start[k] >= 0 && start[k] + static_cast<double>(size[k]) <= static_cast<double>(shape[k]), "a box outside of the image");
}

/// splitBox(image: Float32Array, shape, start, size, planes: Float32Array[]): the box as one plane a channel
void splitBox(const Arguments& a) {
  const Values<float> image = a.values<float>(0);
  const std::vector<int64_t> shape = a.sides(1), size = a.sides(3);
  const std::vector<double> start = a.list(2);
  const std::vector<Values<float>> planes = a.arrays<float>(4);
  const int64_t channels = static_cast<int64_t>(planes.size()), n = voxels(size);
  checkBox(shape, start, size);
  EXPECT(image.size == voxels(shape) * channels, std::to_string(image.size) + " values in the image");
  for (const auto& plane : planes) EXPECT(plane.size == n, "a plane of " + std::to_string(plane.size) + " values");
  for (int64_t z = 0; z < size[0]; z++)
    for (int64_t y = 0; y < size[1]; y++) {
      const int64_t from = ((z + static_cast<int64_t>(start[0])) * shape[1] + y + static_cast<int64_t>(start[1])) * shape[2] +
                           static_cast<int64_t>(start[2]);
      const int64_t to = (z * size[1] + y) * size[2];
      split(image.data + from * channels, channels, size[2], [&](int64_t c) { return planes[c].data + to; });
    }
}

/// joinPlanes(planes: Float32Array[], image: Float32Array)
void joinPlanes(const Arguments& a) {
  const std::vector<Values<float>> planes = a.arrays<float>(0);
  const Values<float> image = a.values<float>(1);
  const int64_t channels = static_cast<int64_t>(planes.size());
  const int64_t n = channels ? planes[0].size : 0;
  for (const auto& plane : planes) EXPECT(plane.size == n, "planes of different sizes");
  EXPECT(image.size == n * channels, std::to_string(image.size) + " values in the image");
  // Piece by piece, so that the lines of the image stay in the cache where there are more than four channels.
  constexpr int64_t piece = 1024;
  for (int64_t first = 0; first < n; first += piece) {
    const int64_t length = std::min(piece, n - first);
    join(image.data + first * channels, channels, length, [&](int64_t c) { return planes[c].data + first; });
  }
}

template <class T>
void flipRows(const Values<T>& values, const std::vector<int64_t>& shape, const bool* along) {
  EXPECT(values.size == voxels(shape), std::to_string(values.size) + " values to be mirrored");
  const int64_t width = shape[2];
  for (int64_t z = 0; z < shape[0]; z++)
    for (int64_t y = 0; y < shape[1]; y++) {
      const int64_t own = z * shape[1] + y;
      const int64_t other = (along[0] ? shape[0] - 1 - z : z) * shape[1] + (along[1] ? shape[1] - 1 - y : y);
      T* p = values.data + own * width;
      T* __restrict q = values.data + other * width;
      if (own == other && along[2]) std::reverse(p, p + width);
      if (own >= other) continue;
      if (along[2])
        for (int64_t x = 0; x < width; x++) std::swap(p[x], q[width - 1 - x]);
      else std::swap_ranges(p, p + width, q);
    }
}

/// flip(values: Float32Array | Int16Array, shape, axes): mirrors in place
void flip(const Arguments& a) {
  bool along[3] = {};
  for (double axis : a.list(2)) {
    EXPECT(axis == 0 || axis == 1 || axis == 2, "axis " + std::to_string(axis));
    along[static_cast<int>(axis)] = true;
  }
  if (a.is<float>(0)) flipRows(a.values<float>(0), a.sides(1), along);
  else flipRows(a.values<int16_t>(0), a.sides(1), along);
}

/// outsideToBackground(labels: Int16Array): label −1 becomes 0
void outsideToBackground(const Arguments& a) {
  const Values<int16_t> labels = a.values<int16_t>(0);
  for (int64_t i = 0; i < labels.size; i++) labels[i] = labels[i] == -1 ? 0 : labels[i];
}

/// Zeros; mostly they are there already, and reading is half the work of writing.
void clear(float* values, int64_t n) {
  uint32_t bits = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t word;
    std::memcpy(&word, values + i, 4);
    bits |= word;
  }
  if (bits) std::fill_n(values, n, 0.0f);
}

/// cleanSample(image: Float32Array, channels, masked: channels that are 0 where the label is negative, labels: Int16Array): and label −1 becomes 0
void cleanSample(const Arguments& a) {
  const Values<float> image = a.values<float>(0);
  const double given = a.number(1);
  const std::vector<double> list = a.list(2);
  const Values<int16_t> labels = a.values<int16_t>(3);
  EXPECT(given >= 1 && given <= 65536 && given == static_cast<double>(static_cast<int64_t>(given)), std::to_string(given) + " channels");
  const int64_t channels = static_cast<int64_t>(given);
  EXPECT(image.size == labels.size * channels, std::to_string(labels.size) + " labels for " + std::to_string(image.size) + " values");
  std::vector<int64_t> masked;
  for (double c : list) {
    EXPECT(c >= 0 && c < given, "a channel " + std::to_string(c));
    masked.push_back(static_cast<int64_t>(c));
  }
  const bool all = static_cast<int64_t>(masked.size()) == channels;
  auto some = [&](int64_t first, int64_t n) {
    int16_t* const at = labels.data + first;
    int16_t any = 0, every = -1;
    for (int64_t i = 0; i < n; i++) {
      any |= at[i];
      every &= at[i];
    }
    if (any >= 0) return;
    float* const values = image.data + first * channels;
    if (every < 0 && all) clear(values, n * channels);
    else
      for (int64_t i = 0; i < n; i++)
        if (at[i] < 0)
          for (int64_t c : masked) values[i * channels + c] = 0;
    for (int64_t i = 0; i < n; i++) at[i] = at[i] == -1 ? 0 : at[i];
  };
  constexpr int64_t piece = 128;
  int64_t first = 0;
  for (; first + piece <= labels.size; first += piece) some(first, piece);
  some(first, labels.size - first);
}

template <class T>
void cutRows(const Values<T>& from, const std::vector<int64_t>& shape, const std::vector<int64_t>& start,
             const std::vector<int64_t>& size, const Values<T>& out, int64_t values) {
  EXPECT(from.size == voxels(shape) * values && out.size == voxels(size) * values,
         std::to_string(from.size) + " values cut into " + std::to_string(out.size));
  const int64_t first = std::max<int64_t>(start[2], 0), last = std::min(start[2] + size[2], shape[2]);
  if (last <= first) return;
  for (int64_t z = std::max<int64_t>(-start[0], 0); z < std::min(size[0], shape[0] - start[0]); z++)
    for (int64_t y = std::max<int64_t>(-start[1], 0); y < std::min(size[1], shape[1] - start[1]); y++) {
      const int64_t row = ((z + start[0]) * shape[1] + y + start[1]) * shape[2];
      std::memcpy(out.data + ((z * size[1] + y) * size[2] + first - start[2]) * values, from.data + (row + first) * values,
                  (last - first) * values * sizeof(T));
    }
}

/// cutBox(from: Float32Array | Int16Array, shape, start, size, out: another like it, values a voxel): what of the box lies inside
void cutBox(const Arguments& a) {
  const double values = a.number(5);
  EXPECT(values >= 1 && values < 2147483648.0, std::to_string(values) + " values a voxel");
  std::vector<int64_t> start;
  for (double s : a.list(2)) {
    EXPECT(s > -2147483648.0 && s < 2147483648.0, "a start of " + std::to_string(s));
    start.push_back(static_cast<int64_t>(s));
  }
  EXPECT(start.size() == 3, "a start of " + std::to_string(start.size()) + " numbers");
  const int64_t each = static_cast<int64_t>(values);
  if (a.is<float>(0)) cutRows(a.values<float>(0), a.sides(1), start, a.sides(3), a.values<float>(4), each);
  else cutRows(a.values<int16_t>(0), a.sides(1), start, a.sides(3), a.values<int16_t>(4), each);
}

/// maskOutside(plane: Float32Array, labels: Int16Array): 0 where the label is negative
void maskOutside(const Arguments& a) {
  const Values<float> plane = a.values<float>(0);
  const Values<int16_t> labels = a.values<int16_t>(1);
  EXPECT(labels.size == plane.size, std::to_string(labels.size) + " labels for " + std::to_string(plane.size) + " voxels");
  for (int64_t i = 0; i < plane.size; i++) plane[i] = labels[i] < 0 ? 0 : plane[i];
}

const Exported all[] = {{"splitBox", splitBox},
                        {"joinPlanes", joinPlanes},
                        {"flip", flip},
                        {"cutBox", cutBox},
                        {"outsideToBackground", outsideToBackground},
                        {"maskOutside", maskOutside},
                        {"cleanSample", cleanSample}};

}  // namespace
}  // namespace voxelbook
