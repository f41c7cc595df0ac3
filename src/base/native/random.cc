// The draws of base/random.ts (xoshiro128**) in bulk: the same stream, made in several places at once.
//
// A step of the generator is linear over single bits, so 2^k steps are one 128 × 128 matrix of bits; with those of every k a
// generator jumps to any later draw. Vector lanes and threads each begin at a place of their own, and what comes out does not
// depend on how many there are.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/native/elementary.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

using State = std::array<uint32_t, 4>;

constexpr int lanes = 8;
typedef uint32_t Lanes __attribute__((vector_size(4 * lanes)));

template <class U>
inline U rotate(U x, int k) {
  return (x << k) | (x >> (32 - k));
}

template <class U>
inline U step(U* s) {
  const U result = rotate<U>(s[1] * 5, 7) * 9;
  const U t = s[1] << 9;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate<U>(s[3], 11);
  return result;
}

/// Column j: what the state with only bit j set becomes.
using Matrix = std::array<State, 128>;

State times(const Matrix& m, const State& s) {
  State out{};
  for (int word = 0; word < 4; word++)
    for (uint32_t rest = s[word]; rest; rest &= rest - 1) {
      const State& column = m[32 * word + __builtin_ctz(rest)];
      for (int k = 0; k < 4; k++) out[k] ^= column[k];
    }
  return out;
}

constexpr int powers = 48;

/// Matrices of 2^k steps.
const std::vector<Matrix>& jumps() {
  static const std::vector<Matrix> all = [] {
    std::vector<Matrix> found(powers);
    for (int j = 0; j < 128; j++) {
      State s{};
      s[j / 32] = 1u << (j % 32);
      step(s.data());
      found[0][j] = s;
    }
    for (int k = 1; k < powers; k++)
      for (int j = 0; j < 128; j++) found[k][j] = times(found[k - 1], found[k - 1][j]);
    return found;
  }();
  return all;
}

State jumped(State s, int64_t steps) {
  for (int k = 0; steps; k++, steps >>= 1)
    if (steps & 1) s = times(jumps()[k], s);
  return s;
}

/// Numbers a block makes at a time in each lane, and the fewest for which lanes are worth their start.
constexpr int64_t blockGroups = 16;
constexpr int64_t fewest = 2048;

/// Hands out `groups` of `per` draws each, in order within a lane: use(first group, how many, their draws).
template <int per, class Use>
void drawGroups(const State& start, int64_t groups, Use&& use) {
  alignas(64) uint32_t made[lanes][blockGroups * per];
  int64_t done = 0;
  State s = start;
  if (groups >= fewest) {
    const int64_t share = groups / (lanes * blockGroups) * blockGroups;
    Lanes all[4];
    for (int l = 0; l < lanes; l++) {
      for (int k = 0; k < 4; k++) all[k][l] = s[k];
      s = jumped(s, share * per);
    }
    for (int64_t at = 0; at < share; at += blockGroups) {
      for (int64_t i = 0; i < blockGroups * per; i++) {
        const Lanes bits = step(all);
        for (int l = 0; l < lanes; l++) made[l][i] = bits[l];
      }
      for (int l = 0; l < lanes; l++) use(l * share + at, blockGroups, made[l]);
    }
    done = share * lanes;
  }
  while (done < groups) {
    const int64_t count = std::min(blockGroups, groups - done);
    for (int64_t i = 0; i < count * per; i++) made[0][i] = step(s.data());
    use(done, count, made[0]);
    done += count;
  }
}

/// `state`: four words, moved on by what was drawn.
State stateOf(const Values<int32_t>& given) {
  EXPECT(given.size == 4, "a state of " + std::to_string(given.size) + " words, 4 wanted");
  State s;
  std::memcpy(s.data(), given.data, sizeof(s));
  return s;
}

void moveOn(const Values<int32_t>& given, const State& start, int64_t draws) {
  const State s = jumped(start, draws);
  std::memcpy(given.data, s.data(), sizeof(s));
}

/// Uniform in [0, 1) of 53 bits, from two draws.
inline double unit(uint32_t high, uint32_t low) {
  return (static_cast<double>(static_cast<int32_t>(high >> 5)) * 67108864.0 + static_cast<double>(static_cast<int32_t>(low >> 6))) *
         (1.0 / 9007199254740992.0);
}

/// fillUniform(state, out: Float64Array, low, high)
void fillUniform(const Arguments& a) {
  const Values<int32_t> state = a.values<int32_t>(0);
  const Values<double> out = a.values<double>(1);
  const double low = a.number(2), span = a.number(3) - low;
  const State start = stateOf(state);
  drawGroups<2>(start, out.size, [&](int64_t first, int64_t count, const uint32_t* bits) {
    for (int64_t i = 0; i < count; i++) out[first + i] = low + span * unit(bits[2 * i], bits[2 * i + 1]);
  });
  moveOn(state, start, 2 * out.size);
}

/// fillKept(state, out: Float32Array, rate, kept): 0 with probability `rate`, else `kept`
void fillKept(const Arguments& a) {
  const Values<int32_t> state = a.values<int32_t>(0);
  const Values<float> out = a.values<float>(1);
  const double rate = a.number(2);
  const float kept = static_cast<float>(a.number(3));
  const State start = stateOf(state);
  drawGroups<2>(start, out.size, [&](int64_t first, int64_t count, const uint32_t* bits) {
    for (int64_t i = 0; i < count; i++) out[first + i] = unit(bits[2 * i], bits[2 * i + 1]) < rate ? 0.0f : kept;
  });
  moveOn(state, start, 2 * out.size);
}

/// addNormal(state, values: Float32Array, sd): an even number of values, each plus a normal deviate (Box-Muller)
void addNormal(const Arguments& a) {
  const Values<int32_t> state = a.values<int32_t>(0);
  const Values<float> values = a.values<float>(1);
  const double sd = a.number(2);
  EXPECT(values.size % 2 == 0, std::to_string(values.size) + " values, an even number wanted");
  const State start = stateOf(state);
  drawGroups<4>(start, values.size / 2, [&](int64_t first, int64_t count, const uint32_t* bits) {
    double even[blockGroups], odd[blockGroups];
    for (int64_t i = 0; i < count; i++) {
      const double u = 1 - unit(bits[4 * i], bits[4 * i + 1]);
      const double t = unit(bits[4 * i + 2], bits[4 * i + 3]);
      even[i] = u;
      odd[i] = 2 * M_PI * t;
    }
    for (int64_t i = count; i < blockGroups; i++) even[i] = 1, odd[i] = 0;
    for (int64_t i = 0; i < blockGroups; i++) {
      const double r = std::sqrt(-2 * logarithm(even[i]));
      const SinCos angle = sinCos(odd[i]);
      even[i] = sd * r * angle.cos;
      odd[i] = sd * (r * angle.sin);
    }
    float* out = values.data + 2 * first;
    for (int64_t i = 0; i < count; i++) {
      out[2 * i] = static_cast<float>(out[2 * i] + even[i]);
      out[2 * i + 1] = static_cast<float>(out[2 * i + 1] + odd[i]);
    }
  });
  moveOn(state, start, 2 * values.size);
}

const Exported all[] = {{"fillUniform", fillUniform}, {"fillKept", fillKept}, {"addNormal", addNormal}};

}  // namespace
}  // namespace voxelbook
