// What a poll loop needs from the kernel between bursts. No allocation, no locks.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define POLL_DESCRIPTORS_MAX 256

int wake_transmit(int fd);
int wake_receive(int fd);

// `events` may be NULL (use `events_mask` for all), `ready` too.
int wake_poll(const int32_t *fds, size_t length, int32_t events_mask, const int32_t *events,
              int32_t *ready, int timeout_ms);

int event_create(void);
int event_signal(int fd);
int64_t event_drain(int fd);
