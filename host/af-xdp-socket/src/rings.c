// How a ring gets into somebody else's memory, and out of it again.
//
// The pages at the target belong to a linear memory whose owner will go on using the address range,
// so they must come back when the ring goes. What they are backed by is not for us to know:
// - shared pages (a memfd, /dev/shm): mremap() with an old size of zero makes a second mapping of
//   the same pages. It waits in `stash` and is moved back over the ring, content and all.
// - private pages: there is no second mapping of those. Fresh zero pages replace them; a ring
//   holds nothing anybody wants to read after it is gone.
// Both MAP_FIXED and MREMAP_FIXED replace a range in one step, so no other thread's mmap() can
// slip into a gap.

#define _GNU_SOURCE
#include "rings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

#define MAPS_LINE_MAX 512

static const int ring_options[RING_KINDS] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING,
                                             XDP_RX_RING, XDP_TX_RING};

static const off_t ring_page_offsets[RING_KINDS] = {
    XDP_UMEM_PGOFF_FILL_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING};

int ring_create(int fd, enum ring_kind kind, uint32_t entries) {
  int value = (int)entries;
  if (setsockopt(fd, SOL_XDP, ring_options[kind], &value, sizeof(value)) != 0) return -errno;
  return 0;
}

int ring_offsets(int fd, struct xdp_mmap_offsets *out) {
  socklen_t length = sizeof(*out);
  memset(out, 0, sizeof(*out));
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, out, &length) != 0) return -errno;
  // Kernels before 5.4 had no flags words and a shorter struct; they cannot run this package.
  return length == sizeof(*out) ? 0 : -EOPNOTSUPP;
}

// Asked first because mremap() with an old size of zero on private pages makes the kernel log a
// warning, even though it is refused properly.
static bool is_shared(const void *address) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return false;
  char line[MAPS_LINE_MAX];
  bool shared = false;
  while (fgets(line, sizeof(line), maps) != NULL) {
    unsigned long start;
    unsigned long end;
    char permissions[5];
    if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) != 3) continue;
    if ((unsigned long)address < start || (unsigned long)address >= end) continue;
    shared = permissions[3] == 's';
    break;
  }
  fclose(maps);
  return shared;
}

static int put_back(struct ring_mapping *mapping) {
  void *result;
  if (mapping->stash != NULL) {
    result = mremap(mapping->stash, mapping->length, mapping->length,
                    MREMAP_MAYMOVE | MREMAP_FIXED, mapping->address);
  } else {
    result = mmap(mapping->address, mapping->length, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  if (result == MAP_FAILED) return -errno;
  mapping->stash = NULL;
  return 0;
}

int ring_map(int fd, enum ring_kind kind, void *address, size_t length, struct ring_mapping *out) {
  *out = (struct ring_mapping){.address = address, .length = length};
  if (is_shared(address)) {
    void *stash = mremap(address, 0, length, MREMAP_MAYMOVE);
    if (stash == MAP_FAILED) return -errno;
    out->stash = stash;
  }
  void *ring = mmap(address, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
                    fd, ring_page_offsets[kind]);
  if (ring == MAP_FAILED) {
    int error = errno;
    // A failed MAP_FIXED may have removed the old pages already.
    put_back(out);
    return -error;
  }
  out->mapped = true;
  return 0;
}

int ring_unmap(struct ring_mapping *mapping) {
  if (!mapping->mapped) return 0;
  int result = put_back(mapping);
  if (result == 0) mapping->mapped = false;
  return result;
}
