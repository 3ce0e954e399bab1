// Advice about, and backing for, memory that belongs to JavaScript.

#pragma once

#include <stddef.h>
#include <stdint.h>

// Widened inwards: only pages that lie wholly within the range are advised.
int memory_advise(void *address, size_t length, int advice);
int memory_map_shared(void *address, size_t length, int fd, int64_t file_offset);
int memory_create_file(const char *name, unsigned int flags);
