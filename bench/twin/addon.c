// The twin for JavaScript: run(memory, worker, link, burst, turns, tick, milliseconds) plays so many
// turns over a Uint8Array of the whole linear memory and returns the packets it refused, which
// must be none.

#define NAPI_VERSION 8
#include <node_api.h>
#include <stddef.h>

#include "twin.h"

#define ARGUMENTS 7

static napi_value refuse(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

static napi_value run(napi_env env, napi_callback_info info) {
  size_t count = ARGUMENTS;
  napi_value values[ARGUMENTS];
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok) return NULL;
  if (count != ARGUMENTS) return refuse(env, "run() takes a memory and six numbers");
  void *memory;
  size_t length;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, values[0], &type, &length, &memory, NULL, NULL) != napi_ok ||
      type != napi_uint8_array) {
    return refuse(env, "the memory is no Uint8Array");
  }
  uint32_t numbers[ARGUMENTS - 1];
  for (size_t i = 0; i < ARGUMENTS - 1; i++) {
    if (napi_get_value_uint32(env, values[i + 1], &numbers[i]) != napi_ok) {
      return refuse(env, "not a number");
    }
  }
  struct twin twin;
  if (!twin_attach(&twin, memory, numbers[0])) {
    return refuse(env, "the memory is not laid out as the twin was built for");
  }
  struct twin_run what = {
      .link = numbers[1],
      .burst = numbers[2],
      .turns = numbers[3],
      .tick = numbers[4],
      .milliseconds = numbers[5],
  };
  twin_run(&twin, &what);
  napi_value refused;
  if (napi_create_double(env, (double)twin.refused, &refused) != napi_ok) return NULL;
  return refused;
}

static napi_value initialise(napi_env env, napi_value exports) {
  napi_value function;
  if (napi_create_function(env, "run", NAPI_AUTO_LENGTH, run, NULL, &function) == napi_ok) {
    napi_set_named_property(env, exports, "run", function);
  }
  return exports;
}

NAPI_MODULE(wvs_twin, initialise)
