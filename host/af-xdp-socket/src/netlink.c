// Life of a netlink socket:
//
//   open     socket, stop eventfd, thread-safe function; the thread starts and owns one reference
//            of that function
//   receive  the thread waits in poll(); each datagram is copied once and queued to the event loop
//   close    signals the eventfd; the thread gives its reference back and ends
//   finish   the thread-safe function's finalizer, on the event loop's thread: joins the thread,
//            closes both descriptors, frees the state. The end of a worker or of the process comes
//            here too, without a close before it.
//
// JavaScript holds a `handle`, which may outlive the state; each points at the other, and both are
// touched by the event loop's thread only.

#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

// Datagrams waiting for the event loop. Beyond it they wait in the kernel's buffer, whose overrun
// is reported as ENOBUFS.
#define QUEUED_DATAGRAMS_MAX 4096
#define QUEUE_FULL_PAUSE_MS 10

struct netlink_handle;

struct netlink_state {
  int fd;
  int stop_fd;
  pthread_t thread;
  bool has_thread;
  napi_threadsafe_function deliver;
  struct netlink_handle *handle;
};

struct netlink_handle {
  struct netlink_state *state;
};

struct delivery {
  int error;
  size_t length;
  uint8_t bytes[];
};

// --- the thread ---

// False when the thread has to end.
static bool wait_for(struct netlink_state *state, short events, int timeout_ms) {
  struct pollfd descriptors[2] = {{.fd = state->stop_fd, .events = POLLIN},
                                  {.fd = state->fd, .events = events}};
  while (poll(descriptors, 2, timeout_ms) < 0) {
    if (errno != EINTR) return false;
  }
  return descriptors[0].revents == 0;
}

// False when the thread has to end. `*closing` says that the event loop is already gone.
static bool queue_delivery(struct netlink_state *state, struct delivery *delivery, bool *closing) {
  for (;;) {
    napi_status status =
        napi_call_threadsafe_function(state->deliver, delivery, napi_tsfn_nonblocking);
    if (status == napi_ok) return true;
    if (status != napi_queue_full || !wait_for(state, 0, QUEUE_FULL_PAUSE_MS)) {
      *closing = status == napi_closing;
      free(delivery);
      return false;
    }
  }
}

// NULL with errno set when there is nothing to deliver.
static struct delivery *receive_one(int fd) {
  ssize_t length = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (length < 0) return NULL;
  struct delivery *delivery = malloc(sizeof(*delivery) + (size_t)length);
  if (delivery == NULL) return NULL;
  ssize_t received = recv(fd, delivery->bytes, (size_t)length, MSG_DONTWAIT);
  if (received < 0) {
    free(delivery);
    return NULL;
  }
  delivery->error = 0;
  delivery->length = (size_t)received;
  return delivery;
}

static struct delivery *failure(int error) {
  struct delivery *delivery = malloc(sizeof(*delivery));
  if (delivery != NULL) *delivery = (struct delivery){.error = error, .length = 0};
  return delivery;
}

// Whether to receive again at once. EINVAL says nothing about the socket: a dump has ended on the
// sender's thread between the kernel's two looks at whether it still runs (netlink_recvmsg,
// netlink_dump), and its last datagram is there.
static bool is_passing(int error) { return error == EAGAIN || error == EINTR || error == EINVAL; }

static void *receive_loop(void *context) {
  struct netlink_state *state = context;
  bool closing = false;
  bool last = false;
  while (!last && wait_for(state, POLLIN, -1)) {
    struct delivery *delivery = receive_one(state->fd);
    if (delivery == NULL) {
      if (is_passing(errno)) continue;
      last = errno != ENOBUFS;
      delivery = failure(errno);
      if (delivery == NULL) break;
    }
    if (!queue_delivery(state, delivery, &closing)) break;
  }
  // After napi_closing the reference is gone already.
  if (!closing) napi_release_threadsafe_function(state->deliver, napi_tsfn_release);
  return NULL;
}

// --- the event loop's thread ---

static void deliver_to_callback(napi_env env, napi_value callback, void *context, void *data) {
  struct netlink_state *state = context;
  struct delivery *delivery = data;
  // env is NULL while the thread-safe function is being torn down; closed handles want no more.
  if (env != NULL && state->handle != NULL) {
    napi_value undefined;
    napi_value arguments[2];
    napi_get_undefined(env, &undefined);
    arguments[0] = number(env, delivery->error);
    void *copy;
    napi_create_buffer_copy(env, delivery->length, delivery->bytes, &copy, &arguments[1]);
    if (napi_call_function(env, undefined, callback, 2, arguments, NULL) ==
        napi_pending_exception) {
      napi_value exception;
      napi_get_and_clear_last_exception(env, &exception);
      napi_fatal_exception(env, exception);
    }
  }
  free(delivery);
}

static void stop(struct netlink_state *state) {
  uint64_t one = 1;
  ssize_t written = write(state->stop_fd, &one, sizeof(one));
  (void)written;
}

static void finish(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct netlink_state *state = data;
  stop(state);
  if (state->has_thread) pthread_join(state->thread, NULL);
  close(state->fd);
  close(state->stop_fd);
  if (state->handle != NULL) state->handle->state = NULL;
  free(state);
}

static void close_handle(struct netlink_handle *handle) {
  struct netlink_state *state = handle->state;
  if (state == NULL) return;
  handle->state = NULL;
  state->handle = NULL;
  stop(state);
}

static void finalize_handle(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  close_handle(data);
  free(data);
}

static int join_groups(int fd, const struct words *groups) {
  for (size_t i = 0; i < groups->length; i++) {
    int group = groups->data[i];
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
      return -errno;
    }
  }
  return 0;
}

static int configure(int fd, const struct words *groups, int receive_buffer) {
  // The forced variant goes beyond net.core.rmem_max; without CAP_NET_ADMIN the plain one must do.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof(receive_buffer)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  }
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) return -errno;
  return join_groups(fd, groups);
}

static int open_descriptors(struct netlink_state *state, int protocol, const struct words *groups,
                            int receive_buffer) {
  state->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (state->fd < 0) return -errno;
  int result = configure(state->fd, groups, receive_buffer);
  if (result == 0) {
    state->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (state->stop_fd >= 0) return 0;
    result = -errno;
  }
  close(state->fd);
  return result;
}

static uint32_t port_id(int fd) {
  struct sockaddr_nl address;
  socklen_t length = sizeof(address);
  memset(&address, 0, sizeof(address));
  getsockname(fd, (struct sockaddr *)&address, &length);
  return address.nl_pid;
}

static void release_descriptors(struct netlink_state *state) {
  close(state->fd);
  close(state->stop_fd);
  free(state);
}

// Takes over the state, also when it fails.
static int start(napi_env env, struct netlink_state *state, napi_value callback) {
  napi_value name;
  napi_create_string_utf8(env, "af-xdp-socket netlink", NAPI_AUTO_LENGTH, &name);
  napi_status status = napi_create_threadsafe_function(env, callback, NULL, name,
                                                       QUEUED_DATAGRAMS_MAX, 1, state, finish,
                                                       state, deliver_to_callback, &state->deliver);
  if (status != napi_ok) {
    release_descriptors(state);
    return -EINVAL;
  }
  int error = pthread_create(&state->thread, NULL, receive_loop, state);
  state->has_thread = error == 0;
  if (error != 0) {
    // Nobody else holds a reference, so this leads to `finish`, which frees the state.
    state->handle = NULL;
    napi_release_threadsafe_function(state->deliver, napi_tsfn_abort);
  }
  return -error;
}

// NULL when there is no memory for it.
static struct netlink_handle *make_handle(void) {
  struct netlink_handle *handle = calloc(1, sizeof(*handle));
  if (handle == NULL) return NULL;
  handle->state = calloc(1, sizeof(*handle->state));
  if (handle->state == NULL) {
    free(handle);
    return NULL;
  }
  handle->state->handle = handle;
  return handle;
}

static napi_value describe(napi_env env, struct netlink_handle *handle) {
  napi_value object;
  napi_value external;
  napi_create_object(env, &object);
  napi_create_external(env, handle, finalize_handle, NULL, &external);
  napi_set_named_property(env, object, "handle", external);
  set_number(env, object, "fd", handle->state->fd);
  set_number(env, object, "portId", port_id(handle->state->fd));
  return object;
}

napi_value netlink_open(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int64_t protocol;
  int64_t receive_buffer;
  struct words groups;
  if (!take_arguments(env, info, values) ||
      !read_integer(env, values[0], "protocol", 0, MAX_LINKS - 1, &protocol) ||
      !read_words(env, values[1], "groups", &groups) ||
      !read_integer(env, values[2], "receiveBuffer", 0, INT32_MAX, &receive_buffer)) {
    return NULL;
  }
  struct netlink_handle *handle = make_handle();
  if (handle == NULL) return number(env, -ENOMEM);
  int result = open_descriptors(handle->state, (int)protocol, &groups, (int)receive_buffer);
  if (result != 0) {
    free(handle->state);
  } else {
    result = start(env, handle->state, values[3]);
  }
  if (result != 0) {
    free(handle);
    return number(env, result);
  }
  return describe(env, handle);
}

static struct netlink_handle *read_handle(napi_env env, napi_value value) {
  void *handle = NULL;
  if (napi_get_value_external(env, value, &handle) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "The handle must come from netlinkOpen.");
    return NULL;
  }
  return handle;
}

napi_value netlink_send(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct view datagram;
  if (!take_arguments(env, info, values)) return NULL;
  struct netlink_handle *handle = read_handle(env, values[0]);
  if (handle == NULL || !read_view(env, values[1], "datagram", &datagram)) return NULL;
  if (handle->state == NULL) return number(env, -EBADF);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t sent = sendto(handle->state->fd, datagram.data, datagram.length, MSG_DONTWAIT,
                        (struct sockaddr *)&kernel, sizeof(kernel));
  return number(env, sent < 0 ? -errno : 0);
}

napi_value netlink_keep_alive(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  bool alive = false;
  if (!take_arguments(env, info, values)) return NULL;
  struct netlink_handle *handle = read_handle(env, values[0]);
  if (handle == NULL || napi_get_value_bool(env, values[1], &alive) != napi_ok) return NULL;
  if (handle->state == NULL) return number(env, 0);
  if (alive) {
    napi_ref_threadsafe_function(env, handle->state->deliver);
  } else {
    napi_unref_threadsafe_function(env, handle->state->deliver);
  }
  return number(env, 0);
}

napi_value netlink_close(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  if (!take_arguments(env, info, values)) return NULL;
  struct netlink_handle *handle = read_handle(env, values[0]);
  if (handle == NULL) return NULL;
  close_handle(handle);
  return number(env, 0);
}
