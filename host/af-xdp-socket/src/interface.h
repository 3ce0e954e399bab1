// What the kernel knows about a network interface, and which AF_XDP sockets there are.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define INTERFACE_NAME_MAX 16
#define INTERFACE_KIND_MAX 32
#define MAC_LENGTH 6

struct interface_info {
  char name[INTERFACE_NAME_MAX];
  char kind[INTERFACE_KIND_MAX];
  uint32_t index;
  uint32_t mtu;
  uint32_t flags;
  uint32_t rx_queues;
  uint32_t tx_queues;
  // 0 when the link has no Ethernet address.
  uint32_t mac_length;
  uint8_t mac[MAC_LENGTH];
  // IFLA_XDP_ATTACHED and IFLA_XDP_PROG_ID; 0 when nothing is attached.
  uint32_t xdp_attached;
  uint32_t xdp_program_id;
};

// By index when `name` is NULL. Zero, or a negative errno.
int interface_read(const char *name, uint32_t index, struct interface_info *out);

struct interface_channels {
  uint32_t rx;
  uint32_t tx;
  uint32_t combined;
};
// ETHTOOL_GCHANNELS; -EOPNOTSUPP when the driver does not answer.
int interface_channels(const char *name, struct interface_channels *out);

// One bound AF_XDP socket of this network namespace.
struct xsk_holder {
  uint32_t interface_index;
  uint32_t queue;
  uint32_t inode;
};
// Fills at most `capacity`; returns how many, or a negative errno (-ENOENT: no xdp_diag).
int xsk_holders(struct xsk_holder *out, size_t capacity);
