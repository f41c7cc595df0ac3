// The door between JavaScript and the functions.
#include "functions.h"

#include <new>
#include <type_traits>

namespace voxelbook {
namespace {

struct Entry {
  const char* name;
  Function function;
};

std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}

napi_value call(napi_env env, napi_callback_info info) {
  void* data;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const Entry& entry = *static_cast<const Entry*>(data);
  std::string message;
  try {
    entry.function(Arguments(env, info));
    return nullptr;
  } catch (const Fault& fault) {
    message = fault.message;
  } catch (const std::bad_alloc&) {
    message = "not enough memory";
  }
  napi_throw_range_error(env, nullptr, (std::string(entry.name) + ": " + message).c_str());
  return nullptr;
}

template <class T>
constexpr napi_typedarray_type kind() {
  if constexpr (std::is_same_v<T, float>) return napi_float32_array;
  else if constexpr (std::is_same_v<T, double>) return napi_float64_array;
  else if constexpr (std::is_same_v<T, int16_t>) return napi_int16_array;
  else if constexpr (std::is_same_v<T, int32_t>) return napi_int32_array;
  else if constexpr (std::is_same_v<T, uint8_t>) return napi_uint8_array;
  else return napi_uint32_array;
}

template <class T>
constexpr const char* kindName() {
  if constexpr (std::is_same_v<T, float>) return "Float32Array";
  else if constexpr (std::is_same_v<T, double>) return "Float64Array";
  else if constexpr (std::is_same_v<T, int16_t>) return "Int16Array";
  else if constexpr (std::is_same_v<T, int32_t>) return "Int32Array";
  else if constexpr (std::is_same_v<T, uint8_t>) return "Uint8Array";
  else return "Uint32Array";
}

}  // namespace

Exported::Exported(const char* name, Function function) { entries().push_back({name, function}); }

Arguments::Arguments(napi_env env, napi_callback_info info) : env_(env) {
  napi_get_cb_info(env, info, &count_, arguments_, nullptr, nullptr);
}

napi_value Arguments::argument(size_t i) const {
  EXPECT(i < count_ && i < 16, "argument " + std::to_string(i) + " is missing");
  return arguments_[i];
}

bool Arguments::none(size_t i) const {
  if (i >= count_) return true;
  napi_valuetype type;
  napi_typeof(env_, arguments_[i], &type);
  return type == napi_null || type == napi_undefined;
}

double Arguments::number(size_t i) const {
  double value = 0;
  bool yes = false;
  const napi_value given = argument(i);
  if (napi_get_value_double(env_, given, &value) == napi_ok) return value;
  EXPECT(napi_get_value_bool(env_, given, &yes) == napi_ok, "argument " + std::to_string(i) + " is no number");
  return yes;
}

std::vector<double> Arguments::list(size_t i) const {
  const napi_value given = argument(i);
  uint32_t length = 0;
  EXPECT(napi_get_array_length(env_, given, &length) == napi_ok, "argument " + std::to_string(i) + " is no list");
  std::vector<double> out(length);
  for (uint32_t k = 0; k < length; k++) {
    napi_value element;
    napi_get_element(env_, given, k, &element);
    EXPECT(napi_get_value_double(env_, element, &out[k]) == napi_ok,
           "element " + std::to_string(k) + " of argument " + std::to_string(i) + " is no number");
  }
  return out;
}

std::vector<int64_t> Arguments::sides(size_t i) const {
  const std::vector<double> given = list(i);
  EXPECT(given.size() == 3, "argument " + std::to_string(i) + " has " + std::to_string(given.size()) + " sides, 3 wanted");
  std::vector<int64_t> out;
  double product = 1;
  for (double side : given) {
    EXPECT(side >= 0 && side < 2147483648.0 && side == static_cast<double>(static_cast<int64_t>(side)),
           "a side of " + std::to_string(side));
    out.push_back(static_cast<int64_t>(side));
    product *= side;
  }
  EXPECT(product <= 1099511627776.0, "more voxels than any memory holds");
  return out;
}

template <class T>
bool Arguments::is(size_t i) const {
  bool typed = false;
  napi_is_typedarray(env_, argument(i), &typed);
  if (!typed) return false;
  napi_typedarray_type type;
  napi_get_typedarray_info(env_, argument(i), &type, nullptr, nullptr, nullptr, nullptr);
  return type == kind<T>();
}

template <class T>
Values<T> Arguments::array(napi_value value, size_t i) const {
  bool typed = false;
  napi_is_typedarray(env_, value, &typed);
  napi_typedarray_type type = napi_uint8_array;
  size_t length = 0;
  void* data = nullptr;
  if (typed) napi_get_typedarray_info(env_, value, &type, &length, &data, nullptr, nullptr);
  EXPECT(typed && type == kind<T>(), "argument " + std::to_string(i) + " is no " + kindName<T>());
  return {static_cast<T*>(data), static_cast<int64_t>(length)};
}

template <class T>
std::vector<Values<T>> Arguments::arrays(size_t i) const {
  const napi_value given = argument(i);
  uint32_t length = 0;
  EXPECT(napi_get_array_length(env_, given, &length) == napi_ok, "argument " + std::to_string(i) + " is no list");
  std::vector<Values<T>> out;
  for (uint32_t k = 0; k < length; k++) {
    napi_value element;
    napi_get_element(env_, given, k, &element);
    out.push_back(array<T>(element, i));
  }
  return out;
}

#define KIND(T)                                                       \
  template bool Arguments::is<T>(size_t) const;                       \
  template Values<T> Arguments::array<T>(napi_value, size_t) const;   \
  template std::vector<Values<T>> Arguments::arrays<T>(size_t) const;
KIND(float)
KIND(double)
KIND(int16_t)
KIND(int32_t)
KIND(uint32_t)
KIND(uint8_t)
#undef KIND

}  // namespace voxelbook

NAPI_MODULE_INIT() {
  for (const voxelbook::Entry& entry : voxelbook::entries()) {
    napi_value function;
    napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, voxelbook::call, const_cast<voxelbook::Entry*>(&entry), &function);
    napi_set_named_property(env, exports, entry.name, function);
  }
  return exports;
}
