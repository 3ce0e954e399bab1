// The native half of the package. Functions take numbers and typed arrays, check them, and answer
// with zero or more, or a negative errno; index.js makes errors and objects of that. There is no
// state beside what the caller holds, so any number of threads may load this.

#include "addon.h"

#include <unistd.h>

static void define_all(napi_env env, napi_value exports, const struct addon_function *functions) {
  for (; functions->name != NULL; functions++) {
    napi_value function;
    napi_create_function(env, functions->name, NAPI_AUTO_LENGTH, functions->call, NULL, &function);
    napi_set_named_property(env, exports, functions->name, function);
  }
}

NAPI_MODULE_INIT() {
  define_all(env, exports, socket_functions);
  define_all(env, exports, bpf_functions);
  define_all(env, exports, host_functions);
  set_number(env, exports, "pageSize", (double)sysconf(_SC_PAGESIZE));
  return exports;
}
