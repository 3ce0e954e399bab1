#include "xsk.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

// As many calls as the director makes for a burst; what is left then waits for the next turn.
#define SEND_CALLS_MAX 8

void fail(const char *what, const char *detail) {
  fprintf(stderr, "%s: %s%s%s\n", what, detail, errno == 0 ? "" : ": ",
          errno == 0 ? "" : strerror(errno));
  exit(1);
}

static int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

// return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS)
static int load_program(int sockets) {
  const struct bpf_insn program[] = {
      {.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 2, .src_reg = 1, .off = 16},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
       .imm = sockets},
      {.imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {0};
  load.prog_type = BPF_PROG_TYPE_XDP;
  load.expected_attach_type = BPF_XDP;
  load.insns = (uint64_t)(uintptr_t)program;
  load.insn_cnt = sizeof(program) / sizeof(program[0]);
  load.license = (uint64_t)(uintptr_t) "Apache-2.0";
  int fd = bpf(BPF_PROG_LOAD, &load);
  if (fd < 0) fail("bpf", "load the redirecting program");
  return fd;
}

static int make_map(int socket_fd) {
  union bpf_attr create = {0};
  create.map_type = BPF_MAP_TYPE_XSKMAP;
  create.key_size = 4;
  create.value_size = 4;
  create.max_entries = 1;
  int map = bpf(BPF_MAP_CREATE, &create);
  if (map < 0) fail("bpf", "create the map of sockets");
  const uint32_t queue = 0;
  union bpf_attr update = {0};
  update.map_fd = (uint32_t)map;
  update.key = (uint64_t)(uintptr_t)&queue;
  update.value = (uint64_t)(uintptr_t)&socket_fd;
  if (bpf(BPF_MAP_UPDATE_ELEM, &update) != 0) fail("bpf", "put the socket into the map");
  return map;
}

static int attach(int program, uint32_t interface_index) {
  union bpf_attr link = {0};
  link.link_create.prog_fd = (uint32_t)program;
  link.link_create.target_ifindex = interface_index;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_DRV_MODE;
  int fd = bpf(BPF_LINK_CREATE, &link);
  if (fd < 0) fail("bpf", "attach in native mode");
  return fd;
}

static void map_ring(int fd, struct xsk_ring *ring, const struct xdp_ring_offset *offsets,
                     size_t entry_size, off_t page_offset) {
  size_t length = offsets->desc + XSK_RING_ENTRIES * entry_size;
  uint8_t *area = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                       page_offset);
  if (area == MAP_FAILED) fail("mmap", "a ring");
  ring->producer = (uint32_t *)(area + offsets->producer);
  ring->consumer = (uint32_t *)(area + offsets->consumer);
  ring->flags = (uint32_t *)(area + offsets->flags);
  ring->entries = area + offsets->desc;
  ring->cached = 0;
}

static void make_rings(struct xsk_port *port) {
  const int kinds[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
  const int entries = XSK_RING_ENTRIES;
  for (int kind = 0; kind < 4; kind++) {
    if (setsockopt(port->fd, SOL_XDP, kinds[kind], &entries, sizeof(entries)) != 0) {
      fail("setsockopt", "size of a ring");
    }
  }
  struct xdp_mmap_offsets offsets;
  socklen_t length = sizeof(offsets);
  if (getsockopt(port->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) {
    fail("getsockopt", "XDP_MMAP_OFFSETS");
  }
  const size_t address = sizeof(uint64_t), descriptor = sizeof(struct xdp_desc);
  map_ring(port->fd, &port->fill, &offsets.fr, address, (off_t)XDP_UMEM_PGOFF_FILL_RING);
  map_ring(port->fd, &port->completion, &offsets.cr, address,
           (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
  map_ring(port->fd, &port->receive, &offsets.rx, descriptor, XDP_PGOFF_RX_RING);
  map_ring(port->fd, &port->transmit, &offsets.tx, descriptor, XDP_PGOFF_TX_RING);
}

void xsk_allocate(struct xsk_memory *memory, uint32_t frames) {
  const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
  size_t bytes = (size_t)frames * XSK_FRAME_SIZE;
  memory->frames = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory->frames == MAP_FAILED) fail("mmap", "packet memory");
  memory->count = frames;
  memory->first_fd = -1;
}

static void read_mac(struct xsk_port *port, const char *interface) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0) fail("SIOCGIFHWADDR", interface);
  memcpy(port->mac, request.ifr_hwaddr.sa_data, sizeof(port->mac));
  close(fd);
}

void xsk_open(struct xsk_port *port, struct xsk_memory *memory, const char *interface) {
  port->interface_index = if_nametoindex(interface);
  if (port->interface_index == 0) fail("no interface", interface);
  read_mac(port, interface);
  port->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (port->fd < 0) fail("socket", "AF_XDP");
  struct sockaddr_xdp address = {.sxdp_family = AF_XDP, .sxdp_ifindex = port->interface_index};
  if (memory->first_fd < 0) {
    struct xdp_umem_reg registration = {0};
    registration.addr = (uint64_t)(uintptr_t)memory->frames;
    registration.len = (uint64_t)memory->count * XSK_FRAME_SIZE;
    registration.chunk_size = XSK_FRAME_SIZE;
    if (setsockopt(port->fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof(registration)) != 0) {
      fail("setsockopt", "XDP_UMEM_REG");
    }
    memory->first_fd = port->fd;
    // veth can only copy; asked for by name, so that no machine measures something else.
    address.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
  } else {
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = (uint32_t)memory->first_fd;
  }
  make_rings(port);
  // A queue that another process has just given up is free some milliseconds later.
  int tries = 0;
  while (bind(port->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
    if (errno != EBUSY || ++tries == 100) fail("bind", interface);
    usleep(5000);
  }
  port->link_fd = attach(load_program(make_map(port->fd)), port->interface_index);
}

void xsk_send(struct xsk_port *port) {
  for (int call = 0; call < SEND_CALLS_MAX; call++) {
    uint32_t before = xsk_load(port->transmit.consumer);
    if (before == port->transmit.cached) return;
    sendto(port->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
    if (xsk_load(port->transmit.consumer) == before) return;
  }
}
