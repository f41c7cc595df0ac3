// The inner loops of depthwise convolution: one row of the output, or of the kernel's gradient, at a time.
//
// Several neighbouring results stay in registers while the rows of the window run; each input vector is loaded once and
// used for every result it reaches. Windows of 1 to 5 and 7 taps are unrolled.
#include "depthwise.h"

namespace voxelbook {
namespace {

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

/// The same for one vector of channels.
template <int W, int K, int S>
inline void kernelBlock(const float* big, int64_t bigWidth, const float* small, int64_t smallWidth, int64_t taps, int64_t pad, int64_t C,
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

}  // namespace

void row(const RowSum& sum, int64_t stride, int64_t count, int64_t C, const float* init, int64_t initStep, const float* bias,
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

void kernelRow(const float* big, int64_t bigWidth, const float* small, int64_t smallWidth, int64_t taps, int64_t stride, int64_t pad,
               int64_t C, float* gradient) {
  forWidth(C, [&]<int W>() {
    auto channels = [&](int64_t c) {
      float* g = gradient + c;
      auto run = [&]<int K, int S>() { kernelBlock<W, K, S>(big, bigWidth, small, smallWidth, taps, pad, C, c, stride, g); };
      if constexpr (W == widest) {
        if (stride == 1 && taps == 1) return run.template operator()<1, 1>();
        if (stride == 1 && taps == 3) return run.template operator()<3, 1>();
        if (stride == 1 && taps == 5) return run.template operator()<5, 1>();
        if (stride == 1 && taps == 7) return run.template operator()<7, 1>();
        if (stride == 2 && taps == 3) return run.template operator()<3, 2>();
        if (stride == 2 && taps == 5) return run.template operator()<5, 2>();
        if (stride == 2 && taps == 7) return run.template operator()<7, 2>();
      }
      run.template operator()<0, 1>();
    };
    int64_t c = 0;
    for (; c + W <= C; c += W) channels(c);
    if (c == C) return;
    // The last vector is moved back; the channels it has in common with the one before would be added twice, so their
    // sums are put back afterwards.
    const int64_t from = C - W, common = c - from;
    float kept[mostTaps][16];
    for (int64_t t = 0; t < taps; t++) std::memcpy(kept[t], gradient + t * C + from, common * sizeof(float));
    channels(from);
    for (int64_t t = 0; t < taps; t++) std::memcpy(gradient + t * C + from, kept[t], common * sizeof(float));
  });
}

}  // namespace voxelbook
