/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Probes of a virtual address through one server.
 *
 * The director has the virtual address itself, so a socket connected to it would talk to the
 * director. The socket is connected to the server's own address instead, which also finds the next
 * hop, and two programs outside of the IP stack change what the wire sees:
 *
 *   egress    the destination becomes the virtual address; for a tunnel, the server's address comes
 *             back as the destination of an outer header
 *   ingress   the source of an answer, the virtual address, becomes the server's again; and the
 *             longest segment the server takes becomes what fits into the tunnel
 *
 * Packets are told by the socket's port and the other end, which a prober registers before it
 * connects. Everything else goes on as it is. Rewritten are TCP and UDP without IP options; a
 * fragment is left alone, since only the first one has ports.
 *
 * All access is by helpers that copy, for a packet may be in pieces here; a probe's few packets do
 * not need more speed.
 */

#include "probe-path.h"

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) =
	(void *)BPF_FUNC_map_lookup_elem;
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 length) =
	(void *)BPF_FUNC_skb_load_bytes;
static long (*const bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from,
					 __u32 length, __u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*const bpf_l3_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to,
					 __u64 size) = (void *)BPF_FUNC_l3_csum_replace;
static long (*const bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to,
					 __u64 flags) = (void *)BPF_FUNC_l4_csum_replace;
static __s64 (*const bpf_csum_diff)(const void *from, __u32 from_size, const void *to,
				    __u32 to_size, __u32 seed) = (void *)BPF_FUNC_csum_diff;
static long (*const bpf_check_mtu)(struct __sk_buff *skb, __u32 interface, __u32 *mtu,
				   __s32 difference, __u64 flags) = (void *)BPF_FUNC_check_mtu;
static long (*const bpf_skb_adjust_room)(struct __sk_buff *skb, __s32 length, __u32 mode,
					 __u64 flags) = (void *)BPF_FUNC_skb_adjust_room;

/* Verdicts of tcx: the next program's turn, or the end of the packet (linux/bpf.h since 6.6). */
#define VERDICT_NEXT -1
#define VERDICT_DROP 2

#define SET_BY_LOADER 1

struct map_definition outgoing SECTION("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct path_key), sizeof(struct path_value), SET_BY_LOADER,
	BPF_F_NO_PREALLOC};
struct map_definition incoming SECTION("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct path_key), sizeof(struct path_value), SET_BY_LOADER,
	BPF_F_NO_PREALLOC};

/* --- the wire: offsets in a frame whose IP header has no options --- */

#define IP ETHERNET_HEADER_LENGTH
#define IPV4_PLAIN 0x45

#define TCP_LENGTH 20
#define TCP_FLAGS 13
#define TCP_FLAG_SYN 0x02
#define TCP_CHECKSUM 16
#define TCP_OPTION_SEGMENT_MAX 2
#define UDP_CHECKSUM 6

#define UDP_LENGTH 8
#define GRE_LENGTH 4
#define GUE_LENGTH 4

/* Every stack puts it first. */
struct segment_max_option {
	__u8 kind;
	__u8 length;
	__be16 segment_max;
};

struct udp_header {
	__be16 source_port;
	__be16 destination_port;
	__be16 length;
	__be16 checksum;
};

/* --- what a packet is --- */

enum direction { OUTGOING, INCOMING };

union ip_header {
	struct ipv4_header v4;
	struct ipv6_header v6;
};

struct packet {
	union ip_header ip;
	struct path_key key;
	__u32 ip_length; /* of the IP header */
};

inline_always bool read_ipv4(struct __sk_buff *skb, enum direction direction, struct packet *packet)
{
	struct ipv4_header *header = &packet->ip.v4;
	if (bpf_skb_load_bytes(skb, IP, header, sizeof(*header)) != 0 ||
	    header->version_and_length != IPV4_PLAIN ||
	    (header->fragment & (IPV4_FRAGMENT_OFFSET | IPV4_MORE_FRAGMENTS)))
		return false;
	packet->key.remote.words[0] = direction == OUTGOING ? header->destination : header->source;
	packet->key.protocol = header->protocol;
	packet->ip_length = sizeof(*header);
	return true;
}

inline_always bool read_ipv6(struct __sk_buff *skb, enum direction direction, struct packet *packet)
{
	struct ipv6_header *header = &packet->ip.v6;
	if (bpf_skb_load_bytes(skb, IP, header, sizeof(*header)) != 0)
		return false;
	packet->key.remote = direction == OUTGOING ? header->destination : header->source;
	packet->key.protocol = header->next_header;
	packet->key.is_ipv6 = 1;
	packet->ip_length = sizeof(*header);
	return true;
}

inline_always bool read_packet(struct __sk_buff *skb, enum direction direction,
			       struct packet *packet)
{
	__builtin_memset(packet, 0, sizeof(*packet));
	if (skb->protocol == ETHERTYPE_IPV4) {
		if (!read_ipv4(skb, direction, packet))
			return false;
	} else if (skb->protocol != ETHERTYPE_IPV6 || !read_ipv6(skb, direction, packet)) {
		return false;
	}
	if (packet->key.protocol != PROTOCOL_TCP && packet->key.protocol != PROTOCOL_UDP)
		return false;
	struct port_pair ports;
	if (bpf_skb_load_bytes(skb, IP + packet->ip_length, &ports, sizeof(ports)) != 0)
		return false;
	packet->key.remote_port = direction == OUTGOING ? ports.destination : ports.source;
	packet->key.local_port = direction == OUTGOING ? ports.source : ports.destination;
	return true;
}

/* --- changes: each is true when it is done --- */

/* Where the transport's checksum is, and how it is to be updated. */
inline_always __u32 transport_checksum(const struct packet *packet)
{
	__u32 field = packet->key.protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
	return IP + packet->ip_length + field;
}

inline_always __u64 transport_flags(const struct packet *packet)
{
	/* A UDP checksum of zero means that there is none, and stays so. */
	return BPF_F_PSEUDO_HDR |
	       (packet->key.protocol == PROTOCOL_UDP ? BPF_F_MARK_MANGLED_0 : 0);
}

inline_always bool replace_ipv4(struct __sk_buff *skb, const struct packet *packet, __u32 field,
				const struct address *address)
{
	__u32 before = packet->key.remote.words[0];
	__u32 after = address->words[0];
	__u32 checksum = IP + offsetof(struct ipv4_header, checksum);
	return bpf_l4_csum_replace(skb, transport_checksum(packet), before, after,
				   transport_flags(packet) | sizeof(after)) == 0 &&
	       bpf_l3_csum_replace(skb, checksum, before, after, sizeof(after)) == 0 &&
	       bpf_skb_store_bytes(skb, field, &after, sizeof(after), 0) == 0;
}

/*
 * IPv6 has no checksum of its own that would balance the new address in the sum a network card has
 * made over the whole packet: BPF_F_RECOMPUTE_CSUM does.
 */
inline_always bool replace_ipv6(struct __sk_buff *skb, const struct packet *packet, __u32 field,
				const struct address *address)
{
	__s64 change = bpf_csum_diff(&packet->key.remote, sizeof(*address), address,
				     sizeof(*address), 0);
	return change >= 0 &&
	       bpf_l4_csum_replace(skb, transport_checksum(packet), 0, change,
				   transport_flags(packet)) == 0 &&
	       bpf_skb_store_bytes(skb, field, address, sizeof(*address),
				   BPF_F_RECOMPUTE_CSUM) == 0;
}

inline_always bool replace_address(struct __sk_buff *skb, const struct packet *packet,
				   enum direction direction, const struct address *address)
{
	if (packet->key.is_ipv6)
		return replace_ipv6(skb, packet,
				    IP + (direction == OUTGOING
						  ? offsetof(struct ipv6_header, destination)
						  : offsetof(struct ipv6_header, source)),
				    address);
	return replace_ipv4(skb, packet,
			    IP + (direction == OUTGOING ? offsetof(struct ipv4_header, destination)
							: offsetof(struct ipv4_header, source)),
			    address);
}

inline_always bool limit_hops(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 hops = HOPS_LEFT;
	if (packet->key.is_ipv6)
		return bpf_skb_store_bytes(skb, IP + offsetof(struct ipv6_header, hop_limit), &hops,
					   sizeof(hops), BPF_F_RECOMPUTE_CSUM) == 0;
	const struct ipv4_header *header = &packet->ip.v4;
	/* The checksum covers the field and the protocol behind it as one word. */
	__u16 before = header->ttl | (__u16)header->protocol << 8;
	__u16 after = hops | (__u16)header->protocol << 8;
	return bpf_l3_csum_replace(skb, IP + offsetof(struct ipv4_header, checksum), before, after,
				   sizeof(after)) == 0 &&
	       bpf_skb_store_bytes(skb, IP + offsetof(struct ipv4_header, ttl), &hops, sizeof(hops),
				   0) == 0;
}

/* --- tunnels: `packet` is as the socket sent it, to the server's own address --- */

inline_always __u32 shim_length(__u8 way)
{
	if (way == WAY_GRE)
		return GRE_LENGTH;
	return way == WAY_GUE ? UDP_LENGTH + GUE_LENGTH : 0;
}

inline_always __u8 outer_protocol(const struct packet *packet, __u8 way)
{
	if (way == WAY_GRE)
		return PROTOCOL_GRE;
	if (way == WAY_GUE)
		return PROTOCOL_UDP;
	return packet->key.is_ipv6 ? PROTOCOL_IPV6 : PROTOCOL_IPIP;
}

inline_always bool make_room(struct __sk_buff *skb, const struct packet *packet, __u8 way)
{
	__u64 flags = packet->key.is_ipv6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6
					  : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	if (way == WAY_GRE)
		flags |= BPF_F_ADJ_ROOM_ENCAP_L4_GRE;
	if (way == WAY_GUE)
		flags |= BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
	return bpf_skb_adjust_room(skb, packet->ip_length + shim_length(way), BPF_ADJ_ROOM_MAC,
				   flags) == 0;
}

/* The sum of a header whose checksum is still zero. */
inline_always __be16 ipv4_checksum(struct ipv4_header *header)
{
	__u64 sum = bpf_csum_diff(NULL, 0, (const void *)header, sizeof(*header), 0);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

inline_always bool write_outer_ipv4(struct __sk_buff *skb, const struct packet *packet, __u8 way)
{
	const struct ipv4_header *inner = &packet->ip.v4;
	struct ipv4_header outer = {
		.version_and_length = IPV4_PLAIN,
		.service = inner->service,
		.total_length = be16((__u16)(be16(inner->total_length) + sizeof(outer) +
					     shim_length(way))),
		.identification = inner->identification,
		.fragment = inner->fragment & IPV4_DONT_FRAGMENT,
		.ttl = inner->ttl,
		.protocol = outer_protocol(packet, way),
		.source = inner->source,
		.destination = inner->destination,
	};
	outer.checksum = ipv4_checksum(&outer);
	return bpf_skb_store_bytes(skb, IP, &outer, sizeof(outer), 0) == 0;
}

inline_always bool write_outer_ipv6(struct __sk_buff *skb, const struct packet *packet, __u8 way)
{
	struct ipv6_header outer = packet->ip.v6;
	outer.payload_length =
		be16((__u16)(be16(outer.payload_length) + sizeof(outer) + shim_length(way)));
	outer.next_header = outer_protocol(packet, way);
	return bpf_skb_store_bytes(skb, IP, &outer, sizeof(outer), 0) == 0;
}

inline_always __u16 packet_length(const struct packet *packet)
{
	return packet->key.is_ipv6 ? sizeof(struct ipv6_header) + be16(packet->ip.v6.payload_length)
				   : be16(packet->ip.v4.total_length);
}

inline_always bool write_gre(struct __sk_buff *skb, const struct packet *packet)
{
	__be16 header[GRE_LENGTH / 2] = {0, packet->key.is_ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4};
	return bpf_skb_store_bytes(skb, IP + packet->ip_length, header, sizeof(header), 0) == 0;
}

inline_always bool write_gue(struct __sk_buff *skb, const struct packet *packet, __be16 port)
{
	struct udp_header udp = {
		.source_port = packet->key.local_port,
		.destination_port = port,
		.length = be16((__u16)(packet_length(packet) + UDP_LENGTH + GUE_LENGTH)),
	};
	__u8 gue[GUE_LENGTH] = {0, packet->key.is_ipv6 ? PROTOCOL_IPV6 : PROTOCOL_IPIP};
	__u32 at = IP + packet->ip_length;
	return bpf_skb_store_bytes(skb, at, &udp, sizeof(udp), 0) == 0 &&
	       bpf_skb_store_bytes(skb, at + UDP_LENGTH, gue, sizeof(gue), 0) == 0;
}

inline_always bool encapsulate(struct __sk_buff *skb, const struct packet *packet, __u8 way,
			       __be16 gue_port)
{
	if (!make_room(skb, packet, way))
		return false;
	if (!(packet->key.is_ipv6 ? write_outer_ipv6(skb, packet, way)
				  : write_outer_ipv4(skb, packet, way)))
		return false;
	if (way == WAY_GRE)
		return write_gre(skb, packet);
	return way != WAY_GUE || write_gue(skb, packet, gue_port);
}

/*
 * Our end of a connection does not know of the tunnel: a full segment would not fit into it. As if
 * the server had said so, its longest one is made to.
 */
inline_always bool limit_segments(struct __sk_buff *skb, const struct packet *packet, __u8 way)
{
	__u32 at = IP + packet->ip_length;
	__u8 flags = 0;
	if (way == WAY_DIRECT_ROUTE || packet->key.protocol != PROTOCOL_TCP ||
	    bpf_skb_load_bytes(skb, at + TCP_FLAGS, &flags, sizeof(flags)) != 0 ||
	    !(flags & TCP_FLAG_SYN))
		return true;
	struct segment_max_option option;
	if (bpf_skb_load_bytes(skb, at + TCP_LENGTH, &option, sizeof(option)) != 0 ||
	    option.kind != TCP_OPTION_SEGMENT_MAX || option.length != sizeof(option))
		return true;
	__u32 mtu = 0;
	bpf_check_mtu(skb, 0, &mtu, 0, 0);
	__u32 headers = packet->ip_length + shim_length(way) + packet->ip_length + TCP_LENGTH;
	if (mtu <= headers || be16(option.segment_max) <= mtu - headers)
		return true;
	__be16 fitting = be16((__u16)(mtu - headers));
	return bpf_l4_csum_replace(skb, transport_checksum(packet), option.segment_max, fitting,
				   sizeof(fitting)) == 0 &&
	       bpf_skb_store_bytes(skb,
				   at + TCP_LENGTH +
					   offsetof(struct segment_max_option, segment_max),
				   &fitting, sizeof(fitting), 0) == 0;
}

/* --- the two programs --- */

/* A probe that could not be rewritten must not reach anybody as it is. */
inline_always int judge(struct path_value *path, bool is_done)
{
	if (!is_done)
		return VERDICT_DROP;
	__sync_fetch_and_add(&path->packets, 1);
	return VERDICT_NEXT;
}

SECTION("tcx/egress")
int probe_egress(struct __sk_buff *skb)
{
	struct packet packet;
	if (!read_packet(skb, OUTGOING, &packet))
		return VERDICT_NEXT;
	struct path_value *path = bpf_map_lookup_elem(&outgoing, &packet.key);
	if (path == NULL)
		return VERDICT_NEXT;
	bool is_done = replace_address(skb, &packet, OUTGOING, &path->address) &&
		       limit_hops(skb, &packet) &&
		       (path->way == WAY_DIRECT_ROUTE ||
			encapsulate(skb, &packet, path->way, path->gue_port));
	return judge(path, is_done);
}

SECTION("tcx/ingress")
int probe_ingress(struct __sk_buff *skb)
{
	struct packet packet;
	if (!read_packet(skb, INCOMING, &packet))
		return VERDICT_NEXT;
	struct path_value *path = bpf_map_lookup_elem(&incoming, &packet.key);
	if (path == NULL)
		return VERDICT_NEXT;
	bool is_done = limit_segments(skb, &packet, path->way) &&
		       replace_address(skb, &packet, INCOMING, &path->address);
	return judge(path, is_done);
}

char program_license[] SECTION("license") = "Dual BSD/GPL";

const struct exported_constant exported[] SECTION("constants") = {EXPORTED_CONSTANTS};
