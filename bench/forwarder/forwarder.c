// What this path allows at most: a forwarder in plain C over AF_XDP, which does to a packet what NAT
// must do and nothing else. A hash of the client chooses the server, so there is no connection table, no
// state, no timer, no counter, no configuration; every frame of both ports is taken for one of its
// service. It sleeps and wakes the kernel by the same rules as the director.
//
//   forwarder client=IF server=IF client-gateway=MAC server-gateway=MAC vip=A port=N servers=A,A,...
//             server-port=N

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../xsk/site.h"
#include "../xsk/xsk.h"

#define BURST 64
#define FRAMES (4 * XSK_RING_ENTRIES)
#define EMPTY_TURNS_MAX 4
#define SLEEP_MS 20

#define IP_AT 14
#define TTL_AT (IP_AT + 8)
#define IP_CHECKSUM_AT (IP_AT + 10)
#define SOURCE_AT (IP_AT + 12)
#define DESTINATION_AT (IP_AT + 16)
#define SOURCE_PORT_AT (IP_AT + 20)
#define DESTINATION_PORT_AT (IP_AT + 22)
#define UDP_CHECKSUM_AT (IP_AT + 26)
#define TCP_CHECKSUM_AT (IP_AT + 36)
#define PROTOCOL_AT (IP_AT + 9)
#define LEAST_BYTES (IP_AT + 28)
#define PROTOCOL_TCP 6

static struct xsk_memory memory;
static struct xsk_port ports[2];
static struct site site;
static uint64_t free_frames[FRAMES];
static uint32_t free_count;

// Takes the change of some 16-bit words into account (RFC 1624): ~(~HC + ~m + m').
static uint16_t adjust(uint16_t checksum, uint32_t change) {
  uint32_t sum = (uint16_t)~checksum + change;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static uint16_t read16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}

static uint32_t read32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}

// ~m + m' for an address.
static uint32_t address_change(uint32_t before, uint32_t after) {
  before = ~before;
  return (before & 0xffff) + (before >> 16) + (after & 0xffff) + (after >> 16);
}

static uint32_t server_for(uint32_t address, uint16_t port) {
  uint32_t hash = (address ^ port) * 0x9e3779b1u;
  return site.servers[((uint64_t)hash * site.server_count) >> 32];
}

static void replace(uint8_t *frame, uint32_t at, uint32_t port_at, uint32_t address, uint16_t port) {
  uint32_t ip_change = address_change(read32(frame + at), address);
  uint32_t change = ip_change + (uint16_t)~read16(frame + port_at) + port;
  memcpy(frame + at, &address, sizeof(address));
  memcpy(frame + port_at, &port, sizeof(port));
  frame[TTL_AT]--;
  // The time to live is the high byte of its word: in the order of this machine, one less.
  uint16_t ip_checksum = adjust(read16(frame + IP_CHECKSUM_AT), ip_change + 0xfffe);
  memcpy(frame + IP_CHECKSUM_AT, &ip_checksum, sizeof(ip_checksum));
  uint32_t checksum_at = frame[PROTOCOL_AT] == PROTOCOL_TCP ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT;
  uint16_t checksum = adjust(read16(frame + checksum_at), change);
  memcpy(frame + checksum_at, &checksum, sizeof(checksum));
}

static void rewrite(enum side from, uint8_t *frame) {
  enum side to = from == CLIENT ? SERVER : CLIENT;
  if (from == CLIENT) {
    uint32_t server = server_for(read32(frame + SOURCE_AT), read16(frame + SOURCE_PORT_AT));
    replace(frame, DESTINATION_AT, DESTINATION_PORT_AT, server, site.server_port);
  } else {
    replace(frame, SOURCE_AT, SOURCE_PORT_AT, site.virtual.address, site.virtual.port);
  }
  memcpy(frame, site.gateway[to], 6);
  memcpy(frame + 6, ports[to].mac, 6);
}

static void recycle(struct xsk_port *port) {
  struct xsk_ring *done = &port->completion, *fill = &port->fill;
  for (uint32_t count = xsk_waiting(done); count > 0; count--) {
    free_frames[free_count++] = *xsk_address(done, done->cached++) & ~(XSK_FRAME_SIZE - 1ull);
  }
  xsk_store(done->consumer, done->cached);
  uint32_t room = xsk_room(fill);
  while (room > 0 && free_count > 0) {
    *xsk_address(fill, fill->cached++) = free_frames[--free_count];
    room--;
  }
  xsk_store(fill->producer, fill->cached);
  if (xsk_load(fill->flags) & XDP_RING_NEED_WAKEUP) {
    recvfrom(port->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  }
}

static uint32_t forward(enum side from) {
  struct xsk_ring *in = &ports[from].receive;
  struct xsk_port *to = &ports[from == CLIENT ? SERVER : CLIENT];
  uint32_t count = xsk_waiting(in), room = xsk_room(&to->transmit);
  if (count > BURST) count = BURST;
  for (uint32_t index = 0; index < count; index++) {
    struct xdp_desc descriptor = *xsk_descriptor(in, in->cached++);
    if (descriptor.len < LEAST_BYTES || room == 0) {
      free_frames[free_count++] = descriptor.addr & ~(XSK_FRAME_SIZE - 1ull);
      continue;
    }
    rewrite(from, memory.frames + descriptor.addr);
    *xsk_descriptor(&to->transmit, to->transmit.cached++) = descriptor;
    room--;
  }
  xsk_store(in->consumer, in->cached);
  xsk_store(to->transmit.producer, to->transmit.cached);
  return count;
}

static void run(void) {
  struct pollfd polled[2] = {{.fd = ports[CLIENT].fd, .events = POLLIN},
                             {.fd = ports[SERVER].fd, .events = POLLIN}};
  for (uint32_t empty = 0;;) {
    uint32_t packets = forward(CLIENT) + forward(SERVER);
    for (int side = 0; side < 2; side++) {
      if (xsk_load(ports[side].transmit.consumer) != ports[side].transmit.cached) {
        xsk_send(&ports[side]);
      }
      recycle(&ports[side]);
    }
    empty = packets > 0 ? 0 : empty + 1;
    if (empty < EMPTY_TURNS_MAX) continue;
    empty = 0;
    poll(polled, 2, SLEEP_MS);
  }
}

static void read_option(char *word) {
  char *value = split_option(word);
  if (!read_site_option(&site, word, value)) fail("no option", word);
}

int main(int count, char **words) {
  for (int index = 1; index < count; index++) read_option(words[index]);
  if (site.interface[CLIENT] == NULL || site.interface[SERVER] == NULL || site.server_count == 0) {
    fail("client=, server= and servers=", "say between whom to forward");
  }
  xsk_allocate(&memory, FRAMES);
  for (uint32_t frame = 0; frame < FRAMES; frame++) {
    free_frames[free_count++] = (uint64_t)frame * XSK_FRAME_SIZE;
  }
  for (int side = 0; side < 2; side++) {
    xsk_open(&ports[side], &memory, site.interface[side]);
    recycle(&ports[side]);
  }
  printf("ready\n");
  fflush(stdout);
  run();
}
