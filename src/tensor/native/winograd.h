// Dense convolution with a window of (1 or 3)×3×3, stride 1 and zeros around, by Winograd's F(2×2, 3×3) over height and width
// (Lavin and Gray, CVPR 2016): 2.25 times fewer products than the definition, no constants but 1 and ½. Depth is summed as ever.
//
// A tile is 2×2 output voxels of a plane and the 4×4 input voxels around them. Input tiles V = Bᵀ·x·B, windows U = G·g·Gᵀ and
// output tiles M = Σ U·V have 16 components (ξ, ν); each component is a matrix product over input channels and depth.
// The gradient of the filter is the same form turned round: dU = Σ Vᵀ·(A·dy·Aᵀ) over tiles, dg = Gᵀ·dU·G.
//
// Work is cut into slabs of tiles that fit the cache; nothing of a slab's size depends on the number of threads, nor does the
// order of any sum.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "gemm.h"
#include "op.h"

namespace voxelbook {

/// A same-size convolution of [batch, D, H, W, in] to [batch, D, H, W, out] with a window of depth×3×3, depth 1 or 3.
struct Same {
  int64_t batch, D, H, W, in, out, depth;
  int64_t voxels() const { return batch * D * H * W; }
};

/// Rows [0, n) in nearly equal parts of at most `rowsAtOnce`: fn.template operator()<M>(first).
template <class Fn>
inline void evenRows(int64_t n, Fn&& fn) {
  const int64_t parts = (n + rowsAtOnce - 1) / rowsAtOnce;
  for (int64_t p = 0, first = 0; p < parts; p++) {
    const int64_t rows = n / parts + (p < n % parts);
    auto run = [&]<int M>(auto&& self) {
      if (rows == M) fn.template operator()<M>(first);
      else if constexpr (M > 1) self.template operator()<M - 1>(self);
    };
    run.template operator()<rowsAtOnce>(run);
    first += rows;
  }
}

/// Vectors of a panel that hold `channels` results: the second is left out where the first takes all. fn.template operator()<N>().
template <class Fn>
inline void forVectors(int64_t channels, Fn&& fn) {
  if (channels > widest) fn.template operator()<2>();
  else fn.template operator()<1>();
}

/// C[M × panel] = Σ over `depth` of A_k[M × K]·B_k[K × panel], where A_k lies `step` floats behind A_{k−1}; N of a panel's two vectors.
template <int M, int N>
inline void deepBlock(const float* __restrict a, int64_t lda, int64_t step, int64_t depth, int64_t K, const float* __restrict b,
                      float* __restrict c) {
  constexpr int W = widest;
  using V = Vec<W>;
  V acc[M][N];
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) acc[i][n] = V{};
  for (int64_t d = 0; d < depth; d++, a += step)
    for (int64_t k = 0; k < K; k++, b += panel) {
      V row[N];
      for (int n = 0; n < N; n++) row[n] = load<W>(b + n * W);
#pragma GCC unroll 16
      for (int i = 0; i < M; i++) {
        const V s = broadcast<W>(a[i * lda + k]);
        for (int n = 0; n < N; n++) acc[i][n] += s * row[n];
      }
    }
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) store<W>(c + i * panel + n * W, acc[i][n]);
}

/// Where a slab of tiles lies: planes, rows of tiles and tiles of a row, from … to (without) end.
struct Slab {
  int64_t n, d, planes, row, rows, column, columns;
  int64_t tiles() const { return planes * rows * columns; }
  int64_t plane() const { return rows * columns; }
};

/// How a volume is cut into slabs: largest extents of one.
struct Slabs {
  int64_t planes, rows, columns, countD, countH, countW;
  Slabs(const Same& c, int64_t planes, int64_t rows, int64_t columns) : planes(planes), rows(rows), columns(columns) {
    countD = (c.D + planes - 1) / planes, countH = ((c.H + 1) / 2 + rows - 1) / rows, countW = ((c.W + 1) / 2 + columns - 1) / columns;
  }
  int64_t count(const Same& c) const { return c.batch * countD * countH * countW; }
  int64_t tiles() const { return planes * rows * columns; }
  Slab at(const Same& c, int64_t i) const {
    const int64_t w = i % countW, h = i / countW % countH, d = i / countW / countH % countD, n = i / countW / countH / countD;
    return {n,        d * planes, std::min(planes, c.D - d * planes), h * rows, std::min(rows, (c.H + 1) / 2 - h * rows),
            w * columns, std::min(columns, (c.W + 1) / 2 - w * columns)};
  }
};

/// Slabs of about `tiles` tiles: first along depth (whose halo is computed twice), then along a row, then rows.
inline Slabs slabsOf(const Same& c, int64_t tiles) {
  const int64_t th = (c.H + 1) / 2, tw = (c.W + 1) / 2;
  const int64_t planes = std::min<int64_t>(c.D, c.depth == 1 ? std::max<int64_t>(1, tiles / (th * tw)) : 8);
  const int64_t columns = std::clamp<int64_t>(tiles / planes, std::min<int64_t>(tw, 4), tw);
  const int64_t rows = std::clamp<int64_t>(tiles / (planes * columns), 1, th);
  return Slabs(c, planes, rows, columns);
}

/// Rows of input 2r−1 … 2r+2 → T[ξ − first][column][channel] for ξ in [first, end): Bᵀ along height. Columns begin at 2·column − 1.
inline void heightTransform(const Same& c, const float* x, const Slab& s, int64_t d, int64_t r, int first, int end, float* T) {
  const int64_t columns = 2 * s.columns + 2, w0 = 2 * s.column - 1;
  const float* rows[4];
  for (int i = 0; i < 4; i++) {
    const int64_t h = 2 * r - 1 + i;
    rows[i] = h >= 0 && h < c.H ? x + ((s.n * c.D + d) * c.H + h) * c.W * c.in : nullptr;
  }
  const int64_t begin = std::clamp<int64_t>(-w0, 0, columns), stop = std::clamp<int64_t>(c.W - w0, begin, columns);
  for (int xi = first; xi < end; xi++) {
    float* t = T + (xi - first) * columns * c.in;
    std::memset(t, 0, begin * c.in * sizeof(float));
    std::memset(t + stop * c.in, 0, (columns - stop) * c.in * sizeof(float));
    static constexpr int plus[4] = {0, 1, 2, 1}, other[4] = {2, 2, 1, 3};
    const float *a = rows[plus[xi]], *b = rows[other[xi]];
    const float sign = xi == 1 ? 1.0f : -1.0f;
    const int64_t size = (stop - begin) * c.in, offset = (w0 + begin) * c.in;
    float* to = t + begin * c.in;
    if (a && b) {
      a += offset, b += offset;
      for (int64_t i = 0; i < size; i++) to[i] = a[i] + sign * b[i];
    } else if (a) {
      std::memcpy(to, a + offset, size * sizeof(float));
    } else if (b) {
      b += offset;
      for (int64_t i = 0; i < size; i++) to[i] = sign * b[i];
    } else {
      std::memset(to, 0, size * sizeof(float));
    }
  }
}

/// T of one ξ → V[ν][tile][channel], ν `step` floats apart: Bᵀ along width.
inline void widthTransform(const Same& c, int64_t tiles, const float* T, float* v, int64_t step) {
  forWidth(c.in, [&]<int W>() {
    for (int64_t t = 0; t < tiles; t++)
      forChannels<W>(c.in, [&](int64_t k) {
        const float* from = T + 2 * t * c.in + k;
        const Vec<W> a = load<W>(from), b = load<W>(from + c.in), e = load<W>(from + 2 * c.in), f = load<W>(from + 3 * c.in);
        float* to = v + t * c.in + k;
        store<W>(to, a - e), store<W>(to + step, b + e), store<W>(to + 2 * step, e - b), store<W>(to + 3 * step, b - f);
      });
  });
}

/// V[(ξ − first)·4 + ν][plane of the slab and its halo][row][tile][channel]; planes outside the volume are zeros.
inline void inputTiles(const Same& c, const float* x, const Slab& s, int first, int end, float* T, float* V) {
  const int64_t planes = s.planes + c.depth - 1, plane = s.plane() * c.in, component = planes * plane;
  for (int64_t p = 0; p < planes; p++) {
    const int64_t d = s.d + p - c.depth / 2;
    if (d < 0 || d >= c.D) {
      for (int i = 0; i < 4 * (end - first); i++) std::memset(V + i * component + p * plane, 0, plane * sizeof(float));
      continue;
    }
    for (int64_t r = 0; r < s.rows; r++) {
      heightTransform(c, x, s, d, s.row + r, first, end, T);
      for (int xi = first; xi < end; xi++)
        widthTransform(c, s.columns, T + (xi - first) * (2 * s.columns + 2) * c.in,
                       V + 4 * (xi - first) * component + p * plane + r * s.columns * c.in, component);
    }
  }
}

inline int64_t filterSize(const Same& c) { return 16 * c.depth * c.in * roundUp(c.out, panel); }

/// Windows g → U[panel][component][depth][in][panel]. `g` is [depth, 3, 3, in, out]; turned: [depth, 3, 3, out, in], its axes
/// reversed (the convolution that is a gradient of the input).
inline void filterTiles(const Same& c, const float* g, bool turned, float* U) {
  const int64_t panels = (c.out + panel - 1) / panel, rows = c.depth * c.in;
  // Blocks of rows: components lie far apart, often by a multiple of what the first cache tells apart.
  constexpr int64_t rowsOfBlock = 16;
#pragma omp parallel for schedule(static) collapse(2) num_threads(threadCount())
  for (int64_t j = 0; j < panels; j++)
    for (int64_t d = 0; d < c.depth; d++) {
      const int64_t n = std::min<int64_t>(panel, c.out - j * panel);
      alignas(64) float window[9][rowsOfBlock * panel] = {}, tall[4][3][panel], block[16][rowsOfBlock * panel];
      for (int64_t first = 0; first < c.in; first += rowsOfBlock) {
        const int64_t count = std::min(rowsOfBlock, c.in - first);
        for (int t = 0; t < 9; t++) {
          if (turned) {
            const float* from = g + (((c.depth - 1 - d) * 9 + 8 - t) * c.out + j * panel) * c.in + first;
            for (int64_t i = 0; i < n; i++)
              for (int64_t k = 0; k < count; k++) window[t][k * panel + i] = from[i * c.in + k];
          } else {
            for (int64_t k = 0; k < count; k++)
              std::memcpy(window[t] + k * panel, g + ((d * 9 + t) * c.in + first + k) * c.out + j * panel, n * sizeof(float));
          }
        }
        for (int64_t k = 0; k < count * panel; k += panel) {
          for (int t = 0; t < 3; t++)
            for (int i = 0; i < panel; i++) {
              const float a = window[t][k + i], b = window[3 + t][k + i], e = window[6 + t][k + i];
              tall[0][t][i] = a, tall[1][t][i] = 0.5f * (a + e + b), tall[2][t][i] = 0.5f * (a + e - b), tall[3][t][i] = e;
            }
          for (int xi = 0; xi < 4; xi++)
            for (int i = 0; i < panel; i++) {
              const float a = tall[xi][0][i], b = tall[xi][1][i], e = tall[xi][2][i];
              block[4 * xi][k + i] = a, block[4 * xi + 1][k + i] = 0.5f * (a + e + b);
              block[4 * xi + 2][k + i] = 0.5f * (a + e - b), block[4 * xi + 3][k + i] = e;
            }
        }
        for (int64_t i = 0; i < 16; i++)
          std::memcpy(U + ((j * 16 + i) * rows + d * c.in + first) * panel, block[i], count * panel * sizeof(float));
      }
    }
}

/// M[component][tile][panel] → the slab's voxels of y, `n` channels from `channel` on: Aᵀ·M·A + bias.
inline void outputTiles(const Same& c, const Slab& s, const float* M, int64_t channel, int64_t n, const float* bias, float* y) {
  const int64_t step = s.tiles() * panel;
  alignas(64) float out[4][panel], shift[panel] = {};
  if (bias) std::memcpy(shift, bias + channel, n * sizeof(float));
  for (int64_t p = 0, t = 0; p < s.planes; p++)
    for (int64_t r = 0; r < s.rows; r++)
      for (int64_t q = 0; q < s.columns; q++, t++) {
        const float* m = M + t * panel;
        for (int half = 0; half < (n > widest ? 2 : 1); half++) {
          constexpr int W = widest;
          Vec<W> top[4], low[4];
          for (int nu = 0; nu < 4; nu++) {
            const float* at = m + nu * step + half * W;
            const Vec<W> a = load<W>(at), b = load<W>(at + 4 * step), e = load<W>(at + 8 * step), f = load<W>(at + 12 * step);
            top[nu] = a + b + e, low[nu] = b - e - f;
          }
          const Vec<W> add = load<W>(shift + half * W);
          store<W>(out[0] + half * W, top[0] + top[1] + top[2] + add), store<W>(out[1] + half * W, top[1] - top[2] - top[3] + add);
          store<W>(out[2] + half * W, low[0] + low[1] + low[2] + add), store<W>(out[3] + half * W, low[1] - low[2] - low[3] + add);
        }
        const int64_t h = 2 * (s.row + r), w = 2 * (s.column + q);
        for (int i = 0; i < 4; i++) {
          if (h + i / 2 >= c.H || w + i % 2 >= c.W) continue;
          float* to = y + ((((s.n * c.D + s.d + p) * c.H + h + i / 2) * c.W) + w + i % 2) * c.out + channel;
          if (n == panel) store<widest>(to, load<widest>(out[i])), store<widest>(to + widest, load<widest>(out[i] + widest));
          else std::memcpy(to, out[i], n * sizeof(float));
        }
      }
}

/// y = conv(x, g) + bias (or without); `turned` as for filterTiles.
inline void winograd(const Same& c, const float* x, const float* g, bool turned, const float* bias, float* y) {
  const int threads = threadCount();
  Buffer U(filterSize(c));
  filterTiles(c, g, turned, U);
  const int64_t panels = (c.out + panel - 1) / panel, K = c.in;
  const Slabs slabs = slabsOf(c, std::clamp<int64_t>((int64_t{96} << 10) / (16 * 4) * 4 / c.in / 2, 32, 256));
  // Few slabs: several workers share one, each with its own outputs. Input tiles are then made several times, a few per cent.
  const int64_t groups = std::clamp<int64_t>(16 / std::max<int64_t>(1, slabs.count(c)), 1, (panels + 1) / 2);
  const int64_t sizeV = 16 * (slabs.planes + c.depth - 1) * slabs.rows * slabs.columns * c.in, sizeM = 16 * slabs.tiles() * panel,
                sizeT = 4 * (2 * slabs.columns + 2) * c.in, size = roundUp(sizeV, 16) + roundUp(sizeM, 16) + roundUp(sizeT, 16);
  Buffer work(size * threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < slabs.count(c) * groups; task++) {
    const Slab s = slabs.at(c, task / groups);
    float *V = work + omp_get_thread_num() * size, *M = V + roundUp(sizeV, 16), *T = M + roundUp(sizeM, 16);
    inputTiles(c, x, s, 0, 4, T, V);
    const int64_t plane = s.plane() * c.in, component = (s.planes + c.depth - 1) * plane, group = task % groups;
    for (int64_t j = panels * group / groups; j < panels * (group + 1) / groups; j++) {
      const int64_t n = std::min<int64_t>(panel, c.out - j * panel);
      for (int64_t i = 0; i < 16; i++) {
        const float *a = V + i * component, *b = U + (j * 16 + i) * c.depth * K * panel;
        float* m = M + i * s.tiles() * panel;
        forVectors(n, [&]<int N>() {
          evenRows(s.tiles(), [&]<int R>(int64_t row) { deepBlock<R, N>(a + row * K, K, plane, c.depth, K, b, m + row * panel); });
        });
      }
      outputTiles(c, s, M, j * panel, n, bias, y);
    }
  }
}

/// dy of one ξ → Z[ν][panel][tile][panel]: A·dy·Aᵀ; voxels outside are zeros, channels beyond `out` too.
inline void slopeTiles(const Same& c, const float* dy, const Slab& s, int xi, int64_t firstPanel, int64_t panels, float* Z) {
  const int64_t tiles = s.tiles(), component = panels * tiles * panel;
  alignas(64) float zeros[panel] = {}, part[4][panel];
  for (int64_t p = 0, t = 0; p < s.planes; p++)
    for (int64_t r = 0; r < s.rows; r++)
      for (int64_t q = 0; q < s.columns; q++, t++) {
        const int64_t h = 2 * (s.row + r), w = 2 * (s.column + q);
        const float* from = dy + (((s.n * c.D + s.d + p) * c.H + h) * c.W + w) * c.out;
        const bool low = h + 1 < c.H, right = w + 1 < c.W;
        for (int64_t j = 0; j < panels; j++) {
          const int64_t channel = (firstPanel + j) * panel, n = std::min<int64_t>(panel, c.out - channel);
          const float* v[4] = {from + channel, right ? from + c.out + channel : zeros, low ? from + c.W * c.out + channel : zeros,
                               low && right ? from + (c.W + 1) * c.out + channel : zeros};
          if (n < panel)
            for (int i = 0; i < 4; i++) {
              std::memset(part[i], 0, sizeof part[i]);
              std::memcpy(part[i], v[i], n * sizeof(float));
              v[i] = part[i];
            }
          float* to = Z + (j * tiles + t) * panel;
          for (int half = 0; half < (n > widest ? 2 : 1); half++) {
            constexpr int W = widest;
            const int at = half * W;
            const Vec<W> a = load<W>(v[0] + at), b = load<W>(v[1] + at), e = load<W>(v[2] + at), f = load<W>(v[3] + at);
            const Vec<W> one = xi == 0 ? a : xi == 1 ? a + e : xi == 2 ? a - e : -e;
            const Vec<W> two = xi == 0 ? b : xi == 1 ? b + f : xi == 2 ? b - f : -f;
            store<W>(to + at, one), store<W>(to + component + at, one + two);
            store<W>(to + 2 * component + at, one - two), store<W>(to + 3 * component + at, -two);
          }
        }
      }
}

/// dg [depth, 3, 3, in, out] of y = conv(x, g).
inline void winogradFilterGradient(const Same& c, const float* x, const float* dy, float* dg) {
  const int threads = threadCount();
  const int64_t panels = (c.out + panel - 1) / panel, width = panels * panel;
  const Slabs slabs = slabsOf(c, std::clamp<int64_t>((int64_t{96} << 10) / (c.in + c.out) / 4 * 2, 64, 1024));
  // Sums are kept apart for a number of groups of slabs that depends on the shape alone, and added in their order.
  const int64_t whole = 16 * c.depth * c.in * width;
  const int64_t parts = std::clamp<int64_t>((int64_t{2} << 20) / whole, 1, std::min<int64_t>(8, slabs.count(c)));
  const int64_t groups = std::clamp<int64_t>(panels / 4, 1, 8);
  Buffer sums(parts * whole);
  const int64_t tall = (panels + groups - 1) / groups;
  const int64_t sizeV = 4 * (slabs.planes + c.depth - 1) * slabs.rows * slabs.columns * c.in, sizeZ = 4 * slabs.tiles() * tall * panel,
                sizeT = (2 * slabs.columns + 2) * c.in, size = roundUp(sizeV, 16) + roundUp(sizeZ, 16) + roundUp(sizeT, 16);
  Buffer work(size * threads);
  const int64_t count = slabs.count(c);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < parts * groups * 4; task++) {
    const int xi = task % 4;
    const int64_t group = task / 4 % groups, part = task / 4 / groups;
    const int64_t firstPanel = panels * group / groups, own = panels * (group + 1) / groups - firstPanel;
    float *V = work + omp_get_thread_num() * size, *Z = V + roundUp(sizeV, 16), *T = Z + roundUp(sizeZ, 16);
    // dU[part][component][depth][in][panels·panel]
    float* to = sums + part * whole + 4 * xi * c.depth * c.in * width + firstPanel * panel;
    for (int64_t i = 0; i < 4 * c.depth * c.in; i++) std::memset(to + i * width, 0, own * panel * sizeof(float));
    for (int64_t at = count * part / parts; at < count * (part + 1) / parts; at++) {
      const Slab s = slabs.at(c, at);
      inputTiles(c, x, s, xi, xi + 1, T, V);
      slopeTiles(c, dy, s, xi, firstPanel, own, Z);
      const int64_t plane = s.plane() * c.in, component = (s.planes + c.depth - 1) * plane, tiles = s.tiles();
      for (int nu = 0; nu < 4; nu++)
        for (int64_t d = 0; d < c.depth; d++) {
          const float* a = V + nu * component + d * plane;
          float* sum = to + (nu * c.depth + d) * c.in * width;
          for (int64_t j = 0; j < own; j++) {
            const float* b = Z + (nu * own + j) * tiles * panel;
            forVectors(c.out - (firstPanel + j) * panel, [&]<int N>() {
              evenRows(c.in, [&]<int R>(int64_t row) {
                block<R, true, N>(a + row, c.in, b, panel, tiles, nullptr, true, sum + row * width + j * panel, width);
              });
            });
          }
        }
    }
  }
  const int64_t component = c.depth * c.in * width;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t row = 0; row < c.depth * c.in; row++) {
    const int64_t d = row / c.in, k = row % c.in;
    alignas(64) float u[16][panel], tall[3][4][panel];
    for (int64_t j = 0; j < panels; j++) {
      for (int i = 0; i < 16; i++) {
        const float* from = sums + i * component + row * width + j * panel;
        for (int l = 0; l < panel; l++) u[i][l] = from[l];
        for (int64_t p = 1; p < parts; p++)
          for (int l = 0; l < panel; l++) u[i][l] += from[p * whole + l];
      }
      for (int nu = 0; nu < 4; nu++)
        for (int l = 0; l < panel; l++) {
          const float a = u[nu][l], b = u[4 + nu][l], e = u[8 + nu][l], f = u[12 + nu][l];
          tall[0][nu][l] = a + 0.5f * (b + e), tall[1][nu][l] = 0.5f * (b - e), tall[2][nu][l] = 0.5f * (b + e) + f;
        }
      const int64_t n = std::min<int64_t>(panel, c.out - j * panel);
      for (int y = 0; y < 3; y++) {
        float* to = dg + ((d * 9 + 3 * y) * c.in + k) * c.out + j * panel;
        for (int64_t l = 0; l < n; l++) {
          const float a = tall[y][0][l], b = tall[y][1][l], e = tall[y][2][l], f = tall[y][3][l];
          to[l] = a + 0.5f * (b + e), to[c.in * c.out + l] = 0.5f * (b - e), to[2 * c.in * c.out + l] = 0.5f * (b + e) + f;
        }
      }
    }
  }
}

/// Σ over voxels of dy [voxels, C], piece by piece in double precision.
inline void channelSums(const float* dy, int64_t voxels, int64_t C, float* sums) {
  constexpr int64_t piece = 256;
  const int64_t pieces = (voxels + piece - 1) / piece;
  Buffer parts(pieces * C);
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t i = 0; i < pieces; i++) {
    float* sum = parts + i * C;
    std::fill(sum, sum + C, 0.0f);
    for (int64_t v = i * piece; v < std::min(voxels, (i + 1) * piece); v++)
      for (int64_t c = 0; c < C; c++) sum[c] += dy[v * C + c];
  }
  std::vector<double> total(C);
  for (int64_t i = 0; i < pieces; i++)
    for (int64_t c = 0; c < C; c++) total[c] += parts[i * C + c];
  for (int64_t c = 0; c < C; c++) sums[c] = static_cast<float>(total[c]);
}

}  // namespace voxelbook
