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

constexpr int64_t mostTaps = 64;  // per axis

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

/// `outputs` results from output position `first` on, K taps (0: as many as the sum says), input step S.
template <int W, int K, int S, int B, bool Border>
inline void rowBlock(const RowSum& sum, int64_t first, int64_t channel, int64_t C, const float* init, int64_t initStep,
                     const float* bias, float* out, int64_t outStep) {
  using V = Vec<W>;
  static const float zeros[16] = {};
  const int64_t taps = K ? K : sum.taps;
  V acc[B];
  const V start = bias ? load<W>(bias + channel) : V{};
  for (int i = 0; i < B; i++) acc[i] = init ? load<W>(init + i * initStep + channel) + start : start;
  const int64_t from = sum.base + first * S;
  for (int r = 0; r < sum.count; r++) {
    const float* x = sum.rows[r] + channel;
    const float* w = sum.weights[r] + channel;
    auto at = [&](int64_t j) -> V {
      const int64_t position = from + j;
      if constexpr (Border) return load<W>(static_cast<uint64_t>(position) < static_cast<uint64_t>(sum.inputWidth) ? x + position * C : zeros);
      else return load<W>(x + position * C);
    };
    if constexpr (K > 0) {
      V k[K];
#pragma GCC unroll 8
      for (int t = 0; t < K; t++) k[t] = load<W>(w + t * sum.tapStep);
#pragma GCC unroll 32
      for (int j = 0; j < (B - 1) * S + K; j++) {
        const V v = at(j);
#pragma GCC unroll 8
        for (int i = 0; i < B; i++)
          if (j - i * S >= 0 && j - i * S < K) acc[i] += v * k[j - i * S];
      }
    } else {
      for (int64_t t = 0; t < taps; t++) {
        const V k = load<W>(w + t * sum.tapStep);
        for (int i = 0; i < B; i++) acc[i] += at(i * S + t) * k;
      }
    }
  }
  for (int i = 0; i < B; i++) store<W>(out + i * outStep + channel, acc[i]);
}

/// A whole output row of `count` positions; the last block is moved back so that it ends at the end.
template <int W, int K, int S>
inline void rowOf(const RowSum& sum, int64_t count, int64_t C, const float* init, int64_t initStep, const float* bias, float* out,
                  int64_t outStep) {
  auto run = [&]<int B>(int64_t first) {
    const int64_t from = sum.base + first * S, to = from + (B - 1) * S + sum.taps;
    const bool border = from < 0 || to > sum.inputWidth;
    const float* start = init ? init + first * initStep : nullptr;
    forChannels<W>(C, [&](int64_t c) {
      if (border) rowBlock<W, K, S, B, true>(sum, first, c, C, start, initStep, bias, out + first * outStep, outStep);
      else rowBlock<W, K, S, B, false>(sum, first, c, C, start, initStep, bias, out + first * outStep, outStep);
    });
  };
  auto blocks = [&]<int B>() {
    int64_t first = 0;
    for (; first + B <= count; first += B) run.template operator()<B>(first);
    if (first < count) run.template operator()<B>(count - B);
  };
  if (count >= 8) blocks.template operator()<8>();
  else if (count >= 4) blocks.template operator()<4>();
  else blocks.template operator()<1>();
}

inline void row(const RowSum& sum, int64_t stride, int64_t count, int64_t C, const float* init, int64_t initStep, const float* bias,
                float* out, int64_t outStep) {
  if (count <= 0) return;
  forWidth(C, [&]<int W>() {
    auto withStride = [&]<int S>() {
      // Small kernels are unrolled for the widest vector; narrow channels are rare and take the general loop.
      if constexpr (W == widest) {
        switch (sum.taps) {
          case 1: return rowOf<W, 1, S>(sum, count, C, init, initStep, bias, out, outStep);
          case 2: return rowOf<W, 2, S>(sum, count, C, init, initStep, bias, out, outStep);
          case 3: return rowOf<W, 3, S>(sum, count, C, init, initStep, bias, out, outStep);
          case 4: return rowOf<W, 4, S>(sum, count, C, init, initStep, bias, out, outStep);
          case 5: return rowOf<W, 5, S>(sum, count, C, init, initStep, bias, out, outStep);
          case 7: return rowOf<W, 7, S>(sum, count, C, init, initStep, bias, out, outStep);
        }
      }
      rowOf<W, 0, S>(sum, count, C, init, initStep, bias, out, outStep);
    };
    if (stride == 1) withStride.template operator()<1>();
    else if (stride == 2) withStride.template operator()<2>();
    else {
      // Any other stride: one output at a time.
      RowSum one = sum;
      for (int64_t i = 0; i < count; i++) {
        one.base = sum.base + i * stride;
        rowOf<W, 0, 1>(one, 1, C, init ? init + i * initStep : nullptr, initStep, bias, out + i * outStep, outStep);
      }
    }
  });
}

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

/// Adds one small row's contribution to the gradients of one kernel row.
template <int W, int K, int S>
inline void kernelRow(const float* big, int64_t bigWidth, const float* small, int64_t smallWidth, int64_t taps, int64_t pad, int64_t C,
                      int64_t channel, int64_t stride, float* gradient) {
  using V = Vec<W>;
  if constexpr (K > 0) {
    constexpr int B = 8;
    static const float zeros[16] = {};
    V acc[2][K];
    for (int t = 0; t < K; t++) acc[0][t] = load<W>(gradient + t * C), acc[1][t] = V{};
    auto run = [&]<bool Border>(int64_t first) {
      V dy[B];
#pragma GCC unroll 8
      for (int i = 0; i < B; i++)
        dy[i] = load<W>(!Border || first + i < smallWidth ? small + (first + i) * C + channel : zeros);
      const int64_t from = first * S - pad;
#pragma GCC unroll 32
      for (int j = 0; j < (B - 1) * S + K; j++) {
        const int64_t position = from + j;
        const V v = load<W>(!Border || static_cast<uint64_t>(position) < static_cast<uint64_t>(bigWidth) ? big + position * C + channel : zeros);
#pragma GCC unroll 8
        for (int i = 0; i < B; i++)
          if (j - i * S >= 0 && j - i * S < K) acc[i & 1][j - i * S] += v * dy[i];
      }
    };
    for (int64_t first = 0; first < smallWidth; first += B) {
      const int64_t from = first * S - pad;
      if (from < 0 || from + (B - 1) * S + K > bigWidth || first + B > smallWidth) run.template operator()<true>(first);
      else run.template operator()<false>(first);
    }
    for (int t = 0; t < K; t++) store<W>(gradient + t * C, acc[0][t] + acc[1][t]);
  } else {
    for (int64_t t = 0; t < taps; t++) {
      V acc = load<W>(gradient + t * C);
      for (int64_t q = 0; q < smallWidth; q++) {
        const int64_t position = q * stride + t - pad;
        if (position >= 0 && position < bigWidth) acc += load<W>(big + position * C + channel) * load<W>(small + q * C + channel);
      }
      store<W>(gradient + t * C, acc);
    }
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
        forWidth(C, [&]<int W>() {
          // The overlapping last vector would add twice: its channels are summed aside and only the new ones kept.
          auto channels = [&](int64_t c, int64_t skip) {
            for (int64_t kd = 0; kd < conv.kernel[0]; kd++) {
              const int64_t z = d * conv.stride[0] + kd - conv.pad[0];
              if (z < 0 || z >= bigGrid.d) continue;
              for (int64_t kh = 0; kh < conv.kernel[1]; kh++) {
                const int64_t y = h * conv.stride[1] + kh - conv.pad[1];
                if (y < 0 || y >= bigGrid.h) continue;
                const float* x = big + ((n * bigGrid.d + z) * bigGrid.h + y) * bigGrid.w * C;
                float* g = mine + (kd * conv.kernel[1] + kh) * conv.kernel[2] * C + c;
                float kept[mostTaps][16];
                for (int64_t t = 0; t < conv.kernel[2] && skip; t++) std::memcpy(kept[t], g + t * C, skip * sizeof(float));
                auto run = [&]<int K, int S>() {
                  kernelRow<W, K, S>(x, bigGrid.w, dy, smallGrid.w, conv.kernel[2], conv.pad[2], C, c, conv.stride[2], g);
                };
                const int64_t k = conv.kernel[2], s = conv.stride[2];
                if (W == widest && s == 1 && k == 1) run.template operator()<W == widest ? 1 : 0, 1>();
                else if (W == widest && s == 1 && k == 3) run.template operator()<W == widest ? 3 : 0, 1>();
                else if (W == widest && s == 1 && k == 5) run.template operator()<W == widest ? 5 : 0, 1>();
                else if (W == widest && s == 1 && k == 7) run.template operator()<W == widest ? 7 : 0, 1>();
                else if (W == widest && s == 2 && k == 3) run.template operator()<W == widest ? 3 : 0, 2>();
                else if (W == widest && s == 2 && k == 5) run.template operator()<W == widest ? 5 : 0, 2>();
                else if (W == widest && s == 2 && k == 7) run.template operator()<W == widest ? 7 : 0, 2>();
                else run.template operator()<0, 1>();
                for (int64_t t = 0; t < conv.kernel[2] && skip; t++) std::memcpy(g + t * C, kept[t], skip * sizeof(float));
              }
            }
            if (biasGradient) {
              float* g = mine + taps * C + c;
              float kept[16];
              if (skip) std::memcpy(kept, g, skip * sizeof(float));
              Vec<W> acc{};
              for (int64_t w = 0; w < smallGrid.w; w++) acc += load<W>(dy + w * C + c);
              store<W>(g, load<W>(g) + acc);
              if (skip) std::memcpy(g, kept, skip * sizeof(float));
            }
          };
          int64_t c = 0;
          for (; c + W <= C; c += W) channels(c, 0);
          if (c < C) channels(C - W, c - (C - W));
        });
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
    EXPECT(conv.stride[i] >= 1 && conv.pad[i] >= 0, "stride must be positive and padding not negative");
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
