// Asks for "/" over many connections, at a given rate or as fast as answers come, and tells how long
// each answer took. With a rate, a request's time begins when it is due: whoever is late makes those
// behind it wait, and that counts. One thread.
//
//   client address=A port=N [connections=N] [seconds=S] [rate=N] [close=1] [timeout=MS]
//
// close=1 makes a connection for every request. rate=0 asks again as soon as the answer is there. A
// request fails when its connection is refused, reset or silent for the timeout. Prints a line of JSON.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../generator/histogram.h"

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
#define CONNECTIONS_MAX 4096
#define EVENTS_MAX 256
#define SCAN_NS (10 * MILLISECOND)
// Sorry answers and errors are not counted as answers.
#define STATUS "HTTP/1.1 200 "
#define BODY "Hello, world\n"

struct connection {
  int fd;
  bool is_busy;
  // When the request was due, and when it was really begun.
  uint64_t due;
  uint64_t begun;
};

static struct sockaddr_in address = {.sin_family = AF_INET};
static uint32_t connection_count = 64;
static double seconds = 1;
static double rate;
static bool closes;
static uint64_t timeout = 1000 * MILLISECOND;
static struct connection connections[CONNECTIONS_MAX];
// Those without a request.
static uint32_t idle[CONNECTIONS_MAX];
static uint32_t idle_count;
static struct histogram latencies;
static uint64_t started;
static uint64_t answered, failed, first_failure, last_failure;
static int poll_fd;
static char request[128];
static size_t request_length;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void forget(struct connection *connection) {
  if (connection->fd >= 0) close(connection->fd);
  connection->fd = -1;
}

static void finish(uint32_t index) {
  connections[index].is_busy = false;
  idle[idle_count++] = index;
}

static void give_up(uint32_t index) {
  // When it went wrong is when it was begun: the client finds out later.
  uint64_t at = connections[index].begun - started;
  if (failed++ == 0) first_failure = at;
  if (at > last_failure) last_failure = at;
  forget(&connections[index]);
  finish(index);
}

static bool send_request(struct connection *connection) {
  return send(connection->fd, request, request_length, MSG_NOSIGNAL) == (ssize_t)request_length;
}

static bool start_connection(uint32_t index) {
  const int on = 1;
  struct connection *connection = &connections[index];
  connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection->fd < 0) return false;
  setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // Writable means connected: then the request is sent, and only the answer is waited for.
  struct epoll_event event = {.events = EPOLLOUT, .data.u32 = index};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &event);
  return connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
         errno == EINPROGRESS;
}

static void ask(uint64_t due) {
  uint32_t index = idle[--idle_count];
  struct connection *connection = &connections[index];
  connection->is_busy = true;
  connection->due = due;
  connection->begun = now();
  bool begun = connection->fd < 0 ? start_connection(index) : send_request(connection);
  if (!begun) give_up(index);
}

static void take_answer(uint32_t index, bool is_counted) {
  char text[1024];
  struct connection *connection = &connections[index];
  ssize_t length = recv(connection->fd, text, sizeof(text) - 1, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (!connection->is_busy) {
    forget(connection);
    return;
  }
  text[length > 0 ? length : 0] = '\0';
  if (length <= 0 || strncmp(text, STATUS, sizeof(STATUS) - 1) != 0 || strstr(text, BODY) == NULL) {
    give_up(index);
    return;
  }
  if (is_counted) {
    answered++;
    histogram_add(&latencies, now() - connection->due);
  }
  if (closes) forget(connection);
  finish(index);
}

static void handle(const struct epoll_event *ready, bool is_counted) {
  uint32_t index = ready->data.u32;
  struct connection *connection = &connections[index];
  if (connection->fd < 0) return;
  if (ready->events & EPOLLOUT) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    if ((ready->events & (EPOLLERR | EPOLLHUP)) != 0 || !send_request(connection)) give_up(index);
    return;
  }
  take_answer(index, is_counted);
}

static void give_up_silent(uint64_t time) {
  for (uint32_t index = 0; index < connection_count; index++) {
    struct connection *connection = &connections[index];
    if (connection->is_busy && time - connection->begun > timeout) give_up(index);
  }
}

// Sleeps until something comes, or a time: epoll's own milliseconds are too coarse for a rate.
static void wait_until(uint64_t until, uint64_t time) {
  uint64_t left = until > time ? until - time : 0;
  const struct timespec most = {(time_t)(left / SECOND), (long)(left % SECOND)};
  struct pollfd polled = {.fd = poll_fd, .events = POLLIN};
  ppoll(&polled, 1, &most, NULL);
}

// Asks until the end, and waits for the answers that are still to come.
static uint64_t run(void) {
  struct epoll_event events[EVENTS_MAX];
  uint64_t asked = 0, scanned = started, end = started + (uint64_t)(seconds * (double)SECOND);
  for (uint64_t time = started;;) {
    bool is_over = time >= end;
    uint64_t due = started + (rate > 0 ? (uint64_t)((double)asked * (double)SECOND / rate) : 0);
    while (!is_over && idle_count > 0 && due <= time) {
      ask(rate > 0 ? due : now());
      asked++;
      if (rate > 0) due = started + (uint64_t)((double)asked * (double)SECOND / rate);
    }
    if (is_over && idle_count == connection_count) break;
    bool is_paced = rate > 0 && !is_over && idle_count > 0;
    wait_until(is_paced ? due : time + SCAN_NS, time);
    int count = epoll_wait(poll_fd, events, EVENTS_MAX, 0);
    for (int index = 0; index < count; index++) handle(&events[index], rate > 0 || !is_over);
    time = now();
    if (time - scanned < SCAN_NS) continue;
    scanned = time;
    give_up_silent(time);
  }
  return asked;
}

static void print_report(uint64_t asked) {
  printf("{\"asked\":%lu,\"answered\":%lu,\"failed\":%lu,\"rate\":%.1f,", asked, answered, failed,
         (double)answered / seconds);
  printf("\"firstFailureMs\":%.1f,\"lastFailureMs\":%.1f,", (double)first_failure / 1e6,
         (double)last_failure / 1e6);
  printf("\"latencyUs\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}}\n",
         (double)histogram_percentile(&latencies, 500000) / 1e3,
         (double)histogram_percentile(&latencies, 900000) / 1e3,
         (double)histogram_percentile(&latencies, 990000) / 1e3,
         (double)histogram_percentile(&latencies, 999000) / 1e3, (double)latencies.greatest / 1e3);
}

static bool read_option(char *word) {
  char *value = strchr(word, '=');
  if (value == NULL) return false;
  *value++ = '\0';
  if (strcmp(word, "address") == 0) return inet_pton(AF_INET, value, &address.sin_addr) == 1;
  if (strcmp(word, "port") == 0) address.sin_port = htons((uint16_t)atoi(value));
  else if (strcmp(word, "connections") == 0) connection_count = (uint32_t)atoi(value);
  else if (strcmp(word, "seconds") == 0) seconds = atof(value);
  else if (strcmp(word, "rate") == 0) rate = atof(value);
  else if (strcmp(word, "close") == 0) closes = atoi(value) != 0;
  else if (strcmp(word, "timeout") == 0) timeout = (uint64_t)atoi(value) * MILLISECOND;
  else return false;
  return true;
}

int main(int count, char **words) {
  for (int index = 1; index < count; index++) {
    if (read_option(words[index])) continue;
    fprintf(stderr, "no option %s\n", words[index]);
    return 2;
  }
  if (connection_count == 0 || connection_count > CONNECTIONS_MAX) connection_count = 64;
  char host[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
  request_length = (size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n",
                                    host, closes ? "Connection: close\r\n" : "");
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t index = 0; index < connection_count; index++) {
    connections[index].fd = -1;
    idle[idle_count++] = index;
  }
  started = now();
  print_report(run());
  return 0;
}
