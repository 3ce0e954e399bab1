#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Capabilities are per thread, so each thread has to give its own up, in a signal handler. The
// number is one that the C library keeps for itself: no thread blocks it. Its own use of it, in
// setuid() and pthread_cancel(), must not fall into the moment of the call.
#define BROADCAST_SIGNAL 33
// What rt_sigaction() calls the size of its signal sets.
#define KERNEL_SIGNALS_LENGTH 8
#define ANSWER_STEP_NS 100000
#define ANSWER_STEPS_MAX 20000
#define THREADS_MAX 4096
#define CAPABILITIES_MAX 64

int process_notify(const char *path, const char *text) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof(address.sun_path)) return -EINVAL;
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
                        address_length);
  int result = sent < 0 ? -errno : 0;
  close(fd);
  return result;
}

// For the handler, which may call only what is safe in a signal.
static _Atomic uint64_t kept;
static atomic_int answers;
static atomic_int refusal;

static int keep_in_this_thread(uint64_t mask) {
  for (int capability = 0; capability < CAPABILITIES_MAX; capability++) {
    // EINVAL beyond the last one there is, EPERM without CAP_SETPCAP.
    if (((mask >> capability) & 1) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, data) < 0) return -errno;
  for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
    uint32_t part = (uint32_t)(mask >> (32 * word));
    data[word].effective &= part;
    data[word].permitted &= part;
    data[word].inheritable &= part;
  }
  return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void on_broadcast(int signal_number) {
  (void)signal_number;
  int saved = errno;
  int result = keep_in_this_thread(atomic_load(&kept));
  if (result < 0) atomic_store(&refusal, result);
  atomic_fetch_add(&answers, 1);
  errno = saved;
}

// As the kernel lays it out: the C library does not let anyone set this signal's action, but it
// makes one for another signal, with the return path the kernel needs, which is then copied.
struct kernel_action {
  unsigned char bytes[64];
};

static int exchange_action(int number, const struct kernel_action *new, struct kernel_action *old) {
  return syscall(SYS_rt_sigaction, number, new, old, KERNEL_SIGNALS_LENGTH) < 0 ? -errno : 0;
}

static int install_handler(struct kernel_action *before) {
  struct sigaction ours = {.sa_handler = on_broadcast, .sa_flags = SA_RESTART};
  struct sigaction saved;
  struct kernel_action action;
  sigfillset(&ours.sa_mask);
  if (sigaction(SIGRTMAX, &ours, &saved) < 0) return -errno;
  int result = exchange_action(SIGRTMAX, NULL, &action);
  sigaction(SIGRTMAX, &saved, NULL);
  return result < 0 ? result : exchange_action(BROADCAST_SIGNAL, &action, before);
}

// Waits until as many threads as were asked have answered.
static int wait_for_answers(int asked) {
  const struct timespec step = {.tv_nsec = ANSWER_STEP_NS};
  for (int i = 0; i < ANSWER_STEPS_MAX; i++) {
    if (atomic_load(&answers) >= asked) return atomic_load(&refusal);
    nanosleep(&step, NULL);
  }
  return -ETIMEDOUT;
}

static int is_known(const pid_t *threads, int count, pid_t thread) {
  for (int i = 0; i < count; i++) {
    if (threads[i] == thread) return 1;
  }
  return 0;
}

// Asks every thread that is not in `done` yet. Returns how many were asked, or a negative errno.
static int ask_others(pid_t *done, int *count) {
  DIR *directory = opendir("/proc/self/task");
  if (directory == NULL) return -errno;
  int asked = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    pid_t thread = (pid_t)atoi(entry->d_name);
    if (thread <= 0 || is_known(done, *count, thread)) continue;
    if (*count == THREADS_MAX) {
      closedir(directory);
      return -E2BIG;
    }
    done[(*count)++] = thread;
    // One that has ended meanwhile needs no answer.
    if (syscall(SYS_tgkill, getpid(), thread, BROADCAST_SIGNAL) == 0) asked++;
  }
  closedir(directory);
  return asked;
}

int process_keep_capabilities(uint64_t mask) {
  int result = keep_in_this_thread(mask);
  if (result < 0) return result;
  struct kernel_action before;
  atomic_store(&kept, mask);
  atomic_store(&answers, 0);
  atomic_store(&refusal, 0);
  result = install_handler(&before);
  if (result < 0) return result;
  static pid_t done[THREADS_MAX];
  int count = 0;
  int total = 0;
  done[count++] = (pid_t)syscall(SYS_gettid);
  // A thread may start another one before its turn comes: until a round finds no new one.
  for (int asked = 1; asked > 0 && result == 0;) {
    asked = ask_others(done, &count);
    if (asked < 0) result = asked;
    total += asked > 0 ? asked : 0;
    if (asked > 0) result = wait_for_answers(total);
  }
  exchange_action(BROADCAST_SIGNAL, &before, NULL);
  return result < 0 ? result : total + 1;
}
