// Operators: group, instance and batch norm over space with scale, shift, a sum and leaky ReLU behind them, forward and backward.
//
// x is seen as [batch, voxels, C]. Statistics per batch entry and group of channels, in pieces that fit the cache, merged
// in double precision in the order of the pieces. Kept for the backward pass: x and [batch, 2, C] statistics; the sign
// that the activation needs is computed again, or with a sum taken from the output.
#include <cmath>

#include "moments.h"
#include "op.h"

namespace voxelbook {
namespace {

struct Norm {
  int64_t batch, voxels, C, groups, piece, pieces;
  bool affine;
  float epsilon, slope;

  /// Runs fn(piece number, batch entry, first voxel, voxels), pieces in parallel.
  template <class Fn>
  void each(Fn&& fn) const {
#pragma omp parallel for schedule(static) num_threads(threadCount())
    for (int64_t i = 0; i < batch * pieces; i++) {
      const int64_t first = i % pieces * piece;
      fn(i, i / pieces, first, std::min(piece, voxels - first));
    }
  }
};

/// ints: batch, groups; floats: epsilon, slope above 0 (1: no activation). Inputs x, γ [C] or [0], β [C] or [0].
Norm normOf(Call& call) {
  EXPECT(call.ints.size() == 2 && call.floats.size() == 2, "two integers and two floats expected");
  const Shape& x = call.shape(0);
  EXPECT(!x.empty(), "input has no channel axis");
  Norm n;
  n.C = x.back(), n.batch = call.ints[0], n.groups = call.ints[1];
  n.epsilon = call.floats[0], n.slope = call.floats[1];
  EXPECT(n.slope > 0, "the slope of the leaky ReLU must be above 0");
  EXPECT(n.groups >= 1 && n.C % n.groups == 0, std::to_string(n.groups) + " groups for " + std::to_string(n.C) + " channels");
  const int64_t rows = n.C ? sizeOf(x) / n.C : 0;
  EXPECT(n.batch >= 0 && (n.batch == 0 ? rows == 0 : rows % n.batch == 0), "input " + text(x) + " in " + std::to_string(n.batch) + " equal parts");
  n.voxels = n.batch ? rows / n.batch : 0;
  n.affine = sizeOf(call.shape(1)) > 0;
  EXPECT(sizeOf(call.shape(1)) == sizeOf(call.shape(2)) && (!n.affine || sizeOf(call.shape(1)) == n.C),
         "scale " + text(call.shape(1)) + " and shift " + text(call.shape(2)) + " for " + std::to_string(n.C) + " channels");
  // Short pieces: a float sum over thousands of voxels would lose digits that small networks' gradients need.
  n.piece = std::clamp<int64_t>((int64_t{8} << 10) / std::max<int64_t>(1, n.C * 4), 8, 256);
  n.pieces = (n.voxels + n.piece - 1) / n.piece;
  return n;
}

/// scale and shift [C] of one batch entry.
void scaleAndShift(const Norm& n, const float* stats, const float* gamma, const float* beta, float* scale, float* shift) {
  for (int64_t c = 0; c < n.C; c++) {
    scale[c] = (n.affine ? gamma[c] : 1.0f) * stats[n.C + c];
    shift[c] = (n.affine ? beta[c] : 0.0f) - stats[c] * scale[c];
  }
}

/// A tensor of x's shape, or [0] where there is none.
const float* optional(Call& call, int i, const char* what) {
  if (sizeOf(call.shape(i)) == 0) return nullptr;
  EXPECT(call.shape(i) == call.shape(0), std::string(what) + " " + text(call.shape(i)) + " for an input of " + text(call.shape(0)));
  return call.input(i);
}

/// Inputs x, γ, β, what is added behind the norm or [0]. Outputs y and the statistics [batch, 2, C]: mean and 1/sd, per channel also
/// where groups share them. In place: y is written over x, the statistics are the only output.
template <bool inPlace>
void forward(Call& call) {
  const Norm n = normOf(call);
  const float* added = optional(call, 3, "sum with");
  float* y = inPlace ? call.inPlace(0) : call.output(0, call.shape(0));
  float* stats = call.output(inPlace ? 0 : 1, {n.batch, 2, n.C});
  if (sizeOf(call.shape(0)) == 0) {
    if (n.batch * n.C > 0) std::memset(stats, 0, 2 * n.batch * n.C * sizeof(float));
    return;
  }
  const float* x = call.input(0);
  const int64_t size = n.voxels * n.C;
  Buffer means(n.batch * n.pieces * n.C), squares(n.batch * n.pieces * n.C);
  n.each([&](int64_t i, int64_t e, int64_t first, int64_t count) {
    pieceMoments(x + e * size + first * n.C, count, n.C, means + i * n.C, squares + i * n.C);
  });
  const int64_t perGroup = n.C / n.groups;
  for (int64_t e = 0; e < n.batch; e++) {
    Moments all(n.C);
    for (int64_t i = 0; i < n.pieces; i++)
      all.add(std::min(n.piece, n.voxels - i * n.piece), means + (e * n.pieces + i) * n.C, squares + (e * n.pieces + i) * n.C);
    for (int64_t g = 0; g < n.groups; g++) {
      double mean = 0, spread = 0;
      for (int64_t c = g * perGroup; c < (g + 1) * perGroup; c++) mean += all.mean[c] / perGroup;
      for (int64_t c = g * perGroup; c < (g + 1) * perGroup; c++)
        spread += all.squares[c] + (all.mean[c] - mean) * (all.mean[c] - mean) * n.voxels;
      const float inverse = static_cast<float>(1.0 / std::sqrt(spread / (n.voxels * perGroup) + n.epsilon));
      for (int64_t c = g * perGroup; c < (g + 1) * perGroup; c++)
        stats[2 * e * n.C + c] = static_cast<float>(mean), stats[(2 * e + 1) * n.C + c] = inverse;
    }
  }
  Buffer tables(2 * n.batch * n.C);
  for (int64_t e = 0; e < n.batch; e++)
    scaleAndShift(n, stats + 2 * e * n.C, call.input(1), call.input(2), tables + 2 * e * n.C, tables + (2 * e + 1) * n.C);
  n.each([&](int64_t, int64_t e, int64_t first, int64_t count) {
    const float *scale = tables + 2 * e * n.C, *shift = scale + n.C, *from = x + e * size + first * n.C;
    float* to = y + e * size + first * n.C;
    const float* other = added ? added + e * size + first * n.C : nullptr;
    forWidth(n.C, [&]<int W>() {
      const int64_t whole = n.C / W * W, last = n.C - W;
      auto value = [&](int64_t c) {
        Vec<W> z = load<W>(from + c) * load<W>(scale + c) + load<W>(shift + c);
        if (other) z += load<W>(other + c);
        return z > 0 ? z : z * n.slope;
      };
      for (int64_t v = 0; v < count; v++, from += n.C, to += n.C) {
        // The last vector overlaps the one before: it is read before that is written, as both may be one memory.
        Vec<W> end{};
        if (whole < n.C) end = value(last);
        for (int64_t c = 0; c < whole; c += W) store<W>(to + c, value(c));
        if (whole < n.C) store<W>(to + last, end);
        if (other) other += n.C;
      }
    });
  });
}

/// Inputs x, γ, β, statistics, dy, and with a sum the output y, else [0]. Outputs the gradients of x, γ, β ([C] also without scale)
/// and of what was added ([0] without).
void backward(Call& call) {
  const Norm n = normOf(call);
  EXPECT(sizeOf(call.shape(3)) == 2 * n.batch * n.C && call.shape(4) == call.shape(0),
         "statistics " + text(call.shape(3)) + " and gradient " + text(call.shape(4)) + " for an input of " + text(call.shape(0)));
  float* dx = call.output(0, call.shape(0));
  float *dGamma = call.output(1, {n.C}), *dBeta = call.output(2, {n.C});
  const float* y = optional(call, 5, "output");
  float* dAdded = call.output(3, y ? call.shape(0) : Shape{0});
  for (int64_t c = 0; c < n.C; c++) dGamma[c] = dBeta[c] = 0;
  if (sizeOf(call.shape(0)) == 0) return;
  const float *x = call.input(0), *gamma = call.input(1), *stats = call.input(3), *dy = call.input(4);
  const int64_t size = n.voxels * n.C, perGroup = n.C / n.groups;
  // With a sum the gradient before the activation is that of what was added; it is written first and read from there.
  if (y) {
    n.each([&](int64_t, int64_t e, int64_t first, int64_t count) {
      const int64_t from = e * size + first * n.C;
      forWidth(count * n.C, [&]<int W>() {
        // The last vector overlaps the one before: it is written twice with the same.
        forChannels<W>(count * n.C, [&](int64_t i) {
          const Vec<W> d = load<W>(dy + from + i);
          store<W>(dAdded + from + i, load<W>(y + from + i) > 0 ? d : d * n.slope);
        });
      });
    });
    dy = dAdded;
  }
  const float slope = y ? 1.0f : n.slope;
  Buffer tables(2 * n.batch * n.C);
  for (int64_t e = 0; e < n.batch; e++)
    scaleAndShift(n, stats + 2 * e * n.C, gamma, call.input(2), tables + 2 * e * n.C, tables + (2 * e + 1) * n.C);

  // Σ dz and Σ dz·x̂ per piece, with dz the gradient before the activation.
  Buffer sums(2 * n.batch * n.pieces * n.C);
  n.each([&](int64_t i, int64_t e, int64_t first, int64_t count) {
    const float *scale = tables + 2 * e * n.C, *shift = scale + n.C, *mean = stats + 2 * e * n.C, *inverse = mean + n.C;
    const float *from = x + e * size + first * n.C, *slopes = dy + e * size + first * n.C;
    float *s1 = sums + 2 * i * n.C, *s2 = s1 + n.C;
    forWidth(n.C, [&]<int W>() {
      forChannels<W>(n.C, [&](int64_t c) {
        using V = Vec<W>;
        const V a = load<W>(scale + c), b = load<W>(shift + c), m = load<W>(mean + c);
        V one{}, two{};
        for (int64_t v = 0; v < count; v++) {
          const V value = load<W>(from + v * n.C + c);
          V d = load<W>(slopes + v * n.C + c);
          if (slope != 1.0f) d = value * a + b > 0 ? d : d * slope;
          one += d;
          two += d * (value - m);
        }
        store<W>(s1 + c, one);
        store<W>(s2 + c, two * load<W>(inverse + c));
      });
    });
  });

  // dx = dz·a + x·e + f per batch entry and channel.
  Buffer coefficients(3 * n.batch * n.C);
  std::vector<double> s1(n.C), s2(n.C);
  for (int64_t e = 0; e < n.batch; e++) {
    std::fill(s1.begin(), s1.end(), 0.0), std::fill(s2.begin(), s2.end(), 0.0);
    for (int64_t i = e * n.pieces; i < (e + 1) * n.pieces; i++)
      for (int64_t c = 0; c < n.C; c++) s1[c] += sums[2 * i * n.C + c], s2[c] += sums[(2 * i + 1) * n.C + c];
    const float *mean = stats + 2 * e * n.C, *inverse = mean + n.C;
    float *a = coefficients + 3 * e * n.C, *x1 = a + n.C, *f = x1 + n.C;
    for (int64_t g = 0; g < n.groups; g++) {
      double m1 = 0, m2 = 0;
      const double count = static_cast<double>(n.voxels * perGroup);
      for (int64_t c = g * perGroup; c < (g + 1) * perGroup; c++) {
        const double weight = n.affine ? gamma[c] : 1.0;
        m1 += weight * s1[c] / count, m2 += weight * s2[c] / count;
      }
      for (int64_t c = g * perGroup; c < (g + 1) * perGroup; c++) {
        a[c] = tables[2 * e * n.C + c];
        x1[c] = static_cast<float>(-inverse[c] * inverse[c] * m2);
        f[c] = static_cast<float>(-inverse[c] * m1 - static_cast<double>(x1[c]) * mean[c]);
        dGamma[c] += static_cast<float>(s2[c]), dBeta[c] += static_cast<float>(s1[c]);
      }
    }
  }
  n.each([&](int64_t, int64_t e, int64_t first, int64_t count) {
    const float *scale = tables + 2 * e * n.C, *shift = scale + n.C;
    const float *a = coefficients + 3 * e * n.C, *x1 = a + n.C, *f = x1 + n.C;
    const float *from = x + e * size + first * n.C, *slopes = dy + e * size + first * n.C;
    float* to = dx + e * size + first * n.C;
    forWidth(n.C, [&]<int W>() {
      for (int64_t v = 0; v < count; v++, from += n.C, slopes += n.C, to += n.C)
        forChannels<W>(n.C, [&](int64_t c) {
          const Vec<W> value = load<W>(from + c), flat = load<W>(slopes + c);
          const Vec<W> d = value * load<W>(scale + c) + load<W>(shift + c) > 0 ? flat : flat * slope;
          store<W>(to + c, d * load<W>(a + c) + (value * load<W>(x1 + c) + load<W>(f + c)));
        });
    });
  });
}

__attribute__((constructor)) void add() {
  registerOp<forward<false>>("VoxelbookNorm", 4, 2);
  registerOp<forward<true>>("VoxelbookNormInPlace", 4, 1);
  registerOp<backward>("VoxelbookNormGradient", 6, 4);
}

}  // namespace
}  // namespace voxelbook
