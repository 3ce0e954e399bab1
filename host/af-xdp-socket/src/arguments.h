// Readers for what JavaScript hands in. Each returns false with a TypeError or RangeError pending
// when the value is not what the name says, so a wrong argument can never reach a system call.

#pragma once

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The most arguments any function of the addon takes.
#define ARGUMENTS_MAX 8

// The bytes behind a Uint8Array or Buffer, over shared memory or not.
struct view {
  uint8_t *data;
  size_t length;
};

// The words behind an Int32Array.
struct words {
  int32_t *data;
  size_t length;
};

// Absent arguments come out as undefined. `values` has room for ARGUMENTS_MAX.
bool take_arguments(napi_env env, napi_callback_info info, napi_value *values);

bool read_integer(napi_env env, napi_value value, const char *name, int64_t min, int64_t max,
                  int64_t *out);
bool read_descriptor(napi_env env, napi_value value, int *out);
bool read_uint32(napi_env env, napi_value value, const char *name, uint32_t *out);
bool read_view(napi_env env, napi_value value, const char *name, struct view *out);
bool read_words(napi_env env, napi_value value, const char *name, struct words *out);

// Copies at most capacity - 1 bytes; a longer string is a RangeError.
bool read_string(napi_env env, napi_value value, const char *name, char *out, size_t capacity);

bool is_absent(napi_env env, napi_value value);

// What every function returns: zero or more on success, a negative errno on failure.
napi_value number(napi_env env, double value);

void set_number(napi_env env, napi_value object, const char *name, double value);
void set_string(napi_env env, napi_value object, const char *name, const char *value);
