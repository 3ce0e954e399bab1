// Sockets, rings and wake-ups: argument checks only.

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"
#include "rings.h"
#include "wake.h"
#include "xsk.h"

#define OFFSETS_PER_RING 4

static napi_value socket_open(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, xsk_open());
}

// (fd, memory, frameSize, headroom)
static napi_value register_umem(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view memory;
  uint32_t frame_size;
  uint32_t headroom;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "memory", &memory) ||
      !read_uint32(env, values[2], "frameSize", &frame_size) ||
      !read_uint32(env, values[3], "headroom", &headroom)) {
    return NULL;
  }
  return number(env, xsk_register_umem(fd, memory.data, memory.length, frame_size, headroom));
}

static bool read_kind(napi_env env, napi_value value, enum ring_kind *out) {
  int64_t kind;
  if (!read_integer(env, value, "The ring kind", 0, RING_KINDS - 1, &kind)) return false;
  *out = (enum ring_kind)kind;
  return true;
}

// (fd, kind, entries)
static napi_value create_ring(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  enum ring_kind kind;
  int64_t entries;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_kind(env, values[1], &kind) ||
      !read_integer(env, values[2], "entries", 1, INT_MAX, &entries)) {
    return NULL;
  }
  return number(env, ring_create(fd, kind, (uint32_t)entries));
}

static void put_offsets(int32_t *out, const struct xdp_ring_offset *offsets) {
  out[0] = (int32_t)offsets->producer;
  out[1] = (int32_t)offsets->consumer;
  out[2] = (int32_t)offsets->desc;
  out[3] = (int32_t)offsets->flags;
}

// (fd, Int32Array(16)): per kind producer, consumer, descriptors, flags
static napi_value read_offsets(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct words out;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_words(env, values[1], "out", &out)) {
    return NULL;
  }
  if (out.length < (size_t)RING_KINDS * OFFSETS_PER_RING) return number(env, -EINVAL);
  struct xdp_mmap_offsets offsets;
  int result = ring_offsets(fd, &offsets);
  if (result == 0) {
    put_offsets(out.data + RING_FILL * OFFSETS_PER_RING, &offsets.fr);
    put_offsets(out.data + RING_COMPLETION * OFFSETS_PER_RING, &offsets.cr);
    put_offsets(out.data + RING_RX * OFFSETS_PER_RING, &offsets.rx);
    put_offsets(out.data + RING_TX * OFFSETS_PER_RING, &offsets.tx);
  }
  return number(env, result);
}

struct mapping_handle {
  struct ring_mapping mapping;
  // Keeps the linear memory alive as long as there is a ring in it.
  napi_ref memory;
};

static void release_mapping(napi_env env, struct mapping_handle *handle) {
  if (handle->memory != NULL) napi_delete_reference(env, handle->memory);
  handle->memory = NULL;
}

static void finalize_mapping(napi_env env, void *data, void *hint) {
  (void)hint;
  struct mapping_handle *handle = data;
  ring_unmap(&handle->mapping);
  release_mapping(env, handle);
  free(handle);
}

// (fd, kind, memory, byteOffset, length) -> a mapping, or a negative errno
static napi_value map_ring(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  enum ring_kind kind;
  struct view memory;
  int64_t offset;
  int64_t length;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_kind(env, values[1], &kind) || !read_view(env, values[2], "memory", &memory) ||
      !read_integer(env, values[3], "byteOffset", 0, (int64_t)memory.length, &offset) ||
      !read_integer(env, values[4], "length", 1, (int64_t)memory.length - offset, &length)) {
    return NULL;
  }
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uint8_t *address = memory.data + offset;
  // A partial page would take its neighbours' bytes with it.
  if ((uintptr_t)address % page != 0 || (uintptr_t)length % page != 0) return number(env, -EINVAL);
  struct mapping_handle *handle = calloc(1, sizeof(*handle));
  if (handle == NULL) return number(env, -ENOMEM);
  int result = ring_map(fd, kind, address, (size_t)length, &handle->mapping);
  if (result != 0) {
    free(handle);
    return number(env, result);
  }
  napi_value external;
  napi_create_reference(env, values[2], 1, &handle->memory);
  napi_create_external(env, handle, finalize_mapping, NULL, &external);
  return external;
}

// (mapping)
static napi_value unmap_ring(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  void *data = NULL;
  if (!take_arguments(env, info, values)) return NULL;
  if (napi_get_value_external(env, values[0], &data) != napi_ok) return number(env, -EINVAL);
  struct mapping_handle *handle = data;
  int result = ring_unmap(&handle->mapping);
  if (result == 0) release_mapping(env, handle);
  return number(env, result);
}

// (fd, interfaceIndex, queue, flags, sharedWith or -1)
static napi_value bind_socket(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  uint32_t interface_index;
  uint32_t queue;
  int64_t flags;
  int64_t shared_with;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_uint32(env, values[1], "interfaceIndex", &interface_index) ||
      !read_uint32(env, values[2], "queue", &queue) ||
      !read_integer(env, values[3], "flags", 0, UINT16_MAX, &flags) ||
      !read_integer(env, values[4], "sharedWith", -1, INT_MAX, &shared_with)) {
    return NULL;
  }
  return number(env, xsk_bind(fd, interface_index, queue, (uint32_t)flags, (int)shared_with));
}

// (fd) -> XDP_OPTIONS flags
static napi_value socket_options(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd)) return NULL;
  uint32_t flags = 0;
  int result = xsk_options(fd, &flags);
  return number(env, result == 0 ? (double)flags : result);
}

static napi_value socket_statistics(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd)) return NULL;
  struct xdp_statistics statistics;
  int result = xsk_statistics(fd, &statistics);
  if (result != 0) return number(env, result);
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "receiveDropped", (double)statistics.rx_dropped);
  set_number(env, object, "receiveInvalidDescriptors", (double)statistics.rx_invalid_descs);
  set_number(env, object, "transmitInvalidDescriptors", (double)statistics.tx_invalid_descs);
  set_number(env, object, "receiveRingFull", (double)statistics.rx_ring_full);
  set_number(env, object, "fillRingEmpty", (double)statistics.rx_fill_ring_empty_descs);
  set_number(env, object, "transmitRingEmpty", (double)statistics.tx_ring_empty_descs);
  return object;
}

// (fd, level, option, value)
static napi_value set_socket_option(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  int64_t level;
  int64_t option;
  int64_t value;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_integer(env, values[1], "level", 0, INT_MAX, &level) ||
      !read_integer(env, values[2], "option", 0, INT_MAX, &option) ||
      !read_integer(env, values[3], "value", 0, INT_MAX, &value)) {
    return NULL;
  }
  int word = (int)value;
  int result = setsockopt(fd, (int)level, (int)option, &word, sizeof(word));
  return number(env, result == 0 ? 0 : -errno);
}

typedef int (*descriptor_call)(int fd);

static napi_value call_with_descriptor(napi_env env, napi_callback_info info,
                                       descriptor_call call) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd)) return NULL;
  return number(env, call(fd));
}

static napi_value transmit(napi_env env, napi_callback_info info) {
  return call_with_descriptor(env, info, wake_transmit);
}

static napi_value receive(napi_env env, napi_callback_info info) {
  return call_with_descriptor(env, info, wake_receive);
}

static napi_value signal_event(napi_env env, napi_callback_info info) {
  return call_with_descriptor(env, info, event_signal);
}

static napi_value drain_event(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd)) return NULL;
  return number(env, (double)event_drain(fd));
}

static napi_value create_event(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, event_create());
}

static bool read_events(napi_env env, napi_value value, size_t length, int64_t *mask,
                        struct words *events) {
  bool is_array = false;
  if (is_absent(env, value)) return true;
  if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array) {
    return read_integer(env, value, "events", 0, SHRT_MAX, mask);
  }
  if (!read_words(env, value, "events", events)) return false;
  if (events->length == length) return true;
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "events must be as long as fds.");
  return false;
}

static bool read_ready(napi_env env, napi_value value, size_t length, struct words *ready) {
  if (is_absent(env, value)) return true;
  if (!read_words(env, value, "ready", ready)) return false;
  if (ready->length == length) return true;
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "ready must be as long as fds.");
  return false;
}

// (fds, timeoutMs, ready?, events?)
static napi_value poll_descriptors(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct words fds;
  int64_t timeout_ms;
  struct words ready = {0};
  int64_t mask = 1;
  struct words events = {0};
  if (!take_arguments(env, info, values) || !read_words(env, values[0], "fds", &fds) ||
      !read_integer(env, values[1], "timeoutMs", -1, INT_MAX, &timeout_ms) ||
      !read_ready(env, values[2], fds.length, &ready) ||
      !read_events(env, values[3], fds.length, &mask, &events)) {
    return NULL;
  }
  if (fds.length > POLL_DESCRIPTORS_MAX) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE",
                           "fds must hold at most POLL_DESCRIPTORS_MAX descriptors.");
    return NULL;
  }
  return number(env, wake_poll(fds.data, fds.length, (int32_t)mask, events.data, ready.data,
                               (int)timeout_ms));
}

typedef ssize_t (*transfer)(int fd, void *data, size_t length);

static ssize_t write_bytes(int fd, void *data, size_t length) { return write(fd, data, length); }

static napi_value move_bytes(napi_env env, napi_callback_info info, transfer call) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  struct view view;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd) ||
      !read_view(env, values[1], "view", &view)) {
    return NULL;
  }
  ssize_t moved = call(fd, view.data, view.length);
  return number(env, moved < 0 ? -errno : (double)moved);
}

static napi_value read_from(napi_env env, napi_callback_info info) {
  return move_bytes(env, info, read);
}

static napi_value write_to(napi_env env, napi_callback_info info) {
  return move_bytes(env, info, write_bytes);
}

const struct addon_function socket_functions[] = {
    {"socketOpen", socket_open},
    {"registerUmem", register_umem},
    {"createRing", create_ring},
    {"ringOffsets", read_offsets},
    {"mapRing", map_ring},
    {"unmapRing", unmap_ring},
    {"bindSocket", bind_socket},
    {"socketOptions", socket_options},
    {"socketStatistics", socket_statistics},
    {"setSocketOption", set_socket_option},
    {"wakeTransmit", transmit},
    {"wakeReceive", receive},
    {"pollDescriptors", poll_descriptors},
    {"createEvent", create_event},
    {"signalEvent", signal_event},
    {"drainEvent", drain_event},
    {"readDescriptor", read_from},
    {"writeDescriptor", write_to},
    {NULL, NULL},
};
