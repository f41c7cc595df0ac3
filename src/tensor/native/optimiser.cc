// Operators: one optimiser step for all parameters together, written into them, and fresh memory for it to write to.
//
// First the norm of all gradients, in double precision. Where it is not finite nothing is written. Else each piece of each
// parameter is read and written once, with its gradient scaled down to the norm's limit on the way.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "op.h"

namespace voxelbook {
namespace {

enum Kind { sgd = 0, adamW = 1 };

/// A piece of one parameter; pieces do not depend on the number of threads, so neither does the norm.
struct Piece {
  int64_t tensor, begin, end;
};
constexpr int64_t pieceSize = 1 << 15;

/// The pieces of tensors from input `first` on.
std::vector<Piece> piecesOf(Call& call, int64_t first, int64_t n) {
  std::vector<Piece> pieces;
  for (int64_t t = 0; t < n; t++)
    for (int64_t size = sizeOf(call.shape(first + t)), at = 0; at < size; at += pieceSize)
      pieces.push_back({t, at, std::min(size, at + pieceSize)});
  return pieces;
}

int threadsFor(const std::vector<Piece>& pieces) {
  return static_cast<int>(std::clamp<int64_t>(pieces.size(), 1, threadCount()));
}

/// Σ g² of a piece.
double squares(const float* g, int64_t begin, int64_t end) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = begin; i < end; i++) sum += static_cast<double>(g[i]) * g[i];
  return sum;
}

/// Norm of all tensors together, and the same as output 0 in two floats, with 1 behind where it is finite.
double normOf(Call& call, const std::vector<Piece>& pieces, const float* const* data) {
  const int64_t count = pieces.size();
  std::vector<double> sums(count);
#pragma omp parallel for schedule(static) num_threads(threadsFor(pieces))
  for (int64_t i = 0; i < count; i++) sums[i] = squares(data[pieces[i].tensor], pieces[i].begin, pieces[i].end);
  double sum = 0;
  for (double x : sums) sum += x;
  const double norm = std::sqrt(sum);
  const bool finite = std::isfinite(norm);
  float* out = call.output(0, {3});
  out[0] = static_cast<float>(norm);
  out[1] = finite ? static_cast<float>(norm - out[0]) : 0.0f;
  out[2] = finite ? 1.0f : 0.0f;
  return norm;
}

/// Inputs: tensors. Output: their norm.
void globalNorm(Call& call) {
  EXPECT(call.ints.empty() && call.floats.empty(), "no settings expected");
  std::vector<const float*> data;
  for (int i = 0; i < call.inputs(); i++) data.push_back(call.input(i));
  normOf(call, piecesOf(call, 0, call.inputs()), data.data());
}

/// e ← e + (p − e)·rest, an exact copy where rest is 1.
void average(float* __restrict e, const float* __restrict p, int64_t begin, int64_t end, float rest) {
  if (rest == 1.0f) {
    std::memcpy(e + begin, p + begin, (end - begin) * sizeof(float));
    return;
  }
  for (int64_t k = begin; k < end; k++) e[k] += (p[k] - e[k]) * rest;
}

/// Inputs: n parameters, n gradients, n first slots (momentum; m), with AdamW n second slots (v), where parameters are averaged
/// n averages, and settings: the limit of the norm in two parts, then SGD: momentum, Nesterov (0 or 1); AdamW: β₁, 1 − β₁, β₂,
/// 1 − β₂, ε; then for each parameter SGD: weight decay, rate, share of the new value in its average; AdamW: weight decay's
/// factor, √(1 − β₂ᵗ), rate/(1 − β₁ᵗ), that share. They change with every step, and TensorFlow keeps a kernel for every value of
/// an attribute: hence a tensor. ints: kind, n, averages (0 or 1).
/// Output: the norm in two parts, and 1 where the step was taken. Parameters, slots and averages are written in place.
void step(Call& call) {
  EXPECT(call.ints.size() == 3 && call.floats.empty(), "three integers and no float expected");
  const int64_t kind = call.ints[0], n = call.ints[1];
  const bool averaged = call.ints[2] != 0;
  EXPECT(kind == sgd || kind == adamW, "optimiser " + std::to_string(kind) + " is unknown");
  const int64_t slots = kind == adamW ? 2 : 1, lists = 2 + slots + averaged, all = call.inputs();
  EXPECT(n >= 1 && n <= all && all == lists * n + 1, std::to_string(all) + " tensors for " + std::to_string(n) + " parameters");
  const int64_t shared = kind == adamW ? 7 : 4, each = kind == adamW ? 4 : 3, expected = shared + each * n;
  EXPECT(sizeOf(call.shape(all - 1)) == expected, "settings " + text(call.shape(all - 1)) + ", " + std::to_string(expected) + " expected");
  const float* s = call.input(all - 1);
  std::vector<float*> data(all - 1);
  for (int64_t i = 0; i < all - 1; i++) {
    EXPECT(call.shape(i) == call.shape(i % n), "parameter " + text(call.shape(i % n)) + " and " + text(call.shape(i)));
    data[i] = call.inPlace(i);
  }
  const std::vector<Piece> pieces = piecesOf(call, 0, n);
  const int64_t count = pieces.size();
  const double norm = normOf(call, pieces, data.data() + n);
  if (!std::isfinite(norm)) return;
  const double limit = static_cast<double>(s[0]) + s[1];
  const float factor = static_cast<float>(std::min(1.0, limit / (norm + 1e-6)));

#pragma omp parallel for schedule(static) num_threads(threadsFor(pieces))
  for (int64_t i = 0; i < count; i++) {
    const Piece& piece = pieces[i];
    float* __restrict p = data[piece.tensor];
    const float* __restrict g = data[n + piece.tensor];
    float* __restrict a = data[2 * n + piece.tensor];
    const float* own = s + shared + each * piece.tensor;
    if (kind == sgd) {
      const float momentum = s[2], decay = own[0], rate = own[1];
      const bool nesterov = s[3] != 0;
      for (int64_t k = piece.begin; k < piece.end; k++) {
        const float slope = g[k] * factor + p[k] * decay;
        const float velocity = a[k] * momentum + slope;
        a[k] = velocity;
        p[k] -= (nesterov ? slope + velocity * momentum : velocity) * rate;
      }
    } else {
      float* __restrict b = data[3 * n + piece.tensor];
      const float beta1 = s[2], rest1 = s[3], beta2 = s[4], rest2 = s[5], epsilon = s[6];
      const float decay = own[0], correction = own[1], rate = own[2];
      for (int64_t k = piece.begin; k < piece.end; k++) {
        const float slope = g[k] * factor;
        const float first = a[k] * beta1 + slope * rest1, second = b[k] * beta2 + slope * slope * rest2;
        a[k] = first;
        b[k] = second;
        p[k] = p[k] * decay - first / (std::sqrt(second) / correction + epsilon) * rate;
      }
    }
    if (averaged) average(data[(2 + slots) * n + piece.tensor], p, piece.begin, piece.end, own[each - 1]);
  }
}

/// Input x; ints: 1 to copy its values, 0 for zeros. Output of its shape, in memory of its own.
void fresh(Call& call) {
  EXPECT(call.ints.size() == 1 && (call.ints[0] == 0 || call.ints[0] == 1), "0 or 1 expected");
  const size_t bytes = sizeOf(call.shape(0)) * sizeof(float);
  float* y = call.output(0, call.shape(0));
  if (bytes == 0) return;
  if (call.ints[0]) std::memcpy(y, call.input(0), bytes);
  else std::memset(y, 0, bytes);
}

__attribute__((constructor)) void add() {
  registerOp<globalNorm>("VoxelbookGlobalNorm", {"i: N * float"}, 1);
  registerOp<step>("VoxelbookOptimiserStep", {"i: N * float"}, 1);
  registerOp<fresh>("VoxelbookFresh", 1, 1);
}

}  // namespace
}  // namespace voxelbook
