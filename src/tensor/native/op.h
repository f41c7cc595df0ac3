// The way into TensorFlow: operators and their CPU kernels through TensorFlow's C API.
//
// Every operator takes float tensors, a list of integers and a list of floats, and gives float tensors. A kernel says
// what is wrong by throwing `Fault`; it comes back in JavaScript as a TensorFlow error that names the shapes.
#pragma once
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

namespace voxelbook {

using Shape = std::vector<int64_t>;

inline int64_t sizeOf(const Shape& shape) {
  int64_t size = 1;
  for (int64_t n : shape) size *= n;
  return size;
}

inline std::string text(const Shape& shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); i++) s += (i ? "," : "") + std::to_string(shape[i]);
  return s + "]";
}

struct Fault {
  std::string message;
};

/// Throws with the message unless the condition holds. The message is only built when needed.
#define EXPECT(condition, message) \
  if (!(condition)) throw ::voxelbook::Fault { message }

/// Threads a kernel may use, as JavaScript said (base/threads.ts).
int threadCount();

struct Settings {
  std::vector<int64_t> ints;
  std::vector<float> floats;
};

/// One call of a kernel: its inputs, its settings, and a way to make outputs.
class Call {
 public:
  Call(TF_OpKernelContext* context, const Settings& settings)
      : ints(settings.ints), floats(settings.floats), context_(context), status_(TF_NewStatus()) {}
  ~Call() {
    for (TF_Tensor* t : tensors_) TF_DeleteTensor(t);
    TF_DeleteStatus(status_);
  }

  const std::vector<int64_t>& ints;
  const std::vector<float>& floats;

  int inputs() const { return TF_NumInputs(context_); }
  const Shape& shape(int i) {
    fetch(i);
    return shapes_[i];
  }
  const float* input(int i) {
    fetch(i);
    return static_cast<const float*>(TF_TensorData(inputs_[i]));
  }
  /// Of an operator that takes int32 there.
  const int32_t* integers(int i) {
    fetch(i);
    return static_cast<const int32_t*>(TF_TensorData(inputs_[i]));
  }
  /// An input to be written to: only for tensors of which the caller knows that their memory is shared with nothing else.
  float* inPlace(int i) {
    fetch(i);
    return static_cast<float*>(TF_TensorData(inputs_[i]));
  }
  float* output(int i, const Shape& shape) {
    // 2^40 floats are more than any memory, and the product must not overflow.
    double size = 1;
    for (int64_t n : shape) {
      EXPECT(n >= 0, "an output of " + text(shape));
      size *= static_cast<double>(n);
    }
    EXPECT(size <= 1099511627776.0, "an output of " + text(shape));
    TF_Tensor* t = TF_AllocateOutput(context_, i, TF_FLOAT, shape.data(), static_cast<int>(shape.size()),
                                     sizeOf(shape) * sizeof(float), status_);
    check();
    tensors_.push_back(t);
    return static_cast<float*>(TF_TensorData(t));
  }

 private:
  void check() {
    if (TF_GetCode(status_) != TF_OK) throw Fault{TF_Message(status_)};
  }
  void fetch(int i) {
    if (static_cast<size_t>(i) < inputs_.size() && inputs_[i]) return;
    EXPECT(i < inputs(), "input " + std::to_string(i) + " of " + std::to_string(inputs()));
    inputs_.resize(inputs(), nullptr);
    shapes_.resize(inputs());
    TF_GetInput(context_, i, &inputs_[i], status_);
    check();
    tensors_.push_back(inputs_[i]);
    for (int k = 0; k < TF_NumDims(inputs_[i]); k++) shapes_[i].push_back(TF_Dim(inputs_[i], k));
  }

  TF_OpKernelContext* context_;
  TF_Status* status_;
  std::vector<TF_Tensor*> inputs_, tensors_;
  std::vector<Shape> shapes_;
};

/// Floats that are not initialised, 64-byte aligned, released at the end of the scope.
class Buffer {
 public:
  explicit Buffer(int64_t count = 0) : data_(nullptr, Release{0}) {
    if (count <= 0) return;
    const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64;
    if (bytes >= ownMapping) {
      void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (pages == MAP_FAILED) throw std::bad_alloc();
      madvise(pages, bytes, MADV_HUGEPAGE);
      data_ = {static_cast<float*>(pages), Release{bytes}};
      return;
    }
    data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
  }
  operator float*() { return data_.get(); }
  operator const float*() const { return data_.get(); }

 private:
  /// Windows of the widest networks take hundreds of megabytes, and of another size in every layer: in the heap, which keeps what is freed
  /// (module.cc), each would leave a hole that the next does not fit.
  static constexpr size_t ownMapping = size_t{64} << 20;
  struct Release {
    size_t mapped;
    void operator()(float* p) const {
      if (mapped) munmap(p, mapped);
      else std::free(p);
    }
  };
  std::unique_ptr<float, Release> data_;
};

using Kernel = void (*)(Call&);

/// TensorFlow ends the process when an operator is registered twice. Only the first copy of this library that a process
/// loads (a rebuilt file is another copy) registers; it leaves the process's number in the environment.
inline bool firstCopy() {
  static const bool first = [] {
    const std::string process = std::to_string(getpid());
    const char* mark = std::getenv("VOXELBOOK_KERNELS_IN");
    if (mark && process == mark) return false;
    setenv("VOXELBOOK_KERNELS_IN", process.c_str(), 1);
    return true;
  }();
  return first;
}

/// Inputs or outputs of an operator: so many float tensors, or TensorFlow's own words for others ("x: N * float").
struct Arguments {
  int count = 0;
  std::vector<std::string> words;
  Arguments(int count) : count(count) {}
  Arguments(std::initializer_list<const char*> words) : words(words.begin(), words.end()) {}
  std::vector<std::string> named(const char* letter) const {
    std::vector<std::string> all = words;
    for (int i = 0; i < count; i++) all.push_back(letter + std::to_string(i) + ": float");
    return all;
  }
};

/// Registers an operator. `kernel` is a template argument so that each operator has its own plain C function.
template <Kernel kernel>
void registerOp(const char* name, const Arguments& inputs, const Arguments& outputs) {
  if (!firstCopy()) return;
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  bool list = false;
  for (const std::string& words : inputs.named("i")) {
    list = list || words.find("N *") != std::string::npos;
    TF_OpDefinitionBuilderAddInput(op, words.c_str());
  }
  for (const std::string& words : outputs.named("o")) TF_OpDefinitionBuilderAddOutput(op, words.c_str());
  if (list) TF_OpDefinitionBuilderAddAttr(op, "N: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "ints: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "floats: list(float)");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      op, [](TF_ShapeInferenceContext* c, TF_Status* s) { TF_ShapeInferenceContextSetUnknownShape(c, s); });
  TF_RegisterOpDefinition(op, status);
  TF_DeleteStatus(status);

  auto create = [](TF_OpKernelConstruction* c) -> void* {
    auto* settings = new Settings();
    TF_Status* s = TF_NewStatus();
    int32_t list = 0, total = 0;
    TF_OpKernelConstruction_GetAttrSize(c, "ints", &list, &total, s);
    settings->ints.resize(list);
    if (list) TF_OpKernelConstruction_GetAttrInt64List(c, "ints", settings->ints.data(), list, s);
    TF_OpKernelConstruction_GetAttrSize(c, "floats", &list, &total, s);
    settings->floats.resize(list);
    if (list) TF_OpKernelConstruction_GetAttrFloatList(c, "floats", settings->floats.data(), list, s);
    TF_DeleteStatus(s);
    return settings;
  };
  auto compute = [](void* settings, TF_OpKernelContext* context) {
    std::string message;
    TF_Code code = TF_INVALID_ARGUMENT;
    try {
      Call call(context, *static_cast<Settings*>(settings));
      kernel(call);
      return;
    } catch (const Fault& fault) {
      message = fault.message;
    } catch (const std::bad_alloc&) {
      code = TF_RESOURCE_EXHAUSTED;
      message = "not enough memory";
    }
    TF_StringView opName = TF_GetOpKernelName(context);
    message = std::string(opName.data, opName.len) + ": " + message;
    TF_Status* s = TF_NewStatus();
    TF_SetStatus(s, code, message.c_str());
    TF_OpKernelContext_Failure(context, s);
    TF_DeleteStatus(s);
  };
  auto destroy = [](void* settings) { delete static_cast<Settings*>(settings); };
  TF_KernelBuilder* builder = TF_NewKernelBuilder(name, "CPU", create, compute, destroy);
  TF_Status* s = TF_NewStatus();
  TF_RegisterKernelBuilder(name, builder, s);
  TF_DeleteStatus(s);
}

}  // namespace voxelbook
