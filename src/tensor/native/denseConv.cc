// Operators: dense convolution that keeps the size (winograd.h), and its gradients.
#include "depthwise.h"
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

__attribute__((constructor)) void add() {
  registerOp<convolution>("VoxelbookConv", 3, 1);
  registerOp<filterGradient>("VoxelbookConvFilterGradient", 2, 2);
}

}  // namespace
}  // namespace voxelbook
