// Runs the twin over an image of the linear memory, as `npm run bench -- --image FILE` writes it: for
// callgrind and perf, which see nothing through node. The image's frames are rewritten by the
// first pass; every further pass starts from them anew.
//
//   twin-image IMAGE LINK BURST FRAMES PASSES

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "constants.h"
#include "twin.h"

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint32_t word(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint8_t *read_image(const char *path, size_t *size) {
  int fd = open(path, O_RDONLY);
  struct stat facts;
  if (fd < 0 || fstat(fd, &facts) < 0) return NULL;
  *size = (size_t)facts.st_size;
  uint8_t *memory =
      mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  madvise(memory, *size, MADV_HUGEPAGE);
  for (size_t done = 0; done < *size;) {
    ssize_t got = read(fd, memory + done, *size - done);
    if (got <= 0) return NULL;
    done += (size_t)got;
  }
  close(fd);
  return memory;
}

int main(int count, char **arguments) {
  if (count != 6) {
    fprintf(stderr, "usage: twin-image IMAGE LINK BURST FRAMES PASSES\n");
    return 2;
  }
  size_t size;
  uint8_t *memory = read_image(arguments[1], &size);
  struct twin twin;
  if (!memory || !twin_attach(&twin, memory, 0)) {
    fprintf(stderr, "%s: no image of the data plane's memory\n", arguments[1]);
    return 1;
  }
  uint32_t frames = (uint32_t)atoi(arguments[4]);
  uint32_t burst = (uint32_t)atoi(arguments[3]);
  struct twin_run run = {
      .link = (uint32_t)atoi(arguments[2]),
      .burst = burst,
      .turns = frames / burst,
      .tick = word(twin.worker + WORKER_TICK),
      .milliseconds = word(twin.worker + WORKER_MILLISECONDS),
  };
  uint8_t *first = memory + word(twin.worker + WORKER_FRAMES);
  size_t bytes = (size_t)frames * FRAME_SIZE;
  uint8_t *fresh = malloc(bytes);
  if (!fresh) return 1;
  memcpy(fresh, first, bytes);
  int passes = atoi(arguments[5]);
  double spent = 0;
  uint64_t packets = 0;
  for (int pass = 0; pass < passes; pass++) {
    memcpy(first, fresh, bytes);
    double before = seconds();
    packets += twin_run(&twin, &run);
    spent += seconds() - before;
  }
  printf("%llu packets, %llu refused, %.2f ns each\n", (unsigned long long)packets,
         (unsigned long long)twin.refused, spent * 1e9 / (double)packets);
  return twin.refused != 0;
}
