// Nearest down and linear up again (augment/lowResolution.ts), and the linear reading of an elastic field (elastic.ts).
#include "base/native/functions.h"

namespace voxelbook {
namespace {

void checkPlaces(const Values<int32_t>& places, int64_t side) {
  for (int64_t i = 0; i < places.size; i++)
    EXPECT(places[i] >= 0 && places[i] < side, "place " + std::to_string(places[i]) + " of " + std::to_string(side));
}

/// readGrid(plane: Float32Array, shape, zs: Int32Array, ys, xs, out: Float32Array): the voxels at these places
void readGrid(const Arguments& a) {
  const Values<float> plane = a.values<float>(0), out = a.values<float>(5);
  const std::vector<int64_t> shape = a.sides(1);
  const Values<int32_t> zs = a.values<int32_t>(2), ys = a.values<int32_t>(3), xs = a.values<int32_t>(4);
  EXPECT(plane.size == voxels(shape) && out.size == zs.size * ys.size * xs.size,
         std::to_string(plane.size) + " voxels read into " + std::to_string(out.size));
  checkPlaces(zs, shape[0]);
  checkPlaces(ys, shape[1]);
  checkPlaces(xs, shape[2]);
  float* to = out.data;
  for (int64_t z = 0; z < zs.size; z++)
    for (int64_t y = 0; y < ys.size; y++, to += xs.size) {
      const float* row = plane.data + (zs[z] * shape[1] + ys[y]) * shape[2];
      for (int64_t x = 0; x < xs.size; x++) to[x] = row[xs[x]];
    }
}

/// linearAxis(values: Float32Array, length, inner, low: Int32Array, rest: Float64Array, out: Float32Array)
void linearAxis(const Arguments& a) {
  const Values<float> values = a.values<float>(0), out = a.values<float>(5);
  const int64_t length = static_cast<int64_t>(a.number(1)), inner = static_cast<int64_t>(a.number(2));
  const Values<int32_t> low = a.values<int32_t>(3);
  const Values<double> rest = a.values<double>(4);
  EXPECT(length >= 1 && inner >= 1 && inner <= values.size / length && values.size % (length * inner) == 0,
         std::to_string(values.size) + " values for lines of " + std::to_string(length) + " × " + std::to_string(inner));
  const int64_t outer = values.size / (length * inner), target = low.size;
  EXPECT(rest.size == target && out.size == outer * target * inner,
         std::to_string(out.size) + " values for " + std::to_string(outer) + " × " + std::to_string(target) + " lines");
  for (int64_t i = 0; i < target; i++)
    EXPECT(low[i] >= 0 && low[i] + (rest[i] > 0 ? 1 : 0) < length,
           "place " + std::to_string(low[i]) + " of a line of " + std::to_string(length));
  for (int64_t o = 0; o < outer; o++) {
    const float* block = values.data + o * length * inner;
    float* to = out.data + o * target * inner;
    if (inner == 1) {
      for (int64_t i = 0; i < target; i++) {
        const int64_t next = rest[i] > 0 ? low[i] + 1 : low[i];
        to[i] = static_cast<float>(block[low[i]] * (1 - rest[i]) + block[next] * rest[i]);
      }
      continue;
    }
    for (int64_t i = 0; i < target; i++) {
      const float* p = block + low[i] * inner;
      const float* q = rest[i] > 0 ? p + inner : p;
      const double w = rest[i], v = 1 - rest[i];
      for (int64_t j = 0; j < inner; j++) to[i * inner + j] = static_cast<float>(p[j] * v + q[j] * w);
    }
  }
}

/// The neighbours of every fine place along an axis.
struct Axis {
  Values<int32_t> low, high;
  Values<double> rest;
};

/// elasticField(grid: Float64Array, coarse, lows: Int32Array[3], highs: Int32Array[3], rests: Float64Array[3], factor, out: Float32Array)
void elasticField(const Arguments& a) {
  const Values<double> grid = a.values<double>(0);
  const std::vector<int64_t> coarse = a.sides(1);
  const auto lows = a.arrays<int32_t>(2), highs = a.arrays<int32_t>(3);
  const auto rests = a.arrays<double>(4);
  const double factor = a.number(5);
  const Values<float> out = a.values<float>(6);
  EXPECT(grid.size == voxels(coarse) && lows.size() == 3 && highs.size() == 3 && rests.size() == 3,
         std::to_string(grid.size) + " places of the grid");
  Axis axes[3];
  for (int k = 0; k < 3; k++) {
    axes[k] = {lows[k], highs[k], rests[k]};
    EXPECT(lows[k].size == highs[k].size && lows[k].size == rests[k].size, "neighbours of different places");
    checkPlaces(lows[k], coarse[k]);
    checkPlaces(highs[k], coarse[k]);
  }
  const auto& [z, y, x] = axes;
  const int64_t width = x.low.size;
  EXPECT(out.size == z.low.size * y.low.size * width, std::to_string(out.size) + " values of the field");
  // Every row of the grid is read at the fine places once.
  const int64_t rows = coarse[0] * coarse[1];
  std::vector<double> fine(rows * width);
  for (int64_t r = 0; r < rows; r++) {
    const double* from = grid.data + r * coarse[2];
    double* to = fine.data() + r * width;
    for (int64_t i = 0; i < width; i++) to[i] = from[x.low[i]] * (1 - x.rest[i]) + from[x.high[i]] * x.rest[i];
  }
  float* to = out.data;
  for (int64_t i = 0; i < z.low.size; i++)
    for (int64_t j = 0; j < y.low.size; j++, to += width) {
      auto row = [&](int32_t iz, int32_t iy) { return fine.data() + (iz * coarse[1] + iy) * width; };
      const double *p = row(z.low[i], y.low[j]), *q = row(z.low[i], y.high[j]), *r = row(z.high[i], y.low[j]),
                   *s = row(z.high[i], y.high[j]);
      const double wp = (1 - z.rest[i]) * (1 - y.rest[j]), wq = (1 - z.rest[i]) * y.rest[j], wr = z.rest[i] * (1 - y.rest[j]),
                   ws = z.rest[i] * y.rest[j];
      for (int64_t k = 0; k < width; k++)
        to[k] = static_cast<float>((((wp * p[k] + wq * q[k]) + wr * r[k]) + ws * s[k]) * factor);
    }
}

const Exported all[] = {{"readGrid", readGrid}, {"linearAxis", linearAxis}, {"elasticField", elasticField}};

}  // namespace
}  // namespace voxelbook
