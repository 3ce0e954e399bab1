#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf_call(enum bpf_cmd command, union bpf_attr *attributes, size_t length) {
  long result = syscall(__NR_bpf, command, attributes, (unsigned int)length);
  return result < 0 ? -errno : (int)result;
}

// Only the part of the union a command knows is handed over, so that headers newer than the
// running kernel do no harm.
#define END_OF(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)0)->field))

static uint64_t pointer(const void *address) { return (uint64_t)(uintptr_t)address; }

static void copy_name(char *out, const char *name) {
  strncpy(out, name, BPF_OBJ_NAME_LEN - 1);
}

int bpf_map_create(uint32_t type, const char *name, uint32_t key_length, uint32_t value_length,
                   uint32_t entries_max, uint32_t flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.map_type = type;
  attributes.key_size = key_length;
  attributes.value_size = value_length;
  attributes.max_entries = entries_max;
  attributes.map_flags = flags;
  copy_name(attributes.map_name, name);
  return bpf_call(BPF_MAP_CREATE, &attributes, END_OF(map_name));
}

static int map_element(enum bpf_cmd command, int fd, const void *key, const void *value,
                       uint64_t flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.map_fd = (uint32_t)fd;
  attributes.key = pointer(key);
  attributes.value = pointer(value);
  attributes.flags = flags;
  return bpf_call(command, &attributes, END_OF(flags));
}

int bpf_map_lookup(int fd, const void *key, void *value) {
  return map_element(BPF_MAP_LOOKUP_ELEM, fd, key, value, 0);
}

int bpf_map_update(int fd, const void *key, const void *value, uint64_t flags) {
  return map_element(BPF_MAP_UPDATE_ELEM, fd, key, value, flags);
}

int bpf_map_delete(int fd, const void *key) {
  return map_element(BPF_MAP_DELETE_ELEM, fd, key, NULL, 0);
}

int bpf_map_next_key(int fd, const void *key, void *next) {
  return map_element(BPF_MAP_GET_NEXT_KEY, fd, key, next, 0);
}

static int map_batch(enum bpf_cmd command, int fd, const void *keys, const void *values,
                     uint32_t *count) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.batch.map_fd = (uint32_t)fd;
  attributes.batch.keys = pointer(keys);
  attributes.batch.values = pointer(values);
  attributes.batch.count = *count;
  int result = bpf_call(command, &attributes, END_OF(batch));
  *count = attributes.batch.count;
  return result;
}

int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count) {
  return map_batch(BPF_MAP_UPDATE_BATCH, fd, keys, values, count);
}

int bpf_map_delete_batch(int fd, const void *keys, uint32_t *count) {
  return map_batch(BPF_MAP_DELETE_BATCH, fd, keys, NULL, count);
}

int bpf_program_load(struct bpf_program_kind kind, const char *name, const char *license,
                     const void *instructions, uint32_t count, char *log, uint32_t log_length) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.prog_type = kind.type;
  attributes.expected_attach_type = kind.attach_type;
  attributes.insns = pointer(instructions);
  attributes.insn_cnt = count;
  attributes.license = pointer(license);
  copy_name(attributes.prog_name, name);
  if (log_length > 0) {
    attributes.log_level = 1;
    attributes.log_buf = pointer(log);
    attributes.log_size = log_length;
  }
  // The verifier gives up with EAGAIN when a signal is pending; a profiler sends so many that
  // trying again would not help.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int result = bpf_call(BPF_PROG_LOAD, &attributes, END_OF(expected_attach_type));
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

int bpf_program_name(uint32_t id, char name[BPF_NAME_LENGTH_MAX]) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.prog_id = id;
  int fd = bpf_call(BPF_PROG_GET_FD_BY_ID, &attributes, END_OF(open_flags));
  if (fd < 0) return fd;
  struct bpf_prog_info info;
  memset(&info, 0, sizeof(info));
  memset(&attributes, 0, sizeof(attributes));
  attributes.info.bpf_fd = (uint32_t)fd;
  attributes.info.info_len = sizeof(info);
  attributes.info.info = pointer(&info);
  int result = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes, END_OF(info));
  close(fd);
  if (result < 0) return result;
  _Static_assert(BPF_NAME_LENGTH_MAX == BPF_OBJ_NAME_LEN, "a name fits exactly");
  memcpy(name, info.name, BPF_NAME_LENGTH_MAX);
  name[BPF_NAME_LENGTH_MAX - 1] = '\0';
  return 0;
}

int bpf_program_test_run(int fd, struct bpf_test_run *run) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.test.prog_fd = (uint32_t)fd;
  attributes.test.data_in = pointer(run->frame);
  attributes.test.data_size_in = run->frame_length;
  attributes.test.data_out = pointer(run->output);
  attributes.test.data_size_out = run->output_length;
  attributes.test.repeat = run->repeat;
  int result = bpf_call(BPF_PROG_TEST_RUN, &attributes, END_OF(test));
  if (result < 0) return result;
  run->verdict = attributes.test.retval;
  run->duration_ns = attributes.test.duration;
  run->output_length = attributes.test.data_size_out;
  return 0;
}

// Programs run inside an RCU read-side section, and this command of membarrier(2) is the one system
// call that promises to wait for all of those. It takes some ten milliseconds.
int bpf_wait_for_programs(void) {
  return syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0) == 0 ? 0 : -errno;
}

int bpf_link_create(int program_fd, uint32_t interface_index, uint32_t attach_type,
                    uint32_t flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.link_create.prog_fd = (uint32_t)program_fd;
  attributes.link_create.target_ifindex = interface_index;
  attributes.link_create.attach_type = attach_type;
  attributes.link_create.flags = flags;
  return bpf_call(BPF_LINK_CREATE, &attributes, END_OF(link_create.flags));
}
