// The four rings of a socket, and where they are mapped: over pages the caller names.

#pragma once

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The numbers index.js uses for the ring kinds.
enum ring_kind { RING_FILL = 0, RING_COMPLETION = 1, RING_RX = 2, RING_TX = 3 };
#define RING_KINDS 4

// A descriptor crosses from the kernel to WASM without being touched, so its size is a promise.
_Static_assert(sizeof(struct xdp_desc) == 16, "rx and tx descriptors are 16 bytes");

struct ring_mapping {
  void *address;
  size_t length;
  // A second mapping of the pages that were there before, when they are shared; else NULL.
  void *stash;
  bool mapped;
};

int ring_create(int fd, enum ring_kind kind, uint32_t entries);
int ring_offsets(int fd, struct xdp_mmap_offsets *out);

// Maps the ring over [address, address + length). When it fails, the old pages are there again.
int ring_map(int fd, enum ring_kind kind, void *address, size_t length, struct ring_mapping *out);

// Puts the old pages back. Does nothing the second time.
int ring_unmap(struct ring_mapping *mapping);
