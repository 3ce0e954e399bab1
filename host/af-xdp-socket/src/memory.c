#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int memory_advise(void *address, size_t length, int advice) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t start = ((uintptr_t)address + page - 1) & ~(page - 1);
  uintptr_t end = ((uintptr_t)address + length) & ~(page - 1);
  if (end <= start) return 0;
  return madvise((void *)start, end - start, advice) == 0 ? 0 : -errno;
}

int memory_map_shared(void *address, size_t length, int fd, int64_t file_offset) {
  void *result = mmap(address, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                      (off_t)file_offset);
  if (result != MAP_FAILED) return 0;
  int error = errno;
  // A failed MAP_FIXED may have left a hole, and a hole in a linear memory is a crash later.
  mmap(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return -error;
}

int memory_create_file(const char *name, unsigned int flags) {
  int fd = memfd_create(name, MFD_CLOEXEC | flags);
  return fd < 0 ? -errno : fd;
}
