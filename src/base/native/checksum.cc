// CRC-32 (that of zip and zlib) by multiplication without carries: the message is folded onto its last 64 or 256 bytes.
//
// V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009. A register of 128 bits that
// stands n bits before the next one is congruent to its halves times x^(n ± 32) mod P. Which of these instructions there are is asked
// here, beside the variant of the library: they came at other times than AVX. Without any of them the function is not there, and zlib's serves.
#if defined(__x86_64__)
// What the compiler's own headers leave undefined on purpose is no fault of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <array>

#include "base/native/checksum.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

/// x^n mod P with its bits in reverse, in the place a product of such numbers wants it.
constexpr uint64_t power(int n) {
  uint32_t value = 0x80000000u;  // x^0
  for (int i = 0; i < n; i++) value = (value >> 1) ^ ((value & 1) ? 0xedb88320u : 0);
  return static_cast<uint64_t>(value) << 1;
}

constexpr std::array<uint32_t, 256> table = [] {
  std::array<uint32_t, 256> all{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int k = 0; k < 8; k++) value = (value >> 1) ^ ((value & 1) ? 0xedb88320u : 0);
    all[i] = value;
  }
  return all;
}();

uint32_t byBytes(uint32_t sum, const uint8_t* at, int64_t n) {
  for (; n > 0; n--) sum = table[(sum ^ *at++) & 255] ^ (sum >> 8);
  return sum;
}

/// Constants that carry a register over n bits.
#define OVER(n) power(n + 32), power(n - 32)

#define WITH_128 __attribute__((target("pclmul,sse4.1")))
WITH_128 inline __m128i fold(__m128i x, __m128i over, __m128i next) {
  return _mm_xor_si128(next, _mm_xor_si128(_mm_clmulepi64_si128(x, over, 0x00), _mm_clmulepi64_si128(x, over, 0x11)));
}

/// The sum of a register that the whole message before it was folded into.
WITH_128 inline uint32_t ofRegister(__m128i x) {
  uint8_t bytes[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), x);
  return byBytes(0, bytes, 16);
}

WITH_128 uint32_t by128(uint32_t sum, const uint8_t* at, int64_t n) {
  if (n < 64) return byBytes(sum, at, n);
  auto load = [&at]() WITH_128 {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    at += 16;
    return x;
  };
  constexpr uint64_t far[] = {OVER(512)}, near[] = {OVER(128)};
  const __m128i over = _mm_set_epi64x(far[1], far[0]);
  __m128i a = _mm_xor_si128(load(), _mm_cvtsi32_si128(static_cast<int>(sum))), b = load(), c = load(), d = load();
  for (n -= 64; n >= 64; n -= 64) {
    a = fold(a, over, load());
    b = fold(b, over, load());
    c = fold(c, over, load());
    d = fold(d, over, load());
  }
  const __m128i one = _mm_set_epi64x(near[1], near[0]);
  return byBytes(ofRegister(fold(fold(fold(a, one, b), one, c), one, d)), at, n);
}

#ifdef __AVX512F__  // a variant holds nothing wider than its name
#define WITH_512 __attribute__((target("pclmul,sse4.1,avx512f,vpclmulqdq")))
WITH_512 inline __m512i fold(__m512i x, __m512i over, __m512i next) {
  // 0x96: exclusive or of all three.
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(x, over, 0x00), _mm512_clmulepi64_epi128(x, over, 0x11), next, 0x96);
}

WITH_512 uint32_t by512(uint32_t sum, const uint8_t* at, int64_t n) {
  if (n < 256) return by128(sum, at, n);
  auto load = [&at]() WITH_512 {
    const __m512i x = _mm512_loadu_si512(at);
    at += 64;
    return x;
  };
  constexpr uint64_t far[] = {OVER(2048)}, near[] = {OVER(512)}, next[] = {OVER(128)};
  const __m512i over = _mm512_broadcast_i32x4(_mm_set_epi64x(far[1], far[0]));
  __m512i a = _mm512_xor_si512(load(), _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(sum))));
  __m512i b = load(), c = load(), d = load();
  for (n -= 256; n >= 256; n -= 256) {
    a = fold(a, over, load());
    b = fold(b, over, load());
    c = fold(c, over, load());
    d = fold(d, over, load());
  }
  const __m512i one = _mm512_broadcast_i32x4(_mm_set_epi64x(near[1], near[0]));
  const __m512i all = fold(fold(fold(a, one, b), one, c), one, d);
  const __m128i on = _mm_set_epi64x(next[1], next[0]);
  __m128i x = _mm512_castsi512_si128(all);
  x = fold(x, on, _mm512_extracti32x4_epi32(all, 1));
  x = fold(x, on, _mm512_extracti32x4_epi32(all, 2));
  x = fold(x, on, _mm512_extracti32x4_epi32(all, 3));
  return by128(ofRegister(x), at, n);
}

#endif

uint32_t (*const best)(uint32_t, const uint8_t*, int64_t) = [] {
  __builtin_cpu_init();
  const bool narrow = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#ifdef __AVX512F__
  if (narrow && __builtin_cpu_supports("vpclmulqdq")) return &by512;
#endif
  return narrow ? &by128 : nullptr;
}();

/// crc32(bytes: Uint8Array, sum: Uint32Array of one): the sum goes on from what it holds.
void crc32(const Arguments& a) {
  const auto bytes = a.values<uint8_t>(0);
  const auto sum = a.values<uint32_t>(1);
  EXPECT(sum.size == 1, "sum of " + std::to_string(sum.size) + " numbers, 1 wanted");
  sum[0] = ~best(~sum[0], bytes.data, bytes.size);
}

struct Entered {
  Entered() {
    if (best) Exported("crc32", crc32);
  }
} entered;

}  // namespace

bool fastCrc32(const uint8_t* bytes, int64_t n, uint32_t* sum) {
  if (!best) return false;
  *sum = ~best(~0u, bytes, n);
  return true;
}

}  // namespace voxelbook
#endif
