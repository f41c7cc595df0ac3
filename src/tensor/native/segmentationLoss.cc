// Operators: Dice + cross entropy of all supervised outputs together, with the gradients for their logits.
//
// Two passes over the logits, in pieces of neighbouring voxels: the first sums what the two terms need (TP, Σp, Σy of each
// class and the cross entropy), the second computes the probabilities again and turns them into gradients. Nothing of the
// logits' size exists beside logits and gradients, no one-hot target, no mask. One vector is `widest` voxels, so that a
// voxel's few classes lie in as many vectors. Sums are merged in double precision in the order of the pieces.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "exponential.h"
#include "op.h"

namespace voxelbook {
namespace {

constexpr int W = widest;
using V = Vec<W>;

struct LossSettings {
  bool gradient, batchDice, background, v1;
  bool ignore;
  int64_t ignoreLabel;  // of labels; regions are left out by their target's last channel
  float smooth, ceWeight, diceWeight, smoothing;
  std::vector<float> classWeights;
};

/// One supervised output.
struct Head {
  int64_t batch, voxels, C;  // voxels of one batch entry
  const float* x;
  const int32_t* labels;   // [batch, voxels], or
  const float* regions;    // [batch, voxels, C (+ 1)]
  float weight;
  float* gradient;
};

/// Neighbouring voxels of one batch entry.
struct Piece {
  int64_t head, entry, first, count;
};
constexpr int64_t pieceSize = 4096;

/// Sums of a piece, a batch entry or a batch: cross entropy and what it is divided by; per class TP, Σp, Σy.
struct Sums {
  double ce = 0, count = 0;
  std::vector<double> tp, p, y;
  explicit Sums(int64_t C = 0) : tp(C), p(C), y(C) {}
  void add(const Sums& other) {
    ce += other.ce, count += other.count;
    for (size_t c = 0; c < tp.size(); c++) tp[c] += other.tp[c], p[c] += other.p[c], y[c] += other.y[c];
  }
};

/// What the gradient of the soft Dice is made of: d(loss)/dp = A·y + B.
struct Slopes {
  std::vector<float> A, B;
  explicit Slopes(int64_t C = 0) : A(C), B(C) {}
};

double across(V v) {
  double sum = 0;
  for (int i = 0; i < W; i++) sum += v[i];
  return sum;
}

/// log x for 1 ≤ x; NaN stays (Cephes logf's polynomial).
V logarithm(V x) {
  typedef int32_t I __attribute__((vector_size(4 * W)));
  typedef float F __attribute__((vector_size(4 * W)));
  // x = 2^e · m with m between √½ and √2.
  const I bits = (I)(F)x;
  const I shifted = bits - 0x3f3504f3;
  const I e = shifted >> 23;
  const V m = (V)(F)(bits - (e << 23));
  const V t = m - 1.0f, z = t * t;
  V p = broadcast<W>(7.0376836292e-2f);
  p = p * t - 1.1514610310e-1f;
  p = p * t + 1.1676998740e-1f;
  p = p * t - 1.2420140846e-1f;
  p = p * t + 1.4249322787e-1f;
  p = p * t - 1.6668057665e-1f;
  p = p * t + 2.0000714765e-1f;
  p = p * t - 2.4999993993e-1f;
  p = p * t + 3.3333331174e-1f;
  const V n = (V)__builtin_convertvector(e, F);
  V y = p * t * z + n * -2.12194440e-4f - 0.5f * z;
  y = t + y + n * 0.693359375f;
  return y + (x - x);
}

/// `count` rows of C values, `step` apart, as columns: to[c·W + lane]; lanes beyond are 0.
void columns(const float* rows, int64_t C, int64_t step, int64_t count, float* to) {
  if (count < W) std::memset(to, 0, C * W * sizeof(float));
  for (int64_t lane = 0; lane < count; lane++)
    for (int64_t c = 0; c < C; c++) to[c * W + lane] = rows[lane * step + c];
}

/// Logits in columns → probabilities; returns log Σ exp. `weighted` gets Σ w·x where class weights or ones are given.
V softmax(float* x, int64_t C, const float* weights, V& weighted) {
  V highest = load<W>(x);
  for (int64_t c = 1; c < C; c++) highest = larger<W>(highest, load<W>(x + c * W));
  V sum{};
  weighted = V{};
  for (int64_t c = 0; c < C; c++) {
    const V value = load<W>(x + c * W), e = exponential<W>(value - highest);
    if (weights) weighted += value * weights[c];
    store<W>(x + c * W, e);
    sum += e;
  }
  const V share = 1.0f / sum;
  for (int64_t c = 0; c < C; c++) store<W>(x + c * W, load<W>(x + c * W) * share);
  return highest + logarithm(sum);
}

/// What a block of voxels is compared with: the label (−1: none that is a class), its weight, whether the voxel counts.
struct Labels {
  int64_t label[W];
  float weight[W], mask[W];
  void read(const LossSettings& s, const int32_t* from, int64_t C, int64_t count) {
    for (int64_t i = 0; i < W; i++) {
      const int64_t given = i < count ? from[i] : -1;
      const bool ignored = i >= count || (s.ignore && given == s.ignoreLabel);
      label[i] = !ignored && given >= 0 && given < C ? given : -1;
      mask[i] = ignored ? 0.0f : 1.0f;
      weight[i] = label[i] < 0 ? 0.0f : s.classWeights.empty() ? 1.0f : s.classWeights[label[i]];
    }
  }
};

/// Σ over a piece, labels.
Sums sumLabels(const LossSettings& s, const Head& h, const Piece& piece, const float* smoothed) {
  Sums sums(h.C);
  Buffer work(4 * h.C * W);
  float *x = work, *tp = x + h.C * W, *p = tp + h.C * W, *y = p + h.C * W;
  std::memset(tp, 0, 3 * h.C * W * sizeof(float));
  V ce{}, count{}, spread{};
  const float share = s.smoothing / static_cast<float>(h.C);
  Labels l;
  for (int64_t v = 0; v < piece.count; v += W) {
    const int64_t n = std::min<int64_t>(W, piece.count - v), at = piece.entry * h.voxels + piece.first + v;
    columns(h.x + at * h.C, h.C, h.C, n, x);
    l.read(s, h.labels + at, h.C, n);
    float own[W] = {};
    for (int64_t i = 0; i < n; i++) own[i] = l.label[i] < 0 ? 0.0f : x[l.label[i] * W + i];
    V weighted;
    const V logZ = softmax(x, h.C, smoothed, weighted), mask = load<W>(l.mask), weight = load<W>(l.weight);
    ce += weight * (logZ - load<W>(own));
    count += weight;
    if (smoothed) {
      float total = 0;
      for (int64_t c = 0; c < h.C; c++) total += smoothed[c];
      spread += mask * (logZ * total - weighted);
    }
    for (int64_t c = 0; c < h.C; c++) store<W>(p + c * W, load<W>(p + c * W) + load<W>(x + c * W) * mask);
    for (int64_t i = 0; i < n; i++)
      if (l.label[i] >= 0) tp[l.label[i] * W + i] += x[l.label[i] * W + i], y[l.label[i] * W + i] += 1.0f;
  }
  sums.ce = s.smoothing > 0 ? (1.0 - s.smoothing) * across(ce) + share * across(spread) : across(ce);
  sums.count = across(count);
  for (int64_t c = 0; c < h.C; c++)
    sums.tp[c] = across(load<W>(tp + c * W)), sums.p[c] = across(load<W>(p + c * W)), sums.y[c] = across(load<W>(y + c * W));
  return sums;
}

/// Gradients of a piece, labels. `ce` is the head's weight times the cross entropy's, divided by its count.
void backLabels(const LossSettings& s, const Head& h, const Piece& piece, const Slopes& slopes, float ce, const float* smoothed) {
  Buffer work(h.C * W);
  float* x = work;
  const float sharp = ce * (1.0f - s.smoothing), share = ce * s.smoothing / static_cast<float>(h.C);
  float total = 0;
  for (int64_t c = 0; smoothed && c < h.C; c++) total += smoothed[c];
  Labels l;
  for (int64_t v = 0; v < piece.count; v += W) {
    const int64_t n = std::min<int64_t>(W, piece.count - v), at = piece.entry * h.voxels + piece.first + v;
    columns(h.x + at * h.C, h.C, h.C, n, x);
    l.read(s, h.labels + at, h.C, n);
    V unused;
    softmax(x, h.C, nullptr, unused);
    const V mask = load<W>(l.mask), pull = load<W>(l.weight) * sharp;
    float own[W] = {};
    for (int64_t i = 0; i < n; i++) own[i] = l.label[i] < 0 ? 0.0f : x[l.label[i] * W + i] * slopes.A[l.label[i]];
    // Σ p·(A·y + B), which the softmax takes from every class.
    V mean = load<W>(own);
    for (int64_t c = 0; c < h.C; c++) mean += load<W>(x + c * W) * slopes.B[c];
    const V common = pull + mask * (share * total) - mask * mean;
    for (int64_t c = 0; c < h.C; c++) {
      V d = load<W>(x + c * W) * (mask * slopes.B[c] + common);
      if (smoothed) d -= mask * (share * smoothed[c]);
      store<W>(x + c * W, d);
    }
    for (int64_t i = 0; i < n; i++) {
      float* to = h.gradient + (at + i) * h.C;
      for (int64_t c = 0; c < h.C; c++) to[c] = x[c * W + i];
      if (l.label[i] >= 0) to[l.label[i]] += own[i] - pull[i];
    }
  }
}

/// The voxels that count, of a block of regions.
V maskOf(const LossSettings& s, const float* regions, int64_t C, int64_t n) {
  float mask[W] = {};
  for (int64_t i = 0; i < n; i++) mask[i] = s.ignore ? 1.0f - regions[i * (C + 1) + C] : 1.0f;
  return load<W>(mask);
}

Sums sumRegions(const LossSettings& s, const Head& h, const Piece& piece) {
  Sums sums(h.C);
  Buffer work(5 * h.C * W);
  float *x = work, *t = x + h.C * W, *tp = t + h.C * W, *p = tp + h.C * W, *y = p + h.C * W;
  std::memset(tp, 0, 3 * h.C * W * sizeof(float));
  const int64_t step = h.C + s.ignore;
  V ce{}, count{};
  for (int64_t v = 0; v < piece.count; v += W) {
    const int64_t n = std::min<int64_t>(W, piece.count - v), at = piece.entry * h.voxels + piece.first + v;
    columns(h.x + at * h.C, h.C, h.C, n, x);
    columns(h.regions + at * step, h.C, step, n, t);
    const V mask = maskOf(s, h.regions + at * step, h.C, n);
    count += mask;
    for (int64_t c = 0; c < h.C; c++) {
      const V value = load<W>(x + c * W), target = load<W>(t + c * W), probability = logistic<W>(value) * mask, kept = target * mask;
      ce += (softplus<W>(value) - value * target) * mask;
      store<W>(tp + c * W, load<W>(tp + c * W) + probability * kept);
      store<W>(p + c * W, load<W>(p + c * W) + probability);
      store<W>(y + c * W, load<W>(y + c * W) + kept);
    }
  }
  sums.ce = across(ce), sums.count = across(count);
  for (int64_t c = 0; c < h.C; c++)
    sums.tp[c] = across(load<W>(tp + c * W)), sums.p[c] = across(load<W>(p + c * W)), sums.y[c] = across(load<W>(y + c * W));
  return sums;
}

void backRegions(const LossSettings& s, const Head& h, const Piece& piece, const Slopes& slopes, float ce) {
  Buffer work(2 * h.C * W);
  float *x = work, *t = x + h.C * W;
  const int64_t step = h.C + s.ignore;
  for (int64_t v = 0; v < piece.count; v += W) {
    const int64_t n = std::min<int64_t>(W, piece.count - v), at = piece.entry * h.voxels + piece.first + v;
    columns(h.x + at * h.C, h.C, h.C, n, x);
    columns(h.regions + at * step, h.C, step, n, t);
    const V mask = maskOf(s, h.regions + at * step, h.C, n);
    for (int64_t c = 0; c < h.C; c++) {
      const V probability = logistic<W>(load<W>(x + c * W)), target = load<W>(t + c * W);
      const V dice = (target * mask * slopes.A[c] + slopes.B[c]) * probability * (1.0f - probability);
      store<W>(x + c * W, mask * ((probability - target) * ce + dice));
    }
    for (int64_t i = 0; i < n; i++)
      for (int64_t c = 0; c < h.C; c++) h.gradient[(at + i) * h.C + c] = x[c * W + i];
  }
}

/// −mean of the soft Dice over groups (batch entries, or one for all) and classes, and its slopes times `weight`.
double diceOf(const LossSettings& s, const std::vector<Sums>& groups, int64_t C, float weight, std::vector<Slopes>& slopes) {
  const int64_t first = s.background ? 0 : 1;
  const double count = static_cast<double>(groups.size()) * (C - first);
  double sum = 0;
  for (const Sums& g : groups) {
    Slopes slope(C);
    for (int64_t c = first; c < C; c++) {
      const double above = 2 * g.tp[c] + s.smooth, total = g.p[c] + g.y[c] + s.smooth;
      const double below = s.v1 ? total + 1e-8 : std::isnan(total) ? total : std::max(total, 1e-8);
      const double moves = s.v1 || total >= 1e-8 ? 1 : 0;
      sum += above / below;
      slope.A[c] = static_cast<float>(-weight / count * 2 / below);
      slope.B[c] = static_cast<float>(weight / count * moves * above / (below * below));
    }
    slopes.push_back(std::move(slope));
  }
  return -sum / count;
}

/// Inputs: N logits [batch, …, C], N targets: labels [batch, …] (int32) or regions [batch, …, C (+ 1)].
/// ints: gradient, batch Dice, background, v1, ignore, ignored label; floats: smooth, weights of cross entropy and Dice, label
/// smoothing, N weights of the outputs, then a weight for each class or nothing.
/// Outputs: the loss, and N gradients of the logits, or N empty tensors.
template <bool regions>
void loss(Call& call) {
  EXPECT(call.ints.size() == 6, "six integers expected");
  const int64_t N = call.inputs() / 2;
  LossSettings s;
  s.gradient = call.ints[0], s.batchDice = call.ints[1], s.background = call.ints[2], s.v1 = call.ints[3], s.ignore = call.ints[4];
  s.ignoreLabel = call.ints[5];
  const std::vector<float>& f = call.floats;
  EXPECT(static_cast<int64_t>(f.size()) >= 4 + N, std::to_string(f.size()) + " settings for " + std::to_string(N) + " outputs");
  s.smooth = f[0], s.ceWeight = f[1], s.diceWeight = f[2], s.smoothing = f[3];
  s.classWeights.assign(f.begin() + 4 + N, f.end());
  EXPECT(!regions || (s.classWeights.empty() && s.smoothing == 0), "regions take no class weights and no label smoothing");

  std::vector<Head> heads;
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < N; i++) {
    const Shape &x = call.shape(i), &t = call.shape(N + i);
    EXPECT(x.size() >= 2 && sizeOf(x) > 0, "logits " + text(x) + " must be [batch, …, class]");
    Head h;
    h.batch = x[0], h.C = x.back(), h.voxels = sizeOf(x) / h.batch / h.C, h.weight = f[4 + i];
    Shape expected(x.begin(), x.end() - 1);
    if (regions) expected.push_back(h.C + s.ignore);
    EXPECT(t == expected, "target " + text(t) + " of logits " + text(x) + " must be " + text(expected));
    EXPECT(s.background || h.C > 1, "a single class is all background");
    EXPECT(s.classWeights.empty() || static_cast<int64_t>(s.classWeights.size()) == h.C,
           std::to_string(s.classWeights.size()) + " weights for " + std::to_string(h.C) + " classes");
    h.x = call.input(i);
    h.labels = regions ? nullptr : call.integers(N + i);
    h.regions = regions ? call.input(N + i) : nullptr;
    h.gradient = call.output(1 + i, s.gradient ? x : Shape{0});
    for (int64_t e = 0; e < h.batch; e++)
      for (int64_t v = 0; v < h.voxels; v += pieceSize) pieces.push_back({i, e, v, std::min(pieceSize, h.voxels - v)});
    heads.push_back(h);
  }
  // What label smoothing spreads over: every class by its weight.
  std::vector<float> smoothed;
  if (s.smoothing > 0) smoothed = s.classWeights.empty() ? std::vector<float>(heads[0].C, 1.0f) : s.classWeights;
  if (s.smoothing > 0)
    for (const Head& h : heads) EXPECT(h.C == heads[0].C, "outputs of one number of classes expected");
  const float* spread = smoothed.empty() ? nullptr : smoothed.data();

  const int64_t count = pieces.size();
  const int threads = static_cast<int>(std::clamp<int64_t>(count, 1, threadCount()));
  std::vector<Sums> parts(count);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < count; i++) {
    const Head& h = heads[pieces[i].head];
    if constexpr (regions) parts[i] = sumRegions(s, h, pieces[i]);
    else parts[i] = sumLabels(s, h, pieces[i], spread);
  }

  double value = 0;
  std::vector<std::vector<Slopes>> slopes(N);
  std::vector<float> ce(N);
  for (int64_t i = 0, part = 0; i < N; i++) {
    const Head& h = heads[i];
    std::vector<Sums> groups(s.batchDice ? 1 : h.batch, Sums(h.C));
    Sums all(h.C);
    for (; part < count && pieces[part].head == i; part++) {
      groups[s.batchDice ? 0 : pieces[part].entry].add(parts[part]);
      all.ce += parts[part].ce, all.count += parts[part].count;
    }
    const double everywhere = static_cast<double>(h.batch) * h.voxels;
    const double divisor = regions ? (s.ignore ? std::max(all.count, 1e-8) : everywhere * h.C)
                                   : (s.ignore || !s.classWeights.empty() ? std::max(all.count, 1e-30) : everywhere);
    ce[i] = static_cast<float>(h.weight * s.ceWeight / divisor);
    const double dice = diceOf(s, groups, h.C, h.weight * s.diceWeight, slopes[i]);
    value += h.weight * (s.ceWeight * (all.ce / divisor) + s.diceWeight * dice);
  }
  *call.output(0, {}) = static_cast<float>(value);
  if (!s.gradient) return;

#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < count; i++) {
    const Piece& piece = pieces[i];
    const Slopes& slope = slopes[piece.head][s.batchDice ? 0 : piece.entry];
    if constexpr (regions) backRegions(s, heads[piece.head], piece, slope, ce[piece.head]);
    else backLabels(s, heads[piece.head], piece, slope, ce[piece.head], spread);
  }
}

__attribute__((constructor)) void add() {
  registerOp<loss<false>>("VoxelbookLabelLoss", {"x: N * float", "t: N * int32"}, {"value: float", "g: N * float"});
  registerOp<loss<true>>("VoxelbookRegionLoss", {"x: N * float", "t: N * float"}, {"value: float", "g: N * float"});
}

}  // namespace
}  // namespace voxelbook
