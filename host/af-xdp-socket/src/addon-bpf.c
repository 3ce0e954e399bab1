// BPF maps, programs and links: argument checks only. That a key or value is as long as its map
// wants is checked in lib/bpf.js, which knows the map.

#include <errno.h>
#include <limits.h>

#include "addon.h"
#include "bpf.h"

#define INSTRUCTION_LENGTH 8
#define LICENSE_LENGTH_MAX 64

// (type, name, keyLength, valueLength, maxEntries, flags)
static napi_value map_create(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  char name[BPF_NAME_LENGTH_MAX];
  uint32_t type;
  uint32_t key_length;
  uint32_t value_length;
  uint32_t entries_max;
  uint32_t flags;
  if (!take_arguments(env, info, values) || !read_uint32(env, values[0], "type", &type) ||
      !read_string(env, values[1], "name", name, sizeof(name)) ||
      !read_uint32(env, values[2], "keyLength", &key_length) ||
      !read_uint32(env, values[3], "valueLength", &value_length) ||
      !read_uint32(env, values[4], "maxEntries", &entries_max) ||
      !read_uint32(env, values[5], "flags", &flags)) {
    return NULL;
  }
  return number(env, bpf_map_create(type, name, key_length, value_length, entries_max, flags));
}

// (fd, key, value)
static napi_value map_lookup(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view key;
  struct view value;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "key", &key) || !read_view(env, values[2], "value", &value)) {
    return NULL;
  }
  return number(env, bpf_map_lookup(fd, key.data, value.data));
}

// (fd, key, value, flags)
static napi_value map_update(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view key;
  struct view value;
  uint32_t flags;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "key", &key) || !read_view(env, values[2], "value", &value) ||
      !read_uint32(env, values[3], "flags", &flags)) {
    return NULL;
  }
  return number(env, bpf_map_update(fd, key.data, value.data, flags));
}

// (fd, key)
static napi_value map_delete(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view key;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "key", &key)) {
    return NULL;
  }
  return number(env, bpf_map_delete(fd, key.data));
}

// (fd, key or null, next)
static napi_value map_next_key(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view key = {0};
  struct view next;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      (!is_absent(env, values[1]) && !read_view(env, values[1], "key", &key)) ||
      !read_view(env, values[2], "next", &next)) {
    return NULL;
  }
  return number(env, bpf_map_next_key(fd, key.data, next.data));
}

static bool read_count(napi_env env, napi_value value, struct words *out) {
  if (!read_words(env, value, "count", out)) return false;
  if (out->length >= 1 && out->data[0] >= 0) return true;
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "count must hold one number.");
  return false;
}

// (fd, keys, values, Int32Array [count in, done out])
static napi_value map_update_batch(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view keys;
  struct view items;
  struct words count;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "keys", &keys) || !read_view(env, values[2], "values", &items) ||
      !read_count(env, values[3], &count)) {
    return NULL;
  }
  uint32_t done = (uint32_t)count.data[0];
  int result = bpf_map_update_batch(fd, keys.data, items.data, &done);
  count.data[0] = (int32_t)done;
  return number(env, result);
}

// (fd, keys, Int32Array [count in, done out])
static napi_value map_delete_batch(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view keys;
  struct words count;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "keys", &keys) || !read_count(env, values[2], &count)) {
    return NULL;
  }
  uint32_t done = (uint32_t)count.data[0];
  int result = bpf_map_delete_batch(fd, keys.data, &done);
  count.data[0] = (int32_t)done;
  return number(env, result);
}

// (type, attachType, name, license, instructions, log or an empty view)
static napi_value program_load(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct bpf_program_kind kind;
  char name[BPF_NAME_LENGTH_MAX];
  char license[LICENSE_LENGTH_MAX];
  struct view instructions;
  struct view log;
  if (!take_arguments(env, info, values) ||
      !read_uint32(env, values[0], "type", &kind.type) ||
      !read_uint32(env, values[1], "attachType", &kind.attach_type) ||
      !read_string(env, values[2], "name", name, sizeof(name)) ||
      !read_string(env, values[3], "license", license, sizeof(license)) ||
      !read_view(env, values[4], "instructions", &instructions) ||
      !read_view(env, values[5], "log", &log)) {
    return NULL;
  }
  uint32_t count = (uint32_t)(instructions.length / INSTRUCTION_LENGTH);
  return number(env, bpf_program_load(kind, name, license, instructions.data, count,
                                      (char *)log.data, (uint32_t)log.length));
}

// (id) -> name, or a negative errno
static napi_value program_name(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  uint32_t id;
  if (!take_arguments(env, info, values) || !read_uint32(env, values[0], "id", &id)) return NULL;
  char name[BPF_NAME_LENGTH_MAX];
  int result = bpf_program_name(id, name);
  if (result != 0) return number(env, result);
  napi_value string;
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &string);
  return string;
}

// (fd, frame, output, repeat, Int32Array(3) [verdict, durationNs, length])
static napi_value program_test_run(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view frame;
  struct view output;
  uint32_t repeat;
  struct words out;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "frame", &frame) ||
      !read_view(env, values[2], "output", &output) ||
      !read_uint32(env, values[3], "repeat", &repeat) ||
      !read_words(env, values[4], "out", &out)) {
    return NULL;
  }
  if (out.length < 3) return number(env, -EINVAL);
  struct bpf_test_run run = {.frame = frame.data,
                             .frame_length = (uint32_t)frame.length,
                             .output = output.data,
                             .output_length = (uint32_t)output.length,
                             .repeat = repeat};
  int result = bpf_program_test_run(fd, &run);
  out.data[0] = (int32_t)run.verdict;
  out.data[1] = (int32_t)run.duration_ns;
  out.data[2] = (int32_t)run.output_length;
  return number(env, result);
}

static napi_value wait_for_programs(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, bpf_wait_for_programs());
}

// (programFd, interfaceIndex, attachType, flags)
static napi_value link_create(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  uint32_t interface_index;
  uint32_t attach_type;
  uint32_t flags;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_uint32(env, values[1], "interfaceIndex", &interface_index) ||
      !read_uint32(env, values[2], "attachType", &attach_type) ||
      !read_uint32(env, values[3], "flags", &flags)) {
    return NULL;
  }
  return number(env, bpf_link_create(fd, interface_index, attach_type, flags));
}

const struct addon_function bpf_functions[] = {
    {"mapCreate", map_create},
    {"mapLookup", map_lookup},
    {"mapUpdate", map_update},
    {"mapDelete", map_delete},
    {"mapNextKey", map_next_key},
    {"mapUpdateBatch", map_update_batch},
    {"mapDeleteBatch", map_delete_batch},
    {"programLoad", program_load},
    {"programName", program_name},
    {"programTestRun", program_test_run},
    {"waitForPrograms", wait_for_programs},
    {"linkCreate", link_create},
    {NULL, NULL},
};
