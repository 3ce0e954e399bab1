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

#include "../xsk/xsk.h"

#define BURST 64
#define SERVERS_MAX 64
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

enum side { CLIENT, SERVER };

static struct xsk_memory memory;
static struct xsk_port ports[2];
static const char *interfaces[2];
static uint8_t gateways[2][6];
static uint32_t virtual_address;
static uint16_t virtual_port;
static uint32_t servers[SERVERS_MAX];
static uint32_t server_count;
static uint16_t server_port;
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
  return servers[((uint64_t)hash * server_count) >> 32];
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
    replace(frame, DESTINATION_AT, DESTINATION_PORT_AT, server, server_port);
  } else {
    replace(frame, SOURCE_AT, SOURCE_PORT_AT, virtual_address, virtual_port);
  }
  memcpy(frame, gateways[to], 6);
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

static uint32_t read_address(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) fail("no IPv4 address", text);
  return address.s_addr;
}

static void read_mac(const char *text, uint8_t *mac) {
  if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
             &mac[5]) != 6) {
    fail("no MAC address", text);
  }
}

static void read_servers(char *text) {
  for (char *one = strtok(text, ","); one != NULL; one = strtok(NULL, ",")) {
    if (server_count == SERVERS_MAX) fail("too many servers", one);
    servers[server_count++] = read_address(one);
  }
}

static void read_option(char *word) {
  char *value = strchr(word, '=');
  if (value == NULL) fail("no option", word);
  *value++ = '\0';
  if (strcmp(word, "client") == 0) interfaces[CLIENT] = value;
  else if (strcmp(word, "server") == 0) interfaces[SERVER] = value;
  else if (strcmp(word, "client-gateway") == 0) read_mac(value, gateways[CLIENT]);
  else if (strcmp(word, "server-gateway") == 0) read_mac(value, gateways[SERVER]);
  else if (strcmp(word, "vip") == 0) virtual_address = read_address(value);
  else if (strcmp(word, "port") == 0) virtual_port = htons((uint16_t)atoi(value));
  else if (strcmp(word, "servers") == 0) read_servers(value);
  else if (strcmp(word, "server-port") == 0) server_port = htons((uint16_t)atoi(value));
  else fail("no option", word);
}

int main(int count, char **words) {
  for (int index = 1; index < count; index++) read_option(words[index]);
  if (interfaces[CLIENT] == NULL || interfaces[SERVER] == NULL || server_count == 0) {
    fail("client=, server= and servers=", "say between whom to forward");
  }
  xsk_allocate(&memory, FRAMES);
  for (uint32_t frame = 0; frame < FRAMES; frame++) {
    free_frames[free_count++] = (uint64_t)frame * XSK_FRAME_SIZE;
  }
  for (int side = 0; side < 2; side++) {
    xsk_open(&ports[side], &memory, interfaces[side]);
    recycle(&ports[side]);
  }
  printf("ready\n");
  fflush(stdout);
  run();
}
