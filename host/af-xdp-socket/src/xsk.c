#include "xsk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

// The kernel frees a closed socket's queue a moment after close(), from a work item. A queue that
// is given up and taken again would seem busy, so bind() is tried again for this long in total.
#define BIND_TRIES_MAX 40
#define BIND_PAUSE_NS 5000000L

int xsk_open(void) {
  int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

int xsk_register_umem(int fd, void *area, size_t length, uint32_t frame_size, uint32_t headroom) {
  struct xdp_umem_reg registration;
  memset(&registration, 0, sizeof(registration));
  registration.addr = (uint64_t)(uintptr_t)area;
  registration.len = length;
  registration.chunk_size = frame_size;
  registration.headroom = headroom;
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof(registration)) != 0) {
    return -errno;
  }
  return 0;
}

int xsk_bind(int fd, uint32_t interface_index, uint32_t queue, uint32_t flags, int shared_with) {
  struct sockaddr_xdp address;
  memset(&address, 0, sizeof(address));
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = (uint16_t)flags;
  address.sxdp_ifindex = interface_index;
  address.sxdp_queue_id = queue;
  address.sxdp_shared_umem_fd = shared_with < 0 ? 0 : (uint32_t)shared_with;
  for (int tries = 1;; tries++) {
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0) return 0;
    if (errno != EBUSY || tries == BIND_TRIES_MAX) return -errno;
    struct timespec pause = {.tv_sec = 0, .tv_nsec = BIND_PAUSE_NS};
    nanosleep(&pause, NULL);
  }
}

int xsk_options(int fd, uint32_t *flags) {
  struct xdp_options options = {0};
  socklen_t length = sizeof(options);
  if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &length) != 0) return -errno;
  *flags = options.flags;
  return 0;
}

int xsk_statistics(int fd, struct xdp_statistics *out) {
  // Kernels before 5.9 fill in only the first half, hence the zeroes.
  memset(out, 0, sizeof(*out));
  socklen_t length = sizeof(*out);
  if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, out, &length) != 0) return -errno;
  return 0;
}
