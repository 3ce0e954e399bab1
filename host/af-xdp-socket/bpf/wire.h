/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The wire: headers as they are in a frame, and the numbers in them. */

#pragma once

#include <linux/types.h>

#define be16(value) __builtin_bswap16(value)

#define ETHERNET_HEADER_LENGTH 14
#define ETHERTYPE_IPV4 be16(0x0800)
#define ETHERTYPE_IPV6 be16(0x86dd)
#define ETHERTYPE_VLAN be16(0x8100)
#define ETHERTYPE_VLAN_SERVICE be16(0x88a8)

#define IPV4_DONT_FRAGMENT be16(0x4000)
#define IPV4_FRAGMENT_OFFSET be16(0x1fff)
#define IPV4_MORE_FRAGMENTS be16(0x2000)
#define IPV6_FRAGMENT_OFFSET be16(0xfff8)
#define IPV6_MORE_FRAGMENTS be16(0x0001)

#define PROTOCOL_HOP_BY_HOP 0
#define PROTOCOL_ICMP 1
#define PROTOCOL_IPIP 4
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_IPV6 41
#define PROTOCOL_ROUTING 43
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_GRE 47
#define PROTOCOL_ESP 50
#define PROTOCOL_AH 51
#define PROTOCOL_ICMPV6 58
#define PROTOCOL_DESTINATION_OPTIONS 60
#define PROTOCOL_SCTP 132

/* An IPv4 address is in the first four bytes, the rest is zero. */
struct address {
	__u32 words[4];
};

struct ethernet_header {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct ipv4_header {
	__u8 version_and_length;
	__u8 service;
	__be16 total_length;
	__be16 identification;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__u32 source;
	__u32 destination;
};

struct ipv6_header {
	__u32 version_class_flow;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	struct address source;
	struct address destination;
};

struct port_pair {
	__be16 source;
	__be16 destination;
};

/* Not "packed", which would read byte by byte: the kernel lets a program read unaligned. */
_Static_assert(sizeof(struct ethernet_header) == ETHERNET_HEADER_LENGTH, "no padding");
_Static_assert(sizeof(struct ipv4_header) == 20, "no padding");
_Static_assert(sizeof(struct ipv6_header) == 40, "no padding");
