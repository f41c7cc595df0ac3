// Operators: activations value by value, and their gradients, in one pass each.
//
// Leaky ReLU's gradient is told from the output, whose sign is the input's, so that the output, which the next layer keeps
// anyway, is all that stays alive. GELU and SiLU compute their derivative from the input again.
#include "gelu.h"
#include "op.h"

namespace voxelbook {
namespace {

enum Kind { leakyRelu = 0, geluKind = 1, siluKind = 2 };

/// Runs fn.operator()<W>(index) over all values in vectors, the rest one by one, in parallel.
template <class Fn>
void each(int64_t size, Fn&& fn) {
  const int64_t piece = int64_t{16} << 10, pieces = (size + piece - 1) / piece;
#pragma omp parallel for schedule(static) num_threads(threadCount()) if (pieces > 1)
  for (int64_t p = 0; p < pieces; p++) {
    const int64_t end = std::min(size, (p + 1) * piece);
    int64_t i = p * piece;
    for (; i + widest <= end; i += widest) fn.template operator()<widest>(i);
    for (; i < end; i++) fn.template operator()<1>(i);
  }
}

void check(Call& call) {
  EXPECT(call.ints.size() == 1 && call.floats.size() == 1, "one integer and one float expected");
  EXPECT(call.ints[0] >= leakyRelu && call.ints[0] <= siluKind, "activation " + std::to_string(call.ints[0]) + " is unknown");
}

/// Input x; ints kind; floats slope. Output y.
void forward(Call& call) {
  check(call);
  const float *x = call.input(0), slope = call.floats[0];
  float* y = call.output(0, call.shape(0));
  const int64_t size = sizeOf(call.shape(0));
  if (call.ints[0] == leakyRelu)
    each(size, [&]<int W>(int64_t i) {
      const Vec<W> v = load<W>(x + i);
      store<W>(y + i, v > 0 ? v : v * slope);
    });
  else if (call.ints[0] == geluKind)
    each(size, [&]<int W>(int64_t i) { store<W>(y + i, gelu<W>(load<W>(x + i))); });
  else
    each(size, [&]<int W>(int64_t i) {
      const Vec<W> v = load<W>(x + i);
      store<W>(y + i, v * logistic<W>(v));
    });
}

/// Inputs x (leaky ReLU: y), dy. Output dx.
void backward(Call& call) {
  check(call);
  EXPECT(call.shape(0) == call.shape(1), "gradient " + text(call.shape(1)) + " for " + text(call.shape(0)));
  const float *x = call.input(0), *dy = call.input(1), slope = call.floats[0];
  float* dx = call.output(0, call.shape(0));
  const int64_t size = sizeOf(call.shape(0));
  if (call.ints[0] == leakyRelu)
    each(size, [&]<int W>(int64_t i) {
      const Vec<W> d = load<W>(dy + i);
      store<W>(dx + i, load<W>(x + i) > 0 ? d : d * slope);
    });
  else if (call.ints[0] == geluKind)
    each(size, [&]<int W>(int64_t i) {
      Vec<W> value;
      store<W>(dx + i, load<W>(dy + i) * geluDerivative<W>(load<W>(x + i), value));
    });
  else
    each(size, [&]<int W>(int64_t i) {
      const Vec<W> v = load<W>(x + i), s = logistic<W>(v);
      store<W>(dx + i, load<W>(dy + i) * (s + v * s * (1.0f - s)));
    });
}

__attribute__((constructor)) void add() {
  registerOp<forward>("VoxelbookActivation", 1, 1);
  registerOp<backward>("VoxelbookActivationGradient", 2, 1);
}

}  // namespace
}  // namespace voxelbook
