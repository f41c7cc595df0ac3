// Loaded by Node; exports nothing. Operators register themselves in their files' constructors.
#include <malloc.h>
#include <node_api.h>

namespace {
/// Large buffers stay in the heap: a fresh mapping costs a page fault every 4 kB, more than the arithmetic of a cheap
/// operator. What is free at the top beyond a gigabyte goes back to the system.
__attribute__((constructor)) void keepBuffers() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
}
}  // namespace

NAPI_MODULE_INIT() { return exports; }
