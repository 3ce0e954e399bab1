// What concerns the whole process: the service manager's socket, capabilities.

#pragma once

#include <stdint.h>

// As the kernel has it in struct sockaddr_un, with the terminating zero.
#define SOCKET_PATH_MAX 108

// Sends one datagram to the socket at `path`; a path that starts with '@' is an abstract name.
int process_notify(const char *path, const char *text);

// Takes every capability whose bit is not in `mask` away from all threads, for good: permitted,
// effective, inheritable, and where CAP_SETPCAP allows it the bounding set, so that no child gets
// them back either. Returns the number of threads, or a negative errno.
int process_keep_capabilities(uint64_t mask);
