// Loaded by Node, one variant a process. Operators register themselves in their files' constructors; JavaScript says how
// many threads they use.
#include <node_api.h>

#include "op.h"

namespace voxelbook {
namespace {

std::atomic<int> threads{1};

napi_value setThreads(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t wanted = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (count == 1 && napi_get_value_int32(env, argument, &wanted) == napi_ok && wanted >= 1) threads = wanted;
  else napi_throw_range_error(env, nullptr, "setThreads wants a whole number of at least 1");
  return nullptr;
}

}  // namespace

int threadCount() { return threads; }

}  // namespace voxelbook

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "setThreads", NAPI_AUTO_LENGTH, voxelbook::setThreads, nullptr, &function);
  napi_set_named_property(env, exports, "setThreads", function);
  return exports;
}
