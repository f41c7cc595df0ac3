// The part of the native code that runs on every processor: it says which kernels this one can run, and what TensorFlow
// says of oneDNN.
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

/// Names of the variants (build.mjs) whose instructions processor and system both have, widest first.
napi_value variants(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t count = 0;
  auto add = [&](const char* name) {
    napi_value text;
    napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text);
    napi_set_element(env, list, count++, text);
  };
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    add("avx512");
  if (avx2) add("avx2");
#else
  add("generic");
#endif
  return list;
}

void exportFunction(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}
}  // namespace

NAPI_MODULE_INIT() {
  exportFunction(env, exports, "usesOneDnn", usesOneDnn);
  exportFunction(env, exports, "variants", variants);
  return exports;
}
