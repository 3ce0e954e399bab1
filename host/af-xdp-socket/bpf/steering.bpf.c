/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which frames are ours.
 *
 * A frame handed to an AF_XDP socket cannot go back to the kernel's stack, so this program takes
 * only what is surely ours and passes everything else: ARP and neighbour discovery, ping, SSH to
 * the director, health checks and their answers. A frame it cannot understand is the kernel's.
 *
 * In the order of the questions asked:
 *
 *   1. ICMP?      an error about a packet of ours is ours, everything else is the kernel's
 *   2. fragment?  decided by addresses and protocol alone, since only the first one has ports, and
 *                 all of one datagram must go the same way
 *   3. to a virtual service, a full-nat source port, or a firewall mark's prefix: ours
 *   4. to an address of the director, or to a virtual address: the kernel's (SSH, health checks)
 *   5. from a real server's address and port to anywhere else: a nat reply, ours
 *
 * Lengths are checked once, where a header is read. Offsets into the frame are kept as 64-bit
 * numbers and bounded right before use, because verifiers before Linux 5.16 forget the bounds of a
 * 32-bit number that was spilled to the stack.
 */

#include "steering.h"

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) =
	(void *)BPF_FUNC_map_lookup_elem;
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) =
	(void *)BPF_FUNC_redirect_map;

/* --- maps --- */

/* Sizes of the tables are set by the loader, to twice the capacity: there are two banks. */
#define SET_BY_LOADER 1

struct map_definition control SECTION("maps") = {BPF_MAP_TYPE_ARRAY, 4, sizeof(__u64), 1, 0};
struct map_definition counters SECTION("maps") = {
	BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(__u64), OUTCOME_COUNT, 0};
struct map_definition ports SECTION("maps") = {
	BPF_MAP_TYPE_ARRAY, 4, sizeof(struct port_value), PORTS_MAX, 0};
struct map_definition sockets SECTION("maps") = {
	BPF_MAP_TYPE_XSKMAP, 4, 4, PORTS_MAX *QUEUES_MAX, 0};
struct map_definition services SECTION("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct endpoint_key), 4, SET_BY_LOADER, BPF_F_NO_PREALLOC};
struct map_definition real_servers SECTION("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct endpoint_key), 4, SET_BY_LOADER, BPF_F_NO_PREALLOC};
struct map_definition addresses SECTION("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct address_key), sizeof(struct address_value), SET_BY_LOADER,
	BPF_F_NO_PREALLOC};
struct map_definition address_slots SECTION("maps") = {
	BPF_MAP_TYPE_ARRAY, 4, sizeof(struct address_slot), 2 * ADDRESS_SLOTS, 0};
struct map_definition marks SECTION("maps") = {
	BPF_MAP_TYPE_LPM_TRIE, sizeof(struct prefix_key), sizeof(struct prefix_value), SET_BY_LOADER,
	BPF_F_NO_PREALLOC};

/* --- the wire: what only this program reads --- */

#define ICMP_HEADER_LENGTH 8
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_UNREACHABLE 1
#define ICMPV6_PARAMETER_PROBLEM 4

/* No header starts behind this; enough for the longest chain of extension headers, twice. */
#define OFFSET_MAX 30000

struct extension_header {
	__u8 next_header;
	__u8 length;
	__be16 fragment; /* in a fragment header only */
	__u32 rest;
};

_Static_assert(sizeof(struct extension_header) == 8, "no padding");

/* --- what parsing finds --- */

enum fragment_kind { NOT_FRAGMENT, FIRST_FRAGMENT, LATER_FRAGMENT };

struct packet {
	struct address source;
	struct address destination;
	__u64 payload; /* offset of the transport header in the frame */
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 fragment;
};

/* The frame, and the part of every key that stays the same for it. */
struct frame {
	void *start;
	void *end;
	__u64 control;
	__u8 bank_and_family;
};

/* NULL when `length` bytes at `offset` are not all in the frame. */
inline_always void *at(const struct frame *frame, __u64 offset, __u64 length)
{
	if (offset > OFFSET_MAX)
		return NULL;
	/* Keeps the comparison above and the addition below in one register, for the verifier. */
	__asm__ volatile("" : "+r"(offset));
	if (offset > OFFSET_MAX)
		return NULL;
	void *found = frame->start + offset;
	if (found + length > frame->end)
		return NULL;
	return found;
}

inline_always bool parse_ipv4(const struct frame *frame, __u64 offset, struct packet *packet)
{
	const struct ipv4_header *header = at(frame, offset, sizeof(*header));
	if (header == NULL || (header->version_and_length >> 4) != 4)
		return false;
	__u64 length = (header->version_and_length & 0x0f) * 4;
	if (length < sizeof(*header))
		return false;
	packet->source.words[0] = header->source;
	packet->destination.words[0] = header->destination;
	packet->protocol = header->protocol;
	packet->payload = offset + length;
	if (header->fragment & IPV4_FRAGMENT_OFFSET)
		packet->fragment = LATER_FRAGMENT;
	else if (header->fragment & IPV4_MORE_FRAGMENTS)
		packet->fragment = FIRST_FRAGMENT;
	return true;
}

inline_always bool is_extension(__u8 protocol)
{
	return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING ||
	       protocol == PROTOCOL_DESTINATION_OPTIONS || protocol == PROTOCOL_FRAGMENT ||
	       protocol == PROTOCOL_AH;
}

enum step { WALK_ON, WALK_DONE, WALK_CUT_OFF };

/* One step over the header packet->protocol names, which lies at packet->payload. */
inline_always enum step step_over_extension(const struct frame *frame, struct packet *packet)
{
	__u8 kind = packet->protocol;
	if (!is_extension(kind))
		return WALK_DONE;
	const struct extension_header *header =
		at(frame, packet->payload, sizeof(struct extension_header));
	if (header == NULL)
		return WALK_CUT_OFF;
	packet->protocol = header->next_header;
	if (kind == PROTOCOL_AH) {
		packet->payload += ((__u64)header->length + 2) * 4;
		return WALK_ON;
	}
	if (kind != PROTOCOL_FRAGMENT) {
		packet->payload += ((__u64)header->length + 1) * 8;
		return WALK_ON;
	}
	packet->payload += sizeof(struct extension_header);
	if (header->fragment & IPV6_FRAGMENT_OFFSET) {
		/* What follows is the middle of something, not a header. */
		packet->fragment = LATER_FRAGMENT;
		return WALK_DONE;
	}
	/* With neither an offset nor more to come it is an "atomic" fragment, which is whole. */
	if (header->fragment & IPV6_MORE_FRAGMENTS)
		packet->fragment = FIRST_FRAGMENT;
	return WALK_ON;
}

/*
 * False when a header is cut off, or when there are more than EXTENSION_HEADERS_MAX. Written out
 * because clang does not unroll it, and a loop over packet offsets costs the verifier far more.
 */
inline_always bool walk_extension_headers(const struct frame *frame, struct packet *packet)
{
	enum step step;
#define STEP                                            \
	step = step_over_extension(frame, packet);      \
	if (step != WALK_ON)                            \
		return step == WALK_DONE;
	STEP STEP STEP STEP STEP STEP
	_Static_assert(EXTENSION_HEADERS_MAX == 6, "as many steps as the limit says");
#undef STEP
	return !is_extension(packet->protocol);
}

inline_always bool parse_ipv6(const struct frame *frame, __u64 offset, struct packet *packet)
{
	const struct ipv6_header *header = at(frame, offset, sizeof(*header));
	if (header == NULL || (*(const __u8 *)header >> 4) != 6)
		return false;
	packet->source = header->source;
	packet->destination = header->destination;
	packet->protocol = header->next_header;
	packet->payload = offset + sizeof(*header);
	return walk_extension_headers(frame, packet);
}

inline_always bool has_ports(__u8 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

/* Ports stay 0 for protocols without, and for fragments without. */
inline_always bool parse_ports(const struct frame *frame, struct packet *packet)
{
	if (!has_ports(packet->protocol) || packet->fragment == LATER_FRAGMENT)
		return true;
	const struct port_pair *pair = at(frame, packet->payload, sizeof(*pair));
	if (pair == NULL)
		return false;
	packet->source_port = pair->source;
	packet->destination_port = pair->destination;
	return true;
}

inline_always bool parse_ip(const struct frame *frame, __u64 offset, struct packet *packet)
{
	__builtin_memset(packet, 0, sizeof(*packet));
	bool understood = frame->bank_and_family & KEY_IPV6 ? parse_ipv6(frame, offset, packet)
							    : parse_ipv4(frame, offset, packet);
	return understood && parse_ports(frame, packet);
}

/* --- lookups --- */

inline_always __u8 protocol_bit(__u8 protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return PROTOCOL_BIT_TCP;
	case PROTOCOL_UDP:
		return PROTOCOL_BIT_UDP;
	case PROTOCOL_SCTP:
		return PROTOCOL_BIT_SCTP;
	case PROTOCOL_AH:
		return PROTOCOL_BIT_AH;
	case PROTOCOL_ESP:
		return PROTOCOL_BIT_ESP;
	default:
		return 0;
	}
}

inline_always __u32 address_slot_of(const struct frame *frame, const struct address *address)
{
	const __u32 *words = address->words;
	__u32 hash = words[0] * ADDRESS_SLOT_FACTOR_0;
	if (frame->bank_and_family & KEY_IPV6)
		hash += words[1] * ADDRESS_SLOT_FACTOR_1 + words[2] * ADDRESS_SLOT_FACTOR_2 +
			words[3] * ADDRESS_SLOT_FACTOR_3;
	__u32 bank = frame->bank_and_family & KEY_BANK ? ADDRESS_SLOTS : 0;
	return bank + (hash >> ADDRESS_SLOT_SHIFT);
}

inline_always bool is_same(const struct address *one, const struct address *other)
{
	return one->words[0] == other->words[0] && one->words[1] == other->words[1] &&
	       one->words[2] == other->words[2] && one->words[3] == other->words[3];
}

/* NULL when it is nobody's. */
inline_always const struct address_value *find_address(const struct frame *frame,
						       const struct address *address)
{
	struct address_key key = {.address = *address, .bank_and_family = frame->bank_and_family};
	return bpf_map_lookup_elem(&addresses, &key);
}

/*
 * The same in less time, for the many packets. Not for all: every pointer that this returns is one
 * more case of all that follows, and the verifier takes its time for each.
 */
inline_always const struct address_value *find_address_fast(const struct frame *frame,
							    const struct address *address)
{
	__u32 index = address_slot_of(frame, address);
	const struct address_slot *slot = bpf_map_lookup_elem(&address_slots, &index);
	if (slot == NULL || slot->use == ADDRESS_SLOT_EMPTY)
		return NULL;
	if (slot->use == ADDRESS_SLOT_SHARED)
		return find_address(frame, address);
	bool is_it = slot->family == (frame->bank_and_family & KEY_IPV6) &&
		     is_same(&slot->address, address);
	return is_it ? &slot->value : NULL;
}

/* Exact, then any port of the protocol, then any protocol. */
inline_always bool has_endpoint(void *map, const struct frame *frame, const struct address *address,
				__u8 protocol, __be16 port)
{
	struct endpoint_key key = {.address = *address,
				   .port = port,
				   .protocol = protocol,
				   .bank_and_family = frame->bank_and_family};
	if (bpf_map_lookup_elem(map, &key))
		return true;
	if (port != 0) {
		key.port = 0;
		if (bpf_map_lookup_elem(map, &key))
			return true;
	}
	key.protocol = 0;
	return bpf_map_lookup_elem(map, &key) != NULL;
}

/* The same for endpoints in an address's value. */
inline_always bool is_listed(const struct endpoint *list, __u8 count, __u8 protocol, __be16 port)
{
#pragma clang loop unroll(full)
	for (int i = 0; i < LISTED_ENDPOINTS_MAX; i++) {
		if (i >= count)
			return false;
		bool any_port = list[i].port == 0 || list[i].port == port;
		if (list[i].protocol == 0 || (list[i].protocol == protocol && any_port))
			return true;
	}
	return false;
}

inline_always bool is_service(const struct frame *frame, const struct address_value *known,
			      const struct address *address, __u8 protocol, __be16 port)
{
	if (known == NULL || !(known->service_protocols & protocol_bit(protocol)))
		return false;
	if (known->services_count == ENDPOINTS_IN_TABLE)
		return has_endpoint(&services, frame, address, protocol, port);
	return is_listed(known->services, known->services_count, protocol, port);
}

inline_always bool is_real_server(const struct frame *frame, const struct address_value *known,
				  const struct address *address, __u8 protocol, __be16 port)
{
	if (known == NULL || !(known->server_protocols & protocol_bit(protocol)))
		return false;
	if (known->servers_count == ENDPOINTS_IN_TABLE)
		return has_endpoint(&real_servers, frame, address, protocol, port);
	return is_listed(known->servers, known->servers_count, protocol, port);
}

inline_always bool is_full_nat(const struct address_value *known, __u8 protocol, __be16 port)
{
	if (known == NULL || !(known->flags & ADDRESS_FULL_NAT) || !has_ports(protocol))
		return false;
	__u16 wanted = be16(port);
#pragma clang loop unroll(full)
	for (int i = 0; i < FULL_NAT_RANGES_MAX; i++) {
		const struct port_range *range = &known->ranges[i];
		if (i < known->range_count && wanted >= range->first && wanted <= range->last)
			return true;
	}
	return false;
}

/* Addresses the kernel answers for: the director's own, and the virtual ones. */
inline_always bool is_ours(const struct address_value *known)
{
	return known != NULL && ((known->flags & ADDRESS_LOCAL) || known->service_protocols != 0);
}

/* With `any_port`, only address and protocol count, as for fragments. */
inline_always bool is_marked(const struct frame *frame, const struct address *address,
			     __u8 protocol, __be16 port, bool any_port)
{
	if (!(frame->control & CONTROL_HAS_MARKS))
		return false;
	struct prefix_key key = {.prefix_length = PREFIX_BITS_BEFORE_ADDRESS + 128,
				 .bank_and_family = frame->bank_and_family,
				 .address = *address};
	const struct prefix_value *found = bpf_map_lookup_elem(&marks, &key);
	if (found == NULL)
		return false;
	__u16 wanted = be16(port);
	__u8 bit = protocol_bit(protocol);
#pragma clang loop unroll(full)
	for (int i = 0; i < MARK_RULES_MAX; i++) {
		const struct mark_rule *rule = &found->rules[i];
		if (i >= found->rule_count || !(rule->protocols & bit))
			continue;
		if (any_port || (wanted >= rule->ports.first && wanted <= rule->ports.last))
			return true;
	}
	return false;
}

/* --- decisions: each returns an outcome --- */

inline_always bool is_icmp_error(const struct frame *frame, const struct packet *packet)
{
	const __u8 *type = at(frame, packet->payload, ICMP_HEADER_LENGTH);
	if (type == NULL)
		return false;
	if (packet->protocol == PROTOCOL_ICMPV6)
		return *type >= ICMPV6_UNREACHABLE && *type <= ICMPV6_PARAMETER_PROBLEM;
	return *type == ICMP_UNREACHABLE || *type == ICMP_SOURCE_QUENCH ||
	       *type == ICMP_TIME_EXCEEDED || *type == ICMP_PARAMETER_PROBLEM;
}

inline_always bool is_tunnel_packet(const struct address_value *to, const struct packet *quoted)
{
	if (to == NULL || !(to->flags & ADDRESS_TUNNEL))
		return false;
	if (quoted->protocol == PROTOCOL_UDP)
		return to->gue_port != 0 && quoted->destination_port == to->gue_port;
	return quoted->protocol == PROTOCOL_IPIP || quoted->protocol == PROTOCOL_IPV6 ||
	       quoted->protocol == PROTOCOL_GRE;
}

/*
 * An error quotes the packet it is about. Ours are: what a virtual service sent (its source is the
 * service), what full-nat sent (its source is from the pool), a tunnel packet the director sent,
 * and what nat sent on to a real server, whose source is the client. That last one must not be
 * from the director itself: then it was a health check, and the error is its answer.
 */
inline_always enum outcome decide_quoted(const struct frame *frame, const struct packet *quoted)
{
	const struct address_value *from = find_address(frame, &quoted->source);
	const struct address_value *to = find_address(frame, &quoted->destination);
	if (is_service(frame, from, &quoted->source, quoted->protocol, quoted->source_port) ||
	    is_marked(frame, &quoted->source, quoted->protocol, quoted->source_port, false))
		return STEERED_ICMP_VIRTUAL_SERVICE;
	if (is_full_nat(from, quoted->protocol, quoted->source_port))
		return STEERED_ICMP_FULL_NAT;
	if (is_ours(from))
		return is_tunnel_packet(to, quoted) ? STEERED_ICMP_TUNNEL : PASSED_ICMP;
	if (is_real_server(frame, to, &quoted->destination, quoted->protocol,
			   quoted->destination_port))
		return STEERED_ICMP_REAL_SERVER;
	return PASSED_ICMP;
}

inline_always enum outcome decide_icmp(const struct frame *frame, const struct packet *packet)
{
	if (packet->fragment != NOT_FRAGMENT)
		return PASSED_FRAGMENT;
	if (!is_icmp_error(frame, packet))
		return PASSED_ICMP;
	struct packet quoted;
	if (!parse_ip(frame, packet->payload + ICMP_HEADER_LENGTH, &quoted))
		return PASSED_ICMP;
	if (quoted.fragment == LATER_FRAGMENT)
		return PASSED_ICMP;
	return decide_quoted(frame, &quoted);
}

inline_always enum outcome decide_fragment(const struct frame *frame, const struct packet *packet)
{
	__u8 bit = protocol_bit(packet->protocol);
	const struct address_value *to = find_address(frame, &packet->destination);
	if ((to != NULL && (to->service_protocols & bit)) ||
	    is_marked(frame, &packet->destination, packet->protocol, 0, true))
		return STEERED_FRAGMENT_TO_VIRTUAL_ADDRESS;
	/* A real server's fragments to the full-nat pool can only be told by these two addresses. */
	bool may_be_reply = to == NULL || (to->flags & ADDRESS_FULL_NAT) || !is_ours(to);
	const struct address_value *from = find_address(frame, &packet->source);
	if (may_be_reply && from != NULL && (from->server_protocols & bit))
		return STEERED_FRAGMENT_FROM_REAL_SERVER;
	return PASSED_FRAGMENT;
}

inline_always enum outcome decide_whole(const struct frame *frame, const struct packet *packet)
{
	const struct address_value *to = find_address_fast(frame, &packet->destination);
	if (is_service(frame, to, &packet->destination, packet->protocol, packet->destination_port))
		return STEERED_VIRTUAL_SERVICE;
	if (is_full_nat(to, packet->protocol, packet->destination_port))
		return STEERED_FULL_NAT_REPLY;
	if (is_marked(frame, &packet->destination, packet->protocol, packet->destination_port, false))
		return STEERED_FIREWALL_MARK;
	if (is_ours(to))
		return PASSED_LOCAL_ADDRESS;
	const struct address_value *from = find_address_fast(frame, &packet->source);
	if (is_real_server(frame, from, &packet->source, packet->protocol, packet->source_port))
		return STEERED_NAT_REPLY;
	return PASSED_NO_SERVICE;
}

inline_always enum outcome decide(struct frame *frame, __be16 type)
{
	struct packet packet;
	if (type == ETHERTYPE_IPV6)
		frame->bank_and_family |= KEY_IPV6;
	if (!parse_ip(frame, ETHERNET_HEADER_LENGTH, &packet))
		return PASSED_MALFORMED;
	if (packet.protocol == PROTOCOL_ICMP || packet.protocol == PROTOCOL_ICMPV6)
		return decide_icmp(frame, &packet);
	if (packet.fragment != NOT_FRAGMENT)
		return decide_fragment(frame, &packet);
	return decide_whole(frame, &packet);
}

/* --- verdicts --- */

inline_always int count(enum outcome outcome, int verdict)
{
	__u32 index = outcome;
	__u64 *counter = bpf_map_lookup_elem(&counters, &index);
	if (counter != NULL)
		*counter += 1;
	return verdict;
}

/* NULL when the interface is no port; otherwise `slot` is the port's number. */
inline_always const struct port_value *find_port(__u32 interface, __u32 *slot)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < PORTS_MAX; i++) {
		*slot = (interface + i) % PORTS_MAX;
		const struct port_value *port = bpf_map_lookup_elem(&ports, slot);
		if (port != NULL && port->interface == interface)
			return port;
	}
	return NULL;
}

/* In promiscuous mode frames for others arrive here too; taking those would double them. */
inline_always bool is_for_port(const struct port_value *port,
			       const struct ethernet_header *ethernet)
{
	if (!port->checks_mac)
		return true;
	const __u16 *mac = (const void *)port->mac;
	const __u16 *to = (const void *)ethernet->destination;
	return mac[0] == to[0] && mac[1] == to[1] && mac[2] == to[2];
}

inline_always int steer(struct xdp_md *context, const struct ethernet_header *ethernet,
			enum outcome outcome)
{
	__u32 queue = context->rx_queue_index;
	__u32 slot;
	const struct port_value *port = find_port(context->ingress_ifindex, &slot);
	if (port == NULL || queue >= QUEUES_MAX)
		return count(PASSED_NO_SOCKET, XDP_PASS);
	if (!is_for_port(port, ethernet))
		return count(PASSED_OTHER_HOST, XDP_PASS);
	if (bpf_redirect_map(&sockets, slot * QUEUES_MAX + queue, XDP_PASS) != XDP_REDIRECT)
		return count(PASSED_NO_SOCKET, XDP_PASS);
	return count(outcome, XDP_REDIRECT);
}

SECTION("xdp")
int steering(struct xdp_md *context)
{
	struct frame frame = {.start = (void *)(long)context->data,
			      .end = (void *)(long)context->data_end};
	const struct ethernet_header *ethernet = frame.start;
	if ((void *)(ethernet + 1) > frame.end)
		return count(PASSED_MALFORMED, XDP_PASS);
	__u32 zero = 0;
	const volatile __u64 *control_word = bpf_map_lookup_elem(&control, &zero);
	frame.control = control_word == NULL ? 0 : *control_word;
	if (!(frame.control & CONTROL_ENABLED))
		return count(PASSED_NOT_PUBLISHED, XDP_PASS);
	frame.bank_and_family = frame.control & CONTROL_BANK ? KEY_BANK : 0;
	__be16 type = ethernet->type;
	if (type == ETHERTYPE_VLAN || type == ETHERTYPE_VLAN_SERVICE)
		return count(PASSED_VLAN_TAGGED, XDP_PASS);
	if (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6)
		return count(PASSED_NOT_IP, XDP_PASS);
	enum outcome outcome = decide(&frame, type);
	if (outcome >= PASSED_NOT_PUBLISHED)
		return count(outcome, XDP_PASS);
	return steer(context, ethernet, outcome);
}

char program_license[] SECTION("license") = "Dual BSD/GPL";

/* Read from the object file by extract-bytecode.mjs; the program does not use them. */
#define OUTCOME_NAME(symbol, name) name,
const char outcome_names[][48] SECTION("outcomes") = {OUTCOMES(OUTCOME_NAME)};
const struct exported_constant exported[] SECTION("constants") = {EXPORTED_CONSTANTS};
