/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the probe-path programs and the JavaScript that fills their maps agree on. The constants at
 * the foot go into probe-path.bytecode.json, so that the JavaScript does not repeat them.
 */

#pragma once

#include "program.h"
#include "wire.h"

/* How a packet gets from here to the server. */
#define WAY_DIRECT_ROUTE 0
#define WAY_IPIP 1
#define WAY_GRE 2
#define WAY_GUE 3

/*
 * Hops a probe has left when it is sent to the virtual address. One would do for a server that has
 * the address; the second is for a server that hands it on to a container of its own. A server that
 * lacks the address and forwards sends the probe back to the director with one hop left, which is
 * not forwarded again: nobody else can answer in that server's place.
 */
#define HOPS_LEFT 2

/* One end of a probe's connection as the wire shows it, and our port at the other end. */
struct path_key {
	struct address remote;
	__be16 remote_port;
	__be16 local_port;
	__u8 protocol;
	__u8 is_ipv6;
	__u16 zero;
};

/* In `outgoing`, by the server's address; in `incoming`, by the virtual address. */
struct path_value {
	struct address address; /* what takes its place */
	__u64 packets;          /* how many were rewritten */
	__u8 way;               /* WAY_* of what goes out, in both */
	__u8 zero;
	__be16 gue_port; /* in `outgoing` only */
	__u32 more_zeros;
};

_Static_assert(sizeof(struct path_key) == 24, "no padding");
_Static_assert(sizeof(struct path_value) == 32, "no padding");

#define EXPORTED_CONSTANTS                                                             \
	CONSTANT(WAY_DIRECT_ROUTE), CONSTANT(WAY_IPIP), CONSTANT(WAY_GRE), CONSTANT(WAY_GUE), \
		CONSTANT(PROTOCOL_TCP), CONSTANT(PROTOCOL_UDP),                                \
		CONSTANT_OFFSET(path_key, remote_port), CONSTANT_OFFSET(path_key, local_port), \
		CONSTANT_OFFSET(path_key, protocol), CONSTANT_OFFSET(path_key, is_ipv6),       \
		CONSTANT_OFFSET(path_value, packets), CONSTANT_OFFSET(path_value, way),        \
		CONSTANT_OFFSET(path_value, gue_port)
