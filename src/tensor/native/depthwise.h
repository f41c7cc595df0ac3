// Depthwise convolution, channels last, with any kernel, stride and padding per axis.
//
// Three routines serve the convolution, the transposed convolution and all their gradients. `big` is the grid of the
// convolution's input, `small` that of its output; kernel tap t joins big position s·q + t − p to small position q:
//   gather          small[q] = Σ_t big[s·q + t − p] · k[t]      convolution; data gradient of the transposed one
//   spread          big[i]   = Σ_{q,t: s·q+t−p=i} small[q]·k[t] transposed convolution; data gradient of the plain one
//   kernelGradient  k[t]     = Σ_q big[s·q + t − p] · small[q]  of both
// The kernel is [kd, kh, kw, 1, C] as TensorFlow lays it out, so a tap is C floats in a row.
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "op.h"
#include "vector.h"

namespace voxelbook {

struct Grid {
  int64_t d, h, w;
  int64_t voxels() const { return d * h * w; }
};

struct Depthwise {
  int64_t kernel[3], stride[3], pad[3];
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

constexpr int64_t mostTaps = 64;         // per axis; a stride at most as long, so that a transposed grid stays near its input's size
constexpr int64_t furthest = 1ll << 20;  // padding: positions stay far from where whole numbers end

/// One output row: which rows of the input it sums, with which row of the kernel, and how positions correspond.
struct RowSum {
  const float* rows[mostTaps * mostTaps];
  const float* weights[mostTaps * mostTaps];
  int count = 0;
  int64_t taps = 0;        // per row
  int64_t tapStep = 0;     // floats from one tap's weights to the next
  int64_t inputWidth = 0;  // positions in a row
  int64_t base = 0;        // input position of tap 0 for output 0
};

/// One output row: out[i] = init[i] + bias + Σ, for `count` positions. `stride` is the step in the input per output;
/// `initStep` and `outStep` are floats from one position to the next.
void row(const RowSum& sum, int64_t stride, int64_t count, int64_t C, const float* init, int64_t initStep, const float* bias,
         float* out, int64_t outStep);

/// Adds one small row's part of the gradients of one kernel row (`taps` × C floats at `gradient`), all channels.
void kernelRow(const float* big, int64_t bigWidth, const float* small, int64_t smallWidth, int64_t taps, int64_t stride, int64_t pad,
               int64_t C, float* gradient);

/// Rows of an output grid in the order they are worked on: strips of rows, plane by plane, so that the planes a kernel
/// reaches stay in the second-level cache. `Rows` numbers them; a thread takes a contiguous range.
struct Rows {
  int64_t batch, d, h, strip, strips;
  Rows(int64_t batch, const Grid& out, int64_t rowBytes) : batch(batch), d(out.d), h(out.h) {
    strip = std::clamp<int64_t>(int64_t{96 << 10} / std::max<int64_t>(rowBytes, 1), 4, 32);
    strip = std::max<int64_t>(1, std::min(strip, h));
    strips = h ? (h + strip - 1) / strip : 0;
  }
  /// Work items: a strip of rows of one plane.
  int64_t items() const { return batch * strips * d; }
  template <class Fn>
  void each(int64_t item, Fn&& fn) const {
    const int64_t plane = item % d, s = item / d % strips, n = item / d / strips;
    for (int64_t y = s * strip; y < std::min(h, (s + 1) * strip); y++) fn(n, plane, y);
  }
};

struct Nothing {
  void operator()(int64_t, int64_t, int64_t, int64_t, const float*) const {}
};

/// small[n, q] = init + bias + Σ_t big[n, s·q + t − p]·k[t]. `after(item, n, d, h, row)` sees each finished row.
template <class After = Nothing>
void gather(const float* big, const Grid& bigGrid, const float* kernel, const Depthwise& conv, int64_t batch, int64_t C,
            const float* init, const float* bias, float* small, const Grid& smallGrid, After after = {}) {
  const Rows rows(batch, smallGrid, bigGrid.w * C * 4);
  const int64_t items = rows.items();
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t item = 0; item < items; item++) {
    auto sum = std::make_unique_for_overwrite<RowSum>();
    rows.each(item, [&](int64_t n, int64_t d, int64_t h) {
      sum->count = 0;
      for (int64_t kd = 0; kd < conv.kernel[0]; kd++) {
        const int64_t z = d * conv.stride[0] + kd - conv.pad[0];
        if (z < 0 || z >= bigGrid.d) continue;
        for (int64_t kh = 0; kh < conv.kernel[1]; kh++) {
          const int64_t y = h * conv.stride[1] + kh - conv.pad[1];
          if (y < 0 || y >= bigGrid.h) continue;
          sum->rows[sum->count] = big + ((n * bigGrid.d + z) * bigGrid.h + y) * bigGrid.w * C;
          sum->weights[sum->count++] = kernel + (kd * conv.kernel[1] + kh) * conv.kernel[2] * C;
        }
      }
      sum->taps = conv.kernel[2], sum->tapStep = C, sum->inputWidth = bigGrid.w, sum->base = -conv.pad[2];
      const int64_t at = ((n * smallGrid.d + d) * smallGrid.h + h) * smallGrid.w * C;
      row(*sum, conv.stride[2], smallGrid.w, C, init ? init + at : nullptr, C, bias, small + at, C);
      after(item, n, d, h, small + at);
    });
  }
}

/// big[n, i] = init + bias + Σ over small positions that reach i.
template <class After = Nothing>
void spread(const float* small, const Grid& smallGrid, const float* kernel, const Depthwise& conv, int64_t batch, int64_t C,
            const float* init, const float* bias, float* big, const Grid& bigGrid, After after = {}) {
  const Rows rows(batch, bigGrid, smallGrid.w * C * 4);
  const int64_t items = rows.items(), s = conv.stride[2];
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t item = 0; item < items; item++) {
    auto sum = std::make_unique_for_overwrite<RowSum>();
    rows.each(item, [&](int64_t n, int64_t d, int64_t h) {
      sum->count = 0;
      for (int64_t kd = 0; kd < conv.kernel[0]; kd++) {
        const int64_t z = d + conv.pad[0] - kd;
        if (z < 0 || z % conv.stride[0] || z / conv.stride[0] >= smallGrid.d) continue;
        for (int64_t kh = 0; kh < conv.kernel[1]; kh++) {
          const int64_t y = h + conv.pad[1] - kh;
          if (y < 0 || y % conv.stride[1] || y / conv.stride[1] >= smallGrid.h) continue;
          sum->rows[sum->count] = small + ((n * smallGrid.d + z / conv.stride[0]) * smallGrid.h + y / conv.stride[1]) * smallGrid.w * C;
          sum->weights[sum->count++] = kernel + (kd * conv.kernel[1] + kh) * conv.kernel[2] * C;
        }
      }
      const int64_t at = ((n * bigGrid.d + d) * bigGrid.h + h) * bigGrid.w * C;
      const int all = sum->count;
      // Outputs i = s·m + r: only taps of one residue reach them, in falling order of input position.
      for (int64_t r = 0; r < std::min(s, bigGrid.w); r++) {
        const int64_t t0 = (r + conv.pad[2]) % s;
        const int64_t taps = t0 < conv.kernel[2] ? (conv.kernel[2] - 1 - t0) / s + 1 : 0;
        const int64_t last = t0 + (taps - 1) * s;
        sum->count = taps ? all : 0;
        sum->taps = taps, sum->tapStep = -s * C, sum->inputWidth = smallGrid.w;
        sum->base = (r + conv.pad[2] - t0) / s - (taps - 1);
        if (taps)
          for (int i = 0; i < all; i++) sum->weights[i] += last * C;
        row(*sum, 1, (bigGrid.w - r + s - 1) / s, C, init ? init + at + r * C : nullptr, s * C, bias, big + at + r * C, s * C);
        if (taps)
          for (int i = 0; i < all; i++) sum->weights[i] -= last * C;
      }
      after(item, n, d, h, big + at);
    });
  }
}

/// Gradient of the kernel [taps, C]; where `biasGradient` is given, also Σ small per channel.
inline void kernelGradient(const float* big, const Grid& bigGrid, const float* small, const Grid& smallGrid, const Depthwise& conv,
                           int64_t batch, int64_t C, float* gradient, float* biasGradient) {
  const Rows rows(batch, smallGrid, bigGrid.w * C * 4);
  const int64_t items = rows.items(), taps = conv.taps(), size = (taps + 1) * C;
  const int threads = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threadCount(), items)));
  // Each thread sums its own rows; the sums are then added in the threads' order.
  Buffer partial(size * threads);
  std::memset(partial, 0, size * threads * sizeof(float));
#pragma omp parallel num_threads(threads)
  {
    float* mine = partial + size * omp_get_thread_num();
#pragma omp for schedule(static)
    for (int64_t item = 0; item < items; item++)
      rows.each(item, [&](int64_t n, int64_t d, int64_t h) {
        const float* dy = small + ((n * smallGrid.d + d) * smallGrid.h + h) * smallGrid.w * C;
        for (int64_t kd = 0; kd < conv.kernel[0]; kd++) {
          const int64_t z = d * conv.stride[0] + kd - conv.pad[0];
          if (z < 0 || z >= bigGrid.d) continue;
          for (int64_t kh = 0; kh < conv.kernel[1]; kh++) {
            const int64_t y = h * conv.stride[1] + kh - conv.pad[1];
            if (y < 0 || y >= bigGrid.h) continue;
            kernelRow(big + ((n * bigGrid.d + z) * bigGrid.h + y) * bigGrid.w * C, bigGrid.w, dy, smallGrid.w, conv.kernel[2],
                      conv.stride[2], conv.pad[2], C, mine + (kd * conv.kernel[1] + kh) * conv.kernel[2] * C);
          }
        }
        for (int64_t w = 0; biasGradient && w < smallGrid.w; w++)
          for (int64_t c = 0; c < C; c++) mine[taps * C + c] += dy[w * C + c];
      });
  }
  std::memset(gradient, 0, taps * C * sizeof(float));
  if (biasGradient) std::memset(biasGradient, 0, C * sizeof(float));
  for (int t = 0; t < threads; t++) {
    const float* from = partial + size * t;
    for (int64_t i = 0; i < taps * C; i++) gradient[i] += from[i];
    if (biasGradient)
      for (int64_t c = 0; c < C; c++) biasGradient[c] += from[taps * C + c];
  }
}

/// Five axes of a tensor [batch, (depth,) height, width, channel]; 2-D is depth 1.
inline Shape five(const Shape& shape, const char* what) {
  EXPECT(shape.size() == 4 || shape.size() == 5,
         std::string(what) + " " + text(shape) + " must be [batch, (depth,) height, width, channel]");
  if (shape.size() == 5) return shape;
  return {shape[0], 1, shape[1], shape[2], shape[3]};
}
inline Grid gridOf(const Shape& five) { return {five[1], five[2], five[3]}; }
/// The shape of the result, in the rank of the input.
inline Shape withRank(size_t rank, int64_t batch, const Grid& grid, int64_t channels) {
  EXPECT(rank != 4 || grid.d == 1, "an input of rank 4 has no depth; the settings give one of " + std::to_string(grid.d));
  if (rank == 4) return {batch, grid.h, grid.w, channels};
  return {batch, grid.d, grid.h, grid.w, channels};
}

/// Reads kernel [(kd,) kh, kw, 1, C] with six settings stride d,h,w and padding d,h,w from `ints[at…]`.
inline Depthwise depthwiseOf(const Shape& kernel, const std::vector<int64_t>& ints, size_t at, int64_t channels) {
  EXPECT(ints.size() >= at + 6, "six numbers of stride and padding expected");
  const Shape k = kernel.size() == 4 ? Shape{1, kernel[0], kernel[1], kernel[2], kernel[3]} : kernel;
  EXPECT(k.size() == 5 && k[3] == 1 && k[4] == channels,
         "kernel " + text(kernel) + " must be [(kd,) kh, kw, 1, " + std::to_string(channels) + "]");
  Depthwise conv;
  for (int i = 0; i < 3; i++) {
    conv.kernel[i] = k[i], conv.stride[i] = ints[at + i], conv.pad[i] = ints[at + 3 + i];
    EXPECT(conv.kernel[i] >= 1 && conv.kernel[i] <= mostTaps, "kernel " + text(kernel) + ": edges must be 1 to " + std::to_string(mostTaps));
    EXPECT(conv.stride[i] >= 1 && conv.stride[i] <= mostTaps, "stride must be 1 to " + std::to_string(mostTaps));
    EXPECT(conv.pad[i] >= 0 && conv.pad[i] <= furthest, "padding must be 0 to " + std::to_string(furthest));
  }
  return conv;
}

inline Grid smallGrid(const Grid& big, const Depthwise& conv) {
  const int64_t n[3] = {big.d, big.h, big.w};
  int64_t out[3];
  for (int i = 0; i < 3; i++) {
    const int64_t room = n[i] + 2 * conv.pad[i] - conv.kernel[i];
    out[i] = room < 0 ? 0 : room / conv.stride[i] + 1;
  }
  return {out[0], out[1], out[2]};
}

}  // namespace voxelbook
