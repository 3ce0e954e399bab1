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

// A failed MAP_FIXED may have removed what was there, and a hole in a linear memory is a crash
// later. So the file is mapped elsewhere first, where failing harms nobody, and then moved over the
// target, which replaces it in one step. hugetlb mappings cannot be moved before Linux 5.16; having
// been mapped once, they are mapped again in place.
int memory_map_shared(void *address, size_t length, int fd, int64_t file_offset) {
  const int protection = PROT_READ | PROT_WRITE;
  void *elsewhere = mmap(NULL, length, protection, MAP_SHARED, fd, (off_t)file_offset);
  if (elsewhere == MAP_FAILED) return -errno;
  void *moved = mremap(elsewhere, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, address);
  if (moved != MAP_FAILED) return 0;
  munmap(elsewhere, length);
  void *fixed = mmap(address, length, protection, MAP_SHARED | MAP_FIXED, fd, (off_t)file_offset);
  return fixed == MAP_FAILED ? -errno : 0;
}

int memory_create_file(const char *name, unsigned int flags) {
  int fd = memfd_create(name, MFD_CLOEXEC | flags);
  return fd < 0 ? -errno : fd;
}
