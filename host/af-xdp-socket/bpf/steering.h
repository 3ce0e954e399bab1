/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the steering program and the JavaScript that fills its maps agree on: keys, values, numbers
 * and the names of the counters. The JavaScript does not repeat any of it: `make bytecode` writes
 * the constants at the foot of this file into steering.bytecode.json.
 */

#pragma once

#include "program.h"
#include "wire.h"

/* --- limits; the loader may change the number of map entries, nothing else --- */

#define PORTS_MAX 64
#define QUEUES_MAX 256
#define MARK_RULES_MAX 8
#define FULL_NAT_RANGES_MAX 4
#define LISTED_ENDPOINTS_MAX 4
#define EXTENSION_HEADERS_MAX 6

/* --- the control word: one aligned 64-bit read and write, so a publish is one step --- */

#define CONTROL_BANK (1 << 0)
#define CONTROL_ENABLED (1 << 1)
#define CONTROL_HAS_MARKS (1 << 2)

/*
 * Every key carries the bank it belongs to, beside the address family. A publish fills the bank
 * that is not in use and then flips CONTROL_BANK; a packet reads the control word once, so it is
 * judged by one bank from the first lookup to the last. Publishes in quick succession wait until
 * no program still runs that may have read the word before the last flip. (Maps within maps would
 * need one inner map per table and could not exchange all of them in one step.)
 */
#define KEY_BANK (1 << 0)
#define KEY_IPV6 (1 << 1)

/* The protocols a virtual service can have, as a set. */
#define PROTOCOL_BIT_TCP (1 << 0)
#define PROTOCOL_BIT_UDP (1 << 1)
#define PROTOCOL_BIT_SCTP (1 << 2)
#define PROTOCOL_BIT_AH (1 << 3)
#define PROTOCOL_BIT_ESP (1 << 4)

#define ADDRESS_LOCAL (1 << 0)
#define ADDRESS_FULL_NAT (1 << 1)
#define ADDRESS_TUNNEL (1 << 2)

/* Protocol and port of a service or a server. Port 0: any port; protocol 0: any of the five. */
struct endpoint {
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

/* Key of services and real_servers, which hold what an address's value has no room for. */
struct endpoint_key {
	struct address address;
	__be16 port;
	__u8 protocol;
	__u8 bank_and_family;
};

/* Key of addresses. */
struct address_key {
	struct address address;
	__u8 bank_and_family;
	__u8 zero[3];
};

/* First and last port, host order, both included. */
struct port_range {
	__u16 first;
	__u16 last;
};

/* An address has more services, or servers, than are listed: all of them are in the table. */
#define ENDPOINTS_IN_TABLE 0xff

/* What an address is to us; one lookup spares most packets all others. */
struct address_value {
	__u8 flags;             /* ADDRESS_* */
	__u8 service_protocols; /* some virtual service at this address has these protocols */
	__u8 server_protocols;  /* some real server at this address answers with these */
	__u8 range_count;
	__be16 gue_port;     /* ADDRESS_TUNNEL: UDP port of the tunnel, 0 when it is no UDP tunnel */
	__u8 services_count; /* of the list, or ENDPOINTS_IN_TABLE */
	__u8 servers_count;
	struct endpoint services[LISTED_ENDPOINTS_MAX];
	struct endpoint servers[LISTED_ENDPOINTS_MAX];
	struct port_range ranges[FULL_NAT_RANGES_MAX]; /* ADDRESS_FULL_NAT */
};

/*
 * In front of addresses stands an array, because a hash of the kernel's costs more than everything
 * else here: an address's place in it follows from its bytes, and what is there says at once what the
 * address is, or that it is nobody's. Only addresses that share a place are looked up in the table,
 * and those of fragments and of what ICMP errors quote.
 * The first half of the array is the one bank's, the second half the other's.
 */
#define ADDRESS_SLOTS (1 << 15)
#define ADDRESS_SLOT_SHIFT (32 - 15)
#define ADDRESS_SLOT_FACTOR_0 0x9e3779b1u
#define ADDRESS_SLOT_FACTOR_1 0x85ebca6bu
#define ADDRESS_SLOT_FACTOR_2 0xc2b2ae35u
#define ADDRESS_SLOT_FACTOR_3 0x27d4eb2fu

enum address_slot_use {
	ADDRESS_SLOT_EMPTY,  /* no address belongs here */
	ADDRESS_SLOT_SINGLE, /* this one only */
	ADDRESS_SLOT_SHARED, /* several: the table knows them */
};

struct address_slot {
	__u8 use;
	__u8 family; /* 0 or KEY_IPV6 */
	__u8 zero[2];
	struct address address;
	struct address_value value;
};

/* Key of marks, a longest-prefix-match trie: the bank and family are the first 32 bits of it. */
struct prefix_key {
	__u32 prefix_length;
	__u8 bank_and_family;
	__u8 zero[3];
	struct address address;
};
#define PREFIX_BITS_BEFORE_ADDRESS 32

struct mark_rule {
	__u8 protocols;
	__u8 zero;
	struct port_range ports;
};

struct prefix_value {
	__u8 rule_count;
	__u8 zero;
	struct mark_rule rules[MARK_RULES_MAX];
};

/*
 * A port's place in the array of ports is its number. It is the first free one from its interface
 * index, modulo PORTS_MAX, on, so that finding it is a read or two and no call into the kernel.
 */
struct port_value {
	__u32 interface; /* index, never 0 */
	__u8 mac[6];
	__u8 checks_mac;
	__u8 zero;
};

_Static_assert(sizeof(struct endpoint_key) == 20, "no padding");
_Static_assert(sizeof(struct address_key) == 20, "no padding");
_Static_assert(sizeof(struct prefix_key) == 24, "no padding");
_Static_assert(sizeof(struct endpoint) == 4, "no padding");
_Static_assert(sizeof(struct address_value) == 56, "no padding");
_Static_assert(sizeof(struct address_slot) == 76, "no padding");
_Static_assert(sizeof(struct prefix_value) == 50, "no padding");
_Static_assert(sizeof(struct port_value) == 12, "no padding");

/* --- one counter for each way a packet can go; the order is the index --- */

#define OUTCOMES(_)                                                                    \
	_(STEERED_VIRTUAL_SERVICE, "steered-virtual-service")                              \
	_(STEERED_FIREWALL_MARK, "steered-firewall-mark")                                  \
	_(STEERED_FULL_NAT_REPLY, "steered-full-nat-reply")                                \
	_(STEERED_NAT_REPLY, "steered-nat-reply")                                          \
	_(STEERED_ICMP_VIRTUAL_SERVICE, "steered-icmp-error-about-virtual-service")        \
	_(STEERED_ICMP_REAL_SERVER, "steered-icmp-error-about-real-server")                \
	_(STEERED_ICMP_FULL_NAT, "steered-icmp-error-about-full-nat")                      \
	_(STEERED_ICMP_TUNNEL, "steered-icmp-error-about-tunnel")                          \
	_(STEERED_FRAGMENT_TO_VIRTUAL_ADDRESS, "steered-fragment-to-virtual-address")      \
	_(STEERED_FRAGMENT_FROM_REAL_SERVER, "steered-fragment-from-real-server")          \
	_(PASSED_NOT_PUBLISHED, "passed-not-published")                                    \
	_(PASSED_NOT_IP, "passed-not-ip")                                                  \
	_(PASSED_VLAN_TAGGED, "passed-vlan-tagged")                                        \
	_(PASSED_MALFORMED, "passed-malformed")                                            \
	_(PASSED_LOCAL_ADDRESS, "passed-local-address")                                    \
	_(PASSED_NO_SERVICE, "passed-no-service")                                          \
	_(PASSED_FRAGMENT, "passed-fragment")                                              \
	_(PASSED_ICMP, "passed-icmp")                                                      \
	_(PASSED_OTHER_HOST, "passed-other-host")                                          \
	_(PASSED_NO_SOCKET, "passed-no-socket")

#define OUTCOME_NUMBER(symbol, name) symbol,
enum outcome { OUTCOMES(OUTCOME_NUMBER) OUTCOME_COUNT };

/* --- what goes into the bytecode file --- */

#define EXPORTED_CONSTANTS                                                             \
	CONSTANT(PORTS_MAX), CONSTANT(QUEUES_MAX), CONSTANT(MARK_RULES_MAX),               \
		CONSTANT(FULL_NAT_RANGES_MAX), CONSTANT(LISTED_ENDPOINTS_MAX),                 \
		CONSTANT(ENDPOINTS_IN_TABLE), CONSTANT(CONTROL_BANK), CONSTANT(CONTROL_ENABLED), \
		CONSTANT(CONTROL_HAS_MARKS), CONSTANT(KEY_BANK), CONSTANT(KEY_IPV6),           \
		CONSTANT(PROTOCOL_BIT_TCP), CONSTANT(PROTOCOL_BIT_UDP),                        \
		CONSTANT(PROTOCOL_BIT_SCTP), CONSTANT(PROTOCOL_BIT_AH),                        \
		CONSTANT(PROTOCOL_BIT_ESP), CONSTANT(ADDRESS_LOCAL),                           \
		CONSTANT(ADDRESS_FULL_NAT), CONSTANT(ADDRESS_TUNNEL),                          \
		CONSTANT(PREFIX_BITS_BEFORE_ADDRESS),                                          \
		CONSTANT_OFFSET(endpoint_key, port),                                           \
		CONSTANT_OFFSET(endpoint_key, protocol),                                       \
		CONSTANT_OFFSET(endpoint_key, bank_and_family),                                \
		CONSTANT_OFFSET(address_key, bank_and_family),                                 \
		CONSTANT_OFFSET(address_value, flags),                                         \
		CONSTANT_OFFSET(address_value, service_protocols),                             \
		CONSTANT_OFFSET(address_value, server_protocols),                              \
		CONSTANT_OFFSET(address_value, range_count),                                   \
		CONSTANT_OFFSET(address_value, gue_port),                                      \
		CONSTANT_OFFSET(address_value, services_count),                                \
		CONSTANT_OFFSET(address_value, servers_count),                                 \
		CONSTANT_OFFSET(address_value, services),                                      \
		CONSTANT_OFFSET(address_value, servers),                                       \
		CONSTANT_OFFSET(address_value, ranges),                                        \
		CONSTANT(ADDRESS_SLOTS), CONSTANT(ADDRESS_SLOT_SHIFT),                         \
		CONSTANT(ADDRESS_SLOT_FACTOR_0), CONSTANT(ADDRESS_SLOT_FACTOR_1),              \
		CONSTANT(ADDRESS_SLOT_FACTOR_2), CONSTANT(ADDRESS_SLOT_FACTOR_3),              \
		CONSTANT(ADDRESS_SLOT_SINGLE), CONSTANT(ADDRESS_SLOT_SHARED),                  \
		CONSTANT_OFFSET(address_slot, address),                                        \
		CONSTANT_OFFSET(prefix_key, bank_and_family),                                  \
		CONSTANT_OFFSET(prefix_key, address),                                          \
		CONSTANT_OFFSET(prefix_value, rule_count),                                     \
		CONSTANT_OFFSET(prefix_value, rules), CONSTANT_OFFSET(mark_rule, protocols),   \
		CONSTANT_OFFSET(mark_rule, ports), CONSTANT_OFFSET(port_value, interface),          \
		CONSTANT_OFFSET(port_value, mac), CONSTANT_OFFSET(port_value, checks_mac),     \
		{"mark_rule", sizeof(struct mark_rule)},                                       \
		{"port_range", sizeof(struct port_range)},                                     \
		{"endpoint", sizeof(struct endpoint)}
