// The twin: the hit path of the data plane for NAT over IPv4, written in C over the same linear
// memory. It is the measure of what the WebAssembly module could reach, nothing else: whatever is
// not a hit (a new connection, a fragment, an error) it refuses and counts.

#pragma once

#include <stdbool.h>
#include <stdint.h>

// Where the linear memory is in this process, and which worker of it the twin plays.
struct twin {
  uint8_t *memory;
  uint8_t *worker;
  // Packets that were not what the twin is for. Its numbers mean nothing unless this is 0.
  uint64_t refused;
};

// What the harness does between two turns, as the kernel would: it receives `burst` frames on
// `link`, and sends what the turn before left in the TX rings.
struct twin_run {
  uint32_t link;
  uint32_t burst;
  uint32_t turns;
  uint32_t tick;
  uint32_t milliseconds;
};

// Attaches to memory that the host has laid out. False: it is not of this layout.
bool twin_attach(struct twin *twin, uint8_t *memory, uint32_t worker);

// One turn over all links. Returns the packets received.
uint32_t twin_turn(struct twin *twin, uint32_t tick, uint32_t milliseconds);

// Many turns with the harness between them. Returns the packets received.
uint64_t twin_run(struct twin *twin, const struct twin_run *run);
