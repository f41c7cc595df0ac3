// Matrix products for tiles that live in cache: C[M×N] = A[M×K]·B[K×N], with B in panels of `panel` columns.
//
// A block of `rowsAtOnce` × `panel` results stays in registers while K runs. Rows beyond M are computed into the
// buffers' padding; columns beyond N are zero in the panels. So no tail needs a special case; buffers are padded instead.
#pragma once
#include <algorithm>
#include <cstring>

#include "vector.h"

namespace voxelbook {

constexpr int panel = 2 * widest;
constexpr int rowsAtOnce = widest == 16 ? 12 : 6;

inline int64_t roundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
/// Row length of a tile buffer: whole panels, whole row blocks (for transposed use), and no power of two.
inline int64_t padded(int64_t n) { return roundUp(std::max(roundUp(n, panel), roundUp(n, rowsAtOnce)), 16) + 16; }

/// B[K×N] (element k, j at b[k·rowStep + j·columnStep]) → panels [⌈N/panel⌉][K][panel], zeros beyond N.
inline int64_t packedSize(int64_t K, int64_t N) { return roundUp(N, panel) * K; }
inline void pack(const float* b, int64_t K, int64_t N, int64_t rowStep, int64_t columnStep, float* packed) {
  for (int64_t j = 0; j < N; j += panel) {
    const int64_t n = std::min<int64_t>(panel, N - j);
    for (int64_t k = 0; k < K; k++, packed += panel) {
      for (int64_t i = 0; i < n; i++) packed[i] = b[k * rowStep + (j + i) * columnStep];
      for (int64_t i = n; i < panel; i++) packed[i] = 0;
    }
  }
}

/// One register block, N of a panel's two vectors wide. TransposedA: element (i, k) of A is a[k·lda + i], else a[i·lda + k].
template <int M, bool TransposedA, int N = 2>
inline void block(const float* __restrict a, int64_t lda, const float* __restrict b, int64_t ldb, int64_t K,
                  const float* __restrict bias, bool add, float* __restrict c, int64_t ldc) {
  constexpr int W = widest;
  using V = Vec<W>;
  V acc[M][N];
  for (int n = 0; n < N; n++) {
    const V first = !add && bias ? load<W>(bias + n * W) : V{};
    for (int i = 0; i < M; i++) acc[i][n] = add ? load<W>(c + i * ldc + n * W) : first;
  }
  for (int64_t k = 0; k < K; k++) {
    V row[N];
    for (int n = 0; n < N; n++) row[n] = load<W>(b + k * ldb + n * W);
#pragma GCC unroll 16
    for (int i = 0; i < M; i++) {
      const V s = broadcast<W>(TransposedA ? a[k * lda + i] : a[i * lda + k]);
      for (int n = 0; n < N; n++) acc[i][n] += s * row[n];
    }
  }
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) store<W>(c + i * ldc + n * W, acc[i][n]);
}

/// C = A·B (+ bias per column | + C) for a row-major tile A and packed B. `bias` must be padded to whole panels.
inline void product(const float* a, int64_t lda, const float* packed, int64_t M, int64_t N, int64_t K, const float* bias,
                    bool add, float* c, int64_t ldc) {
  for (int64_t j = 0; j < N; j += panel, packed += K * panel)
    for (int64_t i = 0; i < M; i += rowsAtOnce)
      block<rowsAtOnce, false>(a + i * lda, lda, packed, panel, K, bias ? bias + j : nullptr, add, c + i * ldc + j, ldc);
}

/// C += Aᵀ·B for two row-major tiles with K rows: the gradient of a weight matrix, summed over a tile's rows.
inline void addTransposed(const float* a, int64_t lda, const float* b, int64_t ldb, int64_t M, int64_t N, int64_t K, float* c,
                          int64_t ldc) {
  for (int64_t i = 0; i < M; i += rowsAtOnce)
    for (int64_t j = 0; j < N; j += panel) block<rowsAtOnce, true>(a + i, lda, b + j, ldb, K, nullptr, true, c + i * ldc + j, ldc);
}

}  // namespace voxelbook
