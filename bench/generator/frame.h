// The frames of the generator: UDP over IPv4, with enough inside to know each of them again.
//
//   0 Ethernet | 14 IPv4 | 34 UDP | 42 payload: magic(2) flow(4) number(4) time(8) | zeroes

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../xsk/site.h"

#define FRAME_LEAST 60
#define FRAME_MOST 1514
#define ETHERNET_BYTES 14
#define IPV4_BYTES 20
#define UDP_BYTES 8
#define PAYLOAD_AT (ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES)

struct __attribute__((packed)) frame {
  uint8_t destination_mac[6];
  uint8_t source_mac[6];
  uint16_t type;
  uint8_t version;
  uint8_t service;
  uint16_t length;
  uint16_t identification;
  uint16_t fragment;
  uint8_t time_to_live;
  uint8_t protocol;
  uint16_t header_checksum;
  uint32_t source;
  uint32_t destination;
  uint16_t source_port;
  uint16_t destination_port;
  uint16_t datagram_length;
  uint16_t datagram_checksum;
  // The payload; in the byte order of this machine, since nobody else reads it.
  uint16_t magic;
  uint32_t flow;
  uint32_t number;
  uint64_t time;
};

_Static_assert(sizeof(struct frame) == FRAME_LEAST, "a frame's headers and payload");

// What frames of one direction have in common, its checksums begun.
struct frame_template {
  struct frame frame;
  uint32_t header_sum;
  uint32_t datagram_sum;
};

void frame_template(struct frame_template *template, const uint8_t *source_mac,
                    const uint8_t *destination_mac, uint32_t size);

// Writes a frame from one end to another; the bytes behind the payload's fields are left alone.
void frame_write(uint8_t *at, const struct frame_template *template, const struct end *from,
                 const struct end *to, uint32_t flow, uint32_t number, uint64_t time);

// Whether a received frame is one of ours, whole, with right lengths and checksums.
bool frame_is_right(const uint8_t *at, uint32_t size, uint32_t expected_size);

// The one's complement sum of bytes, not folded.
uint32_t frame_sum(const void *bytes, uint32_t count);
