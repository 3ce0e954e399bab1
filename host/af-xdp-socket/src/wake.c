#include "wake.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int wake_transmit(int fd) {
  return sendto(fd, NULL, 0, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) < 0 ? -errno : 0;
}

int wake_receive(int fd) {
  return recvfrom(fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 ? -errno : 0;
}

int wake_poll(const int32_t *fds, size_t length, int32_t events_mask, const int32_t *events,
              int32_t *ready, int timeout_ms) {
  struct pollfd descriptors[POLL_DESCRIPTORS_MAX];
  for (size_t i = 0; i < length; i++) {
    descriptors[i].fd = fds[i];
    descriptors[i].events = (short)(events == NULL ? events_mask : events[i]);
    descriptors[i].revents = 0;
  }
  int result = poll(descriptors, (nfds_t)length, timeout_ms);
  // A signal ends the wait early; for the caller that is the same as a timeout.
  if (result < 0 && errno != EINTR) return -errno;
  if (ready != NULL) {
    for (size_t i = 0; i < length; i++) ready[i] = descriptors[i].revents;
  }
  return result < 0 ? 0 : result;
}

int event_create(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}

int event_signal(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one)) return 0;
  // A full counter means that it is signalled already, which is all a signal promises.
  return errno == EAGAIN ? 0 : -errno;
}

int64_t event_drain(int fd) {
  uint64_t count = 0;
  if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) return (int64_t)count;
  return errno == EAGAIN ? 0 : -errno;
}
