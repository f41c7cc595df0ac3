// One compressed chunk of voxels put into a box (preprocess/chunks.ts, whose plain code is the reference).
//
// zstd is Node's own, whose functions it shows to modules; where it shows none, no part that needs them is placed here.
#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/native/checksum.h"
#include "base/native/functions.h"

namespace voxelbook {
namespace {

enum Codec : uint32_t { raw = 0, constant = 1, zstd = 2 };

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
bool unpacked(const uint8_t* bytes, size_t length, uint8_t* out, size_t n) {
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

/// One byte of each voxel of a chunk.
struct Plane {
  const uint8_t* bytes;
  /// 1, or 0 where every row is the same.
  int64_t rowStep;
};

template <class Word>
void placeRow(const Plane* planes, int64_t from, int64_t low, int64_t n, uint8_t* out, int64_t channels) {
  constexpr int width = sizeof(Word);
  const uint8_t* p[width];
  for (int b = 0; b < width; b++) p[b] = planes[b].bytes + from * planes[b].rowStep + low;
  for (int64_t x = 0; x < n; x++, out += channels * width) {
    uint32_t word = 0;
    for (int b = 0; b < width; b++) word = word << 8 | p[b][x];
    const Word value = static_cast<Word>(word);
    std::memcpy(out, &value, width);
  }
}

/// placeChunk(stored: Uint8Array, parts: Uint32Array of length, codec and CRC-32, full, low, size, out: Uint8Array, target: number[],
/// channels, width, status: Int32Array of one)
///
/// A chunk of `full` voxels, its box of `size` from `low` on, to the values from target[0] on, target[1] from row to row and target[2] from
/// plane to plane.
void placeChunk(const Arguments& a) {
  const auto stored = a.values<uint8_t>(0);
  const auto parts = a.values<uint32_t>(1);
  const std::vector<int64_t> full = a.sides(2), low = a.sides(3), size = a.sides(4);
  const auto out = a.values<uint8_t>(5);
  const std::vector<double> target = a.list(6);
  const double channelsGiven = a.number(7), widthGiven = a.number(8);
  const auto status = a.values<int32_t>(9);
  EXPECT(status.size == 1, "status of " + std::to_string(status.size) + " numbers, 1 wanted");
  EXPECT(widthGiven == 1 || widthGiven == 2 || widthGiven == 4, "values of " + std::to_string(widthGiven) + " bytes");
  EXPECT(channelsGiven >= 1 && channelsGiven <= 65536 && channelsGiven == static_cast<double>(static_cast<int64_t>(channelsGiven)),
         std::to_string(channelsGiven) + " channels");
  const int64_t channels = static_cast<int64_t>(channelsGiven), width = static_cast<int64_t>(widthGiven), n = voxels(full);
  EXPECT(parts.size == channels * width * 3, "an index of " + std::to_string(parts.size) + " numbers");
  EXPECT(n <= int64_t{1} << 30, "a chunk of " + std::to_string(n) + " voxels");
  EXPECT(target.size() == 3, "a target of " + std::to_string(target.size()) + " numbers");
  for (int k = 0; k < 3; k++) EXPECT(low[k] + size[k] <= full[k], "a box outside of the chunk");
  const int64_t values = out.size / width;
  for (double step : target)
    EXPECT(step >= 0 && step <= static_cast<double>(values) && step == static_cast<double>(static_cast<int64_t>(step)),
           "a target beyond the box");
  status[0] = -1;
  if (voxels(size) == 0) return;
  const int64_t to = static_cast<int64_t>(target[0]), rowStep = static_cast<int64_t>(target[1]), planeStep = static_cast<int64_t>(target[2]);
  const double last = target[0] + (size[0] - 1) * target[2] + (size[1] - 1) * target[1] + static_cast<double>(size[2] * channels);
  EXPECT(last <= static_cast<double>(values), "a target beyond the box");

  thread_local std::vector<uint8_t> scratch;
  scratch.resize(static_cast<size_t>(width * n));
  const uint8_t* at = stored.data;
  int64_t left = stored.size;
  for (int64_t c = 0; c < channels; c++) {
    Plane planes[4];
    for (int64_t b = 0; b < width; b++) {
      const int64_t part = c * width + b;
      const uint32_t length = parts[part * 3], how = parts[part * 3 + 1];
      uint8_t* own = scratch.data() + b * n;
      uint32_t crc = 0;
      bool good = length <= left && fastCrc32(at, length, &crc) && crc == parts[part * 3 + 2];
      if (good && how == raw) {
        good = length == n;
        planes[b] = {at, 1};
      } else if (good && how == constant) {
        good = length > 0;
        if (good) std::memset(own, at[0], static_cast<size_t>(full[2]));
        planes[b] = {own, 0};
      } else if (good) {
        good = how == zstd && unpacked(at, length, own, static_cast<size_t>(n));
        planes[b] = {own, 1};
      }
      if (!good) {
        status[0] = static_cast<int32_t>(part);
        return;
      }
      at += length;
      left -= length;
    }
    for (int64_t z = 0; z < size[0]; z++)
      for (int64_t y = 0; y < size[1]; y++) {
        const int64_t from = ((low[0] + z) * full[1] + low[1] + y) * full[2];
        uint8_t* row = out.data + (to + z * planeStep + y * rowStep + c) * width;
        if (width == 4) placeRow<uint32_t>(planes, from, low[2], size[2], row, channels);
        else if (width == 2) placeRow<uint16_t>(planes, from, low[2], size[2], row, channels);
        else placeRow<uint8_t>(planes, from, low[2], size[2], row, channels);
      }
  }
}

const Exported entered("placeChunk", placeChunk);

}  // namespace
}  // namespace voxelbook
