// The part of the kernels that runs on every processor: what TensorFlow says of oneDNN.
#include <malloc.h>
#include <node_api.h>

namespace tensorflow {
/// TensorFlow's own answer, exported by its library: do dense operators run in oneDNN?
bool IsMKLEnabled();
}  // namespace tensorflow

namespace {
/// Large buffers stay in the heap: a fresh mapping costs a page fault every 4 kB, more than the arithmetic of a cheap
/// operator. What is free at the top beyond a gigabyte goes back to the system.
__attribute__((constructor)) void keepBuffers() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
}

napi_value usesOneDnn(napi_env env, napi_callback_info) {
  napi_value answer;
  napi_get_boolean(env, tensorflow::IsMKLEnabled(), &answer);
  return answer;
}

void exportFunction(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}
}  // namespace

NAPI_MODULE_INIT() {
  exportFunction(env, exports, "usesOneDnn", usesOneDnn);
  return exports;
}
