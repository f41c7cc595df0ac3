// Patches as channels-last arrays and as one plane a channel, mirrored planes, and labels cleaned (augment/sample.ts, mirror.ts,
// mask.ts).
#include <algorithm>
#include <cstring>

#include "base/native/functions.h"

namespace voxelbook {
namespace {

template <int count>
void splitSome(const float* image, int64_t channels, int64_t n, float* const* planes) {
  for (int64_t i = 0; i < n; i++)
    for (int c = 0; c < count; c++) planes[c][i] = image[i * channels + c];
}

template <int count>
void joinSome(float* image, int64_t channels, int64_t n, const float* const* planes) {
  for (int64_t i = 0; i < n; i++)
    for (int c = 0; c < count; c++) image[i * channels + c] = planes[c][i];
}

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
      for (int64_t c = 0; c < channels; c += 4) {
        float* some[4];
        const int64_t count = std::min<int64_t>(4, channels - c);
        for (int64_t k = 0; k < count; k++) some[k] = planes[c + k].data + to;
        const float* row = image.data + from * channels + c;
        if (count == 4) splitSome<4>(row, channels, size[2], some);
        else if (count == 3) splitSome<3>(row, channels, size[2], some);
        else if (count == 2) splitSome<2>(row, channels, size[2], some);
        else splitSome<1>(row, channels, size[2], some);
      }
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
    for (int64_t c = 0; c < channels; c += 4) {
      const float* some[4];
      const int64_t count = std::min<int64_t>(4, channels - c);
      for (int64_t k = 0; k < count; k++) some[k] = planes[c + k].data + first;
      float* to = image.data + first * channels + c;
      if (count == 4) joinSome<4>(to, channels, length, some);
      else if (count == 3) joinSome<3>(to, channels, length, some);
      else if (count == 2) joinSome<2>(to, channels, length, some);
      else joinSome<1>(to, channels, length, some);
    }
  }
}

template <class T>
void flipInto(const Values<T>& from, const Values<T>& to, const std::vector<int64_t>& shape, const bool* along) {
  EXPECT(from.size == voxels(shape) && to.size == from.size, std::to_string(from.size) + " values to be mirrored");
  EXPECT(from.size == 0 || from.data + from.size <= to.data || to.data + to.size <= from.data, "mirrored onto itself");
  const int64_t width = shape[2];
  for (int64_t z = 0; z < shape[0]; z++)
    for (int64_t y = 0; y < shape[1]; y++) {
      const T* row = from.data + ((along[0] ? shape[0] - 1 - z : z) * shape[1] + (along[1] ? shape[1] - 1 - y : y)) * width;
      T* out = to.data + (z * shape[1] + y) * width;
      if (along[2])
        for (int64_t x = 0; x < width; x++) out[x] = row[width - 1 - x];
      else std::memcpy(out, row, width * sizeof(T));
    }
}

/// flip(from, to: another array like it, shape, axes)
void flip(const Arguments& a) {
  bool along[3] = {};
  for (double axis : a.list(3)) {
    EXPECT(axis == 0 || axis == 1 || axis == 2, "axis " + std::to_string(axis));
    along[static_cast<int>(axis)] = true;
  }
  if (a.is<float>(0)) flipInto(a.values<float>(0), a.values<float>(1), a.sides(2), along);
  else flipInto(a.values<int16_t>(0), a.values<int16_t>(1), a.sides(2), along);
}

/// outsideToBackground(labels: Int16Array, out: Int16Array): label −1 becomes 0
void outsideToBackground(const Arguments& a) {
  const Values<int16_t> labels = a.values<int16_t>(0), out = a.values<int16_t>(1);
  EXPECT(labels.size == out.size, std::to_string(labels.size) + " labels into " + std::to_string(out.size));
  for (int64_t i = 0; i < labels.size; i++) out[i] = labels[i] == -1 ? 0 : labels[i];
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
                        {"outsideToBackground", outsideToBackground},
                        {"maskOutside", maskOutside}};

}  // namespace
}  // namespace voxelbook
