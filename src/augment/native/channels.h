// Channels that lie together, taken apart and put together.
#pragma once
#include <algorithm>
#include <cstdint>

namespace voxelbook {

/// `count` of the channels of `n` voxels; four planes at a time, of which only those are touched.
template <int count>
inline __attribute__((always_inline)) void splitSome(const float* __restrict image, int64_t channels, int64_t n, float* const* planes) {
  float* __restrict a = planes[0];
  float* __restrict b = planes[count > 1 ? 1 : 0];
  float* __restrict c = planes[count > 2 ? 2 : 0];
  float* __restrict d = planes[count > 3 ? 3 : 0];
  for (int64_t i = 0; i < n; i++) {
    const float* from = image + i * channels;
    a[i] = from[0];
    if constexpr (count > 1) b[i] = from[1];
    if constexpr (count > 2) c[i] = from[2];
    if constexpr (count > 3) d[i] = from[3];
  }
}

template <int count>
inline __attribute__((always_inline)) void joinSome(float* __restrict image, int64_t channels, int64_t n, const float* const* planes) {
  const float* a = planes[0];
  const float* b = planes[count > 1 ? 1 : 0];
  const float* c = planes[count > 2 ? 2 : 0];
  const float* d = planes[count > 3 ? 3 : 0];
  for (int64_t i = 0; i < n; i++) {
    float* to = image + i * channels;
    to[0] = a[i];
    if constexpr (count > 1) to[1] = b[i];
    if constexpr (count > 2) to[2] = c[i];
    if constexpr (count > 3) to[3] = d[i];
  }
}

/// Channels of `n` voxels to planes. `plane(c)`: where those of channel c go.
template <class Plane>
inline void split(const float* image, int64_t channels, int64_t n, Plane&& plane) {
  for (int64_t c = 0; c < channels; c += 4) {
    float* some[4];
    const int64_t count = std::min<int64_t>(4, channels - c);
    for (int64_t k = 0; k < count; k++) some[k] = plane(c + k);
    if (channels == 4) splitSome<4>(image, 4, n, some);
    else if (channels == 1) splitSome<1>(image, 1, n, some);
    else if (count == 4) splitSome<4>(image + c, channels, n, some);
    else if (count == 3) splitSome<3>(image + c, channels, n, some);
    else if (count == 2) splitSome<2>(image + c, channels, n, some);
    else splitSome<1>(image + c, channels, n, some);
  }
}

/// Planes to channels of `n` voxels. `plane(c)`: where those of channel c come from.
template <class Plane>
inline void join(float* image, int64_t channels, int64_t n, Plane&& plane) {
  for (int64_t c = 0; c < channels; c += 4) {
    const float* some[4];
    const int64_t count = std::min<int64_t>(4, channels - c);
    for (int64_t k = 0; k < count; k++) some[k] = plane(c + k);
    if (channels == 4) joinSome<4>(image, 4, n, some);
    else if (channels == 1) joinSome<1>(image, 1, n, some);
    else if (count == 4) joinSome<4>(image + c, channels, n, some);
    else if (count == 3) joinSome<3>(image + c, channels, n, some);
    else if (count == 2) joinSome<2>(image + c, channels, n, some);
    else joinSome<1>(image + c, channels, n, some);
  }
}

}  // namespace voxelbook
