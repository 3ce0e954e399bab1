// Shared by asc and tsc: plain numeric constants only. Where every record's fields are, in bytes.
// "be" marks network byte order; everything else is little-endian as WebAssembly is.
// The regions' places depend on the configured sizes: host/memory/memory-map.ts computes them once
// and writes them into the control block, where every WASM instance reads them at start.

/** "WVS1", the first word of the control block. */
export const MAGIC: u32 = 0x31535657;
/** Raised whenever a record or region changes its shape: a warm restart needs the same number. */
export const LAYOUT_VERSION: u32 = 3;

/** Below this lies the WASM module's own constant data. */
export const CONTROL: u32 = 65536;

/**
 * Control block, u32 words. Region words hold byte offsets into linear memory.
 *
 *   identity | sizes | regions | published generation | clock | behaviour
 */
export const CONTROL_MAGIC: u32 = CONTROL;
export const CONTROL_VERSION: u32 = CONTROL + 4;
export const CONTROL_PAGES: u32 = CONTROL + 8;
export const CONTROL_WORKERS: u32 = CONTROL + 12;
/** Records of connections, services and destinations, the unused record 0 included. */
export const CONTROL_CONNECTIONS: u32 = CONTROL + 16;
export const CONTROL_SERVICES: u32 = CONTROL + 20;
export const CONTROL_DESTINATIONS: u32 = CONTROL + 24;
/** Number of hash chains, a power of two. */
export const CONTROL_CHAINS: u32 = CONTROL + 28;
export const CONTROL_HASH_SEED: u32 = CONTROL + 32;
export const CONTROL_SCHEDULER_TABLE_BYTES: u32 = CONTROL + 36;

export const CONTROL_REGION_WORKERS: u32 = CONTROL + 64;
export const CONTROL_REGION_BANK0: u32 = CONTROL + 68;
export const CONTROL_REGION_BANK1: u32 = CONTROL + 72;
export const CONTROL_REGION_SERVICE_STATE: u32 = CONTROL + 76;
export const CONTROL_REGION_DESTINATION_STATE: u32 = CONTROL + 80;
export const CONTROL_REGION_COUNTERS: u32 = CONTROL + 84;
export const CONTROL_REGION_NEXT_HOPS: u32 = CONTROL + 88;
export const CONTROL_REGION_LOCALITY: u32 = CONTROL + 92;
export const CONTROL_REGION_SIDE: u32 = CONTROL + 96;
export const CONTROL_REGION_CHAINS: u32 = CONTROL + 100;
export const CONTROL_REGION_HOT: u32 = CONTROL + 104;
export const CONTROL_REGION_COLD: u32 = CONTROL + 108;
export const CONTROL_REGION_WIDE: u32 = CONTROL + 112;
export const CONTROL_REGION_RINGS: u32 = CONTROL + 116;
export const CONTROL_REGION_FRAMES: u32 = CONTROL + 120;
export const CONTROL_REGION_CAPTURE: u32 = CONTROL + 124;
/** Offsets inside a bank (both banks have the same shape). */
export const CONTROL_BANK_SERVICE_INDEX: u32 = CONTROL + 128;
export const CONTROL_BANK_SERVICES: u32 = CONTROL + 132;
export const CONTROL_BANK_DESTINATIONS: u32 = CONTROL + 136;
export const CONTROL_BANK_LISTS: u32 = CONTROL + 140;
export const CONTROL_BANK_SCHEDULER_TABLES: u32 = CONTROL + 144;
export const CONTROL_BANK_LOCALS: u32 = CONTROL + 148;
export const CONTROL_BANK_ROUTES: u32 = CONTROL + 152;
export const CONTROL_BANK_MARKS: u32 = CONTROL + 156;
export const CONTROL_BANK_LOCAL_POOL: u32 = CONTROL + 160;
/** Slots of the service index, a power of two at least twice CONTROL_SERVICES. */
export const CONTROL_SERVICE_INDEX_SLOTS: u32 = CONTROL + 164;
/** Bytes of one worker's counters. */
export const CONTROL_COUNTERS_STRIDE: u32 = CONTROL + 168;
/** The other sizes the map was made from: whoever attaches computes the same map again. */
export const CONTROL_FRAMES_PER_WORKER: u32 = CONTROL + 172;
export const CONTROL_LINKS: u32 = CONTROL + 176;
export const CONTROL_RING_ENTRIES: u32 = CONTROL + 180;
export const CONTROL_RING_HEADER_BYTES: u32 = CONTROL + 184;

/** Generation of the published tables; its lowest bit names the bank. Workers adopt it between bursts. */
export const CONTROL_GENERATION: u32 = CONTROL + 256;
/** Not 0: workers leave their loop at the next burst boundary. */
export const CONTROL_STOP: u32 = CONTROL + 260;
/** The epoch of quiescent-state reclamation. */
export const CONTROL_EPOCH: u32 = CONTROL + 264;
/** Head of the list of free connection entries, and its lock. */
export const CONTROL_FREE_HEAD: u32 = CONTROL + 268;
export const CONTROL_FREE_LOCK: u32 = CONTROL + 272;
/** Entries that were never used start here; the free list is asked first. */
export const CONTROL_FREE_FRESH: u32 = CONTROL + 276;
/** Raised whenever a full-nat connection has let go of its local end. */
export const CONTROL_POOL_FREED: u32 = CONTROL + 280;
/** Route generation: raised when routes change, so that connections look their next hops up again. */
export const CONTROL_ROUTE_GENERATION: u32 = CONTROL + 284;
/** Next hops that a worker wants and nobody has asked for yet: the host inserts and provokes them. */
export const CONTROL_PROVOKE_HEAD: u32 = CONTROL + 288;
export const CONTROL_PROVOKE: u32 = CONTROL + 320;
export const CONTROL_PROVOKE_SLOTS: u32 = 64;
/**
 * Slot of the provoke ring (32 bytes, 64 slots from CONTROL_PROVOKE on). A worker takes a ticket by
 * an atomic add to CONTROL_PROVOKE_HEAD, fills slot ticket % CONTROL_PROVOKE_SLOTS and last stores
 * ticket + 1 as the slot's turn (atomically); the host reads the slots whose turn has come.
 */
export const PROVOKE_TURN: u32 = 0;
export const PROVOKE_PORT: u32 = 4;
export const PROVOKE_FAMILY: u32 = 8;
export const PROVOKE_ADDRESS: u32 = 16; // 16 bytes be
export const PROVOKE_SIZE: u32 = 32;
/** drop_packet and drop_entry as the host's defence timer last set them. */
export const CONTROL_DROP_RATE: u32 = CONTROL + 292;
export const CONTROL_DROP_COUNTER: u32 = CONTROL + 296;
export const CONTROL_SIDE_FREE: u32 = CONTROL + 300;
/** FTP data connections whose client port is not known yet: 0 spares a second lookup. */
export const CONTROL_NO_CLIENT_PORT: u32 = CONTROL + 304;
/** Raised by the host whenever it has set a next hop: packets that wait for one are tried again. */
export const CONTROL_NEIGHBOUR_GENERATION: u32 = CONTROL + 312;
/** Not 0: packets are copied into the workers' capture rings. The words below say which. */
export const CONTROL_CAPTURE: u32 = CONTROL + 316;
/** Service id, 0 for packets of all services and of none; CAPTURE_IN and CAPTURE_OUT bits. */
export const CONTROL_CAPTURE_SERVICE: u32 = CONTROL + 2432;
export const CONTROL_CAPTURE_DIRECTIONS: u32 = CONTROL + 2436;
/** Bytes kept of each frame. */
export const CONTROL_CAPTURE_SNAP_LENGTH: u32 = CONTROL + 2440;
/** Packets published by all workers: numbers them in the order in which they were handled. */
export const CONTROL_CAPTURE_PACKETS: u32 = CONTROL + 2444;
/** Work the host asks worker 0 for, REQUEST_* bits; the worker clears them when it is done. */
export const CONTROL_REQUESTS: u32 = CONTROL + 308;
/** Expire the connections of destinations that are not available (expire_nodest_conn). */
export const REQUEST_EXPIRE_UNAVAILABLE: u32 = 1;
/** Drop some connections, as drop_entry does each second (ip_vs_random_dropentry). */
export const REQUEST_DROP_ENTRIES: u32 = 2;
/** Remove every connection. */
export const REQUEST_FLUSH: u32 = 4;
export const CONTROL_SIZE: u32 = 4096;

// ---------------------------------------------------------------------------------------------
// Bank: what the host publishes. Workers only read it.

/** Bank header. Timeouts are in ticks. */
export const BANK_GENERATION: u32 = 0;
export const BANK_SERVICE_COUNT: u32 = 4;
export const BANK_MARK_COUNT: u32 = 8;
export const BANK_LOCAL_POOL_COUNT: u32 = 12;
/** Bits of BANK_FLAGS. */
export const BANK_FLAGS: u32 = 16;
/** Some service has the persistence engine `sip`, or has had it. */
export const BANK_FLAG_SIP: u32 = 1;
export const BANK_FTP_SERVICES: u32 = 20;
/** Services with port 0, and services by mark: 0 spares the lookups. */
export const BANK_ANY_PORT_SERVICES: u32 = 24;
export const BANK_MARK_SERVICES: u32 = 28;
/** Bit masks of the prefix lengths in use: IPv4 uses bits 0..32 of a u64, IPv6 129 bits in 5 words. */
export const BANK_PREFIXES_IPV4: u32 = 32;
export const BANK_PREFIXES_IPV6: u32 = 40;
/** TCP timeouts by state (u32 x 16), UDP, then SCTP by state (u32 x 16). */
export const BANK_TIMEOUT_TCP: u32 = 64;
export const BANK_TIMEOUT_SCTP: u32 = 128;
export const BANK_TIMEOUT_UDP: u32 = 192;
/** net.ipv4.vs.* words. */
export const BANK_SYSCTL: u32 = 256;
export const SYSCTL_CACHE_BYPASS: u32 = BANK_SYSCTL;
export const SYSCTL_CONN_REUSE_MODE: u32 = BANK_SYSCTL + 4;
export const SYSCTL_EXPIRE_NODEST_CONN: u32 = BANK_SYSCTL + 8;
export const SYSCTL_EXPIRE_QUIESCENT_TEMPLATE: u32 = BANK_SYSCTL + 12;
export const SYSCTL_NAT_ICMP_SEND: u32 = BANK_SYSCTL + 16;
export const SYSCTL_PMTU_DISC: u32 = BANK_SYSCTL + 20;
export const SYSCTL_SCHEDULE_ICMP: u32 = BANK_SYSCTL + 24;
export const SYSCTL_SLOPPY_TCP: u32 = BANK_SYSCTL + 28;
export const SYSCTL_SLOPPY_SCTP: u32 = BANK_SYSCTL + 32;
export const SYSCTL_SECURE_TCP: u32 = BANK_SYSCTL + 36;
export const SYSCTL_IGNORE_TUNNELED: u32 = BANK_SYSCTL + 40;
export const SYSCTL_BACKUP_ONLY: u32 = BANK_SYSCTL + 44;
export const SYSCTL_CONNTRACK: u32 = BANK_SYSCTL + 48;
export const SYSCTL_DROP_ENTRY: u32 = BANK_SYSCTL + 52;
export const SYSCTL_DROP_PACKET: u32 = BANK_SYSCTL + 56;
export const SYSCTL_AM_DROPRATE: u32 = BANK_SYSCTL + 60;
/** First port that an unprivileged process may bind: an FTP data connection is at or above it. */
export const SYSCTL_UNPRIVILEGED_PORT: u32 = BANK_SYSCTL + 64;
/** lblc_expiration and lblcr_expiration, in ticks, at most 2^31 - 1. */
export const SYSCTL_LBLC_EXPIRATION: u32 = BANK_SYSCTL + 68;
export const SYSCTL_LBLCR_EXPIRATION: u32 = BANK_SYSCTL + 72;
/** Full-nat source ports, host order, inclusive: two ranges around the kernel's own. */
export const BANK_LOCAL_PORTS: u32 = BANK_SYSCTL + 128;
/** The director's own run of the full-nat pool, for IPv4 and for IPv6: first record and count. */
export const BANK_DIRECTOR_POOL: u32 = BANK_LOCAL_PORTS + 16; // 4 x u32
/** The ports' records follow in the header. */
export const BANK_PORTS: u32 = 512;
/** Bytes of the header, the PORTS_MAX port records included. */
export const BANK_HEADER_SIZE: u32 = 512 + 16 * 64;

/** Port record: one per network interface. */
export const PORT_FLAGS: u32 = 0;
export const PORT_MAC: u32 = 4; // 6 bytes
export const PORT_MTU: u32 = 12;
/** The primary addresses, sources of the ICMP errors the director makes itself. be */
export const PORT_IPV4: u32 = 16;
export const PORT_IPV6: u32 = 32;
export const PORT_INTERFACE: u32 = 48;
export const PORT_SIZE: u32 = 64;
export const PORT_UP: u32 = 1;
/** Frames may come with partial checksums: a virtual link, whose peer leaves them to a device. */
export const PORT_PARTIAL_CHECKSUMS: u32 = 2;

/**
 * Service, as configured (128 bytes). Its id is its index, stable while the service lives;
 * id 0 is "no service".
 */
export const SERVICE_FAMILY: u32 = 0; // u8: 4 or 6; 0 = slot unused
export const SERVICE_PROTOCOL: u32 = 1; // u8: 0 for a mark
export const SERVICE_SCHEDULER: u32 = 2; // u8
export const SERVICE_PORT: u32 = 4; // u16 be
export const SERVICE_FLAGS: u32 = 8;
export const SERVICE_MARK: u32 = 12;
export const SERVICE_PERSISTENCE_TICKS: u32 = 16;
/** IPv4: the mask itself, be. IPv6: the prefix length. */
export const SERVICE_PERSISTENCE_MASK: u32 = 20;
export const SERVICE_DESTINATION_COUNT: u32 = 24;
/** Byte offset, inside the bank, of the u32 destination ids in the kernel's order: newest first. */
export const SERVICE_DESTINATION_LIST: u32 = 28;
/** Byte offset, inside the bank, of the scheduler's table (u32 destination ids, 0 = none), and its slots. */
export const SERVICE_SCHEDULER_TABLE: u32 = 32;
export const SERVICE_SCHEDULER_SLOTS: u32 = 36;
/** Constants the scheduler derives from the list: wrr keeps its gcd and its greatest weight here. */
export const SERVICE_SCHEDULER_WORDS: u32 = 40; // 2 x u32
export const SERVICE_ADDRESS: u32 = 48; // 16 bytes be
/** The service's own run of the full-nat pool: first record and count, 0 for the director's. */
export const SERVICE_POOL_FIRST: u32 = 64;
export const SERVICE_POOL_COUNT: u32 = 68;
export const SERVICE_SIZE: u32 = 128;

/** Destination, as configured (64 bytes). Its id is its index; id 0 is "no destination". */
export const DESTINATION_FAMILY: u32 = 0; // u8; 0 = slot unused
export const DESTINATION_FORWARDING: u32 = 1; // u8 FORWARD_*
export const DESTINATION_TUNNEL_TYPE: u32 = 2; // u8 TUNNEL_*
export const DESTINATION_TUNNEL_FLAGS: u32 = 3; // u8
export const DESTINATION_TUNNEL_PORT: u32 = 4; // u16 be
export const DESTINATION_PORT: u32 = 6; // u16 be
export const DESTINATION_WEIGHT: u32 = 8; // i32
export const DESTINATION_LAST_WEIGHT: u32 = 12; // i32
export const DESTINATION_UPPER_THRESHOLD: u32 = 16;
export const DESTINATION_LOWER_THRESHOLD: u32 = 20;
export const DESTINATION_SERVICE: u32 = 24; // service id, 0 while in the trash
export const DESTINATION_PROTOCOL: u32 = 28; // u8: the service's
export const DESTINATION_VIRTUAL_PORT: u32 = 30; // u16 be
export const DESTINATION_ADDRESS: u32 = 32; // 16 bytes be
export const DESTINATION_VIRTUAL_ADDRESS: u32 = 48; // 16 bytes be
export const DESTINATION_SIZE: u32 = 64;

/** Local address record (32 bytes), open addressing by hashAddress(). */
export const LOCAL_FAMILY: u32 = 0; // u8; 0 = free
export const LOCAL_PORT: u32 = 1; // u8: port the address is on
export const LOCAL_FLAGS: u32 = 2; // u8
export const LOCAL_ADDRESS: u32 = 16;
export const LOCAL_SIZE: u32 = 32;
/**
 * Behind the records, a filter of 65536 bits: the bit of an address's hash (its upper half) is set
 * when an own address has it. It stays in the cache, where the table would not.
 */
export const LOCAL_FILTER_BYTES: u32 = 8192;
/** The address belongs to a virtual service; the address is in the full-nat source pool. */
export const LOCAL_VIRTUAL: u32 = 1;
export const LOCAL_POOL: u32 = 2;

/** Route record (48 bytes), open addressing by hashAddress() over the masked prefix and its length. */
export const ROUTE_FAMILY: u32 = 0; // u8; 0 = free
export const ROUTE_PREFIX: u32 = 1; // u8 length in bits
export const ROUTE_PORT: u32 = 2; // u8
export const ROUTE_KIND: u32 = 3; // u8
export const ROUTE_MTU: u32 = 4; // u32, 0 = the port's
export const ROUTE_GATEWAY: u32 = 8; // next-hop index of the gateway for ROUTE_VIA
export const ROUTE_ADDRESS: u32 = 16;
export const ROUTE_SOURCE: u32 = 32; // preferred source, be
export const ROUTE_SIZE: u32 = 48;
/**
 * Behind the records, a filter of 32768 bits: the bit of a prefix's hash (its upper 15 bits) is set
 * when a route has it. It stays in the cache, where the table would not.
 */
export const ROUTE_FILTER_BYTES: u32 = 4096;
export const ROUTE_ON_LINK: u32 = 1;
export const ROUTE_VIA: u32 = 2;
export const ROUTE_UNREACHABLE: u32 = 3;
export const ROUTE_LOCAL: u32 = 4;

/** Firewall mark rule (64 + 4 x MARK_PORTS_MAX bytes); the last one that matches gives the mark. */
export const MARK_FAMILY: u32 = 0; // u8
export const MARK_PROTOCOL: u32 = 1; // u8, 0 = any
export const MARK_PREFIX: u32 = 2; // u8
export const MARK_PORT_COUNT: u32 = 3; // u8, 0 = any port
export const MARK_VALUE: u32 = 4;
export const MARK_ADDRESS: u32 = 16;
export const MARK_SOURCE_PREFIX: u32 = 8; // u8
export const MARK_SOURCE: u32 = 32;
export const MARK_PORTS: u32 = 64; // u16 first, u16 last, host order
export const MARK_SIZE: u32 = 128;

/** Address of the full-nat source pool (32 bytes). */
export const POOL_FAMILY: u32 = 0; // u8
export const POOL_ADDRESS: u32 = 16;
export const POOL_SIZE: u32 = 32;

// ---------------------------------------------------------------------------------------------
// Running state: one copy, not banked, survives publishing.

/** Service state (64 bytes): the schedulers' moving parts. */
export const SERVICE_STATE_LOCK: u32 = 0;
/** rr, wrr: id of the destination chosen last (0: the list's head), and its position in the list. */
export const SERVICE_STATE_CURSOR: u32 = 4;
export const SERVICE_STATE_CURSOR_POSITION: u32 = 8;
/** wrr: current weight, greatest weight, gcd. */
export const SERVICE_STATE_CURRENT_WEIGHT: u32 = 12;
export const SERVICE_STATE_MAX_WEIGHT: u32 = 16;
export const SERVICE_STATE_WEIGHT_STEP: u32 = 20;
/** lblc, lblcr: SCHEDULER_* of the service's cache (0: it has none), and the cache's entries. */
export const SERVICE_STATE_LOCALITY: u32 = 24;
export const SERVICE_STATE_LOCALITY_COUNT: u32 = 28;
/** Collection of stale entries: the bucket it stopped at. Two more words of it are at 40. */
export const SERVICE_STATE_LOCALITY_ROVER: u32 = 32;
/** full-nat: where the search for a free source goes on. */
export const SERVICE_STATE_POOL_CURSOR: u32 = 36;
/** Tick of the next collection, and its number in the round (0: the first is not planned yet). */
export const SERVICE_STATE_LOCALITY_DUE: u32 = 40;
export const SERVICE_STATE_LOCALITY_TURN: u32 = 44;
export const SERVICE_STATE_SIZE: u32 = 64;

/**
 * Destination state (128 bytes): a cache line that new connections change, by atomic adds, and one of
 * what is found out about tunnels, which packets read.
 */
export const DESTINATION_STATE_FLAGS: u32 = 0;
export const DESTINATION_STATE_INACTIVE: u32 = 4;
/** Beside the references, so that a new connection that is active counts in both by one addition. */
export const DESTINATION_STATE_ACTIVE: u32 = 8;
/** Connections and templates that name this destination. */
export const DESTINATION_STATE_REFERENCES: u32 = 12;
export const DESTINATION_STATE_PERSISTENT: u32 = 16;
/** full-nat: the ticket of the end that is tried next; modulo the pool's ends it is a place there. */
export const DESTINATION_STATE_POOL_CURSOR: u32 = 20;
/** The way to the destination: next-hop index, and in the upper half the low 16 bits of the route
 * generation it was found in. 0: not looked for yet. One 32-bit store. */
export const DESTINATION_STATE_NEXT_HOP: u32 = 32;
/**
 * full-nat: how many ends in a row were found taken, and in the upper half for what: a hash of the
 * pool's state, protocol and port. One 64-bit store.
 */
export const DESTINATION_STATE_POOL_MISSES: u32 = 48; // u64
/**
 * Tunnels: where in the bank the outer source address stands, and in the upper half the generation of
 * the tables for which that holds. One 64-bit store, behind that of the outer header's parts below and
 * before that of the room.
 */
export const DESTINATION_STATE_SOURCE: u32 = 64; // u64
/**
 * The longest packet that fits into a tunnel of plain IP in IP, 0 where there is anything to decide;
 * TUNNEL_ROOM_BITS above it the generation of the tables for which that holds. One 64-bit store.
 */
export const DESTINATION_STATE_TUNNEL_ROOM: u32 = 72; // u64
export const TUNNEL_ROOM_BITS: u32 = 17;
/** A path MTU learned from an error about a tunnel packet, and the tick at which it expires. */
export const DESTINATION_STATE_PATH_MTU: u32 = 80;
export const DESTINATION_STATE_PATH_MTU_EXPIRES: u32 = 84;
/** Of IP in IPv4: source and destination of the outer header, and the sum of all that never changes. */
export const DESTINATION_STATE_OUTER_ENDS: u32 = 88; // u64
export const DESTINATION_STATE_OUTER_SUM: u32 = 96;
export const DESTINATION_STATE_SIZE: u32 = 128;

/**
 * Next hop (32 bytes), open addressing by hashAddress(address) ^ port; index 0 is "none".
 * Word 0..7 is written by one 64-bit store: MAC (6 bytes), port (u8), state (u8).
 */
export const NEXT_HOP_MAC: u32 = 0; // 6 bytes
export const NEXT_HOP_PORT: u32 = 6; // u8
export const NEXT_HOP_STATE: u32 = 7; // u8 NEXT_HOP_*
export const NEXT_HOP_MTU: u32 = 8; // u16: of the port, cached
export const NEXT_HOP_FAMILY: u32 = 10; // u8
export const NEXT_HOP_ADDRESS: u32 = 16;
export const NEXT_HOP_SIZE: u32 = 32;
export const NEXT_HOP_FREE: u32 = 0;
/** Asked for by a worker or the host, not answered yet. */
export const NEXT_HOP_INCOMPLETE: u32 = 1;
export const NEXT_HOP_REACHABLE: u32 = 2;
export const NEXT_HOP_FAILED: u32 = 3;

// ---------------------------------------------------------------------------------------------
// Connections

/**
 * Connection, hot half (64 bytes, one cache line): all that the fast path reads, both directions.
 *
 *    0 next in chain     4 next in chain (local)
 *    8 local address    12 destination address   16 client address    20 virtual address     (be)
 *   26 local port       28 destination port      30 client port       32 virtual port        (be)
 *   34 checksum delta   36 state and flags       40 last seen (tick)  44 destination id
 *   48 next hops        52 family, protocol      54 route generation
 *   56 packets in       60 timeout (ticks)
 *
 * The order of the ends is that in which packets have them: a request's addresses are the last two
 * as one 64-bit word, its ports the last two as one of 32 bits; an answer's under NAT the middle two.
 * An IPv6 address is folded into its word by XOR here and stands whole in the wide record of the
 * same index; the folded words are a filter only. But where STATE_CLIENT_WHOLE says so, what the
 * client's folded word leaves open stands where a full-nat connection has its local end, and the other
 * addresses are those of its destination's record, so that packets need not read the wide record.
 */
export const CONNECTION_NEXT: u32 = 0;
export const CONNECTION_NEXT_LOCAL: u32 = 4;
export const CONNECTION_LOCAL: u32 = 8;
export const CONNECTION_DESTINATION: u32 = 12;
export const CONNECTION_CLIENT: u32 = 16;
export const CONNECTION_VIRTUAL: u32 = 20;
export const CONNECTION_LOCAL_PORT: u32 = 26;
export const CONNECTION_DESTINATION_PORT: u32 = 28;
export const CONNECTION_CLIENT_PORT: u32 = 30;
export const CONNECTION_VIRTUAL_PORT: u32 = 32;
/** What a TCP or UDP checksum gains on the way in; on the way out it is the opposite. */
export const CONNECTION_DELTA: u32 = 34; // u16
export const CONNECTION_STATE: u32 = 36;
export const CONNECTION_LAST_SEEN: u32 = 40;
/** Less than 2^24: whoever wants the line to be fetched stores 0 into the uppermost byte. */
export const CONNECTION_DESTINATION_ID: u32 = 44;
export const CONNECTION_HOP_IN: u32 = 48; // u16
export const CONNECTION_HOP_OUT: u32 = 50; // u16
export const CONNECTION_FAMILY: u32 = 52; // u8
export const CONNECTION_PROTOCOL: u32 = 53; // u8
export const CONNECTION_ROUTE_GENERATION: u32 = 54; // u16
export const CONNECTION_IN_PACKETS: u32 = 56;
export const CONNECTION_TIMEOUT: u32 = 60;
/** STATE_CLIENT_WHOLE: the client's IPv6 address but for its first four bytes. */
export const CONNECTION_CLIENT_MIDDLE: u32 = 4; // u64
export const CONNECTION_CLIENT_END: u32 = 24;
export const CONNECTION_HOT_SIZE: u32 = 64;

/** Bits of CONNECTION_STATE: the protocol's state in the low byte, flags above. */
export const STATE_MASK: u32 = 0xff;
/** Forwarding method, FORWARD_* in three bits. */
export const STATE_FORWARD_SHIFT: u32 = 8;
export const STATE_FORWARD_MASK: u32 = 0x700;
export const STATE_NO_OUTPUT: u32 = 0x800;
export const STATE_INACTIVE: u32 = 0x1000;
export const STATE_TEMPLATE: u32 = 0x2000;
export const STATE_ONE_PACKET: u32 = 0x4000;
/** In the hash chains: found by lookups. */
export const STATE_HASHED: u32 = 0x8000;
/** Client port not known yet (an FTP data connection). */
export const STATE_NO_CLIENT_PORT: u32 = 0x10000;
/** Sequence numbers are shifted: the side record says by how much. */
export const STATE_SEQUENCE: u32 = 0x20000;
/** The destination has another address family than the client (tunnel). */
export const STATE_DESTINATION_OTHER: u32 = 0x40000;
/** The destination is the director itself. */
export const STATE_LOCAL_DESTINATION: u32 = 0x80000;
/** Counted in its destination's activeConnections. */
export const STATE_COUNTED: u32 = 0x100000;
/** Bound by the sync daemon. */
export const STATE_SYNC: u32 = 0x200000;
/** The port's helper: FTP control connection. */
export const STATE_FTP: u32 = 0x400000;
/** To be expired by the timer that is set, unless a packet comes before (ip_vs_conn_expire_now). */
export const STATE_EXPIRING: u32 = 0x800000;
/** Expired: out of the chains, its destination let go. Nothing changes the entry any more. */
export const STATE_DEAD: u32 = 0x1000000;
/** Also in the chain of its local end (full-nat). */
export const STATE_HASHED_LOCAL: u32 = 0x2000000;
/** Under the control of a template or of a control connection: COLD_CONTROLLER need not be read. */
export const STATE_CONTROLLED: u32 = 0x4000000;
/** An IPv6 connection of which the hot half and the destination's record know all addresses. */
export const STATE_CLIENT_WHOLE: u32 = 0x8000000;

/** Connection, cold half (32 bytes): timers and control. */
export const COLD_TIMER_NEXT: u32 = 0;
export const COLD_TIMER_PREVIOUS: u32 = 4;
/** Wheel slot + 1 (0: in no wheel) in the low 16 bits, the owning worker above. */
export const COLD_TIMER_SLOT: u32 = 8;
/** Index of the template or control connection that controls this one. */
export const COLD_CONTROLLER: u32 = 12;
/** How many this one controls. */
export const COLD_CONTROLLED: u32 = 16;
export const COLD_MARK: u32 = 20;
/** full-nat: the ticket (DESTINATION_STATE_POOL_CURSOR) with which the local end was found. */
export const COLD_POOL_TICKET: u32 = 24;
/** Side record (FTP, SIP), 0 for none. */
export const COLD_SIDE: u32 = 28;
export const CONNECTION_COLD_SIZE: u32 = 32;

/** Connection, wide record (64 bytes), used when an address of it is IPv6. */
export const WIDE_CLIENT: u32 = 0;
export const WIDE_VIRTUAL: u32 = 16;
export const WIDE_DESTINATION: u32 = 32;
export const WIDE_LOCAL: u32 = 48;
export const CONNECTION_WIDE_SIZE: u32 = 64;

/** Chain heads: a node (index << 1 | direction) in the low 31 bits, the chain's lock in the highest. */
export const CHAIN_HEAD_SIZE: u32 = 4;

/** Side record: FTP sequence offsets (both directions) or a SIP Call-ID. */
export const SIDE_KIND: u32 = 0; // 1 = sequence, 2 = call id
export const SIDE_LENGTH: u32 = 4;
/** init_seq, delta, previous_delta, in then out. */
export const SIDE_SEQUENCE_IN: u32 = 8;
export const SIDE_SEQUENCE_OUT: u32 = 20;
export const SIDE_DATA: u32 = 32;
export const SIDE_DATA_MAX: u32 = 224;
export const SIDE_SIZE: u32 = 256;

// ---------------------------------------------------------------------------------------------
// Workers

/** Worker block. Written by its worker alone, but for what the host sets up at start. */
export const WORKER_ONLINE: u32 = 0; // 0: asleep or stopped, holds no reference
export const WORKER_SEEN_EPOCH: u32 = 4;
export const WORKER_SEEN_GENERATION: u32 = 8;
/** Byte offset of the lock this worker holds: the host releases it when the worker dies. */
export const WORKER_HELD_LOCK: u32 = 12;
/** The coarse clock: ticks since start (u32), and milliseconds since start. */
export const WORKER_TICK: u32 = 16;
export const WORKER_MILLISECONDS: u32 = 20;
export const WORKER_TURNS: u32 = 24;
export const WORKER_BUSY_TURNS: u32 = 28;
export const WORKER_LINK_COUNT: u32 = 32;
/** UMEM of this worker: byte offset, number of frames. */
export const WORKER_FRAMES: u32 = 36;
export const WORKER_FRAME_COUNT: u32 = 40;
/** Stack of free frames: byte offset of the u32 array of chunk offsets, and its depth. */
export const WORKER_FREE_FRAMES: u32 = 44;
export const WORKER_FREE_FRAME_COUNT: u32 = 48;
/** Connection entries kept at hand, and those that wait for the other workers. */
export const WORKER_SPARE_HEAD: u32 = 52;
export const WORKER_SPARE_COUNT: u32 = 56;
export const WORKER_RETIRED_HEAD: u32 = 60;
export const WORKER_WAITING_HEAD: u32 = 64;
export const WORKER_WAITING_EPOCH: u32 = 68;
/** Link of each port this worker transmits on (u8 x PORTS_MAX, 255 = none). */
export const WORKER_PORT_LINKS: u32 = 72; // 16 bytes
/** The exception link: frames for the director's own stack go to this link (255 = none). */
export const WORKER_EXCEPTION_LINK: u32 = 88;
/** Identification of the next IPv4 packet this worker makes itself. */
export const WORKER_IDENTIFICATION: u32 = 92;
export const WORKER_RANDOM: u32 = 96;
export const WORKER_WHEEL_LOCK: u32 = 100;
/** The wheel's clock: the next tick to run. */
export const WORKER_WHEEL_CLOCK: u32 = 104;
/** Timers that were due and left for the next turn: the level the running tick is at, and 1. */
export const WORKER_WHEEL_LEFT: u32 = 148;
/** The tick up to which they are owed. */
export const WORKER_WHEEL_OWED: u32 = 152;
/** Connections and templates in the table: made by this worker less ended by it. All workers' sum counts. */
export const WORKER_CONNECTION_COUNT: u32 = 156; // i32
/** Packets of the last turn, for the poll loop. */
export const WORKER_TURN_PACKETS: u32 = 108;
/** Packets that wait for a neighbour now; when they were tried last, by tick and by generation. */
export const WORKER_WAITING_COUNT: u32 = 120;
export const WORKER_WAITING_TICK: u32 = 140;
export const WORKER_WAITING_GENERATION: u32 = 144;
/** Bit per link: its TX ring wants a wake-up; its fill ring wants one. */
export const WORKER_WAKE_TRANSMIT: u32 = 112;
export const WORKER_WAKE_RECEIVE: u32 = 116;
export const WORKER_LINKS: u32 = 256;

/** Link: one AF_XDP socket (a queue of a port), four rings. */
export const LINK_PORT: u32 = 0; // u8
export const LINK_FLAGS: u32 = 1; // u8
/** The link's frames come from the director's own stack: they are routed out, not in. */
export const LINK_FROM_HOST: u32 = 1;
export const LINK_QUEUE: u32 = 2; // u16
/** Frames given to the kernel through the fill ring and not yet back. */
export const LINK_FILL_OUTSTANDING: u32 = 4;
export const LINK_RECEIVE: u32 = 16;
export const LINK_TRANSMIT: u32 = 48;
export const LINK_FILL: u32 = 80;
export const LINK_COMPLETION: u32 = 112;
export const LINK_SIZE: u32 = 144;
/** Ring (32 bytes): absolute byte offsets into linear memory, and the entries as a mask. */
export const RING_PRODUCER: u32 = 0;
export const RING_CONSUMER: u32 = 4;
export const RING_DESCRIPTORS: u32 = 8;
export const RING_FLAGS: u32 = 12;
export const RING_MASK: u32 = 16;
/** Descriptors reserved in this turn and not yet submitted. */
export const RING_RESERVED: u32 = 20;
/** Of a TX ring: entries that may still be reserved without asking the consumer again. */
export const RING_ROOM: u32 = 24;
export const RING_SIZE: u32 = 32;
export const RING_NEED_WAKEUP: u32 = 1;
/** struct xdp_desc. */
export const DESCRIPTOR_ADDRESS: u32 = 0; // u64
export const DESCRIPTOR_LENGTH: u32 = 8;
export const DESCRIPTOR_OPTIONS: u32 = 12;
export const DESCRIPTOR_SIZE: u32 = 16;

/** The burst's packet records, then scratch space, the wheel and the fragment queues. */
export const WORKER_PACKETS: u32 = 8192;
/** What the fast path notes of each packet of the burst, then a list of those it still looks for. */
export const WORKER_BURST: u32 = 8192 + 8192;
export const WORKER_SCRATCH: u32 = 8192 + 16384;
export const WORKER_WHEEL: u32 = 8192 + 16384 + 8192;
/** Timers that are being run: u32 connection indices, behind the wheel's slots. */
export const WORKER_TIMERS_TAKEN: u32 = WORKER_WHEEL + 4032;
export const WORKER_FRAGMENTS: u32 = 8192 + 16384 + 8192 + 4096;
/**
 * Fragment queue (FRAGMENT_QUEUES_MAX of them, from WORKER_FRAGMENTS on): a key, then the parts in
 * ascending order of offset.
 */
export const QUEUE_STATE: u32 = 0; // u32: parts held + 1, 0 = free
export const QUEUE_FAMILY: u32 = 4; // u8
export const QUEUE_PROTOCOL: u32 = 5; // u8
export const QUEUE_PORT: u32 = 6; // u8
/** Payload bytes of the whole, 0 until the last fragment is there; bytes held so far. */
export const QUEUE_TOTAL: u32 = 8;
export const QUEUE_HELD: u32 = 12;
export const QUEUE_IDENTIFICATION: u32 = 16;
export const QUEUE_EXPIRES: u32 = 20; // tick
/** Largest fragment, and largest with DF set, in IP bytes. */
export const QUEUE_LARGEST: u32 = 24;
export const QUEUE_LARGEST_DF: u32 = 28;
export const QUEUE_SOURCE: u32 = 32;
export const QUEUE_DESTINATION: u32 = 48;
export const QUEUE_ECN: u32 = 64; // u8: bits of the code points seen
export const QUEUE_PARTS: u32 = 80;
/** Part: payload offset and length (u16 each), frame of the IP header (u32), header bytes (u32). */
export const PART_OFFSET: u32 = 0;
export const PART_LENGTH: u32 = 2;
export const PART_NETWORK: u32 = 4;
export const PART_HEADER_LENGTH: u32 = 8;
export const PART_SIZE: u32 = 12;
export const QUEUE_SIZE: u32 = 80 + 64 * 12;
/** Packets that wait for a neighbour: WAITING_MAX packet records. */
export const WORKER_WAITING_PACKETS: u32 = 110592;
export const WAITING_MAX: u32 = 64;
/**
 * Timers of one tick that must wait for others of it: two lists of u32 connection indices,
 * DEFERRED_MAX each.
 */
export const WORKER_DEFERRED: u32 = 92160;
export const DEFERRED_MAX: u32 = 2048;
/** Where the datagram in WORKER_DATAGRAM was cut when it came: a count, then payload lengths (u16). */
export const WORKER_GEOMETRY: u32 = 131072 - 256;
/** A datagram put together from fragments stands here, with room in front for an outer header. */
export const WORKER_DATAGRAM: u32 = 131072;
export const WORKER_DATAGRAM_HEADROOM: u32 = 512;
/** Bytes of a worker's block. */
export const WORKER_SIZE: u32 = 262144;

/**
 * Packet record (128 bytes): what parsing found out about one frame of the burst.
 * "At" fields are byte offsets into linear memory.
 */
export const PACKET_FRAME: u32 = 0; // chunk start
export const PACKET_START: u32 = 4; // Ethernet header at
export const PACKET_LENGTH: u32 = 8; // bytes from the Ethernet header on
export const PACKET_NETWORK: u32 = 12; // IP header at
export const PACKET_TRANSPORT: u32 = 16; // transport header at (0: none, a later fragment)
export const PACKET_IP_LENGTH: u32 = 20; // IP packet's bytes, padding excluded
export const PACKET_FAMILY: u32 = 24; // u8
export const PACKET_PROTOCOL: u32 = 25; // u8
export const PACKET_TCP_FLAGS: u32 = 26; // u8; SCTP: the first chunk's type
export const PACKET_PORT: u32 = 27; // u8 port it came in on
export const PACKET_REASON: u32 = 28; // u8 drop reason, 0 = well-formed
export const PACKET_VERDICT: u32 = 29; // u8 VERDICT_*
export const PACKET_FLAGS: u32 = 30; // u16
export const PACKET_SOURCE_PORT: u32 = 32; // u16 be
export const PACKET_DESTINATION_PORT: u32 = 34; // u16 be
export const PACKET_HASH: u32 = 36; // of the end that is looked up first
export const PACKET_HASH_OTHER: u32 = 40;
export const PACKET_MARK: u32 = 44;
export const PACKET_SOURCE: u32 = 48; // 16 bytes be
export const PACKET_DESTINATION: u32 = 64; // 16 bytes be
/** First of the other parts of a datagram in fragments (frame chain), 0 for none. */
export const PACKET_PARTS: u32 = 80;
export const PACKET_CONNECTION: u32 = 84;
export const PACKET_SERVICE: u32 = 88;
/** Largest fragment the datagram came in, IP bytes; 0 when it came whole. */
export const PACKET_FRAGMENT_MAX: u32 = 92;
/** Chunk-offset of the transport header is relative to the IP header here: bytes of IP header. */
export const PACKET_HEADER_LENGTH: u32 = 96;
/** Tick until which a packet waits for its neighbour, 0 when it does not. */
export const PACKET_WAITS_UNTIL: u32 = 100;
/** First node of the chain that is searched first, as it was when the burst was parsed. */
export const PACKET_NODE: u32 = 104;
/** LOCAL_* flags of the destination address, -1 when it is not the director's (i32). */
export const PACKET_LOCAL: u32 = 108;
export const PACKET_SIZE: u32 = 128;

/** PACKET_FLAGS */
export const PACKET_FRAGMENT_FIRST: u32 = 1;
export const PACKET_FRAGMENT_LATER: u32 = 2;
export const PACKET_TO_LOCAL: u32 = 4; // destination is one of the director's addresses
export const PACKET_TO_VIRTUAL: u32 = 8;
export const PACKET_PARTIAL_CHECKSUM: u32 = 16;
export const PACKET_ICMP_ERROR: u32 = 32;
export const PACKET_MORE_FRAGMENTS: u32 = 64;

// ---------------------------------------------------------------------------------------------
// Counters, per worker: the totals and drop reasons, then services, then destinations.

/**
 * One statistics record (64 bytes, u64 each): connections, then packets and bytes of each direction
 * side by side, so that one vector addition counts a packet.
 */
export const STATS_CONNECTIONS: u32 = 0;
export const STATS_IN_PACKETS: u32 = 8;
export const STATS_IN_BYTES: u32 = 16;
export const STATS_OUT_PACKETS: u32 = 24;
export const STATS_OUT_BYTES: u32 = 32;
export const STATS_SIZE: u32 = 64;
/** A worker's counters: the list in counters.ts (u64 each, COUNTERS_MAX of them), the total stats,
 * stats by service id, stats by destination id. */
export const COUNTERS_MAX: u32 = 256;
export const COUNTERS_TOTAL: u32 = 256 * 8;
export const COUNTERS_SERVICES: u32 = 256 * 8 + 64;

// ---------------------------------------------------------------------------------------------
// Locality: the caches of lblc and lblcr, used by the host's schedulers only.

/**
 * Record of the locality region (64 bytes). Every record but 0 can be an entry (a virtual address of
 * a service and the destinations that serve it), the continuation of one, or free; and record N also
 * holds the head of hash bucket N, whatever else it is.
 */
export const LOCALITY_HEAD: u32 = 0;
/** Next record of the bucket, or of the free list. */
export const LOCALITY_NEXT: u32 = 4;
/** Id of the service; 0: not an entry. */
export const LOCALITY_SERVICE: u32 = 8;
/** Tick of the last connection to the address. */
export const LOCALITY_LAST_USE: u32 = 12;
export const LOCALITY_ADDRESS: u32 = 16; // 16 bytes be
/** Destinations of the entry, continuations included, and the tick at which the set last changed. */
export const LOCALITY_SET_SIZE: u32 = 32;
export const LOCALITY_SET_CHANGED: u32 = 36;
/** Record in which the set goes on; read only while the set is larger than what came before. */
export const LOCALITY_MORE: u32 = 40;
/** u32 destination ids, newest first. */
export const LOCALITY_MEMBERS: u32 = 44;
export const LOCALITY_MEMBERS_MAX: u32 = 5;
export const LOCALITY_SIZE: u32 = 64;

/** Record 0 is no entry: behind its bucket head it holds the lock over the whole region, the first
 * free record, the records that were ever used, and how often none was left. */
export const LOCALITY_POOL_LOCK: u32 = 4;
export const LOCALITY_POOL_FREE: u32 = 8;
export const LOCALITY_POOL_USED: u32 = 12;
export const LOCALITY_POOL_REFUSED: u32 = 16;

// ---------------------------------------------------------------------------------------------
// Capture

/**
 * Capture ring of a worker: counters in its first line, then CAPTURE_SLOTS slots. The worker fills
 * slot HEAD % CAPTURE_SLOTS and on, and then raises HEAD; the host reads up to HEAD and raises TAIL.
 */
export const CAPTURE_HEAD: u32 = 0;
/** Packets that found too few slots. */
export const CAPTURE_LOST: u32 = 4;
export const CAPTURE_TAIL: u32 = 64;
export const CAPTURE_SLOTS_AT: u32 = 128;
export const CAPTURE_SLOTS: u32 = 511;

/** Slot: a record, then the frame's first bytes. */
export const CAPTURE_LENGTH: u32 = 0;
export const CAPTURE_ORIGINAL_LENGTH: u32 = 4;
/** Milliseconds since the director's start, of the turn. */
export const CAPTURE_MILLISECONDS: u32 = 8;
/** The packet's number: the same as it came and for what left because of it. */
export const CAPTURE_PACKET: u32 = 12;
export const CAPTURE_KIND: u32 = 16; // u8
export const CAPTURE_PORT: u32 = 17; // u8
export const CAPTURE_VERDICT: u32 = 18; // u8
export const CAPTURE_REASON: u32 = 19; // u8, of a drop
export const CAPTURE_SERVICE: u32 = 20;
export const CAPTURE_DESTINATION: u32 = 24;
export const CAPTURE_CONNECTION: u32 = 28;
export const CAPTURE_DIRECTION: u32 = 32;
export const CAPTURE_DATA: u32 = 64;
export const CAPTURE_SLOT_SIZE: u32 = 2048;
export const CAPTURE_DATA_MAX: u32 = CAPTURE_SLOT_SIZE - CAPTURE_DATA;
/** Whole pages. */
export const CAPTURE_REGION_SIZE: u32 = 512 * 2048;

/** CAPTURE_KIND: as it came in, or as it left. */
export const CAPTURE_KIND_CAME: u32 = 0;
export const CAPTURE_KIND_SENT: u32 = 1;
/** CAPTURE_DIRECTION: from the client, or to it. */
export const CAPTURE_IN: u32 = 1;
export const CAPTURE_OUT: u32 = 2;
