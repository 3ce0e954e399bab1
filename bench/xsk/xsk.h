// An AF_XDP port with nothing but the kernel's headers: rings, packet memory, and a program that
// hands every frame of queue 0 to it. What the generator and the plain-C forwarder have in common.

#pragma once

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stdint.h>

#define XSK_FRAME_SIZE 2048
#define XSK_RING_ENTRIES 2048

// A ring of either kind. `cached` is the side that is ours, ahead of or behind what is published.
struct xsk_ring {
  uint32_t *producer;
  uint32_t *consumer;
  uint32_t *flags;
  void *entries;
  uint32_t cached;
};

struct xsk_port {
  int fd;
  uint32_t interface_index;
  uint8_t mac[6];
  struct xsk_ring fill;
  struct xsk_ring completion;
  struct xsk_ring receive;
  struct xsk_ring transmit;
  // Keeps the program attached until the process ends.
  int link_fd;
};

// Packet memory, which several ports may share: a frame received on one can be sent on another.
struct xsk_memory {
  uint8_t *frames;
  uint32_t count;
  int first_fd;
};

// These end the process with a sentence when they fail.
void xsk_allocate(struct xsk_memory *memory, uint32_t frames);
void xsk_open(struct xsk_port *port, struct xsk_memory *memory, const char *interface);
void fail(const char *what, const char *detail);

// Gets the kernel to send what is in the TX ring: it takes 32 frames a call in copy mode.
void xsk_send(struct xsk_port *port);

static inline uint32_t xsk_load(const uint32_t *cursor) {
  return __atomic_load_n(cursor, __ATOMIC_ACQUIRE);
}

static inline void xsk_store(uint32_t *cursor, uint32_t value) {
  __atomic_store_n(cursor, value, __ATOMIC_RELEASE);
}

// What the kernel has put into a ring and nobody has taken yet.
static inline uint32_t xsk_waiting(const struct xsk_ring *ring) {
  return xsk_load(ring->producer) - ring->cached;
}

// Room in a ring that we fill.
static inline uint32_t xsk_room(const struct xsk_ring *ring) {
  return XSK_RING_ENTRIES - (ring->cached - xsk_load(ring->consumer));
}

static inline struct xdp_desc *xsk_descriptor(const struct xsk_ring *ring, uint32_t at) {
  return (struct xdp_desc *)ring->entries + (at & (XSK_RING_ENTRIES - 1));
}

static inline uint64_t *xsk_address(const struct xsk_ring *ring, uint32_t at) {
  return (uint64_t *)ring->entries + (at & (XSK_RING_ENTRIES - 1));
}
