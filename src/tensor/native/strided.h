// Dense convolution with any small window and stride, its transpose, and the gradient of its filter, from the definition: rows of
// voxels times the window, channels last. "Big" is the grid that is walked in steps, "small" the one with a voxel a step:
// small[s] = Σ over taps t of big[s·step − pad + t]·kernel[t].
//
// A row of input voxels, copied with its border of zeros, is read as overlapping rows of taps·channels values: a window's row is one
// matrix product. Going from small to big, the big voxels of each remainder of the step are a convolution of their own with step 1.
// Nothing of the order of a sum depends on the number of threads.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "op.h"
#include "winograd.h"

namespace voxelbook {

/// Along one axis: position i reads source voxels from + i·step + [0, taps) and writes destination voxel to + i·stride.
struct Reach {
  int64_t count, from, step, taps, to, stride;
};

/// A convolution of [batch, source, in] to [batch, destination, out] along three axes.
struct Walk {
  int64_t batch, in, out;
  int64_t source[3], destination[3];
  Reach axis[3];
  int64_t voxels(const int64_t grid[3]) const { return grid[0] * grid[1] * grid[2]; }
  /// Floats of one row of taps.
  int64_t row() const { return axis[2].taps * in; }
  int64_t tapRows() const { return axis[0].taps * axis[1].taps; }
};

/// Positions that are worked on at once: planes and rows of them, whole in width.
struct Part {
  int64_t n, plane, planes, row, rows;
};

struct Parts {
  const Walk& w;
  int64_t planes, rows, countD, countH;
  Parts(const Walk& w, int64_t positions) : w(w) {
    const int64_t columns = std::max<int64_t>(1, w.axis[2].count);
    rows = std::clamp<int64_t>(positions / columns, 1, std::max<int64_t>(1, w.axis[1].count));
    planes = std::clamp<int64_t>(positions / (columns * rows), 1, std::max<int64_t>(1, w.axis[0].count));
    countD = (w.axis[0].count + planes - 1) / planes, countH = (w.axis[1].count + rows - 1) / rows;
  }
  int64_t count() const { return w.batch * countD * countH; }
  int64_t positions() const { return planes * rows * w.axis[2].count; }
  Part at(int64_t i) const {
    const int64_t h = i % countH, d = i / countH % countD;
    return {i / countH / countD, d * planes, std::min(planes, w.axis[0].count - d * planes), h * rows, std::min(rows, w.axis[1].count - h * rows)};
  }
  /// Voxels of source along an axis that so many positions reach.
  static int64_t reached(const Reach& r, int64_t positions) { return (positions - 1) * r.step + r.taps; }
  int64_t width() const { return reached(w.axis[2], w.axis[2].count) * w.in; }
  int64_t sourceSize() const { return reached(w.axis[0], planes) * reached(w.axis[1], rows) * width(); }
};

/// The source voxels that a part reaches, with zeros outside the volume: [planes][rows][columns][in].
inline void copySource(const Parts& parts, const Part& p, const float* x, float* to) {
  const Walk& w = parts.w;
  const Reach &d = w.axis[0], &h = w.axis[1], &c = w.axis[2];
  const int64_t planes = Parts::reached(d, p.planes), rows = Parts::reached(h, p.rows), columns = Parts::reached(c, c.count);
  const int64_t begin = std::clamp<int64_t>(-c.from, 0, columns), end = std::clamp<int64_t>(w.source[2] - c.from, begin, columns);
  for (int64_t i = 0; i < planes; i++)
    for (int64_t k = 0; k < rows; k++, to += columns * w.in) {
      const int64_t plane = d.from + p.plane * d.step + i, row = h.from + p.row * h.step + k;
      if (plane < 0 || plane >= w.source[0] || row < 0 || row >= w.source[1]) {
        std::memset(to, 0, columns * w.in * sizeof(float));
        continue;
      }
      const float* from = x + ((p.n * w.source[0] + plane) * w.source[1] + row) * w.source[2] * w.in;
      std::memset(to, 0, begin * w.in * sizeof(float));
      std::memcpy(to + begin * w.in, from + (c.from + begin) * w.in, (end - begin) * w.in * sizeof(float));
      std::memset(to + end * w.in, 0, (columns - end) * w.in * sizeof(float));
    }
}

/// C[M × panel] (+)= Σ over `count` offsets of A at that offset [M × K]·B[K × panel], B one behind the other.
template <int M, int N>
inline void rowsBlock(const float* __restrict a, int64_t lda, const int64_t* offsets, int64_t count, int64_t K, const float* __restrict b,
                      bool add, float* __restrict c) {
  constexpr int W = widest;
  using V = Vec<W>;
  V acc[M][N];
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) acc[i][n] = add ? load<W>(c + i * panel + n * W) : V{};
  for (int64_t t = 0; t < count; t++) {
    const float* from = a + offsets[t];
    for (int64_t k = 0; k < K; k++, b += panel) {
      V row[N];
      for (int n = 0; n < N; n++) row[n] = load<W>(b + n * W);
#pragma GCC unroll 16
      for (int i = 0; i < M; i++) {
        const V s = broadcast<W>(from[i * lda + k]);
        for (int n = 0; n < N; n++) acc[i][n] += s * row[n];
      }
    }
  }
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) store<W>(c + i * panel + n * W, acc[i][n]);
}

/// C[M × panel] += Σ over rows r and columns k of A[starts[r] + k·lda + i]·B[r·columns + k]: a window's row times slopes.
template <int M, int N>
inline void slopeBlock(const float* __restrict a, int64_t lda, const int64_t* starts, int64_t rows, int64_t columns, const float* __restrict b,
                       float* __restrict c, int64_t ldc) {
  constexpr int W = widest;
  using V = Vec<W>;
  V acc[M][N];
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) acc[i][n] = load<W>(c + i * ldc + n * W);
  for (int64_t r = 0; r < rows; r++) {
    const float* from = a + starts[r];
    for (int64_t k = 0; k < columns; k++, from += lda, b += panel) {
      V row[N];
      for (int n = 0; n < N; n++) row[n] = load<W>(b + n * W);
#pragma GCC unroll 16
      for (int i = 0; i < M; i++) {
        const V s = broadcast<W>(from[i]);
        for (int n = 0; n < N; n++) acc[i][n] += s * row[n];
      }
    }
  }
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) store<W>(c + i * ldc + n * W, acc[i][n]);
}

/// y at the walk's destinations = products with `packed` [panel][tap rows][row][panel] + bias.
inline void walk(const Walk& w, const float* x, const float* packed, const float* bias, float* y) {
  const int64_t columns = w.axis[2].count, panels = (w.out + panel - 1) / panel;
  if (w.batch * w.axis[0].count * w.axis[1].count * columns == 0) return;
  const Parts parts(w, 96);
  const int64_t groups = std::clamp<int64_t>(16 / parts.count(), 1, panels), threads = threadCount();
  const int64_t sizeX = roundUp(parts.sourceSize(), 16), size = sizeX + roundUp(parts.positions() * panel, 16);
  Buffer work(size * threads);
  // So many rows of taps at once that their weights stay in the first cache.
  const int64_t K = w.row(), atOnce = std::max<int64_t>(1, 5120 / std::max<int64_t>(1, K * panel));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < parts.count() * groups; task++) {
    const Part p = parts.at(task / groups);
    float *source = work + omp_get_thread_num() * size, *results = source + sizeX;
    copySource(parts, p, x, source);
    const int64_t width = parts.width(), tall = Parts::reached(w.axis[1], p.rows), group = task % groups;
    std::vector<int64_t> offsets;
    for (int64_t d = 0; d < w.axis[0].taps; d++)
      for (int64_t h = 0; h < w.axis[1].taps; h++) offsets.push_back((d * tall + h) * width);
    const int64_t tapRows = w.tapRows();
    for (int64_t j = panels * group / groups; j < panels * (group + 1) / groups; j++) {
      if (tapRows * K == 0) std::memset(results, 0, p.planes * p.rows * columns * panel * sizeof(float));
      for (int64_t t = 0; t < tapRows && K > 0; t += atOnce) {
        const float* b = packed + (j * tapRows + t) * K * panel;
        for (int64_t i = 0; i < p.planes; i++)
          for (int64_t r = 0; r < p.rows; r++) {
            const float* a = source + (i * w.axis[0].step * tall + r * w.axis[1].step) * width;
            float* c = results + (i * p.rows + r) * columns * panel;
            const int64_t lda = w.axis[2].step * w.in;
            forVectors(w.out - j * panel, [&]<int N>() {
              evenRows(columns, [&]<int M>(int64_t at) {
                rowsBlock<M, N>(a + at * lda, lda, offsets.data() + t, std::min(atOnce, tapRows - t), K, b, t > 0, c + at * panel);
              });
            });
          }
      }
      const int64_t n = std::min<int64_t>(panel, w.out - j * panel);
      const float* c = results;
      for (int64_t i = 0; i < p.planes; i++)
        for (int64_t r = 0; r < p.rows; r++) {
          const int64_t plane = w.axis[0].to + (p.plane + i) * w.axis[0].stride, row = w.axis[1].to + (p.row + r) * w.axis[1].stride;
          float* to = y + (((p.n * w.destination[0] + plane) * w.destination[1] + row) * w.destination[2] + w.axis[2].to) * w.out + j * panel;
          for (int64_t q = 0; q < columns; q++, c += panel, to += w.axis[2].stride * w.out) {
            if (bias)
              for (int64_t l = 0; l < n; l++) to[l] = c[l] + bias[j * panel + l];
            else
              for (int64_t l = 0; l < n; l++) to[l] = c[l];
          }
        }
    }
  }
}

/// A strided convolution: grids with channels, and the window.
struct Strided {
  int64_t batch, bigChannels, smallChannels;
  int64_t big[3], small[3], taps[3], step[3], pad[3];
  int64_t window() const { return taps[0] * taps[1] * taps[2]; }
};

inline Walk gatherWalk(const Strided& s) {
  Walk w{s.batch, s.bigChannels, s.smallChannels, {}, {}, {}};
  for (int i = 0; i < 3; i++) {
    w.source[i] = s.big[i], w.destination[i] = s.small[i];
    w.axis[i] = {s.small[i], -s.pad[i], s.step[i], s.taps[i], 0, 1};
  }
  return w;
}

/// small = conv(big, kernel) + bias; kernel [window, big channels, small channels].
inline void gatherStrided(const Strided& s, const float* big, const float* kernel, const float* bias, float* small) {
  Buffer packed(packedSize(s.window() * s.bigChannels, s.smallChannels));
  pack(kernel, s.window() * s.bigChannels, s.smallChannels, s.smallChannels, 1, packed);
  walk(gatherWalk(s), big, packed, bias, small);
}

/// big = the transpose of that on small, + bias.
inline void spreadStrided(const Strided& s, const float* small, const float* kernel, const float* bias, float* big) {
  // Each remainder of the steps has its own taps.
  for (int64_t rest = 0; rest < s.step[0] * s.step[1] * s.step[2]; rest++) {
    const int64_t r[3] = {rest / s.step[2] / s.step[1], rest / s.step[2] % s.step[1], rest % s.step[2]};
    Walk w{s.batch, s.smallChannels, s.bigChannels, {}, {}, {}};
    for (int i = 0; i < 3; i++) {
      w.source[i] = s.small[i], w.destination[i] = s.big[i];
      const int64_t taps = s.taps[i] > r[i] ? (s.taps[i] - r[i] + s.step[i] - 1) / s.step[i] : 0;
      // Big voxel b = step·j + r − pad, from the first j that gives none below 0, reads small voxels j − taps + 1 … j.
      const int64_t first = std::max<int64_t>(0, (s.pad[i] - r[i] + s.step[i] - 1) / s.step[i]), to = s.step[i] * first + r[i] - s.pad[i];
      const int64_t count = to < s.big[i] ? (s.big[i] - 1 - to) / s.step[i] + 1 : 0;
      w.axis[i] = {count, first - taps + 1, 1, std::max<int64_t>(taps, 0), to, s.step[i]};
      if (taps == 0) w.axis[i].from = 0;
    }
    const int64_t none = w.axis[0].taps * w.axis[1].taps * w.axis[2].taps;
    const int64_t K = w.row(), tapRows = w.tapRows(), panels = (w.out + panel - 1) / panel;
    if (none == 0)
      for (Reach& axis : w.axis) axis.taps = 0;
    Buffer packed(none == 0 ? 0 : panels * tapRows * K * panel);
    if (none > 0) {
#pragma omp parallel for schedule(static) num_threads(threadCount())
      for (int64_t j = 0; j < panels; j++)
        for (int64_t t = 0; t < none; t++) {
          // Small voxels ascend where taps descend.
          const int64_t m[3] = {t / w.axis[2].taps / w.axis[1].taps, t / w.axis[2].taps % w.axis[1].taps, t % w.axis[2].taps};
          int64_t tap = 0;
          for (int i = 0; i < 3; i++) tap = tap * s.taps[i] + r[i] + s.step[i] * (w.axis[i].taps - 1 - m[i]);
          const int64_t n = std::min<int64_t>(panel, s.bigChannels - j * panel);
          float* to = packed + (j * none + t) * s.smallChannels * panel;
          const float* from = kernel + (tap * s.bigChannels + j * panel) * s.smallChannels;
          for (int64_t k = 0; k < s.smallChannels; k++, to += panel) {
            for (int64_t l = 0; l < n; l++) to[l] = from[l * s.smallChannels + k];
            for (int64_t l = n; l < panel; l++) to[l] = 0;
          }
        }
    }
    walk(w, small, packed, bias, big);
  }
}

/// Gradient of the kernel [window, big channels, small channels], where `small` is the slope of the convolution's result (or `big` that
/// of the transposed one's).
inline void stridedFilterGradient(const Strided& s, const float* big, const float* small, float* gradient) {
  const Walk w = gatherWalk(s);
  const int64_t panels = (s.smallChannels + panel - 1) / panel, width = panels * panel, K = w.row(), tapRows = w.tapRows();
  const int64_t whole = tapRows * K * width, threads = threadCount();
  const Parts parts(w, 192);
  const int64_t sums = std::clamp<int64_t>((int64_t{1} << 21) / std::max<int64_t>(1, whole), 1, std::min<int64_t>(16, parts.count()));
  const int64_t groups = std::clamp<int64_t>(16 / sums, 1, panels), tall = (panels + groups - 1) / groups;
  const int64_t columns = w.axis[2].count, sizeX = roundUp(parts.sourceSize(), 16), size = sizeX + parts.positions() * tall * panel;
  Buffer sum(sums * whole), work(size * threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t task = 0; task < sums * groups; task++) {
    const int64_t group = task % groups, firstPanel = panels * group / groups, own = panels * (group + 1) / groups - firstPanel;
    float *source = work + omp_get_thread_num() * size, *slopes = source + sizeX, *to = sum + task / groups * whole + firstPanel * panel;
    for (int64_t i = 0; i < tapRows * K; i++) std::memset(to + i * width, 0, own * panel * sizeof(float));
    for (int64_t at = parts.count() * (task / groups) / sums; at < parts.count() * (task / groups + 1) / sums; at++) {
      const Part p = parts.at(at);
      copySource(parts, p, big, source);
      const int64_t positions = p.planes * p.rows * columns, line = parts.width(), high = Parts::reached(w.axis[1], p.rows);
      std::vector<int64_t> starts;
      for (int64_t i = 0; i < p.planes; i++)
        for (int64_t r = 0; r < p.rows; r++) {
          starts.push_back((i * w.axis[0].step * high + r * w.axis[1].step) * line);
          const float* from = small + ((p.n * s.small[0] + p.plane + i) * s.small[1] + p.row + r) * columns * s.smallChannels;
          for (int64_t q = 0; q < columns; q++, from += s.smallChannels)
            for (int64_t j = 0; j < own; j++) {
              const int64_t channel = (firstPanel + j) * panel, n = std::min<int64_t>(panel, s.smallChannels - channel);
              float* slope = slopes + (j * positions + (i * p.rows + r) * columns + q) * panel;
              std::memcpy(slope, from + channel, n * sizeof(float));
              std::memset(slope + n, 0, (panel - n) * sizeof(float));
            }
        }
      for (int64_t t = 0; t < tapRows; t++) {
        const float* a = source + (t / w.axis[1].taps * high + t % w.axis[1].taps) * line;
        for (int64_t j = 0; j < own; j++)
          forVectors(s.smallChannels - (firstPanel + j) * panel, [&]<int N>() {
            evenRows(K, [&]<int M>(int64_t row) {
              slopeBlock<M, N>(a + row, w.axis[2].step * w.in, starts.data(), starts.size(), columns, slopes + j * positions * panel,
                               to + (t * K + row) * width + j * panel, width);
            });
          });
      }
    }
  }
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t row = 0; row < tapRows * K; row++)
    for (int64_t l = 0; l < s.smallChannels; l++) {
      float total = sum[row * width + l];
      for (int64_t i = 1; i < sums; i++) total += sum[i * whole + row * width + l];
      gradient[row * s.smallChannels + l] = total;
    }
}

}  // namespace voxelbook
