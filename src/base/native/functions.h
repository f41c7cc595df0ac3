// Functions on typed arrays that JavaScript calls in any thread: no TensorFlow, no state, nothing is kept.
//
// They are compiled without contraction of products and sums, so that they give what the same arithmetic in JavaScript gives.
#pragma once
#include <node_api.h>

#include <cstdint>
#include <string>
#include <vector>

namespace voxelbook {

struct Fault {
  std::string message;
};

/// Throws with the message unless the condition holds. The message is only built when needed.
#define EXPECT(condition, message) \
  if (!(condition)) throw ::voxelbook::Fault { message }

template <class T>
struct Values {
  T* data = nullptr;
  int64_t size = 0;
  T& operator[](int64_t i) const { return data[i]; }
};

/// What a function was called with; a wrong kind throws `Fault`.
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info);

  double number(size_t i) const;
  bool flag(size_t i) const { return number(i) != 0; }
  /// null or left out
  bool none(size_t i) const;
  /// An array of numbers.
  std::vector<double> list(size_t i) const;
  /// `[depth, height, width]`, or another three sides: whole, 0 to 2^31, at most 2^40 voxels in all.
  std::vector<int64_t> sides(size_t i) const;
  /// Float32Array, Float64Array, Int16Array, Int32Array, Uint32Array, Uint8Array.
  template <class T>
  Values<T> values(size_t i) const {
    return array<T>(argument(i), i);
  }
  /// An array of such arrays.
  template <class T>
  std::vector<Values<T>> arrays(size_t i) const;
  /// Whether it is an array of that kind.
  template <class T>
  bool is(size_t i) const;

 private:
  napi_value argument(size_t i) const;
  template <class T>
  Values<T> array(napi_value value, size_t i) const;

  napi_env env_;
  size_t count_ = 16;
  napi_value arguments_[16];
};

using Function = void (*)(const Arguments&);

/// Enters a function into the module; a file makes one for each of its functions.
struct Exported {
  Exported(const char* name, Function function);
};

inline int64_t voxels(const std::vector<int64_t>& sides) { return sides[0] * sides[1] * sides[2]; }

}  // namespace voxelbook
