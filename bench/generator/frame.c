#include "frame.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define FRAME_MAGIC 0x5657
#define TIME_TO_LIVE 64

static uint16_t fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

uint32_t frame_sum(const void *bytes, uint32_t count) {
  const uint8_t *at = bytes;
  uint32_t sum = 0;
  for (; count >= 2; at += 2, count -= 2) {
    uint16_t word;
    memcpy(&word, at, sizeof(word));
    sum += word;
  }
  // The last byte stands in front of a zero.
  return count == 0 ? sum : sum + *at;
}

void frame_template(struct frame_template *template, const uint8_t *source_mac,
                    const uint8_t *destination_mac, uint32_t size) {
  struct frame *frame = &template->frame;
  memset(template, 0, sizeof(*template));
  memcpy(frame->source_mac, source_mac, sizeof(frame->source_mac));
  memcpy(frame->destination_mac, destination_mac, sizeof(frame->destination_mac));
  frame->type = htons(0x0800);
  frame->version = 0x45;
  frame->length = htons((uint16_t)(size - ETHERNET_BYTES));
  frame->fragment = htons(0x4000);
  frame->time_to_live = TIME_TO_LIVE;
  frame->protocol = IPPROTO_UDP;
  frame->datagram_length = htons((uint16_t)(size - ETHERNET_BYTES - IPV4_BYTES));
  frame->magic = FRAME_MAGIC;
  template->header_sum = frame_sum(&frame->version, IPV4_BYTES);
  // The pseudo header's protocol and length, the header's length, and what the payload begins with.
  template->datagram_sum = htons(IPPROTO_UDP) + 2u * frame->datagram_length + frame->magic;
}

void frame_write(uint8_t *at, const struct frame_template *template, const struct end *from,
                 const struct end *to, uint32_t flow, uint32_t number, uint64_t time) {
  struct frame frame = template->frame;
  frame.source = from->address;
  frame.destination = to->address;
  frame.source_port = from->port;
  frame.destination_port = to->port;
  frame.flow = flow;
  frame.number = number;
  frame.time = time;
  uint32_t ends = frame_sum(&frame.source, 8);
  frame.header_checksum = (uint16_t)~fold(template->header_sum + ends);
  uint32_t sum = template->datagram_sum + ends + from->port + to->port + frame_sum(&frame.flow, 16);
  uint16_t checksum = (uint16_t)~fold(sum);
  // A computed zero is sent as all ones: zero says that there is no checksum (RFC 768).
  frame.datagram_checksum = checksum == 0 ? 0xffff : checksum;
  memcpy(at, &frame, sizeof(frame));
}

bool frame_is_right(const uint8_t *at, uint32_t size, uint32_t expected_size) {
  struct frame frame;
  if (size != expected_size) return false;
  memcpy(&frame, at, sizeof(frame));
  if (frame.type != htons(0x0800) || frame.version != 0x45) return false;
  if (frame.protocol != IPPROTO_UDP || frame.magic != FRAME_MAGIC) return false;
  if (frame.length != htons((uint16_t)(size - ETHERNET_BYTES))) return false;
  if (frame.datagram_length != htons((uint16_t)(size - ETHERNET_BYTES - IPV4_BYTES))) return false;
  if (fold(frame_sum(&frame.version, IPV4_BYTES)) != 0xffff) return false;
  uint32_t sum = htons(IPPROTO_UDP) + frame.datagram_length + frame_sum(&frame.source, 8);
  sum += frame_sum(at + ETHERNET_BYTES + IPV4_BYTES, size - ETHERNET_BYTES - IPV4_BYTES);
  return fold(sum) == 0xffff;
}
