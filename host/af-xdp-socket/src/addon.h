// The functions each addon-*.c file offers to JavaScript.

#pragma once

#include "arguments.h"

struct addon_function {
  const char *name;
  napi_callback call;
};

// Each list ends with a NULL name.
extern const struct addon_function socket_functions[];
extern const struct addon_function bpf_functions[];
extern const struct addon_function host_functions[];
