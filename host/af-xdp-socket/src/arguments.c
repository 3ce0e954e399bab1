#include "arguments.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

bool take_arguments(napi_env env, napi_callback_info info, napi_value *values) {
  size_t count = ARGUMENTS_MAX;
  return napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok;
}

static bool refuse_type(napi_env env, const char *name, const char *expected) {
  char message[160];
  snprintf(message, sizeof(message), "%s must be %s.", name, expected);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool read_integer(napi_env env, napi_value value, const char *name, int64_t min, int64_t max,
                  int64_t *out) {
  double read;
  if (napi_get_value_double(env, value, &read) != napi_ok) {
    return refuse_type(env, name, "a number");
  }
  if (read != trunc(read) || !(read >= (double)min && read <= (double)max)) {
    char message[160];
    snprintf(message, sizeof(message), "%s must be a whole number from %lld to %lld.", name,
             (long long)min, (long long)max);
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
    return false;
  }
  *out = (int64_t)read;
  return true;
}

bool read_descriptor(napi_env env, napi_value value, int *out) {
  int64_t read;
  if (!read_integer(env, value, "The descriptor", 0, INT_MAX, &read)) return false;
  *out = (int)read;
  return true;
}

bool read_uint32(napi_env env, napi_value value, const char *name, uint32_t *out) {
  int64_t read;
  if (!read_integer(env, value, name, 0, UINT32_MAX, &read)) return false;
  *out = (uint32_t)read;
  return true;
}

static bool is_typed_array(napi_env env, napi_value value) {
  bool yes = false;
  return napi_is_typedarray(env, value, &yes) == napi_ok && yes;
}

bool read_view(napi_env env, napi_value value, const char *name, struct view *out) {
  napi_typedarray_type type;
  void *data = NULL;
  if (!is_typed_array(env, value) ||
      napi_get_typedarray_info(env, value, &type, &out->length, &data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array) {
    return refuse_type(env, name, "a Uint8Array");
  }
  out->data = data;
  return true;
}

bool read_words(napi_env env, napi_value value, const char *name, struct words *out) {
  napi_typedarray_type type;
  void *data = NULL;
  if (!is_typed_array(env, value) ||
      napi_get_typedarray_info(env, value, &type, &out->length, &data, NULL, NULL) != napi_ok ||
      type != napi_int32_array) {
    return refuse_type(env, name, "an Int32Array");
  }
  out->data = data;
  return true;
}

bool read_string(napi_env env, napi_value value, const char *name, char *out, size_t capacity) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    return refuse_type(env, name, "a string");
  }
  if (length >= capacity) {
    char message[160];
    snprintf(message, sizeof(message), "%s must be at most %zu bytes long.", name, capacity - 1);
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
    return false;
  }
  return napi_get_value_string_utf8(env, value, out, capacity, &length) == napi_ok;
}

bool is_absent(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok &&
         (type == napi_undefined || type == napi_null);
}

napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

void set_number(napi_env env, napi_value object, const char *name, double value) {
  napi_set_named_property(env, object, name, number(env, value));
}

void set_string(napi_env env, napi_value object, const char *name, const char *value) {
  napi_value string = NULL;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &string);
  napi_set_named_property(env, object, name, string);
}
