// Operator: norm over the last axis with scale and shift, forward and backward. Kept for the backward pass: x, and mean and
// 1/sd of each row.
#include <cmath>
#include <cstring>

#include "op.h"
#include "vector.h"

namespace voxelbook {
namespace {

struct Norm {
  int64_t rows, C;
  bool affine;
};

/// Inputs x, γ [C] or [0], β [C] or [0]; floats: epsilon.
Norm normOf(Call& call) {
  EXPECT(call.floats.size() == 1 && !call.shape(0).empty(), "one float and a channel axis expected");
  Norm n;
  n.C = call.shape(0).back();
  n.rows = n.C ? sizeOf(call.shape(0)) / n.C : 0;
  n.affine = sizeOf(call.shape(1)) > 0;
  EXPECT(sizeOf(call.shape(1)) == sizeOf(call.shape(2)) && (!n.affine || sizeOf(call.shape(1)) == n.C),
         "scale " + text(call.shape(1)) + " and shift " + text(call.shape(2)) + " for " + std::to_string(n.C) + " channels");
  return n;
}

template <class Fn>
float sumOf(int64_t C, Fn&& term) {
  Vec<widest> lanes{};
  int64_t c = 0;
  for (; c + widest <= C; c += widest) lanes += term.template operator()<widest>(c);
  float sum = 0;
  for (int i = 0; i < widest; i++) sum += lanes[i];
  for (; c < C; c++) sum += term.template operator()<1>(c);
  return sum;
}

/// Outputs y and [rows, 2]: mean, 1/sd.
void forward(Call& call) {
  const Norm n = normOf(call);
  const float *x = call.input(0), *gamma = call.input(1), *beta = call.input(2), epsilon = call.floats[0];
  float *y = call.output(0, call.shape(0)), *stats = call.output(1, {n.rows, 2});
  const float share = 1.0f / static_cast<float>(std::max<int64_t>(n.C, 1));
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t r = 0; r < n.rows; r++) {
    const float* from = x + r * n.C;
    float* to = y + r * n.C;
    const float mean = share * sumOf(n.C, [&]<int W>(int64_t c) -> Vec<W> { return load<W>(from + c); });
    const float variance = share * sumOf(n.C, [&]<int W>(int64_t c) -> Vec<W> {
                             const Vec<W> d = load<W>(from + c) - mean;
                             return d * d;
                           });
    const float inverse = 1.0f / std::sqrt(variance + epsilon);
    stats[2 * r] = mean, stats[2 * r + 1] = inverse;
    if (n.affine)
      for (int64_t c = 0; c < n.C; c++) to[c] = (from[c] - mean) * inverse * gamma[c] + beta[c];
    else
      for (int64_t c = 0; c < n.C; c++) to[c] = (from[c] - mean) * inverse;
  }
}

/// Inputs x, γ, β, statistics, dy. Outputs the gradients of x, γ, β ([C] also without scale).
void backward(Call& call) {
  const Norm n = normOf(call);
  EXPECT(sizeOf(call.shape(3)) == 2 * n.rows && call.shape(4) == call.shape(0), "statistics " + text(call.shape(3)) + " and gradient " + text(call.shape(4)) + " for " + text(call.shape(0)));
  const float *x = call.input(0), *gamma = call.input(1), *stats = call.input(3), *dy = call.input(4);
  float *dx = call.output(0, call.shape(0)), *dGamma = call.output(1, {n.C}), *dBeta = call.output(2, {n.C});
  const float share = 1.0f / static_cast<float>(std::max<int64_t>(n.C, 1));
  // Blocks of rows have their own sums of dγ and dβ, added in order: the result does not depend on the thread count.
  const int64_t piece = std::max<int64_t>(256, n.rows / 64), pieces = (n.rows + piece - 1) / piece;
  Buffer sums(2 * n.C * pieces);
  if (pieces) std::memset(sums, 0, 2 * n.C * pieces * sizeof(float));
  Buffer ones(n.C);
  for (int64_t c = 0; c < n.C; c++) ones[c] = n.affine ? gamma[c] : 1.0f;
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t p = 0; p < pieces; p++) {
    float *g = sums + 2 * n.C * p, *b = g + n.C;
    const float* scale = ones;
    for (int64_t r = p * piece; r < std::min(n.rows, (p + 1) * piece); r++) {
      const float *from = x + r * n.C, *slope = dy + r * n.C, mean = stats[2 * r], inverse = stats[2 * r + 1];
      const float m1 = share * sumOf(n.C, [&]<int W>(int64_t c) -> Vec<W> { return load<W>(slope + c) * load<W>(scale + c); });
      const float m2 = share * inverse * sumOf(n.C, [&]<int W>(int64_t c) -> Vec<W> { return load<W>(slope + c) * load<W>(scale + c) * (load<W>(from + c) - mean); });
      float* to = dx + r * n.C;
      for (int64_t c = 0; c < n.C; c++) {
        const float normal = (from[c] - mean) * inverse;
        g[c] += slope[c] * normal;
        b[c] += slope[c];
        to[c] = inverse * (slope[c] * scale[c] - m1 - normal * m2);
      }
    }
  }
  for (int64_t c = 0; c < n.C; c++) {
    double g = 0, b = 0;
    for (int64_t p = 0; p < pieces; p++) g += sums[2 * n.C * p + c], b += sums[(2 * p + 1) * n.C + c];
    dGamma[c] = static_cast<float>(g), dBeta[c] = static_cast<float>(b);
  }
}

__attribute__((constructor)) void add() {
  registerOp<forward>("VoxelbookLayerNorm", 3, 2);
  registerOp<backward>("VoxelbookLayerNormGradient", 5, 3);
}

}  // namespace
}  // namespace voxelbook
