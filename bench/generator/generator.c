// Sends datagrams of many flows into one or both sides of a director, receives what comes out on the
// other side, and verifies every one of them: whole, its checksums right, the ends translated as they
// should be, always by the same server. One thread on one core, AF_XDP on both sides.
//
//                 client side  ->  | director |  ->  server side
//   16.x.x.x:p -> VIP:port                            16.x.x.x:p -> server:port
//   VIP:port -> 16.x.x.x:p                            server:port -> 16.x.x.x:p
//
// First every flow is sent until it has come through once: that makes the connections, and tells which
// server has which flow. Then come the measured seconds, then what is still on its way.
//
//   generator client=IF server=IF client-gateway=MAC server-gateway=MAC vip=A port=N servers=A,A,...
//             server-port=N [flows=N] [size=BYTES] [seconds=S] [rate=N] [ways=1|2] [sleep=1] [tail=MS]
//
// rate=0 sends as fast as it can. sleep=1 sends in lumps of a millisecond and sleeps between: for the
// processor time that packets take. Prints one line of JSON.

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "../xsk/site.h"
#include "../xsk/xsk.h"
#include "frame.h"
#include "histogram.h"

#define BURST 64
#define FLOWS_MAX (1 << 22)
#define CLIENT_NET 0x10000000u
#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
#define LEARN_NS (10 * SECOND)
#define LEARN_AGAIN_NS (50 * MILLISECOND)

struct options {
  struct site site;
  uint32_t flows;
  uint32_t size;
  double seconds;
  double rate;
  uint32_t ways;
  bool sleeps;
  uint64_t tail;
};

// What arrived on a side.
struct arrivals {
  uint64_t right;
  // A frame of ours with something about it that is not as it should be.
  uint64_t wrong;
  // Came out at another server than those of its flow before.
  uint64_t moved;
  // Older than one of the same flow that came before it.
  uint64_t late;
  // Nothing of ours.
  uint64_t foreign;
  // The longest time without any that was right.
  uint64_t gap;
  uint64_t last;
};

static struct options options;
static struct xsk_memory memory;
static struct xsk_port ports[2];
static struct frame_template templates[2];
static struct arrivals arrivals[2];
static struct histogram latencies;
// Of each flow: its server's address, and the greatest number that came, by side.
static uint32_t *server_of;
static uint32_t *newest[2];
static uint32_t learnt;
// TX frames of a side that nobody sends at the moment.
static uint32_t free_frames[2][XSK_RING_ENTRIES];
static uint32_t free_count[2];
static uint32_t next_flow;
static uint32_t next_number;
static bool is_timed;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

// A flow's client: addresses all over a /8, so that neither says anything about the flow's number.
static struct end client_of(uint32_t flow) {
  uint32_t address = CLIENT_NET | (flow * 0x9e3779b1u & 0xffffff);
  uint32_t mixed = (flow ^ 0x5bd1e995u) * 0x85ebca6bu;
  uint16_t port = (uint16_t)(1024 + (mixed ^ mixed >> 15) % 60000);
  return (struct end){htonl(address), htons(port)};
}

static void take_back_sent(enum side side) {
  struct xsk_ring *ring = &ports[side].completion;
  uint32_t count = xsk_waiting(ring);
  for (uint32_t index = 0; index < count; index++) {
    uint64_t address = *xsk_address(ring, ring->cached++);
    free_frames[side][free_count[side]++] = (uint32_t)(address / XSK_FRAME_SIZE);
  }
  xsk_store(ring->consumer, ring->cached);
}

// Writes a frame of a flow into the TX ring of a side. False: there is no room.
static bool put(enum side side, uint32_t flow, uint64_t time) {
  struct xsk_port *port = &ports[side];
  if (free_count[side] == 0 || xsk_room(&port->transmit) == 0) return false;
  uint64_t address = (uint64_t)free_frames[side][--free_count[side]] * XSK_FRAME_SIZE;
  struct end client = client_of(flow), server = {server_of[flow], options.site.server_port};
  bool is_client = side == CLIENT;
  frame_write(memory.frames + address, &templates[side], is_client ? &client : &server,
              is_client ? &options.site.virtual : &client, flow, ++next_number, time);
  struct xdp_desc *descriptor = xsk_descriptor(&port->transmit, port->transmit.cached++);
  *descriptor = (struct xdp_desc){.addr = address, .len = options.size};
  return true;
}

static void send_put(enum side side) {
  xsk_store(ports[side].transmit.producer, ports[side].transmit.cached);
  xsk_send(&ports[side]);
  take_back_sent(side);
}

static bool is_server(uint32_t address) {
  for (uint32_t index = 0; index < options.site.server_count; index++) {
    if (options.site.servers[index] == address) return true;
  }
  return false;
}

// Whether a frame's ends are those that its flow must have on this side.
static bool has_right_ends(enum side side, const struct frame *frame) {
  struct end client = client_of(frame->flow);
  if (side == CLIENT) {
    const struct end *virtual = &options.site.virtual;
    return frame->source == virtual->address && frame->source_port == virtual->port &&
           frame->destination == client.address && frame->destination_port == client.port;
  }
  if (frame->source != client.address || frame->source_port != client.port) return false;
  if (frame->destination_port != options.site.server_port) return false;
  uint32_t known = server_of[frame->flow];
  if (known == frame->destination) return true;
  if (!is_server(frame->destination)) return false;
  server_of[frame->flow] = frame->destination;
  if (known == 0) learnt++;
  else arrivals[SERVER].moved++;
  return true;
}

static void accept_frame(enum side side, const uint8_t *at, uint32_t size, uint64_t time) {
  struct arrivals *counts = &arrivals[side];
  struct frame frame;
  if (size < sizeof(frame)) {
    counts->foreign++;
    return;
  }
  memcpy(&frame, at, sizeof(frame));
  if (frame.magic != templates[0].frame.magic || frame.flow >= options.flows) {
    counts->foreign++;
    return;
  }
  if (!frame_is_right(at, size, options.size) || !has_right_ends(side, &frame) ||
      memcmp(frame.destination_mac, ports[side].mac, 6) != 0) {
    counts->wrong++;
    return;
  }
  counts->right++;
  if (counts->last != 0 && time - counts->last > counts->gap) counts->gap = time - counts->last;
  counts->last = time;
  uint32_t *number = &newest[side][frame.flow];
  if ((int32_t)(frame.number - *number) <= 0) counts->late++;
  else *number = frame.number;
  if (is_timed) histogram_add(&latencies, time > frame.time ? time - frame.time : 0);
}

static uint32_t receive(enum side side) {
  struct xsk_port *port = &ports[side];
  struct xsk_ring *ring = &port->receive, *fill = &port->fill;
  uint32_t count = xsk_waiting(ring);
  if (count == 0) return 0;
  uint64_t time = now();
  for (uint32_t index = 0; index < count; index++) {
    struct xdp_desc *descriptor = xsk_descriptor(ring, ring->cached++);
    accept_frame(side, memory.frames + descriptor->addr, descriptor->len, time);
    *xsk_address(fill, fill->cached++) = descriptor->addr & ~(uint64_t)(XSK_FRAME_SIZE - 1);
  }
  xsk_store(ring->consumer, ring->cached);
  xsk_store(fill->producer, fill->cached);
  if (xsk_load(fill->flags) & XDP_RING_NEED_WAKEUP) {
    recvfrom(port->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  }
  return count;
}

static uint32_t receive_all(void) {
  return receive(SERVER) + receive(CLIENT);
}

static void sleep_until(uint64_t time) {
  const struct timespec at = {(time_t)(time / SECOND), (long)(time % SECOND)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

// Sends flows that have not come through yet, until all have.
static void learn(void) {
  uint64_t start = now();
  while (learnt < options.flows) {
    if (now() - start > LEARN_NS) {
      fprintf(stderr, "%u of %u flows came through\n", learnt, options.flows);
      exit(1);
    }
    for (uint32_t flow = 0; flow < options.flows;) {
      uint32_t count = 0;
      for (; flow < options.flows && count < BURST; flow++) {
        if (server_of[flow] == 0 && put(CLIENT, flow, 0)) count++;
      }
      send_put(CLIENT);
      receive_all();
    }
    uint64_t pause = now() + LEARN_AGAIN_NS;
    while (learnt < options.flows && now() < pause) receive_all();
  }
  // And once back, where the way back is measured: some directors learn a neighbour only then.
  for (uint32_t flow = 0; options.ways == 2 && flow < options.flows; flow++) {
    put(SERVER, flow, 0);
    if (flow % BURST != 0 && flow + 1 < options.flows) continue;
    send_put(SERVER);
    receive_all();
  }
  uint64_t quiet = now() + LEARN_AGAIN_NS;
  while (now() < quiet) {
    if (receive_all() > 0) quiet = now() + LEARN_AGAIN_NS;
  }
}

// Frames that are due by now and not sent yet, at most a burst.
static uint32_t due_now(uint64_t elapsed, uint64_t sent, uint32_t most) {
  if (options.rate <= 0) return most;
  double due = (double)elapsed * options.rate / (double)SECOND - (double)sent;
  return due <= 0 ? 0 : due >= most ? most : (uint32_t)due;
}

static uint32_t send_some(enum side side, uint32_t count, uint64_t start, uint64_t sent) {
  uint32_t done = 0;
  for (; done < count; done++) {
    // The time at which it is due: being late is part of what a packet waits.
    double due = options.rate > 0 ? (double)(sent + done) * (double)SECOND / options.rate : 0;
    if (!put(side, next_flow, start + (uint64_t)due)) break;
    if (++next_flow == options.flows) next_flow = 0;
  }
  if (done > 0 || ports[side].transmit.cached != xsk_load(ports[side].transmit.consumer)) {
    send_put(side);
  }
  return done;
}

struct totals {
  uint64_t sent;
  uint64_t received_in_time;
  uint64_t elapsed;
  double processor;
};

static double processor_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct totals measure(void) {
  struct totals totals = {0};
  double processor = processor_seconds();
  const uint64_t start = now(), end = start + (uint64_t)(options.seconds * (double)SECOND);
  const uint32_t most = options.sleeps ? XSK_RING_ENTRIES / 2 : BURST;
  is_timed = options.rate > 0 && !options.sleeps;
  memset(arrivals, 0, sizeof(arrivals));
  uint64_t time = start, wake = start;
  enum side side = CLIENT;
  while (time < end) {
    totals.sent += send_some(side, due_now(time - start, totals.sent, most), start, totals.sent);
    if (options.ways == 2) side = side == CLIENT ? SERVER : CLIENT;
    receive_all();
    if (options.sleeps) sleep_until(wake += MILLISECOND);
    time = now();
  }
  receive_all();
  totals.received_in_time = arrivals[CLIENT].right + arrivals[SERVER].right;
  totals.elapsed = now() - start;
  totals.processor = processor_seconds() - processor;
  // What is on its way still counts as not lost.
  uint64_t quiet = now() + options.tail;
  while (now() < quiet) {
    if (receive_all() > 0 && arrivals[CLIENT].right + arrivals[SERVER].right >= totals.sent) break;
  }
  return totals;
}

static void print_report(const struct totals *totals) {
  double seconds = (double)totals->elapsed / (double)SECOND;
  const struct arrivals *in = &arrivals[SERVER], *back = &arrivals[CLIENT];
  uint64_t right = in->right + back->right;
  printf("{\"sent\":%lu,\"received\":%lu,\"offeredRate\":%.0f,\"rate\":%.0f,", totals->sent, right,
         (double)totals->sent / seconds, (double)totals->received_in_time / seconds);
  printf("\"lost\":%ld,\"wrong\":%lu,\"moved\":%lu,\"late\":%lu,\"foreign\":%lu,",
         (long)totals->sent - (long)right, in->wrong + back->wrong, in->moved,
         in->late + back->late, in->foreign + back->foreign);
  printf("\"gapMs\":%.3f,\"processorSeconds\":%.4f,\"seconds\":%.4f,",
         (double)(in->gap > back->gap ? in->gap : back->gap) / 1e6, totals->processor, seconds);
  printf("\"latencyUs\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f}}\n",
         (double)histogram_percentile(&latencies, 500000) / 1e3,
         (double)histogram_percentile(&latencies, 900000) / 1e3,
         (double)histogram_percentile(&latencies, 990000) / 1e3,
         (double)histogram_percentile(&latencies, 999000) / 1e3, (double)latencies.greatest / 1e3);
}

static void read_option(char *word) {
  char *value = split_option(word);
  if (read_site_option(&options.site, word, value)) return;
  if (strcmp(word, "flows") == 0) options.flows = (uint32_t)atoi(value);
  else if (strcmp(word, "size") == 0) options.size = (uint32_t)atoi(value);
  else if (strcmp(word, "seconds") == 0) options.seconds = atof(value);
  else if (strcmp(word, "rate") == 0) options.rate = atof(value);
  else if (strcmp(word, "ways") == 0) options.ways = (uint32_t)atoi(value);
  else if (strcmp(word, "sleep") == 0) options.sleeps = atoi(value) != 0;
  else if (strcmp(word, "tail") == 0) options.tail = (uint64_t)atoi(value) * MILLISECOND;
  else fail("no option", word);
}

static void read_options(int count, char **words) {
  options = (struct options){.flows = 1000, .size = FRAME_LEAST, .seconds = 1, .ways = 1,
                             .tail = 100 * MILLISECOND};
  for (int index = 1; index < count; index++) read_option(words[index]);
  errno = 0;
  if (options.site.interface[CLIENT] == NULL || options.site.interface[SERVER] == NULL) {
    fail("client= and server=", "name both sides");
  }
  if (options.flows == 0 || options.flows > FLOWS_MAX) fail("flows=", "1 to 4 million");
  if (options.size < FRAME_LEAST || options.size > FRAME_MOST) fail("size=", "60 to 1514");
  if (options.sleeps && options.rate <= 0) fail("sleep=1", "needs a rate");
}

static void open_sides(void) {
  xsk_allocate(&memory, 4 * XSK_RING_ENTRIES);
  memset(memory.frames, 0, (size_t)memory.count * XSK_FRAME_SIZE);
  for (int side = 0; side < 2; side++) {
    struct xsk_port *port = &ports[side];
    // A memory of its own would do as well; one registration is enough.
    xsk_open(port, &memory, options.site.interface[side]);
    frame_template(&templates[side], port->mac, options.site.gateway[side], options.size);
    uint32_t first = (uint32_t)side * 2 * XSK_RING_ENTRIES;
    for (uint32_t index = 0; index < XSK_RING_ENTRIES; index++) {
      *xsk_address(&port->fill, port->fill.cached++) = (uint64_t)(first + index) * XSK_FRAME_SIZE;
      free_frames[side][free_count[side]++] = first + XSK_RING_ENTRIES + index;
    }
    xsk_store(port->fill.producer, port->fill.cached);
  }
}

int main(int count, char **words) {
  read_options(count, words);
  server_of = calloc(options.flows, sizeof(*server_of));
  newest[CLIENT] = calloc(options.flows, sizeof(uint32_t));
  newest[SERVER] = calloc(options.flows, sizeof(uint32_t));
  if (server_of == NULL || newest[CLIENT] == NULL || newest[SERVER] == NULL) {
    fail("calloc", "flows");
  }
  open_sides();
  learn();
  // Whoever wants to do something meanwhile waits for this.
  fprintf(stderr, "started\n");
  struct totals totals = measure();
  print_report(&totals);
  return 0;
}
