// Operator: one step of AdamW in one pass instead of fourteen.
#include <cmath>

#include "op.h"

namespace voxelbook {
namespace {

/// Inputs p, g, m, v of one shape, and [β₁, 1 − β₁, β₂, 1 − β₂, ε, weight decay's factor, √(1 − β₂ᵗ), rate/(1 − β₁ᵗ)] as a
/// tensor: they change with every step, and TensorFlow keeps a kernel for every value of an attribute. Outputs p, m, v.
void adamW(Call& call) {
  for (int i = 1; i < 4; i++) EXPECT(call.shape(i) == call.shape(0), "parameter " + text(call.shape(0)) + " and " + text(call.shape(i)));
  EXPECT(sizeOf(call.shape(4)) == 8, "eight settings expected");
  const float *p = call.input(0), *g = call.input(1), *m = call.input(2), *v = call.input(3), *s = call.input(4);
  float *newP = call.output(0, call.shape(0)), *newM = call.output(1, call.shape(0)), *newV = call.output(2, call.shape(0));
  const float beta1 = s[0], rest1 = s[1], beta2 = s[2], rest2 = s[3], epsilon = s[4], decay = s[5], correction = s[6], rate = s[7];
  const int64_t size = sizeOf(call.shape(0));
#pragma omp parallel for schedule(static) num_threads(threadCount()) if (size > 1 << 15)
  for (int64_t i = 0; i < size; i++) {
    const float first = m[i] * beta1 + g[i] * rest1, second = v[i] * beta2 + g[i] * g[i] * rest2;
    newM[i] = first;
    newV[i] = second;
    newP[i] = p[i] * decay - first / (std::sqrt(second) / correction + epsilon) * rate;
  }
}

__attribute__((constructor)) void add() { registerOp<adamW>("VoxelbookAdamW", 5, 3); }

}  // namespace
}  // namespace voxelbook
