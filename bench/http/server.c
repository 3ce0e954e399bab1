// The web server behind every balancer: answers each request with the same few bytes, so that what is
// measured is the way there and back. One thread for each listening socket; keeps connections open
// unless the client asks otherwise.
//
//   server port=N [address=A] [threads=N]

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define REQUEST_MAX 4096
#define BACKLOG 4096
#define THREADS_MAX 64

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";
static const char LAST_ANSWER[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
    "Connection: close\r\n\r\nHello, world\n";

static struct sockaddr_in address = {.sin_family = AF_INET};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listen_alone(void) {
  const int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) fail("SO_REUSEPORT");
  if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) fail("bind");
  if (listen(fd, BACKLOG) != 0) fail("listen");
  return fd;
}

static void accept_all(int poll, int listener) {
  const int on = 1;
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  }
}

// Requests come in one piece here; one that does not is closed, and counts as a failure there.
static void answer(int fd) {
  char request[REQUEST_MAX + 1];
  ssize_t length = recv(fd, request, REQUEST_MAX, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0 || memcmp(request + length - 4, "\r\n\r\n", 4) != 0) {
    close(fd);
    return;
  }
  request[length] = '\0';
  bool is_last = strcasestr(request, "\r\nConnection: close") != NULL;
  const char *text = is_last ? LAST_ANSWER : ANSWER;
  size_t size = is_last ? sizeof(LAST_ANSWER) - 1 : sizeof(ANSWER) - 1;
  if (send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size || is_last) close(fd);
}

static void *serve(void *argument) {
  int listener = *(int *)argument, poll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS_MAX];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(poll, events, EVENTS_MAX, -1);
    for (int index = 0; index < count; index++) {
      if (events[index].data.fd == listener) accept_all(poll, listener);
      else answer(events[index].data.fd);
    }
  }
  return NULL;
}

int main(int count, char **words) {
  static int listeners[THREADS_MAX];
  int threads = 1;
  for (int index = 1; index < count; index++) {
    const char *word = words[index];
    if (strncmp(word, "port=", 5) == 0) address.sin_port = htons((uint16_t)atoi(word + 5));
    else if (strncmp(word, "threads=", 8) == 0) threads = atoi(word + 8);
    else if (strncmp(word, "address=", 8) == 0) inet_pton(AF_INET, word + 8, &address.sin_addr);
    else {
      fprintf(stderr, "no option %s\n", word);
      return 2;
    }
  }
  if (threads < 1 || threads > THREADS_MAX) threads = 1;
  for (int index = 0; index < threads; index++) listeners[index] = listen_alone();
  printf("ready\n");
  fflush(stdout);
  for (int index = 1; index < threads; index++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, &listeners[index]) != 0) fail("pthread_create");
  }
  serve(&listeners[0]);
}
