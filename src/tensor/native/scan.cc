// Operators: Mamba's selective scan (Gu and Dao 2023), forward and backward.
//
//   h_t = exp(Δ_t A) h_{t−1} + Δ_t B_t u_t        y_t = C_t · h_t + D u_t        Δ = softplus(δ + bias)
//
// One vector is 16 neighbouring channels; the states of those channels stay in registers while time runs. Threads share
// out batch × channels. The sequence goes in chunks; kept for the backward pass is the state at the start of each chunk,
// from which a chunk's states are computed again, in cache.
//
// Several ways (K > 1) scan one grid in several orders and add up, as VMamba's SS2D does: 0 along rows, 1 along columns,
// 2 and 3 the same backwards. u and y then lie on the grid once; δ, A, B, C, D, bias have a part for each way.
//
// Inputs: u [b,L,d], δ [b,L,K·d], A [K·d,n], B and C [b,L,K·G,n], D [K·d], bias [K·d].
// ints: K, G, softplus, height, width (height·width = L where K > 1).
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cstring>

#include "exponential.h"
#include "op.h"

namespace voxelbook {
namespace {

constexpr int64_t chunkLength = 64;

/// Decays soon underflow; arithmetic on denormal numbers would be a hundred times slower.
struct FlushDenormals {
#if defined(__x86_64__)
  unsigned int before = _mm_getcsr();
  FlushDenormals() { _mm_setcsr(before | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before); }
#endif
};

/// Neighbouring channels of one group that are worked on together.
struct Channels {
  int64_t first, width, group, packed;  // packed: where their [state][channel] tables begin
};

struct Scan {
  int64_t batch, length, d, ways, groups, states, height, width, chunks;
  bool softplus;
  const float *u, *delta, *A, *B, *C, *D, *bias;
  std::vector<Channels> blocks;

  int64_t packedSize() const { return d * states; }
  /// Row of the grid that way k visits at time t.
  int64_t row(int64_t k, int64_t t) const {
    const int64_t i = k & 2 ? length - 1 - t : t;
    return k & 1 ? i % height * width + i / height : i;
  }
};

Scan scanOf(Call& call) {
  EXPECT(call.ints.size() == 5, "five integers expected");
  Scan s;
  s.ways = call.ints[0], s.groups = call.ints[1], s.softplus = call.ints[2], s.height = call.ints[3], s.width = call.ints[4];
  const Shape &u = call.shape(0), &A = call.shape(2);
  EXPECT(u.size() == 3 && A.size() == 2, "u " + text(u) + " must be [batch, length, channel], A " + text(A) + " [channel, state]");
  s.batch = u[0], s.length = u[1], s.d = u[2], s.states = A[1];
  EXPECT(s.ways >= 1 && s.ways <= 4 && s.groups >= 1 && s.d % s.groups == 0,
         std::to_string(s.ways) + " ways and " + std::to_string(s.groups) + " groups for " + std::to_string(s.d) + " channels");
  EXPECT(s.ways == 1 || (s.height >= 0 && s.width >= 0 && s.height <= s.length && s.width <= s.length && s.height * s.width == s.length),
         "a grid of " + std::to_string(s.height) + " × " + std::to_string(s.width) + " for a length of " + std::to_string(s.length));
  const int64_t all = s.ways * s.d;
  const Shape expected[] = {{s.batch, s.length, all}, {all, s.states}, {s.batch, s.length, s.ways * s.groups, s.states},
                            {s.batch, s.length, s.ways * s.groups, s.states}, {all}, {all}};
  const char* names[] = {"delta", "A", "B", "C", "D", "bias"};
  for (int i = 0; i < 6; i++)
    EXPECT(call.shape(i + 1) == expected[i], std::string(names[i]) + " " + text(call.shape(i + 1)) + " must be " + text(expected[i]));
  s.u = call.input(0), s.delta = call.input(1), s.A = call.input(2), s.B = call.input(3), s.C = call.input(4);
  s.D = call.input(5), s.bias = call.input(6);
  s.chunks = (s.length + chunkLength - 1) / chunkLength;
  int64_t packed = 0;
  const int64_t perGroup = s.d / s.groups;
  for (int64_t g = 0; g < s.groups; g++)
    for (int64_t c = 0; c < perGroup;) {
      const int64_t left = perGroup - c, w = left >= widest ? widest : left >= 4 ? 4 : 1;
      s.blocks.push_back({g * perGroup + c, w, g, packed});
      packed += w * s.states;
      c += w;
    }
  return s;
}

/// [channel, state] of way k → tables [state][channel] per block, and back (adding).
void packTable(const Scan& s, int64_t k, const float* table, float* packed) {
  for (const Channels& b : s.blocks)
    for (int64_t n = 0; n < s.states; n++)
      for (int64_t c = 0; c < b.width; c++)
        packed[b.packed + n * b.width + c] = table[(k * s.d + b.first + c) * s.states + n];
}
void addUnpacked(const Scan& s, int64_t k, const float* packed, float* table) {
  for (const Channels& b : s.blocks)
    for (int64_t n = 0; n < s.states; n++)
      for (int64_t c = 0; c < b.width; c++)
        table[(k * s.d + b.first + c) * s.states + n] += packed[b.packed + n * b.width + c];
}

template <class Fn>
inline void withWidth(int64_t width, Fn&& fn) {
  if (width == widest) fn.template operator()<widest>();
  else if (width == 4) fn.template operator()<4>();
  else fn.template operator()<1>();
}

/// exp with an exact zero where float has none left; NaN stays.
template <int W>
inline Vec<W> decayOf(Vec<W> x) {
  return x <= -87.0f ? Vec<W>{} : exponential<W>(x);
}

/// Runs one chunk of one block of channels. `h` [state][W] goes in and comes out. With `keep`, the states before each
/// position and the decays at it are stored ([position][state][W]) and y is not written.
template <int W, int N, bool Keep>
void runChunk(const Scan& s, int64_t k, int64_t e, const Channels& b, const int64_t* rows, int64_t count, const float* A, float* h,
              float* y, float* before, float* decays) {
  using V = Vec<W>;
  const int64_t states = N ? N : s.states, at = k * s.d + b.first, all = s.ways * s.d;
  const V skip = load<W>(s.D + at), bias = load<W>(s.bias + at);
  V local[N ? N : 1];
  if constexpr (N > 0)
    for (int n = 0; n < N; n++) local[n] = load<W>(h + n * W);
  for (int64_t t = 0; t < count; t++) {
    const int64_t r = e * s.length + rows[t];
    const V raw = load<W>(s.delta + r * all + at) + bias;
    const V step = s.softplus ? softplus<W>(raw) : raw;
    const V u = load<W>(s.u + r * s.d + b.first), drive = step * u;
    const float *B = s.B + ((r * s.ways + k) * s.groups + b.group) * states, *C = s.C + ((r * s.ways + k) * s.groups + b.group) * states;
    V sum = skip * u;
#pragma GCC unroll 16
    for (int64_t n = 0; n < states; n++) {
      const V a = decayOf<W>(step * load<W>(A + n * W));
      const V previous = N ? local[N ? n : 0] : load<W>(h + n * W);
      if constexpr (Keep) {
        store<W>(before + (t * states + n) * W, previous);
        store<W>(decays + (t * states + n) * W, a);
      }
      const V now = a * previous + drive * B[n];
      if constexpr (N > 0) local[n] = now;
      else store<W>(h + n * W, now);
      if constexpr (!Keep) sum += now * C[n];
    }
    if constexpr (!Keep) {
      float* to = y + r * s.d + b.first;
      store<W>(to, k == 0 ? sum : load<W>(to) + sum);
    }
  }
  if constexpr (N > 0)
    for (int n = 0; n < N; n++) store<W>(h + n * W, local[n]);
}

template <bool Keep>
void chunk(const Scan& s, int64_t k, int64_t e, const Channels& b, const int64_t* rows, int64_t count, const float* A, float* h, float* y,
           float* before, float* decays) {
  withWidth(b.width, [&]<int W>() {
    if (s.states == 16) runChunk<W, 16, Keep>(s, k, e, b, rows, count, A, h, y, before, decays);
    else runChunk<W, 0, Keep>(s, k, e, b, rows, count, A, h, y, before, decays);
  });
}

/// Runs fn(batch entry, first block, last block) for this thread's part of batch × blocks.
template <class Fn>
void share(const Scan& s, int thread, int threads, Fn&& fn) {
  const int64_t blocks = s.blocks.size(), units = s.batch * blocks;
  const int64_t from = units * thread / threads, to = units * (thread + 1) / threads;
  for (int64_t i = from; i < to;) {
    const int64_t e = i / blocks, last = std::min(to - e * blocks, blocks);
    fn(e, i - e * blocks, last);
    i = e * blocks + last;
  }
}

int threadsFor(const Scan& s) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threadCount(), s.batch * s.blocks.size())));
}

Buffer packAll(const Scan& s) {
  Buffer packed(s.ways * s.packedSize());
  for (int64_t k = 0; k < s.ways; k++) packTable(s, k, s.A, packed + k * s.packedSize());
  return packed;
}

/// Outputs y [b,L,d], the last state [b,K·d,n], and the chunks' first states [b,chunks,K,d·n].
void forward(Call& call) {
  const Scan s = scanOf(call);
  float* y = call.output(0, call.shape(0));
  float* last = call.output(1, {s.batch, s.ways * s.d, s.states});
  float* starts = call.output(2, {s.batch, s.chunks, s.ways, s.packedSize()});
  if (s.batch * s.length * s.d == 0) {
    for (int64_t i = 0; i < s.batch * s.ways * s.packedSize(); i++) last[i] = 0;
    return;
  }
  const Buffer A = packAll(s);
  const int threads = threadsFor(s);
#pragma omp parallel num_threads(threads)
  {
    FlushDenormals flush;
    std::vector<int64_t> rows(chunkLength);
    Buffer h(s.packedSize());
    share(s, omp_get_thread_num(), omp_get_num_threads(), [&](int64_t e, int64_t from, int64_t to) {
      for (int64_t k = 0; k < s.ways; k++) {
        for (int64_t i = from; i < to; i++) std::memset(h + s.blocks[i].packed, 0, s.blocks[i].width * s.states * sizeof(float));
        for (int64_t q = 0; q < s.chunks; q++) {
          const int64_t count = std::min(chunkLength, s.length - q * chunkLength);
          for (int64_t t = 0; t < count; t++) rows[t] = s.row(k, q * chunkLength + t);
          for (int64_t i = from; i < to; i++) {
            const Channels& b = s.blocks[i];
            std::memcpy(starts + ((e * s.chunks + q) * s.ways + k) * s.packedSize() + b.packed, h + b.packed, b.width * s.states * sizeof(float));
            chunk<false>(s, k, e, b, rows.data(), count, A + k * s.packedSize() + b.packed, h + b.packed, y, nullptr, nullptr);
          }
        }
        for (int64_t i = from; i < to; i++) {
          const Channels& b = s.blocks[i];
          for (int64_t n = 0; n < s.states; n++)
            for (int64_t c = 0; c < b.width; c++)
              last[(e * s.ways * s.d + k * s.d + b.first + c) * s.states + n] = h[b.packed + n * b.width + c];
        }
      }
    });
  }
}

/// Where a thread puts its sums.
struct Sums {
  float *dA, *dD, *dBias;      // packed per way; [K·d] each
  float *lanesB, *lanesC;      // [position][state][W], summed over a group's blocks
};

/// Backward through one chunk of one block; `carry` [state][W] is decay·g of the position after it.
template <int W>
void backChunk(const Scan& s, int64_t k, int64_t e, const Channels& b, const int64_t* rows, int64_t count, const float* A, const float* before,
               const float* decays, const float* dy, float* carry, float* du, float* dDelta, const Sums& sums, bool firstOfGroup) {
  using V = Vec<W>;
  const int64_t states = s.states, at = k * s.d + b.first, all = s.ways * s.d;
  const V skip = load<W>(s.D + at), bias = load<W>(s.bias + at);
  float* dA = sums.dA + k * s.packedSize() + b.packed;
  V dSkip = load<W>(sums.dD + at), dBias = load<W>(sums.dBias + at);
  for (int64_t t = count - 1; t >= 0; t--) {
    const int64_t r = e * s.length + rows[t];
    const V raw = load<W>(s.delta + r * all + at) + bias;
    const V step = s.softplus ? softplus<W>(raw) : raw;
    const V u = load<W>(s.u + r * s.d + b.first), slope = load<W>(dy + r * s.d + b.first), drive = step * u;
    const float *B = s.B + ((r * s.ways + k) * s.groups + b.group) * states, *C = s.C + ((r * s.ways + k) * s.groups + b.group) * states;
    V dStep{}, into{};
    for (int64_t n = 0; n < states; n++) {
      const int64_t i = (t * states + n) * W;
      const V a = load<W>(decays + i), previous = load<W>(before + i), now = a * previous + drive * B[n];
      const V g = load<W>(carry + n * W) + slope * C[n], decayed = g * a, dLog = decayed * previous;
      into += g * B[n];
      dStep += dLog * load<W>(A + n * W);
      store<W>(dA + n * W, load<W>(dA + n * W) + dLog * step);
      store<W>(carry + n * W, decayed);
      const V forB = g * drive, forC = slope * now;
      store<W>(sums.lanesB + i, firstOfGroup ? forB : load<W>(sums.lanesB + i) + forB);
      store<W>(sums.lanesC + i, firstOfGroup ? forC : load<W>(sums.lanesC + i) + forC);
    }
    dStep += into * u;
    const V dRaw = s.softplus ? dStep * logistic<W>(raw) : dStep;
    dSkip += slope * u;
    dBias += dRaw;
    store<W>(dDelta + r * all + at, dRaw);
    const V forU = into * step + skip * slope;
    float* to = du + r * s.d + b.first;
    store<W>(to, k == 0 ? forU : load<W>(to) + forU);
  }
  store<W>(sums.dD + at, dSkip);
  store<W>(sums.dBias + at, dBias);
}

/// Inputs: the seven of `forward`, the chunks' first states, dy [b,L,d], and the last state's gradient [b,K·d,n] or [0].
/// Outputs: the seven gradients.
void backward(Call& call) {
  const Scan s = scanOf(call);
  const int64_t size = s.packedSize(), bc = s.batch * s.length * s.ways * s.groups * s.states;
  EXPECT(sizeOf(call.shape(7)) == s.batch * s.chunks * s.ways * size && call.shape(8) == call.shape(0),
         "kept states " + text(call.shape(7)) + " and gradient " + text(call.shape(8)) + " for u " + text(call.shape(0)));
  const bool fromState = sizeOf(call.shape(9)) > 0;
  EXPECT(!fromState || sizeOf(call.shape(9)) == s.batch * s.ways * size, "gradient of the state " + text(call.shape(9)));
  float* out[7];
  for (int i = 0; i < 7; i++) {
    out[i] = call.output(i, call.shape(i));
    if (i >= 2) std::memset(out[i], 0, sizeOf(call.shape(i)) * sizeof(float));
  }
  if (s.batch * s.length * s.d == 0) return;
  const float *starts = call.input(7), *dy = call.input(8), *dState = call.input(9);
  const Buffer A = packAll(s);
  const int threads = threadsFor(s);
  // Per thread: sums of dA, dD, dBias; dB and dC (the first thread has the outputs themselves).
  const int64_t small = s.ways * (size + 2 * s.d);
  Buffer sums(small * threads), shared(2 * bc * (threads - 1));
  std::memset(sums, 0, small * threads * sizeof(float));
  if (threads > 1) std::memset(shared, 0, 2 * bc * (threads - 1) * sizeof(float));
#pragma omp parallel num_threads(threads)
  {
    FlushDenormals flush;
    const int thread = omp_get_thread_num();
    const int64_t cell = chunkLength * s.states * widest;
    Buffer work(4 * cell), carry(size), state(s.states * widest);
    float* mine = sums + small * thread;
    const Sums to{mine, mine + s.ways * size, mine + s.ways * (size + s.d), work + 2 * cell, work + 3 * cell};
    float* dB = thread ? shared + 2 * bc * (thread - 1) : out[3];
    float* dC = thread ? dB + bc : out[4];
    std::vector<int64_t> rows(chunkLength);
    share(s, thread, omp_get_num_threads(), [&](int64_t e, int64_t from, int64_t last) {
      for (int64_t k = 0; k < s.ways; k++) {
        for (int64_t i = from; i < last; i++) {
          const Channels& b = s.blocks[i];
          for (int64_t n = 0; n < s.states; n++)
            for (int64_t c = 0; c < b.width; c++)
              carry[b.packed + n * b.width + c] = fromState ? dState[(e * s.ways * s.d + k * s.d + b.first + c) * s.states + n] : 0;
        }
        for (int64_t q = s.chunks - 1; q >= 0; q--) {
          const int64_t count = std::min(chunkLength, s.length - q * chunkLength);
          for (int64_t t = 0; t < count; t++) rows[t] = s.row(k, q * chunkLength + t);
          for (int64_t i = from; i < last; i++) {
            const Channels& b = s.blocks[i];
            const float* table = A + k * size + b.packed;
            std::memcpy(state, starts + ((e * s.chunks + q) * s.ways + k) * size + b.packed, b.width * s.states * sizeof(float));
            chunk<true>(s, k, e, b, rows.data(), count, table, state, nullptr, work, work + cell);
            // Lanes of one group and width are summed over its blocks, then across.
            const bool first = i == from || s.blocks[i - 1].group != b.group || s.blocks[i - 1].width != b.width;
            const bool end = i + 1 == last || s.blocks[i + 1].group != b.group || s.blocks[i + 1].width != b.width;
            withWidth(b.width, [&]<int W>() {
              backChunk<W>(s, k, e, b, rows.data(), count, table, work, work + cell, dy, carry + b.packed, out[0], out[1], to, first);
            });
            if (!end) continue;
            for (int64_t t = 0; t < count; t++) {
              const int64_t at = (((e * s.length + rows[t]) * s.ways + k) * s.groups + b.group) * s.states;
              for (int64_t n = 0; n < s.states; n++) {
                const float *lanesB = to.lanesB + (t * s.states + n) * b.width, *lanesC = to.lanesC + (t * s.states + n) * b.width;
                float sumB = 0, sumC = 0;
                for (int64_t c = 0; c < b.width; c++) sumB += lanesB[c], sumC += lanesC[c];
                dB[at + n] += sumB, dC[at + n] += sumC;
              }
            }
          }
        }
      }
    });
  }
  for (int t = 0; t < threads; t++) {
    const float* from = sums + small * t;
    for (int64_t k = 0; k < s.ways; k++) addUnpacked(s, k, from + k * size, out[2]);
    for (int64_t i = 0; i < s.ways * s.d; i++) out[5][i] += from[s.ways * size + i], out[6][i] += from[s.ways * (size + s.d) + i];
    if (t == 0) continue;
    const float* more = shared + 2 * bc * (t - 1);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < bc; i++) out[3][i] += more[i], out[4][i] += more[bc + i];
  }
}

__attribute__((constructor)) void add() {
  registerOp<forward>("VoxelbookSelectiveScan", 7, 3);
  registerOp<backward>("VoxelbookSelectiveScanGradient", 10, 7);
}

}  // namespace
}  // namespace voxelbook
