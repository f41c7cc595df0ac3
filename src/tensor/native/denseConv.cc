// Operators: dense convolution that keeps the size (winograd.h) or walks in steps (strided.h), the latter's transpose, and gradients.
#include "depthwise.h"
#include "strided.h"
#include "winograd.h"

namespace voxelbook {
namespace {

/// Sizes of x [batch, (D,) H, W, in] under a window [(depth,) 3, 3, in, out].
Same sameOf(const Shape& input, const Shape& window, const Shape& kernel, int64_t out) {
  const Shape x = five(input, "input");
  EXPECT(window.size() == 3 && (window[0] == 1 || window[0] == 3) && window[1] == 3 && window[2] == 3,
         "kernel " + text(kernel) + " must be [(1 or 3,) 3, 3, in, out]");
  // A window of one plane treats the planes of all entries alike.
  return window[0] == 1 ? Same{1, x[0] * x[1], x[2], x[3], x[4], out, 1} : Same{x[0], x[1], x[2], x[3], x[4], out, 3};
}

Shape windowOf(const Shape& kernel) {
  if (kernel.size() == 4) return {1, kernel[0], kernel[1]};
  return kernel.size() == 5 ? Shape{kernel[0], kernel[1], kernel[2]} : Shape{};
}

/// Inputs x, kernel, bias [out] or [0]; ints: 1 to convolve a slope with the turned kernel [(depth,) 3, 3, out, in], else 0.
void convolution(Call& call) {
  EXPECT(call.ints.size() == 1 && (call.ints[0] == 0 || call.ints[0] == 1), "one setting expected, 0 or 1");
  const bool turned = call.ints[0] == 1;
  const Shape& kernel = call.shape(1);
  EXPECT(kernel.size() == call.shape(0).size(), "kernel " + text(kernel) + " for an input of " + text(call.shape(0)));
  const Shape window = windowOf(kernel);
  const int64_t in = kernel[kernel.size() - (turned ? 1 : 2)], out = kernel[kernel.size() - (turned ? 2 : 1)];
  const Same c = sameOf(call.shape(0), window, kernel, out);
  EXPECT(c.in == in, "kernel " + text(kernel) + " takes " + std::to_string(in) + " channels, the input " + text(call.shape(0)) + " has others");
  const bool bias = sizeOf(call.shape(2)) > 0;
  EXPECT(!bias || sizeOf(call.shape(2)) == out, "bias " + text(call.shape(2)) + " for " + std::to_string(out) + " channels");
  Shape shape = call.shape(0);
  shape.back() = out;
  float* y = call.output(0, shape);
  if (sizeOf(shape) == 0) return;
  winograd(c, call.input(0), call.input(1), turned, bias ? call.input(2) : nullptr, y);
}

/// Inputs x, dy; ints: the window's depth in voxels, 0 for pictures. Outputs the gradients of kernel and bias.
void filterGradient(Call& call) {
  const Shape &x = call.shape(0), &dy = call.shape(1);
  const bool flat = x.size() == 4;
  EXPECT(call.ints.size() == 1 && (flat ? call.ints[0] == 0 : call.ints[0] == 1 || call.ints[0] == 3), "one setting expected: the window's depth, 0 for pictures");
  EXPECT(x.size() == dy.size() && x.size() >= 4 && std::equal(x.begin(), x.end() - 1, dy.begin()), "input " + text(x) + " and gradient " + text(dy) + " must agree but for the channels");
  const int64_t depth = flat ? 1 : call.ints[0], out = dy.back();
  Shape kernel = {3, 3, x.back(), out};
  if (!flat) kernel.insert(kernel.begin(), depth);
  const Same c = sameOf(x, {depth, 3, 3}, kernel, out);
  float *dg = call.output(0, kernel), *db = call.output(1, {out});
  if (sizeOf(x) == 0 || out == 0) {
    std::fill(dg, dg + sizeOf(kernel), 0.0f), std::fill(db, db + out, 0.0f);
    return;
  }
  winogradFilterGradient(c, call.input(0), call.input(1), dg);
  channelSums(call.input(1), c.voxels(), out, db);
}

constexpr int64_t furthestStep = 64;

/// Between grids big [batch, (D,) H, W, …] and small, with stride[3] and padding[3] from the settings. The sizes of small follow, or are
/// checked where they are given.
Strided stridedOf(const Shape& big, const Shape& window, const std::vector<int64_t>& ints, int64_t bigChannels, int64_t smallChannels,
                  const Shape* small) {
  EXPECT(window.size() == 3, "a kernel has two or three axes of space and two of channels");
  Strided s{big[0], bigChannels, smallChannels, {}, {}, {}, {}, {}};
  for (int i = 0; i < 3; i++) {
    s.big[i] = big[i + 1], s.taps[i] = window[i], s.step[i] = ints[i], s.pad[i] = ints[i + 3];
    EXPECT(s.step[i] >= 1 && s.step[i] <= furthestStep, "stride " + std::to_string(s.step[i]) + " must be 1 to " + std::to_string(furthestStep));
    EXPECT(s.taps[i] >= 1 && s.taps[i] <= furthestStep, "window " + text(window) + " must be 1 to " + std::to_string(furthestStep) + " voxels");
    EXPECT(s.pad[i] >= 0 && s.pad[i] <= s.taps[i], "padding " + std::to_string(s.pad[i]) + " must be 0 to the window's " + std::to_string(s.taps[i]));
    const int64_t room = s.big[i] + 2 * s.pad[i] - s.taps[i];
    EXPECT(room >= 0, "a grid of " + std::to_string(s.big[i]) + " has no room for a window of " + text(window));
    s.small[i] = room / s.step[i] + 1;
    EXPECT(!small || (*small)[i + 1] == s.small[i],
           "a grid " + text(*small) + " where the window gives " + std::to_string(s.small[i]) + " on axis " + std::to_string(i));
  }
  EXPECT(!small || (*small)[0] == s.batch, "batches must agree");
  return s;
}

Shape ofRank(const Shape& like, int64_t batch, const int64_t grid[3], int64_t channels) {
  return withRank(like.size(), batch, Grid{grid[0], grid[1], grid[2]}, channels);
}

/// Inputs big, kernel [(kd,) kh, kw, big channels, small channels], bias [small channels] or [0]; ints stride[3], padding[3].
void strided(Call& call) {
  EXPECT(call.ints.size() == 6, "six settings expected");
  const Shape big = five(call.shape(0), "input"), &kernel = call.shape(1);
  EXPECT(kernel.size() == call.shape(0).size() && kernel[kernel.size() - 2] == big[4],
         "kernel " + text(kernel) + " for an input of " + text(call.shape(0)));
  const Strided s = stridedOf(big, windowOf(kernel), call.ints, big[4], kernel.back(), nullptr);
  const bool bias = sizeOf(call.shape(2)) > 0;
  EXPECT(!bias || sizeOf(call.shape(2)) == s.smallChannels, "bias " + text(call.shape(2)) + " for " + std::to_string(s.smallChannels) + " channels");
  const Shape shape = ofRank(call.shape(0), s.batch, s.small, s.smallChannels);
  float* y = call.output(0, shape);
  if (sizeOf(shape) > 0) gatherStrided(s, call.input(0), call.input(1), bias ? call.input(2) : nullptr, y);
}

/// The transpose. Inputs small, kernel as above, bias [big channels] or [0]; ints stride[3], padding[3], grid of big[3].
void stridedTransposed(Call& call) {
  EXPECT(call.ints.size() == 9, "nine settings expected");
  const Shape small = five(call.shape(0), "input"), &kernel = call.shape(1);
  EXPECT(kernel.size() == call.shape(0).size() && kernel.back() == small[4], "kernel " + text(kernel) + " for an input of " + text(call.shape(0)));
  const Shape big = {small[0], call.ints[6], call.ints[7], call.ints[8]};
  for (int i = 1; i < 4; i++) EXPECT(big[i] >= 1 && big[i] <= 1 << 20, "output size " + std::to_string(big[i]) + " must be 1 to 2^20");
  const Strided s = stridedOf(big, windowOf(kernel), call.ints, kernel[kernel.size() - 2], small[4], &small);
  const bool bias = sizeOf(call.shape(2)) > 0;
  EXPECT(!bias || sizeOf(call.shape(2)) == s.bigChannels, "bias " + text(call.shape(2)) + " for " + std::to_string(s.bigChannels) + " channels");
  const Shape shape = ofRank(call.shape(0), s.batch, s.big, s.bigChannels);
  float* y = call.output(0, shape);
  if (sizeOf(shape) > 0) spreadStrided(s, call.input(0), call.input(1), bias ? call.input(2) : nullptr, y);
}

/// Inputs big, small; ints stride[3], padding[3], window[3], and 1 where big is the slope, 0 where small is. Outputs the gradients of the
/// kernel and of the bias: the slope's sum.
void stridedGradient(Call& call) {
  EXPECT(call.ints.size() == 10 && (call.ints[9] == 0 || call.ints[9] == 1), "ten settings expected, the last 0 or 1");
  const Shape big = five(call.shape(0), "input"), small = five(call.shape(1), "result");
  EXPECT(call.shape(0).size() == call.shape(1).size(), "input " + text(call.shape(0)) + " and result " + text(call.shape(1)) + " must have one rank");
  const Strided s = stridedOf(big, {call.ints[6], call.ints[7], call.ints[8]}, call.ints, big[4], small[4], &small);
  const bool transposed = call.ints[9] == 1;
  Shape kernel = {s.taps[1], s.taps[2], s.bigChannels, s.smallChannels};
  if (call.shape(0).size() == 5) kernel.insert(kernel.begin(), s.taps[0]);
  else EXPECT(s.taps[0] == 1, "a picture's window has no depth");
  const int64_t channels = transposed ? s.bigChannels : s.smallChannels;
  float *gradient = call.output(0, kernel), *sum = call.output(1, {channels});
  if (sizeOf(big) == 0 || sizeOf(small) == 0) {
    std::fill(gradient, gradient + sizeOf(kernel), 0.0f), std::fill(sum, sum + channels, 0.0f);
    return;
  }
  stridedFilterGradient(s, call.input(0), call.input(1), gradient);
  const Shape& slope = transposed ? big : small;
  channelSums(call.input(transposed ? 0 : 1), sizeOf(slope) / channels, channels, sum);
}

__attribute__((constructor)) void add() {
  registerOp<convolution>("VoxelbookConv", 3, 1);
  registerOp<filterGradient>("VoxelbookConvFilterGradient", 2, 2);
  registerOp<strided>("VoxelbookStridedConv", 3, 1);
  registerOp<stridedTransposed>("VoxelbookStridedConvTransposed", 3, 1);
  registerOp<stridedGradient>("VoxelbookStridedConvFilterGradient", 2, 2);
}

}  // namespace
}  // namespace voxelbook
