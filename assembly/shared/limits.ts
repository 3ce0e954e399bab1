// Shared by asc and tsc: plain numeric constants only (no division, no value of 2^31 or more,
// no decorators, no enums). Every limit of the data plane, with its unit.

/** Descriptors handled in one turn of the poll loop. */
export const BURST_MAX: u32 = 64;
/** Worker threads, each with one WASM instance. */
export const WORKERS_MAX: u32 = 32;
/** Network ports (interfaces) of one director. */
export const PORTS_MAX: u32 = 16;
/** AF_XDP sockets of one worker: its queues on every port. */
export const LINKS_MAX: u32 = 32;

/** Bytes of one UMEM chunk. A frame of MTU 1500 plus headroom and the largest outer header fits. */
export const FRAME_SIZE: u32 = 2048;
/** log2 of FRAME_SIZE. */
export const FRAME_SHIFT: u32 = 11;
/** Bytes the kernel leaves free before a received frame (XDP_PACKET_HEADROOM). */
export const FRAME_HEADROOM: u32 = 256;

/** Next hops (resolved or not) that can be known at once; a power of two, and a u16 indexes them. */
export const NEXT_HOPS_MAX: u32 = 65536;
/** Prefixes of the routing table; a power of two, at most half of it is filled. */
export const ROUTE_SLOTS: u32 = 16384;
/** Local addresses of the director, VIPs included; a power of two, at most half of it is filled. */
export const LOCAL_SLOTS: u32 = 65536;
/** Firewall mark rules. */
export const MARK_RULES_MAX: u32 = 1024;
/** Port ranges of one firewall mark rule (iptables multiport takes 15). */
export const MARK_PORTS_MAX: u32 = 16;
/** Addresses of the full-nat source pool: the director's, of both families, and the services'. */
export const LOCAL_POOL_MAX: u32 = 1024;
/** Ends of the full-nat pool tried for one packet; the next packet goes on behind them. */
export const LOCAL_END_TRIES_MAX: u32 = 512;
/** Packets of one datagram whose fragments can be followed at once, per worker. */
export const FRAGMENT_QUEUES_MAX: u32 = 64;
/** Fragments of one datagram (64 KiB in pieces of 8 bytes is not a case we serve). */
export const FRAGMENT_PARTS_MAX: u32 = 64;
/** IPv6 extension headers walked before a packet is dropped. */
export const EXTENSION_HEADERS_MAX: u32 = 8;

/** Levels of the timer wheel, slots of a level, and log2 of the step between levels. */
export const WHEEL_LEVELS: u32 = 9;
export const WHEEL_SLOTS: u32 = 64;
export const WHEEL_STEP_SHIFT: u32 = 3;

/** Timers run in one turn for each link: four times what its burst can set. */
export const TIMERS_PER_LINK_MAX: u32 = 256;

/** Timer ticks of one second, as CONFIG_HZ=100. */
export const TICKS_PER_SECOND: u32 = 100;

/** Entries of a source- or destination-hash table (IP_VS_SH_TAB_SIZE, IP_VS_DH_TAB_SIZE). */
export const HASH_TABLE_SLOTS: u32 = 256;
/** Entries of a Maglev table (CONFIG_IP_VS_MH_TAB_INDEX=12). */
export const MAGLEV_SLOTS: u32 = 4093;
/** Records of the lblc and lblcr caches, all services together. */
export const LOCALITY_ENTRIES_MAX: u32 = 65536;
/** Connections with a side record: FTP sequence offsets or SIP call identifiers. */
export const SIDE_RECORDS_MAX: u32 = 65536;
