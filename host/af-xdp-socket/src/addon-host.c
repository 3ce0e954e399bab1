// Descriptors, memory, interfaces, netlink, TUN: argument checks only.

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "addon.h"
#include "interface.h"
#include "memory.h"
#include "netlink.h"
#include "process.h"
#include "tun.h"

// AF_XDP sockets listed when looking for the holder of a queue.
#define HOLDERS_MAX 1024
#define FILE_NAME_LENGTH_MAX 250
#define NOTIFICATION_LENGTH_MAX 4096
// The kernel has fewer; a number in JavaScript holds this many bits exactly.
#define CAPABILITY_MASK_MAX ((1LL << 53) - 1)
#define CLOSED (-1)

static void close_owned(int *fd) {
  if (*fd != CLOSED) close(*fd);
  *fd = CLOSED;
}

static void finalize_owned(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  close_owned(data);
  free(data);
}

// (fd) -> an owner that closes it, at the latest when it is collected or its thread ends
static napi_value own(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int fd;
  if (!take_arguments(env, info, values) || !read_descriptor(env, values[0], &fd)) return NULL;
  int *owned = malloc(sizeof(*owned));
  if (owned == NULL) {
    close(fd);
    return number(env, -ENOMEM);
  }
  *owned = fd;
  napi_value external;
  napi_create_external(env, owned, finalize_owned, NULL, &external);
  return external;
}

// (owner); may be called twice
static napi_value disown(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  void *owned = NULL;
  if (!take_arguments(env, info, values)) return NULL;
  if (napi_get_value_external(env, values[0], &owned) != napi_ok) return number(env, -EINVAL);
  close_owned(owned);
  return number(env, 0);
}

// (view) -> where it starts within its page, or -1 for an empty view
static napi_value page_remainder(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct view view;
  if (!take_arguments(env, info, values) || !read_view(env, values[0], "view", &view)) return NULL;
  if (view.data == NULL) return number(env, -1);
  return number(env, (double)((uintptr_t)view.data % (uintptr_t)sysconf(_SC_PAGESIZE)));
}

// (view, advice)
static napi_value advise(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct view view;
  int64_t advice;
  if (!take_arguments(env, info, values) || !read_view(env, values[0], "view", &view) ||
      !read_integer(env, values[1], "advice", 0, INT_MAX, &advice)) {
    return NULL;
  }
  return number(env, memory_advise(view.data, view.length, (int)advice));
}

// (view, fd, fileOffset)
static napi_value map_shared(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct view view;
  int fd;
  int64_t offset;
  if (!take_arguments(env, info, values) || !read_view(env, values[0], "view", &view) ||
      !read_descriptor(env, values[1], &fd) ||
      !read_integer(env, values[2], "fileOffset", 0, 1LL << 52, &offset)) {
    return NULL;
  }
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  if (view.length == 0 || (uintptr_t)view.data % page != 0 || view.length % page != 0) {
    return number(env, -EINVAL);
  }
  return number(env, memory_map_shared(view.data, view.length, fd, offset));
}

// (name, flags)
static napi_value create_file(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  char name[FILE_NAME_LENGTH_MAX];
  uint32_t flags;
  if (!take_arguments(env, info, values) ||
      !read_string(env, values[0], "name", name, sizeof(name)) ||
      !read_uint32(env, values[1], "flags", &flags)) {
    return NULL;
  }
  return number(env, memory_create_file(name, flags));
}

static napi_value describe_interface(napi_env env, const struct interface_info *read) {
  napi_value object;
  napi_value mac;
  napi_create_object(env, &object);
  set_string(env, object, "name", read->name);
  set_string(env, object, "kind", read->kind);
  set_number(env, object, "index", read->index);
  set_number(env, object, "mtu", read->mtu);
  set_number(env, object, "flags", read->flags);
  set_number(env, object, "rxQueues", read->rx_queues);
  set_number(env, object, "txQueues", read->tx_queues);
  set_number(env, object, "xdpAttached", read->xdp_attached);
  set_number(env, object, "xdpProgramId", read->xdp_program_id);
  napi_create_buffer_copy(env, read->mac_length, read->mac, NULL, &mac);
  napi_set_named_property(env, object, "mac", mac);
  return object;
}

// (name, or null, index) -> a description, or a negative errno
static napi_value read_interface(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  char name[INTERFACE_NAME_MAX];
  int64_t index = 0;
  if (!take_arguments(env, info, values)) return NULL;
  bool by_index = is_absent(env, values[0]);
  if (by_index ? !read_integer(env, values[1], "index", 1, INT_MAX, &index)
               : !read_string(env, values[0], "name", name, sizeof(name))) {
    return NULL;
  }
  struct interface_info read;
  int result = interface_read(by_index ? NULL : name, (uint32_t)index, &read);
  return result != 0 ? number(env, result) : describe_interface(env, &read);
}

// (name) -> {rx, tx, combined}, or a negative errno
static napi_value read_channels(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  char name[INTERFACE_NAME_MAX];
  if (!take_arguments(env, info, values) ||
      !read_string(env, values[0], "name", name, sizeof(name))) {
    return NULL;
  }
  struct interface_channels channels;
  int result = interface_channels(name, &channels);
  if (result != 0) return number(env, result);
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "rx", channels.rx);
  set_number(env, object, "tx", channels.tx);
  set_number(env, object, "combined", channels.combined);
  return object;
}

// (interfaceIndex, queue) -> the inode of the AF_XDP socket bound there, 0 for none found, or a
// negative errno
static napi_value holder_inode(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  uint32_t interface_index;
  uint32_t queue;
  if (!take_arguments(env, info, values) ||
      !read_uint32(env, values[0], "interfaceIndex", &interface_index) ||
      !read_uint32(env, values[1], "queue", &queue)) {
    return NULL;
  }
  struct xsk_holder *holders = calloc(HOLDERS_MAX, sizeof(*holders));
  if (holders == NULL) return number(env, -ENOMEM);
  int count = xsk_holders(holders, HOLDERS_MAX);
  double found = count < 0 ? count : 0;
  for (int i = 0; i < count; i++) {
    if (holders[i].interface_index == interface_index && holders[i].queue == queue) {
      found = holders[i].inode;
    }
  }
  free(holders);
  return number(env, found);
}

// (name pattern) -> [fd, name], or a negative errno
static napi_value open_tun(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  char name[TUN_NAME_MAX] = {0};
  if (!take_arguments(env, info, values) ||
      !read_string(env, values[0], "name", name, sizeof(name))) {
    return NULL;
  }
  int fd = tun_open(name);
  if (fd < 0) return number(env, fd);
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "fd", fd);
  set_string(env, object, "name", name);
  return object;
}

// (path, text)
static napi_value notify(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  char path[SOCKET_PATH_MAX];
  char text[NOTIFICATION_LENGTH_MAX];
  if (!take_arguments(env, info, values) ||
      !read_string(env, values[0], "path", path, sizeof(path)) ||
      !read_string(env, values[1], "text", text, sizeof(text))) {
    return NULL;
  }
  return number(env, process_notify(path, text));
}

// (mask) -> the number of threads, or a negative errno
static napi_value keep_capabilities(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int64_t mask;
  if (!take_arguments(env, info, values) ||
      !read_integer(env, values[0], "mask", 0, CAPABILITY_MASK_MAX, &mask)) {
    return NULL;
  }
  return number(env, process_keep_capabilities((uint64_t)mask));
}

const struct addon_function host_functions[] = {
    {"own", own},
    {"disown", disown},
    {"pageRemainder", page_remainder},
    {"advise", advise},
    {"mapShared", map_shared},
    {"createFile", create_file},
    {"readInterface", read_interface},
    {"readChannels", read_channels},
    {"holderInode", holder_inode},
    {"openTun", open_tun},
    {"notify", notify},
    {"keepCapabilities", keep_capabilities},
    {"netlinkOpen", netlink_open},
    {"netlinkSend", netlink_send},
    {"netlinkKeepAlive", netlink_keep_alive},
    {"netlinkClose", netlink_close},
    {NULL, NULL},
};
