// Operator: a sparse matrix applied along one axis, out[o, i, :] = Σ_j weight[j] · x[o, index[j], :] for j from start[i] to
// start[i+1]. Nearest and linear resizing are one such matrix per axis, their gradients its transpose.
#include <cstring>

#include "op.h"

namespace voxelbook {
namespace {

/// Inputs x [outer, n, inner], start [m+1], index [k], weight [k] (all float). Output [outer, m, inner].
void alongAxis(Call& call) {
  const Shape &x = call.shape(0), &start = call.shape(1), &index = call.shape(2);
  EXPECT(x.size() == 3 && start.size() == 1 && start[0] >= 1 && index.size() == 1 && call.shape(3) == index,
         "x " + text(x) + ", start " + text(start) + ", index " + text(index) + ", weight " + text(call.shape(3)));
  const int64_t outer = x[0], n = x[1], inner = x[2], m = start[0] - 1, k = index[0];
  std::vector<int64_t> from(m + 1), at(k);
  for (int64_t i = 0; i <= m; i++) {
    from[i] = static_cast<int64_t>(call.input(1)[i]);
    EXPECT(from[i] >= (i ? from[i - 1] : 0) && from[i] <= k, "start must rise to at most " + std::to_string(k));
  }
  for (int64_t j = 0; j < k; j++) {
    at[j] = static_cast<int64_t>(call.input(2)[j]);
    EXPECT(at[j] >= 0 && at[j] < n, "index " + std::to_string(at[j]) + " on an axis of " + std::to_string(n));
  }
  const float *values = call.input(0), *weight = call.input(3);
  float* out = call.output(0, {outer, m, inner});
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t row = 0; row < outer * m; row++) {
    const int64_t o = row / m, i = row % m;
    float* to = out + row * inner;
    if (from[i] == from[i + 1]) {
      std::memset(to, 0, inner * sizeof(float));
      continue;
    }
    for (int64_t j = from[i]; j < from[i + 1]; j++) {
      const float *source = values + (o * n + at[j]) * inner, w = weight[j];
      if (j == from[i])
        for (int64_t c = 0; c < inner; c++) to[c] = w * source[c];
      else
        for (int64_t c = 0; c < inner; c++) to[c] += w * source[c];
    }
  }
}

__attribute__((constructor)) void add() { registerOp<alongAxis>("VoxelbookAlongAxis", 4, 1); }

}  // namespace
}  // namespace voxelbook
