// A box of voxels read from its compressed chunks (preprocess/chunks.ts, whose plain code is the reference).
//
// Row by row into the box: what of a chunk the box does not cover is not unpacked, where its numbers are packed in bits. zstd is Node's own,
// whose functions it shows to modules; where it shows none, no box with parts that need them is read here.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__)
// What the compiler's own headers leave undefined on purpose is no fault of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/native/checksum.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

enum Codec : uint32_t { raw = 0, constant = 1, packed = 2, indexed = 3, planes = 4 };
enum StreamCodec : uint8_t { streamRaw = 0, streamConstant = 1, streamZstd = 2 };

/// Node's zstd; null functions where it does not show them.
struct Zstd {
  void* (*create)();
  size_t (*release)(void*);
  size_t (*decompress)(void* context, void* out, size_t room, const void* bytes, size_t n);
  unsigned (*isError)(size_t);
  bool there() const { return create && release && decompress && isError; }
};

const Zstd& nodesZstd() {
  static const Zstd found = [] {
    Zstd z;
    auto find = [](const char* name) { return dlsym(RTLD_DEFAULT, name); };
    z.create = reinterpret_cast<void* (*)()>(find("ZSTD_createDCtx"));
    z.release = reinterpret_cast<size_t (*)(void*)>(find("ZSTD_freeDCtx"));
    z.decompress = reinterpret_cast<size_t (*)(void*, void*, size_t, const void*, size_t)>(find("ZSTD_decompressDCtx"));
    z.isError = reinterpret_cast<unsigned (*)(size_t)>(find("ZSTD_isError"));
    return z;
  }();
  return found;
}

/// Whether `bytes` become exactly `n` bytes at `out`.
bool unzipped(const uint8_t* bytes, size_t length, uint8_t* out, size_t n) {
  const Zstd& z = nodesZstd();
  if (!z.there()) return false;
  struct Release {
    void operator()(void* context) const { nodesZstd().release(context); }
  };
  thread_local std::unique_ptr<void, Release> context(z.create());
  if (!context) return false;
  const size_t made = z.decompress(context.get(), out, n, bytes, length);
  return !z.isError(made) && made == n;
}

/// Bytes that may be read behind those that count.
constexpr int64_t slack = 16;

uint64_t load64(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, 8);
  return value;
}

/// Eight numbers of `bits` (1 to 8) from bytes of which 8 can be read, one byte each.
inline uint64_t spread(uint64_t x, int bits) {
  const uint64_t one = (uint64_t{1} << bits) - 1, two = (uint64_t{1} << 2 * bits) - 1, four = (uint64_t{1} << 4 * bits) - 1;
  x = (x & four) | (x >> 4 * bits & four) << 32;
  x = (x & two * 0x0000000100000001u) | (x >> 2 * bits & two * 0x0000000100000001u) << 16;
  return (x & one * 0x0001000100010001u) | (x >> bits & one * 0x0001000100010001u) << 8;
}

/// Rows of numbers or values: `n` each, the next `step` behind.
template <class T>
struct Rows {
  T* at;
  int64_t step;
  T* operator[](int64_t y) const { return at + y * step; }
};

/// Entries that every table of numbers of one byte has room for.
constexpr int64_t byteEntries = 256;

/// out[y][x] = table[numbers[y][x]] @returns the largest number
template <class Word>
uint32_t lookedUp(const Word* table, uint32_t, Rows<const uint8_t> numbers, int64_t rows, int64_t n, Rows<Word> out) {
  uint8_t most = 0;
  for (int64_t y = 0; y < rows; y++) {
    const uint8_t* from = numbers[y];
    Word* to = out[y];
    for (int64_t x = 0; x < n; x++) most = std::max(most, from[x]);
    for (int64_t x = 0; x < n; x++) to[x] = table[from[x]];
  }
  return most;
}

#ifdef __AVX512BW__
/// A table of 32 times `pairs` entries lies in registers: a gather takes several times as long.
template <int pairs>
uint32_t fromRegisters(const uint32_t* table, Rows<const uint8_t> numbers, int64_t rows, int64_t n, Rows<uint32_t> out) {
  __m512i entries[2 * pairs];
  for (int k = 0; k < 2 * pairs; k++) entries[k] = _mm512_loadu_si512(table + 16 * k);
  __m512i most = _mm512_setzero_si512();
  for (int64_t y = 0; y < rows; y++) {
    const uint8_t* from = numbers[y];
    uint32_t* to = out[y];
    for (int64_t x = 0; x < n; x += 16) {
      const __mmask16 some = static_cast<__mmask16>(n - x >= 16 ? 0xffff : (1 << (n - x)) - 1);
      const __m512i at = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, from + x));
      most = _mm512_max_epu32(most, at);
      __m512i found[pairs];
      for (int k = 0; k < pairs; k++) found[k] = _mm512_permutex2var_epi32(entries[2 * k], at, entries[2 * k + 1]);
      for (int step = 1, bit = 32; step < pairs; step *= 2, bit *= 2) {
        const __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(bit));
        for (int k = 0; k < pairs; k += 2 * step) found[k] = _mm512_mask_blend_epi32(upper, found[k], found[k + step]);
      }
      _mm512_mask_storeu_epi32(to + x, some, found[0]);
    }
  }
  return _mm512_reduce_max_epu32(most);
}

template <>
uint32_t lookedUp(const uint32_t* table, uint32_t count, Rows<const uint8_t> numbers, int64_t rows, int64_t n, Rows<uint32_t> out) {
  if (count <= 32) return fromRegisters<1>(table, numbers, rows, n, out);
  if (count <= 64) return fromRegisters<2>(table, numbers, rows, n, out);
  if (count <= 128) return fromRegisters<4>(table, numbers, rows, n, out);
  return fromRegisters<8>(table, numbers, rows, n, out);
}

template <>
uint32_t lookedUp(const uint16_t* table, uint32_t count, Rows<const uint8_t> numbers, int64_t rows, int64_t n, Rows<uint16_t> out) {
  const __m512i low = _mm512_loadu_si512(table), high = _mm512_loadu_si512(table + 32);
  __m512i most = _mm512_setzero_si512();
  for (int64_t y = 0; y < rows; y++) {
    const uint8_t* from = numbers[y];
    uint16_t* to = out[y];
    for (int64_t x = 0; x < n; x += 32) {
      const __mmask32 some = n - x >= 32 ? 0xffffffffu : (1u << (n - x)) - 1;
      const __m512i at = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(some, from + x));
      most = _mm512_max_epu16(most, at);
      _mm512_mask_storeu_epi16(to + x, some, _mm512_permutex2var_epi16(low, at, high));
    }
    if (count > 64)
      for (int64_t x = 0; x < n; x++) to[x] = table[from[x]];
  }
  const __m512i even = _mm512_and_si512(most, _mm512_set1_epi32(0xffff));
  return std::max(_mm512_reduce_max_epu32(even), _mm512_reduce_max_epu32(_mm512_srli_epi32(most, 16)));
}
#endif

template <class T>
void grow(std::vector<T>& values, int64_t n) {
  if (static_cast<int64_t>(values.size()) < n) values.resize(static_cast<size_t>(n));
}

/// Where the values of one part come from.
template <class Word>
struct Part {
  uint32_t how = constant;
  Word value = 0;
  int bits = 0;
  /// raw: the values; packed: the numbers; indexed: the low bytes of the numbers
  const uint8_t* bytes = nullptr;
  /// indexed by two bytes: the high ones
  const uint8_t* high = nullptr;
  /// planes: of each byte, highest first, and 1, or 0 where all are the same
  const uint8_t* plane[sizeof(Word)] = {};
  int64_t step[sizeof(Word)] = {};
  /// With entries for all numbers that the bits can say.
  std::vector<Word> table;
  uint32_t count = 0;
  /// What streams are unpacked to.
  std::vector<uint8_t> scratch;

  /// Takes the stored bytes of `n` voxels; false where they are none.
  bool open(uint32_t codec, const uint8_t* at, int64_t length, int64_t n) {
    constexpr int width = sizeof(Word);
    how = codec;
    if (how == raw) {
      bytes = at;
      return length == n * width;
    }
    if (how == constant) {
      if (length != width) return false;
      std::memcpy(&value, at, width);
      return true;
    }
    const uint8_t* end = at + length;
    if (how == planes) {
      grow(scratch, width * n + slack);
      for (int b = 0; b < width; b++)
        if (!stream(at, end, n, scratch.data() + b * n, &plane[b], &step[b])) return false;
      return at == end;
    }
    if ((how != packed && how != indexed) || length < 2) return false;
    count = (at[0] | at[1] << 8) + 1u;
    at += 2;
    if (end - at < static_cast<int64_t>(count) * width) return false;
    bits = 1;
    while (count > 1u << bits) bits++;
    // A number beyond the table is looked up there too, and noticed afterwards.
    grow(table, count <= byteEntries ? byteEntries : int64_t{1} << (how == packed ? bits : 16));
    std::memcpy(table.data(), at, count * size_t{width});
    at += static_cast<int64_t>(count) * width;
    if (how == packed) {
      bytes = at;
      return end - at == (n * bits + 7) / 8;
    }
    const int wide = count > 256 ? 2 : 1;
    grow(scratch, wide * n + slack);
    int64_t steps = 1;
    for (int b = 0; b < wide; b++) {
      const uint8_t** to = b + 1 == wide ? &bytes : &high;
      if (!stream(at, end, n, scratch.data() + b * n, to, &steps)) return false;
      if (steps == 0) {
        std::memset(scratch.data() + b * n, **to, static_cast<size_t>(n));
        *to = scratch.data() + b * n;
      }
    }
    return at == end;
  }

  /// Of the part from value `from` on `rows` rows of `n` values, each `step` behind the one before; false for a number that the table does
  /// not have.
  bool read(int64_t from, int64_t step, int64_t rows, int64_t n, Rows<Word> out) {
    if (how == packed && bits <= 8) {
      const int64_t first = from & ~int64_t{7}, all = from - first + (rows - 1) * step + n;
      grow(numbers, all + slack);
      const uint8_t* at = bytes + (first >> 3) * bits;
      for (int64_t k = 0; k < all; k += 8, at += bits) {
        const uint64_t eight = spread(load64(at), bits);
        std::memcpy(numbers.data() + k, &eight, 8);
      }
      return lookedUp<Word>(table.data(), count, {numbers.data() + (from - first), step}, rows, n, out) < count;
    }
    if (how == indexed && count <= byteEntries) return lookedUp<Word>(table.data(), count, {bytes + from, step}, rows, n, out) < count;
    uint32_t most = 0;
    for (int64_t y = 0; y < rows; y++) most = std::max(most, row(from + y * step, n, out[y]));
    return (how != packed && how != indexed) || most < count;
  }

 private:
  std::vector<uint8_t> numbers;

  /// @returns the largest number of the table
  uint32_t row(int64_t from, int64_t n, Word* out) const {
    constexpr int width = sizeof(Word);
    uint32_t most = 0;
    if (how == raw) std::memcpy(out, bytes + from * width, static_cast<size_t>(n) * width);
    else if (how == constant) std::fill_n(out, n, value);
    else if (how == planes) {
      const uint8_t* p[width];
      bool plain = true;
      for (int b = 0; b < width; b++) {
        p[b] = plane[b] + from * step[b];
        plain &= step[b] == 1;
      }
      if (plain) join(p, [](int64_t x, int) { return x; }, n, out);
      else join(p, [this](int64_t x, int b) { return x * step[b]; }, n, out);
    } else {
      const uint32_t mask = (1u << bits) - 1;
      for (int64_t x = 0; x < n; x++) {
        uint32_t number;
        if (how == packed) {
          const int64_t bit = (from + x) * bits;
          number = static_cast<uint32_t>(load64(bytes + (bit >> 3)) >> (bit & 7)) & mask;
        } else number = high[from + x] << 8 | bytes[from + x];
        most = std::max(most, number);
        out[x] = table[number];
      }
    }
    return most;
  }

  template <class At>
  static void join(const uint8_t* const* p, At at, int64_t n, Word* out) {
    for (int64_t x = 0; x < n; x++) {
      uint32_t word = 0;
      for (int b = 0; b < static_cast<int>(sizeof(Word)); b++) word = word << 8 | p[b][at(x, b)];
      out[x] = static_cast<Word>(word);
    }
  }

  /// The next stream of `n` bytes; `own` is where it may be unpacked to.
  static bool stream(const uint8_t*& at, const uint8_t* end, int64_t n, uint8_t* own, const uint8_t** bytes, int64_t* step) {
    if (end - at < 5) return false;
    const uint8_t codec = at[0];
    uint32_t length;
    std::memcpy(&length, at + 1, 4);
    at += 5;
    if (length > end - at) return false;
    *bytes = at;
    *step = codec == streamConstant ? 0 : 1;
    at += length;
    if (codec == streamRaw) return length == n;
    if (codec == streamConstant) return length == 1;
    *bytes = own;
    return codec == streamZstd && unzipped(at - length, length, own, static_cast<size_t>(n));
  }
};

/// What a call reads, and where to.
struct Box {
  int descriptor;
  double begin;
  Values<uint32_t> index;
  Values<double> offsets;
  int64_t shape[3], chunk[3], counts[3], start[3], size[3];
  int64_t channels;
  uint8_t* out;
  uint8_t outside;
  /// Of the box, or null: where they are negative, the masked channels are 0.
  const int16_t* labels;
  std::vector<int64_t> masked;
};

/// Bytes that this thread holds from call to call.
uint8_t* held(int64_t n) {
  thread_local std::vector<uint8_t> bytes;
  grow(bytes, n);
  return bytes.data();
}

bool readAll(int descriptor, uint8_t* out, int64_t n, int64_t from) {
  while (n > 0) {
    const ssize_t got = pread(descriptor, out, static_cast<size_t>(n), static_cast<off_t>(from));
    if (got <= 0) return false;
    out += got;
    n -= got;
    from += got;
  }
  return true;
}

/// Rows of all channels, each `room` values from the next, side by side.
template <class Word>
void interleave(const Word* rows, int64_t room, int64_t channels, int64_t n, Word* out) {
  int64_t first = 0;
#if defined(__x86_64__)
  if (channels == 4 && sizeof(Word) == 4)
    for (; first + 4 <= n; first += 4) {
      __m128 row[4];
      for (int c = 0; c < 4; c++) row[c] = _mm_loadu_ps(reinterpret_cast<const float*>(rows + c * room + first));
      _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
      for (int x = 0; x < 4; x++) _mm_storeu_ps(reinterpret_cast<float*>(out + (first + x) * 4), row[x]);
    }
#endif
  for (int64_t c = 0; c < channels; c++)
    for (int64_t x = first; x < n; x++) out[x * channels + c] = rows[c * room + x];
}

/// A row of `n` voxels with 0 in masked channels where the label is negative.
template <class Word>
void clear(Word* row, const int16_t* labels, const Box& b, int64_t n) {
  int any = 0, every = -1;
  for (int64_t x = 0; x < n; x++) {
    any |= labels[x];
    every &= labels[x];
  }
  if (any >= 0) return;
  if (every < 0 && static_cast<int64_t>(b.masked.size()) == b.channels) std::fill_n(row, n * b.channels, Word{0});
  else
    for (int64_t x = 0; x < n; x++)
      if (labels[x] < 0)
        for (int64_t c : b.masked) row[x * b.channels + c] = 0;
}

/// The first part that could not be read, or -1.
template <class Word>
int64_t read(const Box& b) {
  int64_t low[3], high[3];
  bool inside = true;
  for (int k = 0; k < 3; k++) {
    low[k] = std::max<int64_t>(b.start[k], 0);
    high[k] = std::min(b.start[k] + b.size[k], b.shape[k]);
    inside &= low[k] < high[k];
  }
  const int64_t each = b.channels * static_cast<int64_t>(sizeof(Word)), rowBytes = b.size[2] * each;
  for (int64_t z = 0; z < b.size[0]; z++)
    for (int64_t y = 0; y < b.size[1]; y++) {
      uint8_t* row = b.out + (z * b.size[1] + y) * rowBytes;
      const int64_t az = z + b.start[0], ay = y + b.start[1];
      if (!inside || az < low[0] || az >= high[0] || ay < low[1] || ay >= high[1]) std::memset(row, b.outside, static_cast<size_t>(rowBytes));
      else {
        std::memset(row, b.outside, static_cast<size_t>((low[2] - b.start[2]) * each));
        std::memset(row + (high[2] - b.start[2]) * each, b.outside, static_cast<size_t>((b.start[2] + b.size[2] - high[2]) * each));
      }
    }
  if (!inside) return -1;

  int64_t first[3], last[3];
  for (int k = 0; k < 3; k++) {
    first[k] = low[k] / b.chunk[k];
    last[k] = (high[k] - 1) / b.chunk[k];
  }
  thread_local std::vector<Part<Word>> heldParts;
  thread_local std::vector<Word> heldTile;
  const int64_t room = b.chunk[1] * b.chunk[2];
  grow(heldParts, b.channels);
  grow(heldTile, room * b.channels);
  Part<Word>* const parts = heldParts.data();
  Word* const tile = heldTile.data();
  for (int64_t i = first[0]; i <= last[0]; i++)
    for (int64_t j = first[1]; j <= last[1]; j++) {
      // Chunks side by side along the width lie side by side in the file: one read.
      const int64_t line = (i * b.counts[1] + j) * b.counts[2];
      const int64_t from = (line + first[2]) * b.channels, to = (line + last[2] + 1) * b.channels;
      const double begin = b.offsets[from], bytes = b.offsets[to] - begin;
      const double most = static_cast<double>((to - from) * b.chunk[0] * b.chunk[1] * b.chunk[2]) * sizeof(Word);
      EXPECT(begin >= 0 && begin < 9e15 && bytes >= 0 && bytes <= most, "offsets that do not ascend, or parts longer than their voxels");
      uint8_t* stored = held(static_cast<int64_t>(bytes) + slack);
      if (!readAll(b.descriptor, stored, static_cast<int64_t>(bytes), static_cast<int64_t>(b.begin + begin))) return from;
      int64_t left = static_cast<int64_t>(bytes);
      for (int64_t k = first[2]; k <= last[2]; k++) {
        const int64_t at[3] = {i, j, k};
        int64_t full[3], lo[3], hi[3], origin[3];
        for (int a = 0; a < 3; a++) {
          full[a] = std::min(b.chunk[a], b.shape[a] - at[a] * b.chunk[a]);
          lo[a] = std::max<int64_t>(0, low[a] - at[a] * b.chunk[a]);
          hi[a] = std::min(full[a], high[a] - at[a] * b.chunk[a]);
          origin[a] = at[a] * b.chunk[a] - b.start[a];
        }
        const int64_t n = full[0] * full[1] * full[2], wide = hi[2] - lo[2];
        bool same = true;
        for (int64_t c = 0; c < b.channels; c++) {
          const int64_t number = (line + k) * b.channels + c;
          const uint32_t length = b.index[number * 3], how = b.index[number * 3 + 1];
          uint32_t crc = 0;
          if (length > left || !fastCrc32(stored, length, &crc) || crc != b.index[number * 3 + 2]) return number;
          if (!parts[c].open(how, stored, length, n)) return number;
          same &= how == constant;
          stored += length;
          left -= length;
        }
        const int64_t tall = hi[1] - lo[1];
        bool masks = false;
        for (int64_t c : b.masked) masks |= parts[c].how != constant || parts[c].value != 0;
        same &= !masks;
        const Word* uniform = nullptr;
        for (int64_t z = lo[0]; z < hi[0]; z++) {
          const int64_t voxel = (z * full[1] + lo[1]) * full[2] + lo[2], number = (line + k) * b.channels;
          const int64_t begins = ((z + origin[0]) * b.size[1] + lo[1] + origin[1]) * b.size[2] + lo[2] + origin[2];
          Word* first = reinterpret_cast<Word*>(b.out) + begins * b.channels;
          const Rows<Word> out{first, b.size[2] * b.channels};
          if (b.channels == 1) {
            if (!parts[0].read(voxel, full[2], tall, wide, out)) return number;
          } else if (!uniform)
            for (int64_t c = 0; c < b.channels; c++)
              if (!parts[c].read(voxel, full[2], tall, wide, {tile + c * room, wide})) return number + c;
          for (int64_t y = 0; y < tall; y++) {
            if (uniform) std::memcpy(out[y], uniform, static_cast<size_t>(wide * each));
            else if (b.channels > 1) interleave(tile + y * wide, room, b.channels, wide, out[y]);
            if (masks) clear(out[y], b.labels + begins + y * b.size[2], b, wide);
          }
          if (same && b.channels > 1) uniform = first;
        }
      }
    }
  return -1;
}

/// readChunks(descriptor, begin, index: Uint32Array of length, codec and CRC-32 a part, offsets: Float64Array, shape, chunk, channels, width,
/// start: number[], size, out: Uint8Array, outside, labels: Int16Array of the box or null, masked: channels, status: Int32Array of one)
///
/// The box of `size` from `start` on, which may lie outside of `shape` in part: there every byte is `outside`. Masked channels are 0 where the
/// label is negative.
void readChunks(const Arguments& a) {
  Box b;
  const double descriptor = a.number(0), channels = a.number(6), width = a.number(7), outside = a.number(11);
  b.begin = a.number(1);
  b.index = a.values<uint32_t>(2);
  b.offsets = a.values<double>(3);
  const std::vector<int64_t> shape = a.sides(4), chunk = a.sides(5), size = a.sides(9);
  const std::vector<double> start = a.list(8);
  const auto out = a.values<uint8_t>(10);
  const auto labels = a.none(12) ? Values<int16_t>{} : a.values<int16_t>(12);
  const std::vector<double> masked = a.none(12) ? std::vector<double>{} : a.list(13);
  const auto status = a.values<int32_t>(14);
  EXPECT(status.size == 1, "status of " + std::to_string(status.size) + " numbers, 1 wanted");
  EXPECT(descriptor >= 0 && descriptor < 2147483648.0, "a file of number " + std::to_string(descriptor));
  EXPECT(b.begin >= 0 && b.begin < 9e15, "chunks from byte " + std::to_string(b.begin) + " on");
  EXPECT(width == 1 || width == 2 || width == 4, "values of " + std::to_string(width) + " bytes");
  EXPECT(channels >= 1 && channels <= 65536 && channels == static_cast<double>(static_cast<int64_t>(channels)),
         std::to_string(channels) + " channels");
  EXPECT(outside >= 0 && outside < 256, "an outside of " + std::to_string(outside));
  EXPECT(start.size() == 3, "a start of " + std::to_string(start.size()) + " numbers");
  b.descriptor = static_cast<int>(descriptor);
  b.channels = static_cast<int64_t>(channels);
  b.outside = static_cast<uint8_t>(outside);
  b.out = out.data;
  b.labels = labels.data;
  for (double c : masked) {
    EXPECT(c >= 0 && c < channels, "a channel " + std::to_string(c));
    b.masked.push_back(static_cast<int64_t>(c));
  }
  for (int k = 0; k < 3; k++) {
    EXPECT(chunk[k] >= 1 && start[k] > -2147483648.0 && start[k] < 2147483648.0, "a chunk of no voxels, or a box far away");
    b.shape[k] = shape[k];
    b.chunk[k] = chunk[k];
    b.size[k] = size[k];
    b.start[k] = static_cast<int64_t>(start[k]);
    b.counts[k] = (shape[k] + chunk[k] - 1) / chunk[k];
  }
  EXPECT(voxels(chunk) <= int64_t{1} << 21, "a chunk of " + std::to_string(voxels(chunk)) + " voxels");
  const double count = static_cast<double>(b.counts[0]) * static_cast<double>(b.counts[1]) * static_cast<double>(b.counts[2]) * channels;
  EXPECT(static_cast<double>(b.index.size) == count * 3 && static_cast<double>(b.offsets.size) == count + 1,
         "an index of " + std::to_string(b.index.size) + " numbers");
  EXPECT(static_cast<double>(out.size) == static_cast<double>(voxels(size)) * channels * width, std::to_string(out.size) + " bytes for the box");
  EXPECT(masked.empty() || labels.size == voxels(size), std::to_string(labels.size) + " labels for the box");
  EXPECT(reinterpret_cast<uintptr_t>(out.data) % static_cast<uintptr_t>(width) == 0, "a box between values");
  int64_t bad = -1;
  if (out.size == 0) {
  } else if (width == 4) bad = read<uint32_t>(b);
  else if (width == 2) bad = read<uint16_t>(b);
  else bad = read<uint8_t>(b);
  status[0] = static_cast<int32_t>(std::min<int64_t>(bad, 2147483647));
}

/// inLargePages(bytes: Uint8Array): a wish that the system may grant; fewer faults, the first time they are written
void inLargePages(const Arguments& a) {
  const auto bytes = a.values<uint8_t>(0);
#ifdef MADV_HUGEPAGE
  const uintptr_t page = 4096, first = (reinterpret_cast<uintptr_t>(bytes.data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(bytes.data) + static_cast<uintptr_t>(bytes.size)) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

const Exported all[] = {{"readChunks", readChunks}, {"inLargePages", inLargePages}};

}  // namespace
}  // namespace voxelbook
