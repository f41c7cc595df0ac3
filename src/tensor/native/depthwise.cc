// Operators: depthwise convolution and transposed convolution with their gradients.
#include "depthwise.h"

namespace voxelbook {
namespace {

/// Inputs big, kernel, bias [C] or [0]; ints stride[3], pad[3]. Output small.
void convolution(Call& call) {
  const Shape x = five(call.shape(0), "input");
  const Depthwise conv = depthwiseOf(call.shape(1), call.ints, 0, x[4]);
  const bool bias = sizeOf(call.shape(2)) > 0;
  EXPECT(!bias || sizeOf(call.shape(2)) == x[4], "bias " + text(call.shape(2)) + " for " + std::to_string(x[4]) + " channels");
  const Grid big = gridOf(x), small = smallGrid(big, conv);
  EXPECT(sizeOf(x) == 0 || small.voxels() > 0, "input " + text(call.shape(0)) + " is smaller than kernel " + text(call.shape(1)));
  float* y = call.output(0, withRank(call.shape(0).size(), x[0], small, x[4]));
  if (x[0] * small.voxels() * x[4] == 0) return;
  gather(call.input(0), big, call.input(1), conv, x[0], x[4], nullptr, bias ? call.input(2) : nullptr, y, small);
}

/// Inputs small, kernel, bias [C] or [0]; ints stride[3], pad[3], size of big[3]. Output big.
void transposed(Call& call) {
  const Shape x = five(call.shape(0), "input");
  const Depthwise conv = depthwiseOf(call.shape(1), call.ints, 0, x[4]);
  EXPECT(call.ints.size() == 9, "nine settings expected");
  const bool bias = sizeOf(call.shape(2)) > 0;
  EXPECT(!bias || sizeOf(call.shape(2)) == x[4], "bias " + text(call.shape(2)) + " for " + std::to_string(x[4]) + " channels");
  const Grid small = gridOf(x), big{call.ints[6], call.ints[7], call.ints[8]};
  for (int i = 6; i < 9; i++)
    EXPECT(call.ints[i] >= 0 && call.ints[i] <= furthest * furthest, "output size " + std::to_string(call.ints[i]) + " must be 0 to " + std::to_string(furthest * furthest));
  float* y = call.output(0, withRank(call.shape(0).size(), x[0], big, x[4]));
  if (x[0] * big.voxels() * x[4] == 0) return;
  spread(call.input(0), small, call.input(1), conv, x[0], x[4], nullptr, bias ? call.input(2) : nullptr, y, big);
}

/// Inputs big, small, and a tensor of the kernel's shape; ints stride[3], pad[3]. Outputs kernel gradient, Σ small [C].
void gradientOfKernel(Call& call) {
  const Shape b = five(call.shape(0), "input"), s = five(call.shape(1), "gradient");
  const Depthwise conv = depthwiseOf(call.shape(2), call.ints, 0, b[4]);
  EXPECT(b[0] == s[0] && b[4] == s[4], "batch and channels of " + text(call.shape(0)) + " and " + text(call.shape(1)) + " must agree");
  float* gradient = call.output(0, call.shape(2));
  float* bias = call.output(1, {b[4]});
  if (b[4] == 0) return;
  kernelGradient(call.input(0), gridOf(b), call.input(1), gridOf(s), conv, b[0], b[4], gradient, bias);
}

__attribute__((constructor)) void add() {
  registerOp<convolution>("VoxelbookDepthwise", 3, 1);
  registerOp<transposed>("VoxelbookDepthwiseTransposed", 3, 1);
  registerOp<gradientOfKernel>("VoxelbookDepthwiseKernelGradient", 3, 2);
}

}  // namespace
}  // namespace voxelbook
