// The steps are the data plane's (assembly/pipeline.ts), and so is every byte they leave behind:
// frames, rings, connections, counters. What C can do better without changing the outcome, it does:
//
//   * only the end of a packet that is looked up is hashed, as the way it goes is known first;
//   * prefetch instructions instead of loads, in as many passes as there are dependent reads, and
//     one more for each step of a chain;
//   * what parsing found out stays in a packed array on the stack;
//   * counters of every packet are added up over the burst and stored once;
//   * the checksum of the IP header takes the time to live and the address in one update.

#include "twin.h"

#include <stddef.h>
#include <string.h>

#include "constants.h"

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define always_inline static inline __attribute__((always_inline))

#define CHAIN_NODE 0x7fffffffu
// A number is a multiple of 65535 when its product with this, modulo 2^64, is at most 2^64 / 65535.
#define INVERSE_65535 0xfffefffefffeffffull
#define ETHERNET_SIZE 14u
#define IPV4_SIZE 20u
#define TCP_SIZE 20u
#define UDP_SIZE 8u
#define ETHERNET_TYPE_IPV4 0x0008u
#define IPV4_PLAIN 0x45u
#define IPV4_FRAGMENTED 0xff3fu
#define GOLDEN 0x9e3779b1u
#define NO_LINK 255u
#define FRAME_RESERVE 64u
#define FRAMES_AHEAD 4u

#define TCP_SYN 0x02u
#define TCP_FIN 0x01u
#define TCP_RST 0x04u
#define TCP_ACK 0x10u

// Unaligned little-endian words, as WebAssembly loads and stores them.
always_inline uint16_t load16(const uint8_t *at) {
  uint16_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

always_inline uint32_t load32(const uint8_t *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

always_inline uint64_t load64(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

// What takes an adjustment back; 0xffff, which is zero too, stays as it is.
always_inline uint16_t opposite_delta(uint16_t delta) {
  return delta == 0xffff ? delta : (uint16_t)~delta;
}

always_inline void store16(uint8_t *at, uint16_t word) { memcpy(at, &word, sizeof word); }
always_inline void store32(uint8_t *at, uint32_t word) { memcpy(at, &word, sizeof word); }
always_inline void store64(uint8_t *at, uint64_t word) { memcpy(at, &word, sizeof word); }

always_inline uint32_t load_acquire(const uint8_t *at) {
  return __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
}

always_inline void store_release(uint8_t *at, uint32_t word) {
  __atomic_store_n((uint32_t *)at, word, __ATOMIC_RELEASE);
}

// Six bytes.
always_inline uint64_t load_mac(const uint8_t *at) {
  return load32(at) | (uint64_t)load16(at + 4) << 32;
}

// What one turn works with; all of it stays in registers or in the first lines of the stack.
struct turn {
  struct twin *twin;
  uint8_t *memory;
  uint8_t *worker;
  uint8_t *frames;
  uint8_t *bank;
  uint8_t *destinations;
  uint8_t *locals;
  uint8_t *destination_states;
  uint8_t *next_hops;
  uint8_t *chains;
  uint8_t *hot;
  uint8_t *cold;
  uint8_t *counters;
  uint8_t *service_stats;
  uint8_t *destination_stats;
  uint32_t chain_mask;
  uint32_t hash_seed;
  uint32_t route_generation;
  uint32_t now;
  // Added up over the burst.
  uint64_t received, transmitted, dropped;
  uint64_t in_packets, in_bytes, out_packets, out_bytes;
};

struct packet {
  uint8_t *start;
  // Source address in the low half, destination address in the high one.
  uint64_t ends;
  // Source port in the low half, destination port in the high one, both in network order.
  uint32_t ports;
  // Where the search for the destination among the local addresses begins.
  uint32_t slot;
  uint32_t chain;
  // The node of the chain that is being looked at; the connection once it is found.
  uint32_t node;
  uint16_t ip_length;
  // Family and protocol as CONNECTION_FAMILY has them.
  uint16_t kind;
  uint8_t tcp_flags;
  // Not a hit, or not what the twin is for.
  bool refused;
  bool outwards;
};

// ---- rings

always_inline uint8_t *link_at(const struct turn *turn, uint32_t number) {
  return turn->worker + WORKER_LINKS + (size_t)number * LINK_SIZE;
}

always_inline uint8_t *ring_word(const struct turn *turn, const uint8_t *ring, uint32_t field) {
  return turn->memory + load32(ring + field);
}

always_inline uint32_t ring_available(const struct turn *turn, const uint8_t *ring) {
  return load_acquire(ring_word(turn, ring, RING_PRODUCER)) -
         load32(ring_word(turn, ring, RING_CONSUMER));
}

always_inline uint32_t ring_free(const struct turn *turn, const uint8_t *ring) {
  uint32_t used = load32(ring_word(turn, ring, RING_PRODUCER)) -
                  load_acquire(ring_word(turn, ring, RING_CONSUMER));
  return load32(ring + RING_MASK) + 1 - used - load32(ring + RING_RESERVED);
}

always_inline uint32_t free_count(const struct turn *turn) {
  return load32(turn->worker + WORKER_FREE_FRAME_COUNT);
}

static void free_frame(const struct turn *turn, uint64_t offset) {
  uint32_t depth = free_count(turn);
  uint8_t *stack = turn->memory + load32(turn->worker + WORKER_FREE_FRAMES);
  uint64_t chunk = offset & ~((uint64_t)FRAME_SIZE - 1);
  store32(stack + ((size_t)depth << 2), (uint32_t)(turn->frames - turn->memory + chunk));
  store32(turn->worker + WORKER_FREE_FRAME_COUNT, depth + 1);
}

static void recycle_completions(const struct turn *turn, uint8_t *link) {
  uint8_t *ring = link + LINK_COMPLETION;
  uint32_t available = ring_available(turn, ring);
  if (!available) return;
  uint8_t *at = ring_word(turn, ring, RING_CONSUMER);
  uint32_t consumer = load32(at);
  uint32_t mask = load32(ring + RING_MASK);
  const uint8_t *entries = ring_word(turn, ring, RING_DESCRIPTORS);
  uint32_t depth = free_count(turn);
  uint8_t *stack = turn->memory + load32(turn->worker + WORKER_FREE_FRAMES);
  uint32_t frames = (uint32_t)(turn->frames - turn->memory);
  for (uint32_t i = 0; i < available; i++) {
    uint32_t address = load32(entries + ((size_t)((consumer + i) & mask) << 3));
    store32(stack + ((size_t)(depth + i) << 2), frames + (address & ~(FRAME_SIZE - 1)));
  }
  store32(turn->worker + WORKER_FREE_FRAME_COUNT, depth + available);
  store_release(at, consumer + available);
}

static void refill(const struct turn *turn, uint8_t *link) {
  uint8_t *ring = link + LINK_FILL;
  uint32_t room = ring_free(turn, ring);
  uint32_t have = free_count(turn);
  uint32_t spare = have > FRAME_RESERVE ? have - FRAME_RESERVE : 0;
  uint32_t amount = room < spare ? room : spare;
  if (!amount) return;
  uint8_t *at = ring_word(turn, ring, RING_PRODUCER);
  uint32_t producer = load32(at);
  uint32_t mask = load32(ring + RING_MASK);
  uint8_t *entries = ring_word(turn, ring, RING_DESCRIPTORS);
  const uint8_t *top = turn->memory + load32(turn->worker + WORKER_FREE_FRAMES) +
                       ((size_t)have << 2);
  uint32_t frames = (uint32_t)(turn->frames - turn->memory);
  for (uint32_t i = 0; i < amount; i++) {
    uint64_t address = load32(top - (((size_t)i + 1) << 2)) - frames;
    store64(entries + ((size_t)((producer + i) & mask) << 3), address);
  }
  store32(turn->worker + WORKER_FREE_FRAME_COUNT, have - amount);
  store_release(at, producer + amount);
  store32(link + LINK_FILL_OUTSTANDING, load32(link + LINK_FILL_OUTSTANDING) + amount);
}

static void submit_transmit(const struct turn *turn, uint32_t links) {
  uint32_t wake = 0;
  for (uint32_t i = 0; i < links; i++) {
    uint8_t *ring = link_at(turn, i) + LINK_TRANSMIT;
    uint32_t reserved = load32(ring + RING_RESERVED);
    uint8_t *producer = ring_word(turn, ring, RING_PRODUCER);
    if (reserved) {
      store_release(producer, load32(producer) + reserved);
      store32(ring + RING_RESERVED, 0);
    }
    bool waiting = load32(producer) != load_acquire(ring_word(turn, ring, RING_CONSUMER));
    if (waiting && load_acquire(ring_word(turn, ring, RING_FLAGS)) & RING_NEED_WAKEUP) {
      wake |= 1u << i;
    }
  }
  store32(turn->worker + WORKER_WAKE_TRANSMIT, wake);
}

static void note_receive_wakeups(const struct turn *turn, uint32_t links) {
  uint32_t wake = 0;
  for (uint32_t i = 0; i < links; i++) {
    uint8_t *ring = link_at(turn, i) + LINK_FILL;
    if (load_acquire(ring_word(turn, ring, RING_FLAGS)) & RING_NEED_WAKEUP) wake |= 1u << i;
  }
  store32(turn->worker + WORKER_WAKE_RECEIVE, wake);
}

// ---- hashes and checksums

always_inline uint32_t mix(uint32_t hash, uint32_t word) {
  uint32_t product = (hash ^ word) * GOLDEN;
  return product ^ (product >> 15);
}

always_inline uint32_t hash_end(uint32_t seed, uint32_t address, uint32_t port, uint32_t protocol) {
  return mix(mix(seed, address), port | protocol << 16);
}

// A 64-bit sum in 16 bits: 0 only for 0. Added to itself with the halves exchanged, a sum has the
// result in its upper half.
always_inline uint32_t fold(uint64_t sum) {
  uint32_t half = (uint32_t)((sum + (sum >> 32 | sum << 32)) >> 32);
  return (half + (half >> 16 | half << 16)) >> 16;
}

always_inline bool header_is_sound(const uint8_t *network) {
  uint64_t first = load64(network);
  uint64_t second = load64(network + 8);
  uint64_t sum = (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32) +
                 load32(network + 16);
  return sum * INVERSE_65535 <= UINT64_MAX / 65535;
}

// RFC 1624 (3); the delta is 1..0xffff, so that zero keeps one form.
always_inline uint16_t apply_delta(uint16_t checksum, uint32_t delta) {
  uint32_t sum = (uint16_t)~checksum + delta;
  return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

// ---- receive, parse, touch

// LOCAL_* flags of an own address, or -1.
always_inline int local_flags(const struct turn *turn, uint32_t address, uint32_t slot) {
  while (true) {
    const uint8_t *at = turn->locals + (size_t)slot * LOCAL_SIZE;
    uint32_t family = at[LOCAL_FAMILY];
    if (family == 0) return -1;
    if (family == FAMILY_IPV4 && load32(at + LOCAL_ADDRESS) == address) return at[LOCAL_FLAGS];
    slot = (slot + 1) & (LOCAL_SLOTS - 1);
  }
}

// The data plane's checks of plain IPv4 with TCP or UDP; false for everything else.
always_inline bool parse(struct packet *packet, uint8_t *at, uint32_t length) {
  const uint8_t *network = at + ETHERNET_SIZE;
  if (unlikely(length < ETHERNET_SIZE + IPV4_SIZE)) return false;
  if (unlikely(load16(at + 12) != ETHERNET_TYPE_IPV4)) return false;
  if (unlikely(network[0] != IPV4_PLAIN || (load16(network + 6) & IPV4_FRAGMENTED))) return false;
  if (unlikely(!header_is_sound(network))) return false;
  uint32_t ip_length = __builtin_bswap16(load16(network + 2));
  if (unlikely(ip_length > length - ETHERNET_SIZE || ip_length < IPV4_SIZE)) return false;
  uint32_t protocol = network[9];
  uint32_t available = ip_length - IPV4_SIZE;
  const uint8_t *transport = network + IPV4_SIZE;
  if (likely(protocol == PROTOCOL_TCP)) {
    if (unlikely(available < TCP_SIZE)) return false;
    uint32_t header = (uint32_t)(transport[12] >> 4) << 2;
    if (unlikely(header < TCP_SIZE || header > available)) return false;
    packet->tcp_flags = transport[13];
  } else if (protocol == PROTOCOL_UDP) {
    if (unlikely(available < UDP_SIZE)) return false;
    packet->tcp_flags = 0;
  } else {
    return false;
  }
  packet->start = at;
  packet->ends = load64(network + 12);
  packet->ports = load32(transport);
  packet->ip_length = (uint16_t)ip_length;
  packet->kind = (uint16_t)(FAMILY_IPV4 | protocol << 8);
  return true;
}

// Parses a frame, and touches the record that says whether its destination is local.
always_inline void parse_and_touch(const struct turn *turn, struct packet *packet, uint8_t *at,
                                   uint32_t length, const uint8_t *way) {
  packet->refused = !parse(packet, at, length);
  if (unlikely(packet->refused)) {
    packet->start = at;
    return;
  }
  if (unlikely(load_mac(at) != load_mac(way + PORT_MAC))) {
    packet->refused = true;
    return;
  }
  packet->slot = mix(0, (uint32_t)(packet->ends >> 32)) & (LOCAL_SLOTS - 1);
  __builtin_prefetch(turn->locals + (size_t)packet->slot * LOCAL_SIZE);
}

// Finds out which way a packet goes, and touches the bucket it is looked up in.
always_inline void hash_and_touch(const struct turn *turn, struct packet *packet) {
  int flags = local_flags(turn, packet->ends >> 32, packet->slot);
  packet->outwards = flags < 0 || (flags & LOCAL_POOL);
  uint32_t protocol = packet->kind >> 8;
  uint32_t hash = packet->outwards
                      ? hash_end(turn->hash_seed, packet->ends >> 32, packet->ports >> 16, protocol)
                      : hash_end(turn->hash_seed, (uint32_t)packet->ends, packet->ports & 0xffff, protocol);
  packet->chain = hash & turn->chain_mask;
  __builtin_prefetch(turn->chains + ((size_t)packet->chain << 2));
}

// ---- look up

always_inline uint8_t *entry_at(const struct turn *turn, uint32_t node) {
  return turn->hot + (size_t)(node >> 1) * CONNECTION_HOT_SIZE;
}

always_inline bool matches_in(const struct packet *packet, const uint8_t *entry, uint32_t node) {
  return load64(entry + CONNECTION_CLIENT) == packet->ends &&
         load32(entry + CONNECTION_CLIENT_PORT) == packet->ports &&
         load16(entry + CONNECTION_FAMILY) == packet->kind && !(node & 1) &&
         !(load32(entry + CONNECTION_STATE) & STATE_NO_CLIENT_PORT);
}

always_inline bool matches_out(const struct packet *packet, const uint8_t *entry, uint32_t node) {
  return load64(entry + CONNECTION_DESTINATION) == packet->ends &&
         load32(entry + CONNECTION_DESTINATION_PORT) == packet->ports &&
         load16(entry + CONNECTION_FAMILY) == packet->kind && !(node & 1) &&
         (load32(entry + CONNECTION_STATE) & STATE_FORWARD_MASK) == FORWARD_NAT;
}

// Finds every packet's connection. The packets whose chain goes on are taken round by round, so
// that the cache misses of one round overlap, however long the chains are.
static void look_up(const struct turn *turn, struct packet *packets, uint32_t count) {
  uint8_t open[BURST_MAX];
  uint32_t left = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct packet *packet = &packets[i];
    if (unlikely(packet->refused)) continue;
    packet->node = load32(turn->chains + ((size_t)packet->chain << 2)) & CHAIN_NODE;
    __builtin_prefetch(entry_at(turn, packet->node), 1);
    open[left++] = (uint8_t)i;
  }
  while (left) {
    uint32_t still = 0;
    for (uint32_t i = 0; i < left; i++) {
      struct packet *packet = &packets[open[i]];
      uint32_t node = packet->node;
      if (unlikely(!node)) {
        packet->refused = true;
        continue;
      }
      uint8_t *entry = entry_at(turn, node);
      bool found = packet->outwards ? matches_out(packet, entry, node)
                                    : matches_in(packet, entry, node);
      if (found) {
        // An answer over UDP asks whether a template controls the connection.
        if (packet->outwards && packet->kind >> 8 == PROTOCOL_UDP) {
          __builtin_prefetch(turn->cold + (size_t)(node >> 1) * CONNECTION_COLD_SIZE);
        }
        continue;
      }
      packet->node = load32(entry + (node & 1 ? CONNECTION_NEXT_LOCAL : CONNECTION_NEXT));
      __builtin_prefetch(entry_at(turn, packet->node), 1);
      open[still++] = open[i];
    }
    left = still;
  }
}

// ---- state, count

// The next state by direction, event and present state: that of assembly/connection-state.ts.
static const uint8_t tcp_table[2][4][TCP_STATES] = {
    {
        {3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3},  // syn
        {6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 5},  // fin
        {1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1},  // ack
        {6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 3},  // rst
    },
    {
        {2, 1, 2, 3, 2, 2, 2, 2, 2, 9, 3},  // syn
        {5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5},  // fin
        {1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1},  // ack
        {6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6},  // rst
    },
};

// Row of the table for TCP flags, by precedence; -1 when no flag says anything.
always_inline int tcp_event(uint32_t flags) {
  if (flags & TCP_RST) return 3;
  if (flags & TCP_SYN) return 0;
  if (flags & TCP_FIN) return 1;
  if (flags & TCP_ACK) return 2;
  return -1;
}

// Notes a packet's effect on its connection. False: the state or the timeout would change, which
// is not the hit path any more.
always_inline bool step_state(const struct turn *turn, const struct packet *packet, uint8_t *entry,
                              bool outwards) {
  uint32_t timeout;
  if (likely(packet->kind >> 8 == PROTOCOL_TCP)) {
    int event = tcp_event(packet->tcp_flags);
    uint32_t state = load32(entry + CONNECTION_STATE) & STATE_MASK;
    if (unlikely(event < 0 || load32(entry + CONNECTION_STATE) & STATE_NO_OUTPUT)) return false;
    uint32_t next = tcp_table[outwards][event][state];
    if (unlikely(next != state)) return false;
    timeout = load32(turn->bank + BANK_TIMEOUT_TCP + (next << 2));
  } else {
    timeout = load32(turn->bank + BANK_TIMEOUT_UDP);
    // The template that controls the connection would be marked as assured.
    if (outwards) {
      const uint8_t *cold = turn->cold + (size_t)(packet->node >> 1) * CONNECTION_COLD_SIZE;
      if (unlikely(load32(cold + COLD_CONTROLLER))) return false;
    }
  }
  return likely(load32(entry + CONNECTION_TIMEOUT) == timeout);
}

always_inline void add(uint8_t *stats, uint32_t packets, uint32_t bytes, uint32_t length) {
  store64(stats + packets, load64(stats + packets) + 1);
  store64(stats + bytes, load64(stats + bytes) + length);
}

always_inline void count_packet(struct turn *turn, uint32_t id, uint32_t length, bool outwards) {
  const uint8_t *config = turn->destinations + (size_t)id * DESTINATION_SIZE;
  uint32_t service = load32(config + DESTINATION_SERVICE);
  uint32_t packets = outwards ? STATS_OUT_PACKETS : STATS_IN_PACKETS;
  uint32_t bytes = outwards ? STATS_OUT_BYTES : STATS_IN_BYTES;
  add(turn->destination_stats + (size_t)id * STATS_SIZE, packets, bytes, length);
  add(turn->service_stats + (size_t)service * STATS_SIZE, packets, bytes, length);
  if (outwards) {
    turn->out_packets++;
    turn->out_bytes += length;
  } else {
    turn->in_packets++;
    turn->in_bytes += length;
  }
}

// ---- forward

// One hop less and another address, in one update of the header's checksum.
always_inline void rewrite_header(uint8_t *network, uint32_t field, uint32_t address) {
  uint32_t old = load32(network + field);
  // One less in the upper byte of its word is 0xfeff more; as loaded, 0xfffe.
  uint64_t sum = (uint64_t)(uint16_t)~load16(network + 10) + 0xfffe + (uint32_t)~old + address +
                 0xffff;
  store16(network + 10, (uint16_t)~fold(sum));
  network[8]--;
  store32(network + field, address);
}

// A datagram without a checksum is given one when it is translated.
static __attribute__((noinline)) uint16_t udp_checksum(const uint8_t *network, uint32_t length) {
  const uint8_t *transport = network + IPV4_SIZE;
  uint64_t sum = (uint64_t)load32(network + 12) + load32(network + 16) +
                 (uint64_t)((length + PROTOCOL_UDP) << 8);
  for (uint32_t i = 0; i + 1 < length; i += 2) sum += load16(transport + i);
  if (length & 1) sum += transport[length - 1];
  uint16_t checksum = (uint16_t)~fold(sum);
  return checksum ? checksum : 0xffff;
}

always_inline void rewrite_transport(const struct packet *packet, uint8_t *network, uint32_t field,
                                     uint16_t port, uint32_t delta) {
  uint8_t *transport = network + IPV4_SIZE;
  store16(transport + field, port);
  if (likely(packet->kind >> 8 == PROTOCOL_TCP)) {
    store16(transport + 16, apply_delta(load16(transport + 16), delta));
    return;
  }
  uint16_t old = load16(transport + 6);
  uint16_t checksum = apply_delta(old, delta);
  if (unlikely(!old)) checksum = udp_checksum(network, packet->ip_length - IPV4_SIZE);
  store16(transport + 6, checksum ? checksum : 0xffff);
}

// Puts the frame into the TX ring of the port behind a next hop.
always_inline bool send_frame(struct turn *turn, const struct packet *packet, uint32_t hop) {
  const uint8_t *next = turn->next_hops + (size_t)hop * NEXT_HOP_SIZE;
  uint64_t word = load64(next);
  if (unlikely(next[NEXT_HOP_STATE] != NEXT_HOP_REACHABLE)) return false;
  uint32_t port = next[NEXT_HOP_PORT];
  const uint8_t *way = turn->bank + BANK_PORTS + (size_t)port * PORT_SIZE;
  if (unlikely(packet->ip_length > load32(way + PORT_MTU))) return false;
  uint32_t number = turn->worker[WORKER_PORT_LINKS + port];
  if (unlikely(number == NO_LINK)) return false;
  uint64_t source = load_mac(way + PORT_MAC);
  uint8_t *start = packet->start;
  store64(start, (word & 0xffffffffffff) | source << 48);
  store32(start + 8, (uint32_t)(source >> 16));
  store16(start + 12, ETHERNET_TYPE_IPV4);
  uint8_t *ring = link_at(turn, number) + LINK_TRANSMIT;
  if (unlikely(!ring_free(turn, ring))) return false;
  uint32_t reserved = load32(ring + RING_RESERVED);
  uint32_t producer = load32(ring_word(turn, ring, RING_PRODUCER));
  uint32_t slot = (producer + reserved) & load32(ring + RING_MASK);
  uint8_t *descriptor = ring_word(turn, ring, RING_DESCRIPTORS) + (size_t)slot * DESCRIPTOR_SIZE;
  store64(descriptor + DESCRIPTOR_ADDRESS, (uint64_t)(start - turn->frames));
  store64(descriptor + DESCRIPTOR_LENGTH, packet->ip_length + ETHERNET_SIZE);
  store32(ring + RING_RESERVED, reserved + 1);
  turn->transmitted++;
  return true;
}

// Leads a packet whose connection is known to the other side. False: it was no plain hit.
always_inline bool handle(struct turn *turn, const struct packet *packet, bool outwards) {
  uint8_t *entry = entry_at(turn, packet->node);
  uint32_t state = load32(entry + CONNECTION_STATE);
  uint32_t special = STATE_FORWARD_MASK | STATE_FTP | STATE_SEQUENCE | STATE_EXPIRING | STATE_DEAD |
                     STATE_DESTINATION_OTHER;
  if (unlikely(state & special || packet->tcp_flags & TCP_SYN)) return false;
  uint32_t id = load32(entry + CONNECTION_DESTINATION_ID);
  const uint8_t *counts = turn->destination_states + (size_t)id * DESTINATION_STATE_SIZE;
  if (unlikely(!(load32(counts + DESTINATION_STATE_FLAGS) & DESTINATION_AVAILABLE))) return false;
  uint32_t hop = load16(entry + (outwards ? CONNECTION_HOP_OUT : CONNECTION_HOP_IN));
  if (unlikely(!hop || load16(entry + CONNECTION_ROUTE_GENERATION) != turn->route_generation)) {
    return false;
  }
  uint8_t *network = packet->start + ETHERNET_SIZE;
  if (unlikely(network[8] <= 1)) return false;
  if (unlikely(!step_state(turn, packet, entry, outwards))) return false;
  count_packet(turn, id, packet->ip_length, outwards);
  if (outwards) {
    rewrite_header(network, 12, load32(entry + CONNECTION_VIRTUAL));
    rewrite_transport(packet, network, 0, load16(entry + CONNECTION_VIRTUAL_PORT),
                      opposite_delta(load16(entry + CONNECTION_DELTA)));
  } else {
    rewrite_header(network, 16, load32(entry + CONNECTION_DESTINATION));
    rewrite_transport(packet, network, 2, load16(entry + CONNECTION_DESTINATION_PORT),
                      load16(entry + CONNECTION_DELTA));
    store32(entry + CONNECTION_IN_PACKETS, load32(entry + CONNECTION_IN_PACKETS) + 1);
  }
  store32(entry + CONNECTION_LAST_SEEN, turn->now);
  return send_frame(turn, packet, hop);
}

// ---- one turn

static uint32_t run_link(struct turn *turn, uint8_t *link) {
  uint8_t *ring = link + LINK_RECEIVE;
  uint32_t available = ring_available(turn, ring);
  if (!available) return 0;
  uint32_t count = available < BURST_MAX ? available : BURST_MAX;
  const uint8_t *way = turn->bank + BANK_PORTS + (size_t)link[LINK_PORT] * PORT_SIZE;
  bool is_ours = !(load32(way + PORT_FLAGS) & PORT_PARTIAL_CHECKSUMS) &&
                 !(link[LINK_FLAGS] & LINK_FROM_HOST);
  struct packet packets[BURST_MAX];
  uint8_t *at = ring_word(turn, ring, RING_CONSUMER);
  uint32_t consumer = load32(at);
  uint32_t mask = load32(ring + RING_MASK);
  const uint8_t *entries = ring_word(turn, ring, RING_DESCRIPTORS);
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *descriptor = entries + (size_t)((consumer + i) & mask) * DESCRIPTOR_SIZE;
    const uint8_t *later =
        entries + (size_t)((consumer + i + FRAMES_AHEAD) & mask) * DESCRIPTOR_SIZE;
    __builtin_prefetch(turn->frames + load32(later + DESCRIPTOR_ADDRESS), 1);
    parse_and_touch(turn, &packets[i], turn->frames + load32(descriptor + DESCRIPTOR_ADDRESS),
                    load32(descriptor + DESCRIPTOR_LENGTH), way);
    packets[i].refused |= !is_ours;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (likely(!packets[i].refused)) hash_and_touch(turn, &packets[i]);
  }
  store_release(at, consumer + count);
  store32(link + LINK_FILL_OUTSTANDING, load32(link + LINK_FILL_OUTSTANDING) - count);
  turn->received += count;
  look_up(turn, packets, count);
  for (uint32_t i = 0; i < count; i++) {
    const struct packet *packet = &packets[i];
    bool sent = likely(!packet->refused) && (packet->outwards ? handle(turn, packet, true)
                                                              : handle(turn, packet, false));
    if (likely(sent)) continue;
    turn->twin->refused++;
    free_frame(turn, (uint64_t)(packet->start - turn->frames));
  }
  return count;
}

static void add_up(struct turn *turn) {
  uint8_t *total = turn->counters + COUNTERS_TOTAL;
  const struct {
    uint8_t *at;
    uint64_t amount;
  } sums[] = {
      {turn->counters + COUNTER_RECEIVED * 8, turn->received},
      {turn->counters + COUNTER_TRANSMITTED * 8, turn->transmitted},
      {total + STATS_IN_PACKETS, turn->in_packets},
      {total + STATS_IN_BYTES, turn->in_bytes},
      {total + STATS_OUT_PACKETS, turn->out_packets},
      {total + STATS_OUT_BYTES, turn->out_bytes},
  };
  for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
    store64(sums[i].at, load64(sums[i].at) + sums[i].amount);
  }
}

// Says that the worker is awake, takes over the newest tables and sets the clock.
static void begin(struct twin *twin, struct turn *turn, uint32_t tick, uint32_t milliseconds) {
  uint8_t *memory = twin->memory;
  uint8_t *worker = twin->worker;
  *turn = (struct turn){.twin = twin, .memory = memory, .worker = worker, .now = tick};
  store_release(worker + WORKER_ONLINE, 1);
  uint32_t generation = load_acquire(memory + CONTROL_GENERATION);
  uint32_t region = generation & 1 ? CONTROL_REGION_BANK1 : CONTROL_REGION_BANK0;
  uint32_t number = (uint32_t)(worker - memory - load32(memory + CONTROL_REGION_WORKERS)) /
                    WORKER_SIZE;
  turn->bank = memory + load32(memory + region);
  turn->destinations = turn->bank + load32(memory + CONTROL_BANK_DESTINATIONS);
  turn->locals = turn->bank + load32(memory + CONTROL_BANK_LOCALS);
  turn->route_generation = load_acquire(memory + CONTROL_ROUTE_GENERATION) & 0xffff;
  turn->frames = memory + load32(worker + WORKER_FRAMES);
  turn->destination_states = memory + load32(memory + CONTROL_REGION_DESTINATION_STATE);
  turn->next_hops = memory + load32(memory + CONTROL_REGION_NEXT_HOPS);
  turn->chains = memory + load32(memory + CONTROL_REGION_CHAINS);
  turn->hot = memory + load32(memory + CONTROL_REGION_HOT);
  turn->cold = memory + load32(memory + CONTROL_REGION_COLD);
  turn->chain_mask = load32(memory + CONTROL_CHAINS) - 1;
  turn->hash_seed = load32(memory + CONTROL_HASH_SEED);
  turn->counters = memory + load32(memory + CONTROL_REGION_COUNTERS) +
                   (size_t)number * load32(memory + CONTROL_COUNTERS_STRIDE);
  turn->service_stats = turn->counters + COUNTERS_SERVICES;
  turn->destination_stats =
      turn->service_stats + (size_t)load32(memory + CONTROL_SERVICES) * STATS_SIZE;
  store_release(worker + WORKER_SEEN_GENERATION, generation);
  store32(worker + WORKER_TICK, tick);
  store32(worker + WORKER_MILLISECONDS, milliseconds);
}

static void end(struct turn *turn, uint32_t received) {
  uint8_t *worker = turn->worker;
  uint32_t epoch = load_acquire(turn->memory + CONTROL_EPOCH);
  store_release(worker + WORKER_SEEN_EPOCH, epoch);
  store32(worker + WORKER_TURNS, load32(worker + WORKER_TURNS) + 1);
  if (received) store32(worker + WORKER_BUSY_TURNS, load32(worker + WORKER_BUSY_TURNS) + 1);
}

bool twin_attach(struct twin *twin, uint8_t *memory, uint32_t worker) {
  if (load32(memory + CONTROL_MAGIC) != MAGIC) return false;
  if (load32(memory + CONTROL_VERSION) != LAYOUT_VERSION) return false;
  if (worker >= load32(memory + CONTROL_WORKERS)) return false;
  twin->memory = memory;
  twin->worker = memory + load32(memory + CONTROL_REGION_WORKERS) + (size_t)worker * WORKER_SIZE;
  twin->refused = 0;
  return true;
}

uint32_t twin_turn(struct twin *twin, uint32_t tick, uint32_t milliseconds) {
  struct turn turn;
  begin(twin, &turn, tick, milliseconds);
  uint32_t links = load32(turn.worker + WORKER_LINK_COUNT);
  uint32_t received = 0;
  for (uint32_t i = 0; i < links; i++) recycle_completions(&turn, link_at(&turn, i));
  for (uint32_t i = 0; i < links; i++) received += run_link(&turn, link_at(&turn, i));
  submit_transmit(&turn, links);
  for (uint32_t i = 0; i < links; i++) refill(&turn, link_at(&turn, i));
  note_receive_wakeups(&turn, links);
  store32(turn.worker + WORKER_TURN_PACKETS, received);
  add_up(&turn);
  end(&turn, received);
  return received;
}

// ---- the kernel's side of the rings, as bench/data-plane/rings.ts plays it

static uint8_t *word_of(const struct twin *twin, uint32_t link, uint32_t ring, uint32_t field) {
  const uint8_t *record = twin->worker + WORKER_LINKS + (size_t)link * LINK_SIZE + ring;
  return twin->memory + load32(record + field);
}

static void bump(uint8_t *word, uint32_t amount) { store32(word, load32(word) + amount); }

uint64_t twin_run(struct twin *twin, const struct twin_run *run) {
  uint32_t links = load32(twin->worker + WORKER_LINK_COUNT);
  uint64_t packets = 0;
  for (uint32_t i = 0; i < run->turns; i++) {
    bump(word_of(twin, run->link, LINK_RECEIVE, RING_PRODUCER), run->burst);
    bump(word_of(twin, run->link, LINK_FILL, RING_CONSUMER), run->burst);
    packets += twin_turn(twin, run->tick, run->milliseconds);
    for (uint32_t link = 0; link < links; link++) {
      uint8_t *consumer = word_of(twin, link, LINK_TRANSMIT, RING_CONSUMER);
      uint32_t sent = load32(word_of(twin, link, LINK_TRANSMIT, RING_PRODUCER)) - load32(consumer);
      bump(consumer, sent);
      bump(word_of(twin, link, LINK_COMPLETION, RING_PRODUCER), sent);
    }
  }
  return packets;
}
