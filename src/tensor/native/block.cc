// The MedNeXt block as one operator: depthwise convolution → norm per channel → expand → GELU → compress → + shortcut.
//
// Three passes. (1) The depthwise convolution, with each finished row adding to its channel's moments. (2) Tile by tile in
// cache: normalise, expand to R channels, GELU, compress, add the shortcut. (3) Backward, tile by tile: the R-wide layer
// is computed again from the convolution's output instead of having been stored; its gradients become weight gradients
// at once. So nothing R channels wide ever exists in memory; what stays for the backward pass is the convolution's output.
//
// kind 0, ordinary: shortcut is the input.
// kind 1, down: the convolution has stride s; the shortcut is a 1×1×1 convolution with stride s.
// kind 2, up: the convolution is transposed with stride s, n → (n−1)s − 2p + k; the result is zero-padded by one voxel at
//   the front of the strided axes; the shortcut is a transposed 1×1×1 convolution, so input voxel i meets position s·i.
//
// Inputs: x, kernel [k…,1,C], bias [C], γ [C], β [C], expand [C,R], its bias [R], compress [R,O], its bias [O],
// shortcut [C,O] (kind 1) or [O,C] (kind 2) or empty, its bias [O] or empty.
#include <cmath>

#include "depthwise.h"
#include "gelu.h"
#include "gemm.h"
#include "moments.h"

namespace voxelbook {
namespace {

enum Kind { ordinary = 0, down = 1, up = 2 };

struct Block {
  int64_t kind, residual, batch, C, R, O;
  size_t rank;
  Depthwise conv;
  Grid in, mid, out;     // of x, of the convolution's output, of y
  int64_t front[3];      // zero voxels in front of y
  float epsilon;
  bool shortcut;         // a 1×1×1 convolution on the shortcut

  int64_t rows() const { return batch * mid.voxels(); }
};

/// Reads and checks everything but x's values. ints: kind, residual, stride[3], pad[3]; floats: epsilon.
Block blockOf(Call& call) {
  EXPECT(call.ints.size() == 8 && call.floats.size() == 1, "eight integers and one float expected");
  Block b;
  const Shape x = five(call.shape(0), "input");
  b.kind = call.ints[0], b.residual = call.ints[1], b.epsilon = call.floats[0];
  EXPECT(b.kind >= ordinary && b.kind <= up && (b.residual == 0 || b.residual == 1),
         "kind " + std::to_string(b.kind) + " must be 0, 1 or 2, residual " + std::to_string(b.residual) + " 0 or 1");
  b.rank = call.shape(0).size(), b.batch = x[0], b.C = x[4], b.in = gridOf(x);
  b.conv = depthwiseOf(call.shape(1), call.ints, 2, b.C);
  const Shape expand = call.shape(5), compress = call.shape(7);
  EXPECT(expand.size() >= 2 && sizeOf(expand) == b.C * expand.back(), "expansion " + text(expand) + " for " + std::to_string(b.C) + " channels");
  b.R = expand.back();
  EXPECT(compress.size() >= 2 && sizeOf(compress) == b.R * compress.back(), "compression " + text(compress) + " for " + std::to_string(b.R) + " channels");
  b.O = compress.back();
  const int vectors[] = {2, 3, 4, 6, 8};
  const int64_t sizes[] = {b.C, b.C, b.C, b.R, b.O};
  const char* names[] = {"bias of the convolution", "scale", "shift", "bias of the expansion", "bias of the compression"};
  for (int i = 0; i < 5; i++)
    EXPECT(sizeOf(call.shape(vectors[i])) == sizes[i], std::string(names[i]) + " " + text(call.shape(vectors[i])) + " must have " + std::to_string(sizes[i]) + " values");
  b.shortcut = b.residual && b.kind != ordinary;
  if (b.shortcut) {
    EXPECT(sizeOf(call.shape(9)) == b.C * b.O, "shortcut " + text(call.shape(9)) + " for " + std::to_string(b.C) + " to " + std::to_string(b.O) + " channels");
    EXPECT(sizeOf(call.shape(10)) == b.O, "bias of the shortcut " + text(call.shape(10)) + " must have " + std::to_string(b.O) + " values");
  }
  EXPECT(!(b.kind == ordinary && b.residual) || b.O == b.C, "an ordinary block with shortcut gives as many channels as it takes; " + std::to_string(b.C) + " and " + std::to_string(b.O));
  for (int i = 0; i < 3; i++) b.front[i] = b.kind == up && b.conv.stride[i] > 1 ? 1 : 0;
  if (b.kind == up) {
    const int64_t n[3] = {b.in.d, b.in.h, b.in.w};
    int64_t size[3];
    for (int i = 0; i < 3; i++) size[i] = n[i] ? std::max<int64_t>(0, (n[i] - 1) * b.conv.stride[i] - 2 * b.conv.pad[i] + b.conv.kernel[i]) : 0;
    b.mid = {size[0], size[1], size[2]};
    b.out = {size[0] + b.front[0], size[1] + b.front[1], size[2] + b.front[2]};
    // The shortcut is as large as the convolution's output only when the kernel is centred.
    for (int i = 0; i < 3 && b.shortcut; i++)
      EXPECT(n[i] == 0 || size[i] == (n[i] - 1) * b.conv.stride[i] + 1, "the transposed convolution gives " + std::to_string(size[i]) + " positions, its shortcut " + std::to_string((n[i] - 1) * b.conv.stride[i] + 1));
  } else {
    b.mid = b.out = smallGrid(b.in, b.conv);
    if (b.kind == ordinary && b.residual)
      EXPECT(b.mid.d == b.in.d && b.mid.h == b.in.h && b.mid.w == b.in.w, "an ordinary block with shortcut must keep the size of " + text(call.shape(0)));
    for (int i = 0; i < 3 && b.shortcut; i++) {
      const int64_t n[3] = {b.in.d, b.in.h, b.in.w}, m[3] = {b.mid.d, b.mid.h, b.mid.w};
      EXPECT(m[i] == (n[i] + b.conv.stride[i] - 1) / b.conv.stride[i], "the convolution gives " + std::to_string(m[i]) + " positions of " + std::to_string(n[i]) + ", its shortcut another number");
    }
  }
  return b;
}

/// A vector padded with zeros to whole panels.
Buffer widened(const float* values, int64_t n) {
  Buffer wide(padded(n));
  std::memset(wide, 0, padded(n) * sizeof(float));
  if (values) std::memcpy(wide, values, n * sizeof(float));
  return wide;
}
Buffer packedOf(const float* b, int64_t K, int64_t N, int64_t rowStep, int64_t columnStep) {
  Buffer p(packedSize(K, N));
  pack(b, K, N, rowStep, columnStep, p);
  return p;
}
Buffer zeros(int64_t count) {
  Buffer b(count);
  if (count > 0) std::memset(b, 0, count * sizeof(float));
  return b;
}

/// Rows of a tile: many enough that weights are used often, few enough that the tile stays in the second-level cache.
int64_t tileRows(const Block& b, int buffersOfR) {
  const int64_t rowBytes = 4 * (buffersOfR * padded(b.R) + 2 * padded(b.C) + 2 * padded(b.O));
  const int64_t rows = (int64_t{384} << 10) / rowBytes / rowsAtOnce * rowsAtOnce;
  return std::clamp<int64_t>(rows, 8 * rowsAtOnce, 24 * rowsAtOnce);
}

/// Where things lie for one row of the convolution's output.
struct Place {
  int64_t n, d, h, w;
};
Place placeOf(const Block& b, int64_t row) {
  Place p;
  p.w = row % b.mid.w, row /= b.mid.w;
  p.h = row % b.mid.h, row /= b.mid.h;
  p.d = row % b.mid.d, p.n = row / b.mid.d;
  return p;
}
void next(const Block& b, Place& p) {
  if (++p.w < b.mid.w) return;
  p.w = 0;
  if (++p.h < b.mid.h) return;
  p.h = 0;
  if (++p.d < b.mid.d) return;
  p.d = 0, p.n++;
}
int64_t outputRow(const Block& b, const Place& p) {
  return ((p.n * b.out.d + p.d + b.front[0]) * b.out.h + p.h + b.front[1]) * b.out.w + p.w + b.front[2];
}
/// Input voxel the shortcut brings here, or −1.
int64_t shortcutRow(const Block& b, const Place& p) {
  const int64_t* s = b.conv.stride;
  if (b.kind == down) return ((p.n * b.in.d + p.d * s[0]) * b.in.h + p.h * s[1]) * b.in.w + p.w * s[2];
  if (p.d % s[0] || p.h % s[1] || p.w % s[2]) return -1;
  return ((p.n * b.in.d + p.d / s[0]) * b.in.h + p.h / s[1]) * b.in.w + p.w / s[2];
}

/// Convolution and its moments; `stats` is [batch, 2, C]: mean and 1/sd.
void convolve(const Block& b, const float* x, const float* kernel, const float* bias, float* mid, float* stats) {
  const Rows rows(b.batch, b.mid, (b.kind == up ? b.in.w : b.in.w) * b.C * 4);
  std::vector<Moments> pieces(rows.items());
  auto after = [&](int64_t item, int64_t, int64_t, int64_t, const float* row) {
    thread_local std::vector<float> mean, squares;
    mean.resize(b.C), squares.resize(b.C);
    pieceMoments(row, b.mid.w, b.C, mean.data(), squares.data());
    if (pieces[item].mean.empty()) pieces[item] = Moments(b.C);
    pieces[item].add(b.mid.w, mean.data(), squares.data());
  };
  if (b.kind == up) spread(x, b.in, kernel, b.conv, b.batch, b.C, nullptr, bias, mid, b.mid, after);
  else gather(x, b.in, kernel, b.conv, b.batch, b.C, nullptr, bias, mid, b.mid, after);
  const int64_t perSample = rows.strips * rows.d;
  for (int64_t n = 0; n < b.batch; n++) {
    Moments all(b.C);
    for (int64_t i = n * perSample; i < (n + 1) * perSample; i++) all.add(pieces[i]);
    for (int64_t c = 0; c < b.C; c++) {
      stats[2 * n * b.C + c] = static_cast<float>(all.mean[c]);
      stats[(2 * n + 1) * b.C + c] = static_cast<float>(1.0 / std::sqrt(all.squares[c] / static_cast<double>(std::max<int64_t>(all.count, 1)) + b.epsilon));
    }
  }
}

/// Per batch entry and channel: normalised value = x·scale + shift.
Buffer scaleAndShift(const Block& b, const float* stats, const float* gamma, const float* beta) {
  Buffer table(2 * b.batch * b.C);
  for (int64_t n = 0; n < b.batch; n++)
    for (int64_t c = 0; c < b.C; c++) {
      const float scale = gamma[c] * stats[(2 * n + 1) * b.C + c];
      table[2 * n * b.C + c] = scale;
      table[(2 * n + 1) * b.C + c] = beta[c] - stats[2 * n * b.C + c] * scale;
    }
  return table;
}

void normaliseRow(const float* x, const float* table, int64_t C, float* out) {
  const float *scale = table, *shift = table + C;
  for (int64_t c = 0; c < C; c++) out[c] = x[c] * scale[c] + shift[c];
}

/// Runs fn(first row, rows) over tiles; every thread has a contiguous range of tiles. `make` builds a thread's buffers.
template <class Fn>
void tiles(int64_t rows, int64_t tile, int threads, Fn&& fn) {
  const int64_t count = (rows + tile - 1) / tile;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t t = 0; t < count; t++) fn(t * tile, std::min(tile, rows - t * tile));
}

void geluTile(float* h, int64_t rows, int64_t ld, int64_t R) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < R; j += widest) store<widest>(h + i * ld + j, gelu<widest>(load<widest>(h + i * ld + j)));
}

/// Outputs y, the convolution's output, and its statistics [batch, 2, C].
void forward(Call& call) {
  const Block b = blockOf(call);
  float* y = call.output(0, withRank(b.rank, b.batch, b.out, b.O));
  float* mid = call.output(1, withRank(b.rank, b.batch, b.mid, b.C));
  float* stats = call.output(2, {b.batch, 2, b.C});
  const int64_t outRows = b.batch * b.out.voxels();
  if (outRows * b.O == 0 || b.C == 0 || b.R == 0) {
    if (outRows > 0 && b.O > 0) std::memset(y, 0, outRows * b.O * sizeof(float));
    return;
  }
  const float* x = call.input(0);
  convolve(b, x, call.input(1), call.input(2), mid, stats);

  if (b.kind == up) {
    // The front planes of y belong to no position of the convolution.
#pragma omp parallel for schedule(static) num_threads(threadCount())
    for (int64_t plane = 0; plane < b.batch * b.out.d; plane++)
      for (int64_t h = 0; h < b.out.h; h++) {
        float* row = y + (plane * b.out.h + h) * b.out.w * b.O;
        const bool whole = plane % b.out.d < b.front[0] || h < b.front[1];
        std::memset(row, 0, (whole ? b.out.w : b.front[2]) * b.O * sizeof(float));
      }
  }

  const Buffer table = scaleAndShift(b, stats, call.input(3), call.input(4));
  const Buffer expand = packedOf(call.input(5), b.C, b.R, b.R, 1), expandBias = widened(call.input(6), b.R);
  const Buffer compress = packedOf(call.input(7), b.R, b.O, b.O, 1);
  Buffer outBias = widened(call.input(8), b.O);
  Buffer shortcut;
  if (b.shortcut) {
    shortcut = b.kind == down ? packedOf(call.input(9), b.C, b.O, b.O, 1) : packedOf(call.input(9), b.C, b.O, 1, b.C);
    for (int64_t o = 0; o < b.O; o++) outBias[o] += call.input(10)[o];
  }
  const int64_t tile = tileRows(b, 1), ldC = padded(b.C), ldR = padded(b.R), ldO = padded(b.O);
  const int threads = threadCount();
  const int64_t per = tile * (2 * ldC + ldR + 2 * ldO);
  Buffer scratch = zeros(per * threads);
  tiles(b.rows(), tile, threads, [&](int64_t first, int64_t rows) {
    float* N = scratch + per * omp_get_thread_num();
    float *H = N + tile * ldC, *Y = H + tile * ldR, *S = Y + tile * ldO, *T = S + tile * ldC;
    const int64_t voxels = b.mid.voxels();
    for (int64_t i = 0; i < rows; i++)
      normaliseRow(mid + (first + i) * b.C, table + 2 * ((first + i) / voxels) * b.C, b.C, N + i * ldC);
    product(N, ldC, expand, rows, b.R, b.C, expandBias, false, H, ldR);
    geluTile(H, rows, ldR, b.R);
    product(H, ldR, compress, rows, b.O, b.R, outBias, false, Y, ldO);
    if (b.kind == ordinary) {
      for (int64_t i = 0; i < rows; i++) {
        float* to = y + (first + i) * b.O;
        const float *from = Y + i * ldO, *skip = x + (first + i) * b.O;
        if (b.residual)
          for (int64_t o = 0; o < b.O; o++) to[o] = from[o] + skip[o];
        else std::memcpy(to, from, b.O * sizeof(float));
      }
      return;
    }
    if (b.shortcut) {
      // Rows that a shortcut reaches are gathered, multiplied and added back.
      std::vector<int64_t> reached;
      reached.reserve(rows);
      Place p = placeOf(b, first);
      for (int64_t i = 0; i < rows; i++, next(b, p)) {
        const int64_t from = shortcutRow(b, p);
        if (from < 0) continue;
        std::memcpy(S + static_cast<int64_t>(reached.size()) * ldC, x + from * b.C, b.C * sizeof(float));
        reached.push_back(i);
      }
      const int64_t count = reached.size();
      product(S, ldC, shortcut, count, b.O, b.C, nullptr, false, T, ldO);
      for (int64_t k = 0; k < count; k++)
        for (int64_t o = 0; o < b.O; o++) Y[reached[k] * ldO + o] += T[k * ldO + o];
    }
    Place p = placeOf(b, first);
    for (int64_t i = 0; i < rows; i++, next(b, p)) std::memcpy(y + outputRow(b, p) * b.O, Y + i * ldO, b.O * sizeof(float));
  });
}

void addRow(float* sum, const float* row, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += row[i];
}

/// Inputs: the eleven of `forward`, then the convolution's output, the statistics, and dy.
/// Outputs: the gradients of the eleven, in order.
void backward(Call& call) {
  const Block b = blockOf(call);
  const float *x = call.input(0), *mid = call.input(11), *stats = call.input(12), *dy = call.input(13);
  EXPECT(sizeOf(call.shape(11)) == b.rows() * b.C && sizeOf(call.shape(12)) == 2 * b.batch * b.C, "kept tensors " + text(call.shape(11)) + " and " + text(call.shape(12)));
  EXPECT(sizeOf(call.shape(13)) == b.batch * b.out.voxels() * b.O, "gradient " + text(call.shape(13)) + " for an output of " + text(withRank(b.rank, b.batch, b.out, b.O)));
  float* gradients[11];
  for (int i = 0; i < 11; i++) {
    gradients[i] = call.output(i, call.shape(i));
    const int64_t size = sizeOf(call.shape(i));
    if (i > 0 && size) std::memset(gradients[i], 0, size * sizeof(float));
  }
  float* dx = gradients[0];
  const int64_t rows = b.rows();
  if (rows * b.C * b.R * b.O == 0) {
    if (sizeOf(call.shape(0))) std::memset(dx, 0, sizeOf(call.shape(0)) * sizeof(float));
    return;
  }
  const Buffer table = scaleAndShift(b, stats, call.input(3), call.input(4));
  const Buffer expand = packedOf(call.input(5), b.C, b.R, b.R, 1), expandBias = widened(call.input(6), b.R);
  const Buffer expandT = packedOf(call.input(5), b.R, b.C, 1, b.R), compressT = packedOf(call.input(7), b.O, b.R, 1, b.O);
  Buffer shortcutT;
  if (b.shortcut)
    shortcutT = b.kind == down ? packedOf(call.input(9), b.O, b.C, 1, b.O) : packedOf(call.input(9), b.O, b.C, b.C, 1);

  const int64_t tile = tileRows(b, 2), ldC = padded(b.C), ldR = padded(b.R), ldO = padded(b.O);
  const int threads = static_cast<int>(std::clamp<int64_t>((rows + tile - 1) / tile, 1, threadCount()));
  // A thread's part: tile buffers, then its sums of weight gradients.
  const int64_t tileSize = tile * (2 * ldC + 2 * ldO + 2 * ldR);
  const int64_t dExpand = 0, dCompress = dExpand + ldC * ldR, dShortcut = dCompress + ldR * ldO;
  const int64_t dExpandBias = dShortcut + (b.shortcut ? ldC * ldO : 0), dOutBias = dExpandBias + ldR;
  const int64_t dNorm = dOutBias + ldO, sums = dNorm + 2 * b.batch * b.C;
  const int64_t per = tileSize + sums;
  Buffer scratch = zeros(per * threads);
  Buffer dMid(rows * b.C);
  Buffer dShort(b.shortcut ? (b.kind == down ? rows : b.batch * b.in.voxels()) * b.C : 0);
  const int64_t voxels = b.mid.voxels();

  tiles(rows, tile, threads, [&](int64_t first, int64_t count) {
    float* base = scratch + per * omp_get_thread_num();
    float *N = base, *dN = N + tile * ldC, *dY = dN + tile * ldC, *S = dY + tile * ldO, *H = S + tile * ldO, *dH = H + tile * ldR;
    float* sum = base + tileSize;
    Place p = placeOf(b, first);
    for (int64_t i = 0; i < count; i++) {
      normaliseRow(mid + (first + i) * b.C, table + 2 * ((first + i) / voxels) * b.C, b.C, N + i * ldC);
      const int64_t from = b.kind == up ? outputRow(b, p) : first + i;
      std::memcpy(dY + i * ldO, dy + from * b.O, b.O * sizeof(float));
      if (b.kind == up) next(b, p);
      addRow(sum + dOutBias, dY + i * ldO, b.O);
    }
    product(N, ldC, expand, count, b.R, b.C, expandBias, false, H, ldR);
    product(dY, ldO, compressT, count, b.R, b.O, nullptr, false, dH, ldR);
    for (int64_t j = 0; j < b.R; j += widest) {
      using V = Vec<widest>;
      V bias = load<widest>(sum + dExpandBias + j);
      for (int64_t i = 0; i < count; i++) {
        V value;
        const V slope = geluDerivative<widest>(load<widest>(H + i * ldR + j), value);
        const V d = load<widest>(dH + i * ldR + j) * slope;
        store<widest>(H + i * ldR + j, value);
        store<widest>(dH + i * ldR + j, d);
        bias += d;
      }
      store<widest>(sum + dExpandBias + j, bias);
    }
    addTransposed(H, ldR, dY, ldO, b.R, b.O, count, sum + dCompress, ldO);
    addTransposed(N, ldC, dH, ldR, b.C, b.R, count, sum + dExpand, ldR);
    product(dH, ldR, expandT, count, b.C, b.R, nullptr, false, dN, ldC);
    for (int64_t i = 0; i < count; i++) {
      const int64_t n = (first + i) / voxels;
      const float *g = dN + i * ldC, *m = mid + (first + i) * b.C, *mean = stats + 2 * n * b.C, *inverse = mean + b.C;
      float *to = dMid + (first + i) * b.C, *s1 = sum + dNorm + 2 * n * b.C, *s2 = s1 + b.C;
      for (int64_t c = 0; c < b.C; c++) {
        to[c] = g[c];
        s1[c] += g[c];
        s2[c] += g[c] * ((m[c] - mean[c]) * inverse[c]);
      }
    }
    if (b.shortcut) {
      // N and dN have done their work; they hold the shortcut's input and input gradient now, S the gathered dy.
      std::vector<int64_t> reached;
      reached.reserve(count);
      Place p = placeOf(b, first);
      for (int64_t i = 0; i < count; i++, next(b, p)) {
        const int64_t from = shortcutRow(b, p);
        if (from < 0) continue;
        const int64_t k = reached.size();
        std::memcpy(N + k * ldC, x + from * b.C, b.C * sizeof(float));
        std::memcpy(S + k * ldO, dY + i * ldO, b.O * sizeof(float));
        reached.push_back(b.kind == down ? first + i : from);
      }
      const int64_t k = reached.size();
      addTransposed(N, ldC, S, ldO, b.C, b.O, k, sum + dShortcut, ldO);
      product(S, ldO, shortcutT, k, b.C, b.O, nullptr, false, dN, ldC);
      for (int64_t i = 0; i < k; i++) std::memcpy(dShort + reached[i] * b.C, dN + i * ldC, b.C * sizeof(float));
    }
  });

  // The threads' sums, in order.
  for (int t = 1; t < threads; t++) addRow(scratch + tileSize, scratch + per * t + tileSize, sums);
  const float* sum = scratch + tileSize;
  for (int64_t c = 0; c < b.C; c++) std::memcpy(gradients[5] + c * b.R, sum + dExpand + c * ldR, b.R * sizeof(float));
  std::memcpy(gradients[6], sum + dExpandBias, b.R * sizeof(float));
  for (int64_t r = 0; r < b.R; r++) std::memcpy(gradients[7] + r * b.O, sum + dCompress + r * ldO, b.O * sizeof(float));
  std::memcpy(gradients[8], sum + dOutBias, b.O * sizeof(float));
  if (b.shortcut) {
    for (int64_t c = 0; c < b.C; c++)
      for (int64_t o = 0; o < b.O; o++)
        gradients[9][b.kind == down ? c * b.O + o : o * b.C + c] = sum[dShortcut + c * ldO + o];
    std::memcpy(gradients[10], sum + dOutBias, b.O * sizeof(float));
  }

  // Through the norm: dMid = γ/sd · (dN − mean dN − x̂ · mean(dN·x̂)), written as dN·a + mid·e + f per batch entry and channel.
  Buffer coefficients(3 * b.batch * b.C);
  const float* gamma = call.input(3);
  for (int64_t n = 0; n < b.batch; n++) {
    const float *s1 = sum + dNorm + 2 * n * b.C, *s2 = s1 + b.C, *mean = stats + 2 * n * b.C, *inverse = mean + b.C;
    float *a = coefficients + 3 * n * b.C, *e = a + b.C, *f = e + b.C;
    for (int64_t c = 0; c < b.C; c++) {
      gradients[3][c] += s2[c];
      gradients[4][c] += s1[c];
      a[c] = gamma[c] * inverse[c];
      e[c] = -a[c] * inverse[c] * (s2[c] / static_cast<float>(voxels));
      f[c] = -a[c] * (s1[c] / static_cast<float>(voxels)) - e[c] * mean[c];
    }
  }
#pragma omp parallel for schedule(static) num_threads(threadCount())
  for (int64_t i = 0; i < rows; i++) {
    const float *a = coefficients + 3 * (i / voxels) * b.C, *e = a + b.C, *f = e + b.C, *m = mid + i * b.C;
    float* d = dMid + i * b.C;
    for (int64_t c = 0; c < b.C; c++) d[c] = d[c] * a[c] + (m[c] * e[c] + f[c]);
  }

  // The convolution's bias stands before a norm that takes it away: its gradient, gradients[2], is exactly zero.
  const float* kernel = call.input(1);
  if (b.kind == up) {
    kernelGradient(dMid, b.mid, x, b.in, b.conv, b.batch, b.C, gradients[1], nullptr);
    gather(dMid, b.mid, kernel, b.conv, b.batch, b.C, b.shortcut ? static_cast<float*>(dShort) : nullptr, nullptr, dx, b.in);
    return;
  }
  kernelGradient(x, b.in, dMid, b.mid, b.conv, b.batch, b.C, gradients[1], nullptr);
  spread(dMid, b.mid, kernel, b.conv, b.batch, b.C, b.kind == ordinary && b.residual ? dy : nullptr, nullptr, dx, b.in);
  if (b.shortcut) {
    Place p{0, 0, 0, 0};
    for (int64_t i = 0; i < rows; i++, next(b, p)) addRow(dx + shortcutRow(b, p) * b.C, dShort + i * b.C, b.C);
  }
}

__attribute__((constructor)) void add() {
  registerOp<forward>("VoxelbookMednextBlock", 11, 3);
  registerOp<backward>("VoxelbookMednextBlockGradient", 14, 11);
}

}  // namespace
}  // namespace voxelbook
