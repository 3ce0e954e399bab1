// An AF_XDP socket and its UMEM: the system calls, one function each.
// Every function returns zero or more on success and a negative errno on failure.

#pragma once

#include <linux/if_xdp.h>
#include <stddef.h>
#include <stdint.h>

int xsk_open(void);
int xsk_register_umem(int fd, void *area, size_t length, uint32_t frame_size, uint32_t headroom);
int xsk_bind(int fd, uint32_t interface_index, uint32_t queue, uint32_t flags, int shared_with);
int xsk_options(int fd, uint32_t *flags);
int xsk_statistics(int fd, struct xdp_statistics *out);
