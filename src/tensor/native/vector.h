// Vectors of floats with loads and stores at any address; W = 1 is a plain float, so one body of code serves every width.
#pragma once
#include <cstdint>

namespace voxelbook {

#if defined(__AVX512F__)
constexpr int widest = 16;
#elif defined(__AVX__)
constexpr int widest = 8;
#else
constexpr int widest = 4;
#endif

template <int W>
struct VectorOf {
  typedef float T __attribute__((vector_size(4 * W), aligned(4), may_alias));
};
template <>
struct VectorOf<1> {
  typedef float T __attribute__((aligned(4), may_alias));
};
template <int W>
using Vec = typename VectorOf<W>::T;

template <int W>
inline Vec<W> load(const float* p) {
  return *reinterpret_cast<const Vec<W>*>(p);
}
template <int W>
inline void store(float* p, Vec<W> v) {
  *reinterpret_cast<Vec<W>*>(p) = v;
}
template <int W>
inline Vec<W> broadcast(float s) {
  if constexpr (W == 1) return s;
  else return s - Vec<W>{};
}

/// Calls fn.template operator()<W>() with the widest vector that `channels` fills at least once.
template <class Fn>
inline void forWidth(int64_t channels, Fn&& fn) {
  if constexpr (widest >= 16)
    if (channels >= 16) return fn.template operator()<16>();
  if constexpr (widest >= 8)
    if (channels >= 8) return fn.template operator()<8>();
  if (channels >= 4) return fn.template operator()<4>();
  fn.template operator()<1>();
}

/// Walks `channels` in vectors; the last one is moved back so that it ends at the end (some channels are done twice).
template <int W, class Fn>
inline void forChannels(int64_t channels, Fn&& fn) {
  int64_t c = 0;
  for (; c + W <= channels; c += W) fn(c);
  if (c < channels) fn(channels - W);
}

}  // namespace voxelbook
