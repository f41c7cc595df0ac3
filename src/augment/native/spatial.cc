// Rotated, scaled and deformed patches in one resampling (augment/spatial.ts, which says what is computed; cubic.ts).
//
// The image is read as the loader cuts it, channels last, so that all channels of a neighbour lie together. Row by row: places
// and weights first, as vectors, then the neighbours of one voxel after another. Every rounding is the one of spatial.ts.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/native/functions.h"

namespace voxelbook {
namespace {

using Shape = std::vector<int64_t>;

template <class T, int N>
struct VectorOf {
  typedef T Type __attribute__((vector_size(sizeof(T) * N), aligned(sizeof(T)), may_alias));
};
template <class T>
struct VectorOf<T, 1> {
  typedef T Type;
};
/// N neighbouring values; one is a plain number.
template <class T, int N>
using Some = typename VectorOf<T, N>::Type;

template <int N>
inline Some<float, N> read(const float* p) {
  Some<float, N> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <int N>
inline Some<double, N> wide(Some<float, N> v) {
  if constexpr (N == 1) return v;
  else return __builtin_convertvector(v, Some<double, N>);
}
template <int N>
inline Some<float, N> narrow(Some<double, N> v) {
  if constexpr (N == 1) return static_cast<float>(v);
  else return __builtin_convertvector(v, Some<float, N>);
}

/// Calls use.template operator()<N>(first channel) with N = 8, 4, 2, 1 until all channels are done.
template <class Use>
inline void forChannels(int64_t channels, Use&& use) {
  int64_t c = 0;
  for (; c + 8 <= channels; c += 8) use.template operator()<8>(c);
  if (c + 4 <= channels) use.template operator()<4>(c), c += 4;
  if (c + 2 <= channels) use.template operator()<2>(c), c += 2;
  if (c < channels) use.template operator()<1>(c);
}

enum class Kind { nearest, linear, cubic };

struct Task {
  Shape shape, input;
  double matrix[9];
  /// Displacement of every voxel along each axis, or null.
  const float* offsets[3] = {};
  bool inPlane = false;
  Kind kind = Kind::linear;
};

/// Where the voxels of one row read the input.
template <class T>
struct Row {
  explicit Row(int64_t width) : z(width), y(width), x(width) {}
  std::vector<T> z, y, x;
};

/// From the middle of the patch, in double.
void exactPlaces(const Task& t, int64_t z, int64_t y, Row<double>& row) {
  const double* m = t.matrix;
  double middle[3], half[3];
  for (int k = 0; k < 3; k++) {
    middle[k] = static_cast<double>(t.input[k] - 1) / 2;
    half[k] = static_cast<double>(t.shape[k] - 1) / 2;
  }
  const int64_t width = t.shape[2], from = (z * t.shape[1] + y) * width;
  for (int64_t x = 0; x < width; x++) {
    double p = static_cast<double>(z) - half[0], q = static_cast<double>(y) - half[1], r = static_cast<double>(x) - half[2];
    if (t.offsets[0]) {
      p += t.offsets[0][from + x];
      q += t.offsets[1][from + x];
      r += t.offsets[2][from + x];
    }
    row.z[x] = m[0] * p + m[1] * q + m[2] * r + middle[0];
    row.y[x] = m[3] * p + m[4] * q + m[5] * r + middle[1];
    row.x[x] = m[6] * p + m[7] * q + m[8] * r + middle[2];
  }
}

/// A·g of a row in float, step by step, divided by half the input: PyTorch's grid. In plane the first axis is left out.
void gridPlaces(const Task& t, int64_t z, int64_t y, Row<float>& row) {
  std::vector<float>* rows[3] = {&row.z, &row.y, &row.x};
  const int64_t width = t.shape[2], from = (z * t.shape[1] + y) * width;
  float half[3];
  for (int k = 0; k < 3; k++) half[k] = static_cast<float>(t.shape[k] - 1) / 2;
  const float p = static_cast<float>(z) - half[0], q = static_cast<float>(y) - half[1];
  for (int k = t.inPlane ? 1 : 0; k < 3; k++) {
    const float a = static_cast<float>(t.matrix[3 * k]), b = static_cast<float>(t.matrix[3 * k + 1]),
                c = static_cast<float>(t.matrix[3 * k + 2]);
    const float side = static_cast<float>(t.input[k]) / 2;
    float* out = rows[k]->data();
    if (t.offsets[0]) {
      const float *dz = t.offsets[0] + from, *dy = t.offsets[1] + from, *dx = t.offsets[2] + from;
      for (int64_t x = 0; x < width; x++) {
        const float sum = a * (p + dz[x]) + b * (q + dy[x]);
        out[x] = (sum + c * (static_cast<float>(static_cast<int32_t>(x)) - half[2] + dx[x])) / side;
      }
    } else {
      const float plane = a * p + b * q;
      for (int64_t x = 0; x < width; x++)
        out[x] = (plane + c * (static_cast<float>(static_cast<int32_t>(x)) - half[2])) / side;
    }
  }
}

/// Whether neighbours may be missing: by the largest coordinate of all axes, as PyTorch's caller judges it.
bool reachesOutside(const Task& t) {
  Row<float> row(t.shape[2]);
  float furthest = 0;
  // Without displacements a coordinate grows or falls along each axis, roundings included: the corners are the furthest.
  const bool corners = !t.offsets[0];
  for (int64_t z = 0; z < t.shape[0]; z += corners ? std::max<int64_t>(t.shape[0] - 1, 1) : 1)
    for (int64_t y = 0; y < t.shape[1]; y += corners ? std::max<int64_t>(t.shape[1] - 1, 1) : 1) {
      gridPlaces(t, z, y, row);
      for (int64_t x = 0; x < t.shape[2]; x++) {
        if (!t.inPlane) furthest = std::max(furthest, std::abs(row.z[x]));
        furthest = std::max(furthest, std::max(std::abs(row.y[x]), std::abs(row.x[x])));
      }
    }
  double least = 1;
  for (int k = t.inPlane ? 1 : 0; k < 3; k++) least = std::min(least, 1 - 1 / static_cast<double>(t.input[k]));
  return furthest > least;
}

/// Places of a row in voxels of the input, in float.
void singlePlaces(const Task& t, int64_t z, int64_t y, Row<float>& row) {
  gridPlaces(t, z, y, row);
  const int64_t width = t.shape[2];
  if (t.inPlane) {
    const float slice = static_cast<float>(z + t.input[0] / 2 - t.shape[0] / 2);
    const double halfY = static_cast<double>(t.input[1]) / 2, halfX = static_cast<double>(t.input[2]) / 2;
    for (int64_t x = 0; x < width; x++) {
      row.z[x] = slice;
      row.y[x] = static_cast<float>(static_cast<double>(row.y[x] + 1.0f) * halfY - 0.5);
      row.x[x] = static_cast<float>(static_cast<double>(row.x[x] + 1.0f) * halfX - 0.5);
    }
    return;
  }
  const float depth = static_cast<float>(t.input[0]), height = static_cast<float>(t.input[1]), length = static_cast<float>(t.input[2]);
  for (int64_t x = 0; x < width; x++) {
    row.z[x] = ((row.z[x] + 1.0f) * depth - 1.0f) / 2.0f;
    row.y[x] = ((row.y[x] + 1.0f) * height - 1.0f) / 2.0f;
    row.x[x] = ((row.x[x] + 1.0f) * length - 1.0f) / 2.0f;
  }
}

enum : uint8_t { outside = 0, atBorder = 1, inside = 2 };

/// Neighbours of a row's places, 4 in plane and 8 else: the first one, whether all are there, and their weights in the order
/// PyTorch adds them.
struct Neighbours {
  explicit Neighbours(int64_t width) : z(width), y(width), x(width), where(width) {
    for (auto& w : weight) w.resize(width);
  }
  std::vector<int32_t> z, y, x;
  std::vector<uint8_t> where;
  std::vector<float> weight[8];
};

template <class T>
void findNeighbours(const Task& t, const Row<T>& row, Neighbours& out) {
  const T depth = static_cast<T>(t.input[0]), height = static_cast<T>(t.input[1]), width = static_cast<T>(t.input[2]);
  const T lastZ = t.inPlane ? depth : depth - 1;
  const int64_t n = t.shape[2];
  const T *pz = row.z.data(), *py = row.y.data(), *px = row.x.data();
  int32_t *iz = out.z.data(), *iy = out.y.data(), *ix = out.x.data();
  uint8_t* where = out.where.data();
  float* w[8];
  for (int k = 0; k < 8; k++) w[k] = out.weight[k].data();
  for (int64_t i = 0; i < n; i++) {
    const T z0 = std::floor(pz[i]), y0 = std::floor(py[i]), x0 = std::floor(px[i]);
    // Comparisons with what is no number fail: such a place lies outside.
    const bool near = (z0 >= -1) & (z0 < depth) & (y0 >= -1) & (y0 < height) & (x0 >= -1) & (x0 < width);
    const bool within = (z0 >= 0) & (z0 < lastZ) & (y0 >= 0) & (y0 < height - 1) & (x0 >= 0) & (x0 < width - 1);
    where[i] = near ? (within ? inside : atBorder) : outside;
    iz[i] = static_cast<int32_t>(near ? z0 : T(0));
    iy[i] = static_cast<int32_t>(near ? y0 : T(0));
    ix[i] = static_cast<int32_t>(near ? x0 : T(0));
    const float fy = static_cast<float>(py[i] - y0), fx = static_cast<float>(px[i] - x0);
    if (t.inPlane) {
      const float gy = 1.0f - fy, gx = 1.0f - fx;
      w[0][i] = gx * gy;
      w[1][i] = fx * gy;
      w[2][i] = gx * fy;
      w[3][i] = fx * fy;
      continue;
    }
    const float fz = static_cast<float>(pz[i] - z0), gz = static_cast<float>(z0 + T(1) - pz[i]);
    const float gy = static_cast<float>(y0 + T(1) - py[i]), gx = static_cast<float>(x0 + T(1) - px[i]);
    const float w0 = gx * gy, w1 = fx * gy, w2 = gx * fy, w3 = fx * fy;
    w[0][i] = w0 * gz;
    w[1][i] = w1 * gz;
    w[2][i] = w2 * gz;
    w[3][i] = w3 * gz;
    w[4][i] = w0 * fz;
    w[5][i] = w1 * fz;
    w[6][i] = w2 * fz;
    w[7][i] = w3 * fz;
  }
}

/// Neighbour `k` of a place at the border: its number in the input, or −1 where there is none.
inline int64_t neighbour(const Task& t, const Neighbours& from, int64_t i, int k) {
  const int64_t z = from.z[i] + (k >> 2), y = from.y[i] + ((k >> 1) & 1), x = from.x[i] + (k & 1);
  if (z < 0 || z >= t.input[0] || y < 0 || y >= t.input[1] || x < 0 || x >= t.input[2]) return -1;
  return (z * t.input[1] + y) * t.input[2] + x;
}

using Planes = std::vector<Values<float>>;

/// One row of the image by linear interpolation, 0 outside. `made`: `[width, channels]`.
template <bool inPlane>
void readLinear(const Task& t, const Neighbours& near, const float* image, int64_t channels, float* made) {
  const int64_t line = t.input[2] * channels, slice = t.input[1] * line;
  constexpr int count = inPlane ? 4 : 8;
  for (int64_t i = 0; i < t.shape[2]; i++) {
    float* out = made + i * channels;
    if (near.where[i] == inside) {
      const float* p = image + near.z[i] * slice + near.y[i] * line + near.x[i] * channels;
      float w[count];
      for (int k = 0; k < count; k++) w[k] = near.weight[k][i];
      forChannels(channels, [&]<int N>(int64_t c) {
        const float* q = p + c;
        Some<float, N> sum;
        if constexpr (inPlane) {
          sum = narrow<N>(wide<N>(read<N>(q)) * double(w[0]));
          sum = narrow<N>(wide<N>(sum) + wide<N>(read<N>(q + channels)) * double(w[1]));
          sum = narrow<N>(wide<N>(sum) + wide<N>(read<N>(q + line)) * double(w[2]));
          sum = narrow<N>(wide<N>(sum) + wide<N>(read<N>(q + line + channels)) * double(w[3]));
        } else {
          sum = read<N>(q) * w[0];
          sum = sum + read<N>(q + channels) * w[1];
          sum = sum + read<N>(q + line) * w[2];
          sum = sum + read<N>(q + line + channels) * w[3];
          q += slice;
          sum = sum + read<N>(q) * w[4];
          sum = sum + read<N>(q + channels) * w[5];
          sum = sum + read<N>(q + line) * w[6];
          sum = sum + read<N>(q + line + channels) * w[7];
        }
        std::memcpy(out + c, &sum, sizeof(sum));
      });
      continue;
    }
    std::fill(out, out + channels, 0.0f);
    if (near.where[i] == outside) continue;
    for (int k = 0; k < count; k++) {
      const int64_t at = neighbour(t, near, i, k);
      if (at < 0) continue;
      const float* p = image + at * channels;
      for (int64_t c = 0; c < channels; c++)
        if constexpr (inPlane) out[c] = static_cast<float>(double(out[c]) + double(p[c]) * double(near.weight[k][i]));
        else out[c] += p[c] * near.weight[k][i];
    }
  }
}

/// The nearest voxel of a place, halves to the even one; −1 where there is none.
template <class T>
inline int64_t nearestVoxel(const Task& t, const Row<T>& row, int64_t i) {
  const T z = std::nearbyint(row.z[i]), y = std::nearbyint(row.y[i]), x = std::nearbyint(row.x[i]);
  const bool within = z >= 0 && z < static_cast<T>(t.input[0]) && y >= 0 && y < static_cast<T>(t.input[1]) && x >= 0 &&
                      x < static_cast<T>(t.input[2]);
  if (!within) return -1;
  return (static_cast<int64_t>(z) * t.input[1] + static_cast<int64_t>(y)) * t.input[2] + static_cast<int64_t>(x);
}

template <class T>
void readNearest(const Task& t, const Row<T>& row, const float* image, int64_t channels, float* made) {
  for (int64_t i = 0; i < t.shape[2]; i++) {
    const int64_t at = nearestVoxel(t, row, i);
    for (int64_t c = 0; c < channels; c++) made[i * channels + c] = at < 0 ? 0 : image[at * channels + c];
  }
}

/// B-spline weights (volume/spline.ts).
inline void cubicWeights(double x, double* out) {
  const double z = 1 - x;
  out[0] = (z * z * z) / 6;
  out[1] = (x * x * (x - 2) * 3 + 4) / 6;
  out[2] = (z * z * (z - 2) * 3 + 4) / 6;
  out[3] = 1 - out[0] - out[1] - out[2];
}

/// One row by cubic B-splines. `coefficients` like the image; along axes not `used` places are whole.
void readCubic(const Task& t, const Row<double>& row, const bool* used, const float* coefficients, int64_t channels, float* made) {
  const int64_t strides[3] = {t.input[1] * t.input[2] * channels, t.input[2] * channels, channels};
  for (int64_t i = 0; i < t.shape[2]; i++) {
    const double at[3] = {row.z[i], row.y[i], row.x[i]};
    int64_t index[3][4];
    double weight[3][4];
    bool within = true;
    for (int k = 0; k < 3 && within; k++) {
      const int64_t length = t.input[k];
      within = at[k] >= 0 && at[k] <= static_cast<double>(length - 1);
      if (!within) break;
      if (!used[k]) {
        index[k][0] = std::min<int64_t>(static_cast<int64_t>(std::floor(at[k] + 0.5)), length - 1) * strides[k];
        weight[k][0] = 1;
        continue;
      }
      const double low = std::floor(at[k]);
      cubicWeights(at[k] - low, weight[k]);
      const int64_t period = 2 * (length - 1);
      for (int j = 0; j < 4; j++) {
        const int64_t m = ((static_cast<int64_t>(low) - 1 + j) % period + period) % period;
        index[k][j] = (m < length ? m : period - m) * strides[k];
      }
    }
    float* out = made + i * channels;
    if (!within) {
      std::fill(out, out + channels, 0.0f);
      continue;
    }
    const int lastZ = used[0] ? 4 : 1, lastY = used[1] ? 4 : 1;
    const int64_t* ix = index[2];
    const double* wx = weight[2];
    forChannels(channels, [&]<int N>(int64_t c) {
      Some<double, N> sum{};
      for (int z = 0; z < lastZ; z++) {
        Some<double, N> slab{};
        for (int y = 0; y < lastY; y++) {
          const float* p = coefficients + index[0][z] + index[1][y] + c;
          Some<double, N> line;
          if (used[2])
            line = wide<N>(read<N>(p + ix[0])) * wx[0] + wide<N>(read<N>(p + ix[1])) * wx[1] + wide<N>(read<N>(p + ix[2])) * wx[2] +
                   wide<N>(read<N>(p + ix[3])) * wx[3];
          else line = wide<N>(read<N>(p + ix[0]));
          slab = slab + line * weight[1][y];
        }
        sum = sum + slab * weight[0][z];
      }
      const Some<float, N> value = narrow<N>(sum);
      std::memcpy(out + c, &value, sizeof(value));
    });
  }
}

/// Half precision as base/float16.ts rounds to it; for numbers of at most 65504.
inline float toHalf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const int exponent = static_cast<int>((bits >> 23) & 255);
  const double magic = 1.5 * 4503599627370496.0 * std::ldexp(1.0, std::max(exponent - 127 - 10, -24));
  return static_cast<float>((static_cast<double>(x) + magic) - magic);
}

constexpr int16_t outsideLabel = -1;

/// The two labels of a piece of the map that has exactly two.
struct Pair {
  bool found = false;
  int16_t low = 0, high = 0;
};

Pair pairOf(const int16_t* labels, int64_t count, bool withOutside) {
  int16_t seen[3];
  int distinct = 0;
  if (withOutside) seen[distinct++] = outsideLabel;
  auto enter = [&](int16_t label) {
    for (int k = 0; k < distinct; k++)
      if (seen[k] == label) return;
    seen[distinct++] = label;
  };
  constexpr int64_t piece = 64;
  for (int64_t from = 0; from < count && distinct < 3; from += piece) {
    const int64_t length = std::min(piece, count - from);
    // Most pieces hold one label, as the piece before.
    const int16_t first = labels[from];
    int16_t different = 0;
    for (int64_t i = 0; i < length; i++) different |= labels[from + i] ^ first;
    enter(first);
    if (different)
      for (int64_t i = 1; i < length && distinct < 3; i++)
        if (labels[from + i] != labels[from + i - 1]) enter(labels[from + i]);
  }
  if (distinct != 2) return {};
  return {true, std::min(seen[0], seen[1]), std::max(seen[0], seen[1])};
}

/// The label with the largest linear weight, as `sampleLabels` of spatial.ts decides it.
class Vote {
 public:
  Vote(const Task& task, const int16_t* labels, bool reachesOutside) : task_(task), labels_(labels), rest_(reachesOutside) {
    const int64_t slice = task.input[1] * task.input[2];
    if (!task.inPlane) pairs_.push_back(pairOf(labels, slice * task.input[0], rest_));
    else
      for (int64_t z = 0; z < task.input[0]; z++) pairs_.push_back(pairOf(labels + z * slice, slice, rest_));
  }

  template <class T>
  void row(const Row<T>& places, const Neighbours& near, int16_t* out) {
    const int64_t line = task_.input[2], slice = task_.input[1] * line;
    const int64_t next = task_.inPlane ? 0 : slice;
    for (int64_t i = 0; i < task_.shape[2]; i++) {
      if (near.where[i] == outside) {
        out[i] = outsideLabel;
        continue;
      }
      if (near.where[i] == inside) {
        const int16_t* p = labels_ + near.z[i] * slice + near.y[i] * line + near.x[i];
        const int16_t* q = p + next;
        const uint32_t first = two(p);
        if (first == two(p + line) && first == two(q) && first == two(q + line) && p[0] == p[1]) {
          out[i] = p[0];
          continue;
        }
      }
      out[i] = decide(places, near, i);
    }
  }

 private:
  static uint32_t two(const int16_t* p) {
    uint32_t both;
    std::memcpy(&both, p, 4);
    return both;
  }

  template <class T>
  int16_t decide(const Row<T>& places, const Neighbours& near, int64_t i) {
    const int count = task_.inPlane ? 4 : 8;
    found_ = 0;
    if (rest_) known_[found_++] = outsideLabel;
    int64_t at[8];
    int16_t label[8];
    for (int k = 0; k < count; k++) {
      at[k] = neighbour(task_, near, i, k);
      label[k] = at[k] < 0 ? outsideLabel : labels_[at[k]];
      int j = 0;
      while (j < found_ && known_[j] != label[k]) j++;
      if (j == found_) known_[found_++] = label[k];
    }
    for (int j = 0; j < found_; j++) {
      // What is missing outside counts for the outside's label: its score is 1000 less what the others take.
      const bool missing = rest_ && known_[j] == outsideLabel;
      float sum = 0;
      for (int k = 0; k < count; k++) {
        if (at[k] < 0 || (label[k] == known_[j]) == missing) continue;
        if (task_.inPlane) sum = static_cast<float>(double(sum) + (missing ? -1000.0 : 1000.0) * double(near.weight[k][i]));
        else sum += (missing ? -1000.0f : 1000.0f) * near.weight[k][i];
      }
      score_[j] = toHalf(missing ? sum + 1000.0f : sum);
    }
    const int64_t z = near.z[i];
    const Pair pair = !task_.inPlane ? pairs_[0] : z >= 0 ? pairs_[z] : Pair{};
    if (pair.found) {
      float own = 0;
      for (int j = 0; j < found_; j++)
        if (known_[j] == pair.high) own = score_[j];
      // Of two labels the nearest one is always among the tied.
      if (own == 500) return nearest(places, i);
      return own > 500 ? pair.high : pair.low;
    }
    return winner(places, i);
  }

  template <class T>
  int16_t nearest(const Row<T>& places, int64_t i) {
    const int64_t at = nearestVoxel(task_, places, i);
    return at < 0 ? outsideLabel : labels_[at];
  }

  /// The label of the highest score; of several the nearest voxel's if it is among them, else the smallest.
  template <class T>
  int16_t winner(const Row<T>& places, int64_t i) {
    const float best = *std::max_element(score_, score_ + found_);
    int tied = 0, smallest = 32768;
    for (int j = 0; j < found_; j++)
      if (score_[j] == best) {
        tied++;
        smallest = std::min<int>(smallest, known_[j]);
      }
    if (tied == 1) return static_cast<int16_t>(smallest);
    const int16_t near = nearest(places, i);
    for (int j = 0; j < found_; j++)
      if (score_[j] == best && known_[j] == near) return near;
    return static_cast<int16_t>(smallest);
  }

  const Task& task_;
  const int16_t* labels_;
  bool rest_;
  std::vector<Pair> pairs_;
  int found_ = 0;
  int16_t known_[9];
  float score_[9];
};

/// Everything a call reads and writes.
struct Arrays {
  Values<float> image;
  Planes planes;
  std::vector<Values<int16_t>> maps, out;
  bool nearestLabels;
  /// Cubic: axes along which to interpolate.
  bool used[3];
};

template <class T>
void run(const Task& t, const Arrays& arrays) {
  const int64_t channels = static_cast<int64_t>(arrays.planes.size()), width = t.shape[2];
  Row<T> row(width);
  Neighbours near(width);
  std::vector<float> made(width * channels);
  std::vector<Vote> votes;
  const bool voting = !arrays.nearestLabels && !arrays.maps.empty();
  if (voting) {
    const bool reaches = t.kind == Kind::cubic || reachesOutside(t);
    for (const auto& map : arrays.maps) votes.emplace_back(t, map.data, reaches);
  }
  for (int64_t z = 0; z < t.shape[0]; z++)
    for (int64_t y = 0; y < t.shape[1]; y++) {
      const int64_t first = (z * t.shape[1] + y) * width;
      if constexpr (std::is_same_v<T, double>) exactPlaces(t, z, y, row);
      else singlePlaces(t, z, y, row);
      if (voting || t.kind == Kind::linear) findNeighbours(t, row, near);
      if (t.kind == Kind::nearest) readNearest(t, row, arrays.image.data, channels, made.data());
      else if constexpr (std::is_same_v<T, double>) readCubic(t, row, arrays.used, arrays.image.data, channels, made.data());
      else if (t.inPlane) readLinear<true>(t, near, arrays.image.data, channels, made.data());
      else readLinear<false>(t, near, arrays.image.data, channels, made.data());
      for (int64_t c = 0; c < channels; c++) {
        float* to = arrays.planes[c].data + first;
        for (int64_t x = 0; x < width; x++) to[x] = made[x * channels + c];
      }
      for (size_t m = 0; m < arrays.maps.size(); m++) {
        int16_t* to = arrays.out[m].data + first;
        if (voting) votes[m].row(row, near, to);
        else
          for (int64_t x = 0; x < width; x++) {
            const int64_t at = nearestVoxel(t, row, x);
            to[x] = at < 0 ? outsideLabel : arrays.maps[m][at];
          }
      }
    }
}

/// spatial(image: Float32Array, input, shape, matrix, offsets: Float32Array[] | null, inPlane, kind: 0 nearest, 1 linear, 2 cubic,
///         planes: Float32Array[], maps: Int16Array[], out: Int16Array[], nearestLabels)
void spatial(const Arguments& a) {
  Task t;
  t.input = a.sides(1);
  t.shape = a.sides(2);
  const std::vector<double> matrix = a.list(3);
  EXPECT(matrix.size() == 9, "a matrix of " + std::to_string(matrix.size()) + " numbers");
  std::copy(matrix.begin(), matrix.end(), t.matrix);
  t.inPlane = a.flag(5);
  const double kind = a.number(6);
  EXPECT(kind == 0 || kind == 1 || kind == 2, "interpolation " + std::to_string(kind));
  t.kind = static_cast<Kind>(static_cast<int>(kind));
  const Arrays arrays{a.values<float>(0), a.arrays<float>(7), a.arrays<int16_t>(8), a.arrays<int16_t>(9), a.flag(10),
                      {!t.inPlane && t.input[0] > 1, t.input[1] > 1, t.input[2] > 1}};
  const int64_t from = voxels(t.input), to = voxels(t.shape);
  EXPECT(from > 0 || to == 0, "a patch read from nothing");
  EXPECT(arrays.image.size == from * static_cast<int64_t>(arrays.planes.size()),
         std::to_string(arrays.image.size) + " values in the image");
  for (const auto& plane : arrays.planes) EXPECT(plane.size == to, "a plane of " + std::to_string(plane.size) + " voxels");
  EXPECT(arrays.maps.size() == arrays.out.size(), "label maps in and out differ in number");
  for (size_t m = 0; m < arrays.maps.size(); m++)
    EXPECT(arrays.maps[m].size == from && arrays.out[m].size == to,
           std::to_string(arrays.maps[m].size) + " labels into " + std::to_string(arrays.out[m].size));
  std::vector<Values<float>> offsets;
  if (!a.none(4)) {
    offsets = a.arrays<float>(4);
    EXPECT(offsets.size() == 3, std::to_string(offsets.size()) + " fields of displacements");
    for (int k = 0; k < 3; k++) {
      EXPECT(offsets[k].size == to, std::to_string(offsets[k].size) + " displacements");
      t.offsets[k] = offsets[k].data;
    }
  }
  if (to == 0) return;
  if (t.kind == Kind::cubic) run<double>(t, arrays);
  else run<float>(t, arrays);
}

/// Terms of a sum over the continued line (volume/spline.ts).
constexpr int64_t terms = 40;

/// Samples to B-spline coefficients in place, mirrored at the ends, for `width` ≤ 16 columns. `whole`: pole^(n − 1).
constexpr int64_t columns = 16;
void mirroredFilter(double* rows, int64_t n, double whole) {
  typedef double Columns[columns];
  auto* r = reinterpret_cast<Columns*>(rows);
  const double z = std::sqrt(3.0) - 2;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < columns; c++) r[i][c] *= 6;
  double sum[columns];
  for (int64_t c = 0; c < columns; c++) sum[c] = r[0][c];
  double power = z;
  for (int64_t i = 1; i < std::min(n - 1, terms); i++, power *= z)
    for (int64_t c = 0; c < columns; c++) sum[c] += power * r[i][c];
  if (n <= terms) {
    for (int64_t c = 0; c < columns; c++) sum[c] += whole * r[n - 1][c];
    power = whole * z;
    for (int64_t i = n - 2; i > 0; i--, power *= z)
      for (int64_t c = 0; c < columns; c++) sum[c] += power * r[i][c];
    for (int64_t c = 0; c < columns; c++) sum[c] /= 1 - whole * whole;
  }
  for (int64_t c = 0; c < columns; c++) r[0][c] = sum[c];
  for (int64_t i = 1; i < n; i++)
    for (int64_t c = 0; c < columns; c++) r[i][c] += z * r[i - 1][c];
  for (int64_t c = 0; c < columns; c++) r[n - 1][c] = (z / (z * z - 1)) * (r[n - 1][c] + z * r[n - 2][c]);
  for (int64_t i = n - 2; i >= 0; i--)
    for (int64_t c = 0; c < columns; c++) r[i][c] = z * (r[i + 1][c] - r[i][c]);
}

/// splineAxis(values: Float32Array, length ≥ 2, inner, whole: pole^(length − 1)): coefficients in place along one axis
void splineAxis(const Arguments& a) {
  const Values<float> values = a.values<float>(0);
  const int64_t n = static_cast<int64_t>(a.number(1)), inner = static_cast<int64_t>(a.number(2));
  const double whole = a.number(3);
  EXPECT(n >= 2 && inner >= 1 && inner <= values.size / n && values.size % (n * inner) == 0,
         std::to_string(values.size) + " values for lines of " + std::to_string(n) + " × " + std::to_string(inner));
  // Lines beside each other are filtered together; where fewer than that lie side by side, lines of neighbouring blocks too.
  const int64_t lines = values.size / n;
  std::vector<double> rows(n * columns);
  for (int64_t first = 0; first < lines; first += columns) {
    const int64_t count = std::min(columns, lines - first);
    int64_t at[columns];
    for (int64_t c = 0; c < columns; c++) {
      const int64_t line = std::min(first + c, lines - 1);
      at[c] = line / inner * n * inner + line % inner;
    }
    for (int64_t i = 0; i < n; i++)
      for (int64_t c = 0; c < columns; c++) rows[i * columns + c] = values[at[c] + i * inner];
    mirroredFilter(rows.data(), n, whole);
    for (int64_t i = 0; i < n; i++)
      for (int64_t c = 0; c < count; c++) values[at[c] + i * inner] = static_cast<float>(rows[i * columns + c]);
  }
}

const Exported all[] = {{"spatial", spatial}, {"splineAxis", splineAxis}};

}  // namespace
}  // namespace voxelbook
