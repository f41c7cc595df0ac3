// CRC-32 for the other functions here.
#pragma once
#include <cstdint>

namespace voxelbook {

#if defined(__x86_64__)
/// CRC-32 of bytes into `sum`; false where the processor has no products without carries.
bool fastCrc32(const uint8_t* bytes, int64_t n, uint32_t* sum);
#else
inline bool fastCrc32(const uint8_t*, int64_t, uint32_t*) { return false; }
#endif

}  // namespace voxelbook
