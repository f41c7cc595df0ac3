// Loaded with tfjs's binding and initialised before TensorFlow's own libraries (linker flag `-z initfirst`).
//
// TensorFlow decides while its libraries are initialised whether dense convolutions and matrix products run in oneDNN,
// and leaves it off on processors without AVX512-VNNI, where a training step then takes several times as long and as
// much memory. A setting from JavaScript would come too late for who loads tfjs before this project, and in a worker
// thread never reach it: `process.env` is a copy there. What the user set stays.
#include <stdlib.h>

// The log's own switch: it is read from the environment only after the first lines are out.
__attribute__((weak)) extern void
setMinLogLevel(int level) __asm__("_ZN4absl12lts_2025081412log_internal17RawSetMinLogLevelENS0_18LogSeverityAtLeastE");

static const char *settle(const char *name, const char *value) {
  const char *set = getenv(name);
  if (!set || !*set) setenv(name, value, 1);
  return getenv(name);
}

__attribute__((constructor)) static void beforeTensorflow(void) {
  const int level = atoi(settle("TF_CPP_MIN_LOG_LEVEL", "2"));
  if (setMinLogLevel && level > 0) setMinLogLevel(level > 3 ? 3 : level);
#if defined(__x86_64__)
  settle("TF_ENABLE_ONEDNN_OPTS", "1");
#endif
}
