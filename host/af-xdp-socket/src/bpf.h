// bpf(2): maps, programs, links. No libbpf: these few commands are all that is needed.
// Every function returns zero or more on success and a negative errno on failure.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define BPF_NAME_LENGTH_MAX 16

int bpf_map_create(uint32_t type, const char *name, uint32_t key_length, uint32_t value_length,
                   uint32_t entries_max, uint32_t flags);
int bpf_map_lookup(int fd, const void *key, void *value);
int bpf_map_update(int fd, const void *key, const void *value, uint64_t flags);
int bpf_map_delete(int fd, const void *key);
int bpf_map_next_key(int fd, const void *key, void *next);

// `count` holds how many to do, and afterwards how many were done.
int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count);
int bpf_map_delete_batch(int fd, const void *keys, uint32_t *count);

// Numbers of enum bpf_prog_type and of enum bpf_attach_type; the second is 0 for kinds whose attach
// point need not be named when they are loaded.
struct bpf_program_kind {
  uint32_t type;
  uint32_t attach_type;
};
int bpf_program_load(struct bpf_program_kind kind, const char *name, const char *license,
                     const void *instructions, uint32_t count, char *log, uint32_t log_length);
int bpf_program_name(uint32_t id, char name[BPF_NAME_LENGTH_MAX]);

struct bpf_test_run {
  const void *frame;
  uint32_t frame_length;
  void *output;
  uint32_t output_length;
  uint32_t repeat;
  // Results.
  uint32_t verdict;
  uint32_t duration_ns;
};
int bpf_program_test_run(int fd, struct bpf_test_run *run);

// Returns when no BPF program is still running that was running at the call.
int bpf_wait_for_programs(void);

int bpf_link_create(int program_fd, uint32_t interface_index, uint32_t attach_type,
                    uint32_t flags);
