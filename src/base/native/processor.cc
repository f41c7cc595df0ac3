// Runs on every processor: says which variants of the compiled code this one can run.
#include <node_api.h>

namespace {
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
}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "variants", NAPI_AUTO_LENGTH, variants, nullptr, &function);
  napi_set_named_property(env, exports, "variants", function);
  return exports;
}
