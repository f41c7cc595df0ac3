// Mean and variance per channel over many rows, without loss of digits.
//
// Each piece (a row of voxels, hot in cache) gives its own mean and sum of squared deviations; pieces are merged by
// Chan's formula in double precision, in the order of the pieces, so the result does not depend on the thread count.
#pragma once
#include <cstring>
#include <vector>

#include "vector.h"

namespace voxelbook {

/// Running count, mean and Σ(x − mean)² of `channels` columns.
struct Moments {
  int64_t count = 0;
  std::vector<double> mean, squares;
  explicit Moments(int64_t channels = 0) : mean(channels), squares(channels) {}

  void add(int64_t n, const float* pieceMean, const float* pieceSquares) {
    if (n == 0) return;
    const double total = static_cast<double>(count + n), share = n / total, product = static_cast<double>(count) * n / total;
    for (size_t c = 0; c < mean.size(); c++) {
      const double delta = pieceMean[c] - mean[c];
      mean[c] += delta * share;
      squares[c] += pieceSquares[c] + delta * delta * product;
    }
    count += n;
  }
  void add(const Moments& other) {
    if (other.count == 0) return;
    const double total = static_cast<double>(count + other.count);
    for (size_t c = 0; c < mean.size(); c++) {
      const double delta = other.mean[c] - mean[c];
      mean[c] += delta * other.count / total;
      squares[c] += other.squares[c] + delta * delta * (static_cast<double>(count) * other.count / total);
    }
    count += other.count;
  }
};

/// Mean and Σ(x − mean)² per channel of `voxels` rows of C floats.
inline void pieceMoments(const float* x, int64_t voxels, int64_t C, float* mean, float* squares) {
  forWidth(C, [&]<int W>() {
    forChannels<W>(C, [&](int64_t c) {
      Vec<W> a{}, b{};
      int64_t v = 0;
      for (; v + 2 <= voxels; v += 2) a += load<W>(x + v * C + c), b += load<W>(x + (v + 1) * C + c);
      if (v < voxels) a += load<W>(x + v * C + c);
      const Vec<W> m = (a + b) * (1.0f / static_cast<float>(voxels));
      Vec<W> s{}, t{};
      for (v = 0; v + 2 <= voxels; v += 2) {
        const Vec<W> d = load<W>(x + v * C + c) - m, e = load<W>(x + (v + 1) * C + c) - m;
        s += d * d, t += e * e;
      }
      if (v < voxels) {
        const Vec<W> d = load<W>(x + v * C + c) - m;
        s += d * d;
      }
      store<W>(mean + c, m);
      store<W>(squares + c, s + t);
    });
  });
}

}  // namespace voxelbook
