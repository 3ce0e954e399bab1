/**
 * AF_XDP sockets for Node.js: UMEM and rings inside memory you own, XDP programs attached by links.
 *
 * Conventions that hold for every function here:
 * - Sizes and offsets are bytes, times are named with their unit, addresses on the wire are network
 *   order. Numbers in BPF map keys and values are whatever the program defines.
 * - A failing system call throws a {@link SystemError}. The exceptions are the functions meant for
 *   a poll loop (wakeTransmit, wakeReceive, pollDescriptors, signalEvent, drainEvent, readDescriptor,
 *   writeDescriptor): they never throw for what the kernel answers, and return a negative errno
 *   (compare with `-os.constants.errno.EAGAIN`), because an exception per burst would cost more
 *   than the burst.
 * - A wrong argument throws TypeError or RangeError before any system call is made.
 * - Everything that owns a descriptor has `close()`, which may be called twice. What is not closed
 *   stays open until its thread ends, also when nobody holds the object: its number may be in use.
 * - Nothing is kept per process: worker threads may load the package at the same time, and a
 *   numeric descriptor opened by one thread may be used by another.
 */

/** What a failing system call throws. */
export interface SystemError extends Error {
  /** Name of the errno, such as 'EPERM'. Stable: branch on this. */
  code: string;
  /** The errno itself, positive. */
  errno: number;
  /** The call that failed, such as 'bind' or 'bpf(BPF_PROG_LOAD)'. */
  syscall: string;
  /** BPF_PROG_LOAD only: what the kernel's verifier said. */
  verifierLog?: string;
}

// ---------------------------------------------------------------------------------------------
// Limits

/** Frame sizes the kernel takes in aligned mode. */
export const FRAME_SIZE_MIN: 2048;
export const FRAME_SIZE_MAX: 4096;
/** What the kernel itself keeps free in front of a received frame (XDP_PACKET_HEADROOM). */
export const KERNEL_HEADROOM: 256;
/** Entries in a ring: a power of two in this range. */
export const RING_ENTRIES_MIN: 1;
export const RING_ENTRIES_MAX: 4194304;
/** Descriptors one pollDescriptors() call may watch. */
export const POLL_DESCRIPTORS_MAX: 256;
/** Interfaces one Steering serves, and receive queues of each. */
export const STEERING_PORTS_MAX: 64;
export const STEERING_QUEUES_MAX: 256;
/** Port ranges one firewall mark prefix may hold, and one full-nat local address. */
export const STEERING_MARK_RULES_MAX: 8;
export const STEERING_FULL_NAT_RANGES_MAX: 4;
/** Bytes of a memory page on this machine. */
export const PAGE_SIZE: number;

/** poll(2) event bits. */
export const POLLIN: 1;
export const POLLOUT: 4;
export const POLLERR: 8;
export const POLLHUP: 16;
export const POLLNVAL: 32;

/** XDP verdicts as testRun() returns them. */
export const XDP_ABORTED: 0;
export const XDP_DROP: 1;
export const XDP_PASS: 2;
export const XDP_TX: 3;
export const XDP_REDIRECT: 4;

/** Bit in a fill or TX ring's flags word: the kernel sleeps, wake it (needWakeup sockets only). */
export const RING_NEED_WAKEUP: 1;

// ---------------------------------------------------------------------------------------------
// UMEM and rings

export interface UmemOptions {
  /**
   * The packet memory: starts on a page, a whole number of frames. Usually a view on a shared
   * WebAssembly.Memory. It stays pinned until the umem and its sockets are closed.
   */
  memory: Uint8Array;
  /** Bytes per frame. */
  frameSize: 2048 | 4096;
  /** Bytes kept free in front of a received frame, beside KERNEL_HEADROOM. Default 0. */
  headroom?: number;
}

/**
 * Registered packet memory. Every socket opened with it shares it, on whatever interface and
 * queue: the addresses in descriptors are offsets into `memory`, whichever socket they go to.
 */
export class Umem {
  private constructor();
  readonly memory: Uint8Array;
  readonly frameSize: number;
  readonly frameCount: number;
  readonly headroom: number;
  /** Refused with code 'EBUSY' while sockets are open on it. */
  close(): void;
}

/**
 * Registers `memory` with the kernel (XDP_UMEM_REG).
 * EPERM: CAP_NET_RAW is missing. ENOBUFS: pinning this much exceeds RLIMIT_MEMLOCK and
 * CAP_IPC_LOCK is missing. ENOMEM: the region could not be pinned. EAFNOSUPPORT: no AF_XDP.
 */
export function createUmem(options: UmemOptions): Umem;

export type RingKind = 'fill' | 'completion' | 'rx' | 'tx';

/**
 * Bytes to reserve for a ring: exactly what the kernel maps, a multiple of the page size.
 * Makes no system call, so memory can be laid out without any privilege.
 */
export function ringLength(kind: RingKind, entries: number): number;

/** Where a ring goes: `memory` + `byteOffset` must be on a page, with ringLength() bytes behind. */
export interface RingPlacement {
  memory: Uint8Array;
  /** From the start of `memory` (not of its buffer). */
  byteOffset: number;
  entries: number;
}

/**
 * A ring mapped into linear memory. `producer`, `consumer`, `flags` are 32-bit words, free-running
 * counters; entry i of the ring is at `descriptors + (i & (entries - 1)) * descriptorLength`.
 * All four are offsets from the start of the mapped region, i.e. from placement.byteOffset.
 */
export interface MappedRing {
  readonly kind: RingKind;
  readonly entries: number;
  /** Where the region starts in `placement.memory`. */
  readonly byteOffset: number;
  /** Bytes mapped; equals ringLength(kind, entries). */
  readonly length: number;
  readonly producer: number;
  readonly consumer: number;
  readonly flags: number;
  readonly descriptors: number;
  /**
   * 8 for fill and completion: a frame address. 16 for rx and tx: address (u64), length (u32),
   * options (u32).
   */
  readonly descriptorLength: 8 | 16;
}

// ---------------------------------------------------------------------------------------------
// Sockets

export interface BusyPollOptions {
  /** SO_BUSY_POLL: how long one wake-up may spin in the driver. */
  microseconds: number;
  /** SO_BUSY_POLL_BUDGET: frames one spin may handle. Default 64. */
  budget?: number;
}

export interface SocketOptions {
  umem: Umem;
  /** Interface name or index, in the network namespace of the calling thread. */
  interface: string | number;
  /** Receive queue, which is the transmit queue too. */
  queue: number;
  /** Fill and completion are always needed; rx or tx may be left out, not both. */
  rings: {
    fill: RingPlacement;
    completion: RingPlacement;
    rx?: RingPlacement;
    tx?: RingPlacement;
  };
  /**
   * 'auto' (default): zero-copy when the driver can, else copy. The sockets of one umem share the
   * mode of its first one; to mix modes, create a second umem on the same memory.
   */
  mode?: 'auto' | 'copy' | 'zero-copy';
  /** XDP_USE_NEED_WAKEUP. Default true. Sockets of one umem share this too. */
  needWakeup?: boolean;
  /** Sets SO_PREFER_BUSY_POLL with these values. Default off. */
  busyPoll?: BusyPollOptions;
}

export interface SocketStatistics {
  /** Dropped by the kernel for other reasons, such as a frame larger than a chunk. */
  receiveDropped: number;
  /** Descriptors with a bad address or length in the fill ring. */
  receiveInvalidDescriptors: number;
  /** The same in the tx ring. */
  transmitInvalidDescriptors: number;
  /** Dropped because the rx ring was full. */
  receiveRingFull: number;
  /** Times the kernel found the fill ring empty. */
  fillRingEmpty: number;
  /** Times the kernel found the tx ring empty. */
  transmitRingEmpty: number;
}

export class XdpSocket {
  private constructor();
  /** What workers hand to wakeTransmit(), wakeReceive() and pollDescriptors(). */
  readonly fd: number;
  readonly interfaceIndex: number;
  readonly queue: number;
  readonly rings: {
    readonly fill: MappedRing;
    readonly completion: MappedRing;
    readonly rx?: MappedRing;
    readonly tx?: MappedRing;
  };
  /** XDP_OPTIONS: whether the driver works without copying. */
  readonly zeroCopy: boolean;
  readonly needWakeup: boolean;
  /** XDP_STATISTICS; counts since the socket was opened. */
  statistics(): SocketStatistics;
  /**
   * Closes the socket and puts memory back where its rings were (the bytes that were there when the
   * memory is shared, zeroes when it is private), so that a late access reads memory, not a hole.
   */
  close(): void;
}

/**
 * Opens, maps and binds a socket. When it throws, nothing stays open or mapped.
 * EBUSY: the queue is taken; the message names the holder when it can be found.
 * ENODEV: no such interface. EINVAL: no such queue. EOPNOTSUPP: zero-copy asked, driver without it.
 */
export function openSocket(options: SocketOptions): XdpSocket;

/** Statistics by numeric descriptor, for threads that do not hold the object. */
export function socketStatistics(fd: number): SocketStatistics;

// ---------------------------------------------------------------------------------------------
// For the poll loop: numeric descriptors, no allocation, no exceptions for what the kernel answers

/**
 * Makes the kernel send what is in the tx ring. 0 or a negative errno; EAGAIN, EBUSY, ENOBUFS and
 * ENETDOWN are normal: what was not sent stays in the ring, so call again.
 */
export function wakeTransmit(fd: number): number;

/** Makes the kernel look at the fill ring again. 0 or a negative errno. */
export function wakeReceive(fd: number): number;

/**
 * poll(2). Negative entries of `fds` are skipped.
 * @param fds at most POLL_DESCRIPTORS_MAX.
 * @param timeoutMs 0 returns at once, -1 waits for ever.
 * @param ready receives, per entry, the bits that are ready; same length as `fds`.
 * @param events what to wait for: one mask for all, or one per entry. Default POLLIN.
 * @returns how many are ready; 0 also when a signal interrupted the wait; or a negative errno.
 */
export function pollDescriptors(
  fds: Int32Array,
  timeoutMs: number,
  ready?: Int32Array,
  events?: number | Int32Array,
): number;

/** A wake-up call for a thread that sleeps in pollDescriptors(): an eventfd, non-blocking. */
export class EventDescriptor {
  constructor();
  readonly fd: number;
  signal(): void;
  /** How often it was signalled since the last drain. */
  drain(): number;
  close(): void;
}
/** Adds one to an eventfd: 0 or a negative errno. */
export function signalEvent(fd: number): number;
/** Takes the count of an eventfd: the count (0 when none) or a negative errno. */
export function drainEvent(fd: number): number;

/** read(2) into `view`: bytes read or a negative errno. For TUN devices: one packet. */
export function readDescriptor(fd: number, view: Uint8Array): number;
/** write(2) from `view`: bytes written or a negative errno. For TUN devices: one packet. */
export function writeDescriptor(fd: number, view: Uint8Array): number;

// ---------------------------------------------------------------------------------------------
// Memory

/** MADV_HUGEPAGE on the whole pages of `view`. */
export function adviseHugePages(view: Uint8Array): void;
/** MADV_DONTFORK: a child process does not get these pages, so pinned frames stay where they are. */
export function adviseDontFork(view: Uint8Array): void;

export interface SharedMemoryOptions {
  /** An open descriptor to map (it stays the caller's), */
  fd?: number;
  /** or a file to open, made when it does not exist (/dev/shm/..., a hugetlbfs file), */
  path?: string;
  /** or the name of a new memfd (default 'af-xdp-socket'). */
  name?: string;
  /** memfd only: back it with huge pages of the system's default size (MFD_HUGETLB). */
  hugePages?: boolean;
  /** Where in the file the view starts; a multiple of the page size. Default 0. */
  fileOffset?: number;
}

/** The file now behind a view. Closing it keeps the mapping. */
export class SharedMemory {
  private constructor();
  readonly fd: number;
  /** Bytes the file has; it is grown to hold the view, never shrunk. */
  readonly size: number;
  close(): void;
}

/**
 * Replaces what is behind `view` by a shared mapping of a file (MAP_SHARED | MAP_FIXED): with
 * /dev/shm the content survives the process. The view's present content is NOT copied. Do this
 * before createUmem() and openSocket(), which would otherwise keep the pages that were there.
 * `view` must be on pages, a whole number of them, and on a SharedArrayBuffer.
 */
export function mapSharedMemory(view: Uint8Array, options?: SharedMemoryOptions): SharedMemory;

// ---------------------------------------------------------------------------------------------
// BPF maps, programs, links

export type MapType =
  | 'hash'
  | 'array'
  | 'percpu-hash'
  | 'percpu-array'
  | 'lru-hash'
  | 'lpm-trie'
  | 'xskmap';

export interface MapOptions {
  type: MapType;
  /** At most 15 of [A-Za-z0-9_.]. */
  name?: string;
  keyLength: number;
  valueLength: number;
  maxEntries: number;
  /** BPF_F_*; lpm-trie gets BPF_F_NO_PREALLOC by itself. */
  flags?: number;
}

export class BpfMap {
  private constructor();
  /** EPERM: CAP_BPF (and CAP_NET_ADMIN) missing. */
  static create(options: MapOptions): BpfMap;
  readonly fd: number;
  readonly type: MapType;
  readonly keyLength: number;
  /** As given; see lookupLength for per-CPU maps. */
  readonly valueLength: number;
  /**
   * Bytes lookup() returns and update() takes: valueLength, or for per-CPU maps valueLength rounded
   * up to 8, times the possible CPUs.
   */
  readonly lookupLength: number;
  readonly maxEntries: number;
  /** A copy of the value, or null. */
  lookup(key: Uint8Array): Uint8Array | null;
  /** BPF_ANY. E2BIG: the map is full. */
  update(key: Uint8Array, value: Uint8Array): void;
  /** False when there was no such key. */
  delete(key: Uint8Array): boolean;
  /** `count` keys and values, each packed one after the other. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void;
  /** Deletes `count` packed keys; keys that are not there are skipped. Returns how many were. */
  deleteBatch(keys: Uint8Array, count: number): number;
  /** Every key, each a fresh copy. A key deleted meanwhile restarts the walk, as in the kernel. */
  keys(): IterableIterator<Uint8Array>;
  close(): void;
}

/** A compiled program as `make bytecode` writes it. */
export interface Bytecode {
  name: string;
  license: string;
  /** eBPF instructions, little-endian, 8 bytes each, base64. */
  instructions: string;
  maps: {
    name: string;
    type: MapType;
    keyLength: number;
    valueLength: number;
    maxEntries: number;
    flags: number;
  }[];
  /** Instruction `instruction` (an ld_imm64) takes the descriptor of map `map`. */
  relocations: { instruction: number; map: string }[];
}

/**
 * The smallest useful program: every frame goes to the socket of its queue, to the kernel where
 * there is none. `maps.sockets`: queue (u32) to descriptor (u32), at most 256 queues.
 */
export const REDIRECT_ALL_BYTECODE: Bytecode;

export type AttachMode = 'auto' | 'native' | 'generic';

export interface TestRunOptions {
  /** Times the frame is run; the kernel reports the mean. Default 1. */
  repeat?: number;
}
export interface TestRunResult {
  verdict: number;
  /** The frame after the run. */
  frame: Uint8Array;
  /** Mean time of one run. */
  durationNs: number;
}

export class XdpProgram {
  private constructor();
  /**
   * Creates the maps, then loads. `maxEntries` overrides sizes by map name.
   * EPERM: CAP_BPF and CAP_NET_ADMIN. A refusal by the verifier carries its log in `verifierLog`.
   */
  static load(bytecode: Bytecode, options?: { maxEntries?: Record<string, number> }): XdpProgram;
  readonly fd: number;
  readonly maps: Readonly<Record<string, BpfMap>>;
  attach(interfaceNameOrIndex: string | number, mode?: AttachMode): XdpLink;
  /** BPF_PROG_TEST_RUN with this frame, as if received on queue 0 of the namespace's loopback. */
  testRun(frame: Uint8Array, options?: TestRunOptions): TestRunResult;
  /** Closes the program and its maps. Links already made keep the program running. */
  close(): void;
}

/** An attached program. Detaches on close(), and by itself when the process dies. */
export class XdpLink {
  private constructor();
  readonly fd: number;
  readonly interfaceIndex: number;
  /** What came out: 'auto' tries native first. */
  readonly mode: 'native' | 'generic';
  /** Why 'auto' had to fall back to generic mode, else null. */
  readonly nativeRefusal: SystemError | null;
  close(): void;
}

// ---------------------------------------------------------------------------------------------
// The steering program

/** '192.0.2.80' or '2001:db8::80', or its 4 or 16 bytes in network order. */
export type Address = string | Uint8Array;
/** 'any' stands for every protocol a virtual service can have: the five named here. */
export type SteeredProtocol = 'tcp' | 'udp' | 'sctp' | 'ah' | 'esp' | 'any';
/** First and last port, both included. */
export type PortRange = readonly [first: number, last: number];

export interface SteeredEndpoint {
  address: Address;
  protocol: SteeredProtocol;
  /** 0: every port. Must be 0 for 'ah', 'esp' and 'any'. */
  port: number;
}

/** What is ours: one whole published configuration. Absent means empty. */
export interface SteeringTables {
  /** Virtual services by address. */
  services?: readonly SteeredEndpoint[];
  /** Firewall marks: packets to a prefix. Rules of covering prefixes are added to inner ones. */
  marks?: readonly {
    /** '192.0.2.0/24', '2001:db8::/32', or a single address. */
    destination: string;
    protocol: SteeredProtocol;
    /** Absent: every port. */
    ports?: readonly PortRange[];
  }[];
  /**
   * Real servers reached by nat or full-nat, as their replies leave them. port 0: any port. For
   * nat their replies are steered; for both, ICMP errors about them and fragments from them.
   */
  realServers?: readonly SteeredEndpoint[];
  /** The director's own addresses: what comes from a real server to one of them is the kernel's. */
  localAddresses?: readonly Address[];
  /** The full-nat source pool: packets to these ports (tcp, udp, sctp) are ours. */
  fullNat?: readonly { address: Address; ports: readonly PortRange[] }[];
  /** Real servers reached through a tunnel: ICMP errors about the tunnel are ours. */
  tunnels?: readonly { address: Address; guePort?: number }[];
}

/** From what is published to what shall be. An item is told from others by all its fields. */
export interface SteeringChanges {
  /** Taken away first; what is not there is none the less not there afterwards. */
  removed?: Pick<SteeringTables, 'services' | 'realServers' | 'tunnels'>;
  /** What is there already is there once, as in SteeringTables. */
  added?: Pick<SteeringTables, 'services' | 'realServers' | 'tunnels'>;
  /** The short lists are replaced as a whole. Absent: as they are. */
  marks?: NonNullable<SteeringTables['marks']>;
  localAddresses?: NonNullable<SteeringTables['localAddresses']>;
  fullNat?: NonNullable<SteeringTables['fullNat']>;
}

export interface SteeringCapacity {
  /** Services of addresses that have more than four, in each bank. Default 16,384. */
  services?: number;
  /** Servers' ports of addresses that have more than four. Default 262,144. */
  realServers?: number;
  /** Different addresses, in all of the tables but marks. Default 131,072. */
  addresses?: number;
  /** Different prefixes in marks. Default 4,096. */
  marks?: number;
}

/** One counter for each way the program can decide; every packet counts in exactly one. */
export type SteeringOutcome =
  | 'steered-virtual-service'
  | 'steered-firewall-mark'
  | 'steered-full-nat-reply'
  | 'steered-nat-reply'
  | 'steered-icmp-error-about-virtual-service'
  | 'steered-icmp-error-about-real-server'
  | 'steered-icmp-error-about-full-nat'
  | 'steered-icmp-error-about-tunnel'
  | 'steered-fragment-to-virtual-address'
  | 'steered-fragment-from-real-server'
  | 'passed-not-published'
  | 'passed-not-ip'
  | 'passed-vlan-tagged'
  | 'passed-malformed'
  | 'passed-local-address'
  | 'passed-no-service'
  | 'passed-fragment'
  | 'passed-icmp'
  | 'passed-other-host'
  | 'passed-no-socket';

export const STEERING_OUTCOMES: readonly SteeringOutcome[];

/**
 * The XDP program that takes what is surely ours to AF_XDP sockets and leaves the rest to the
 * kernel. One instance serves all interfaces (ports).
 */
export class Steering {
  private constructor();
  static load(options?: { capacity?: SteeringCapacity }): Steering;
  /**
   * Attaches to an interface; it starts steering there as soon as a socket is set.
   * EBUSY: another XDP program is there (named). EOPNOTSUPP: 'native' asked, driver without it.
   */
  attach(interfaceNameOrIndex: string | number, mode?: AttachMode): XdpLink;
  /** Reads the interface's MAC again: frames to another one pass. Call it when the MAC changed. */
  refreshPort(interfaceNameOrIndex: string | number): void;
  /** Takes the program off an interface. Nothing happens when it is not attached. */
  detach(interfaceNameOrIndex: string | number): void;
  /** Frames of this interface and queue go to socket `fd`, which is bound there. attach() first. */
  setSocket(interfaceNameOrIndex: string | number, queue: number, fd: number): void;
  /** Frames of this queue pass to the kernel again. A closed socket leaves by itself. */
  clearSocket(interfaceNameOrIndex: string | number, queue: number): void;
  /**
   * Makes `tables` what is steered, all at once: no packet is ever judged by a mixture. When it
   * throws, what was published before is still in force. RangeError: more than the capacity.
   * Less than a second after the last publish it first waits some 10 to 20 ms for the kernel.
   */
  publish(tables: SteeringTables): { written: number; deleted: number };
  /**
   * The same as a publish() of the whole with these changes, in a time that depends on the changes
   * alone. When it throws, neither what is in force nor what the next changes start from changed.
   */
  publishChanges(changes: SteeringChanges): { written: number; deleted: number };
  /** False: everything passes to the kernel, tables and sockets stay. Starts as true. */
  setEnabled(enabled: boolean): void;
  /** Summed over all CPUs since load(). */
  counters(): Record<SteeringOutcome, number>;
  /** What would happen to this Ethernet frame on queue 0 of the loopback interface (counts too). */
  testRun(
    frame: Uint8Array,
    options?: TestRunOptions,
  ): TestRunResult & { outcome: SteeringOutcome };
  readonly program: XdpProgram;
  /** Detaches everywhere and closes program and maps. */
  close(): void;
}

// ---------------------------------------------------------------------------------------------
// Probes of a virtual address through one server

/** What a prober's socket is about to do. */
export interface ProbePathOptions {
  protocol: 'tcp' | 'udp';
  /** The port the socket is bound to. */
  localPort: number;
  /** The server's own address, which the socket connects to, */
  server: Address;
  /** and the port there, which is the virtual service's as well. */
  port: number;
  /** What the server is to be asked at; of the same IP version. */
  virtualAddress: Address;
  /** Absent: direct routing, with the virtual address as the destination. None has a checksum. */
  tunnel?: 'ipip' | 'gre' | 'gue';
  /** Of 'gue': the UDP port at the server. */
  guePort?: number;
}

/** One way, open until close(). */
export class ProbePath {
  private constructor();
  /** Packets rewritten on their way out. None: the probe left by an interface without attach(). */
  readonly sent: number;
  /** Packets rewritten on their way in. */
  readonly answered: number;
  /** For TCP leave it open until the last retransmission has been answered. */
  close(): void;
}

/**
 * Lets ordinary sockets of the director ask one server at a virtual address, though the director
 * has that address itself: what such a socket sends to the server's own address goes out with the
 * virtual address in its place (or inside a tunnel's header), and two hops to live; answers of the
 * virtual address come in as the server's own. Two tcx programs do it, which need Linux 6.6.
 * Neither ICMP errors nor fragments are rewritten. TCP's segments are kept short enough for the
 * tunnel's header; a datagram has to be.
 */
export class ProbePaths {
  private constructor();
  /**
   * Loads the programs.
   * @param options.capacity ways open at the same time; default 65,536
   */
  static load(options?: { capacity?: number }): ProbePaths;
  /**
   * Both directions of an interface towards servers; once is enough. Detached by close(), and when
   * the process dies. EINVAL: no tcx, the kernel is too old.
   */
  attach(interfaceNameOrIndex: string | number): void;
  /** Before the socket connects. Of two with the same ends, the later counts. E2BIG: too many. */
  open(path: ProbePathOptions): ProbePath;
  /** What would happen to this Ethernet frame. `verdict`: -1 goes on, 2 is dropped. */
  testRun(direction: 'egress' | 'ingress', frame: Uint8Array): TestRunResult;
  close(): void;
}

// ---------------------------------------------------------------------------------------------
// Interfaces, rtnetlink, TUN

export interface InterfaceInfo {
  name: string;
  index: number;
  /** 'aa:bb:cc:dd:ee:ff', or null when the link has no Ethernet address. */
  mac: string | null;
  mtu: number;
  /** IFF_* bits; IFF_UP is 1. */
  flags: number;
  up: boolean;
  /** Queues in use (ETHTOOL_GCHANNELS when the driver answers, else those created). */
  rxQueues: number;
  txQueues: number;
  /** Queues that serve both directions; 0 when the driver counts rx and tx apart. */
  combinedQueues: number;
  /** The kind the link was created as ('veth', 'bond', ...), or null. */
  kind: string | null;
  /** The XDP program attached, if any. */
  xdp: { mode: 'native' | 'generic' | 'offload' | 'several'; programId: number } | null;
}

/** ENODEV: no such interface. */
export function interfaceInfo(nameOrIndex: string | number): InterfaceInfo;

export interface NetlinkOptions {
  /** NETLINK_ROUTE is 0 (default). */
  protocol?: number;
  /** Multicast groups to join, such as RTNLGRP_LINK = 1. */
  groups?: readonly number[];
  /** One datagram, holding one or more netlink messages. The buffer is yours. */
  onMessage: (datagram: Buffer) => void;
  /**
   * ENOBUFS: the kernel had to drop events; ask for a new dump. The socket goes on. Any other error
   * ends reception. Without onError such an error is thrown out of the event loop.
   */
  onError?: (error: SystemError) => void;
  /** SO_RCVBUF(FORCE) in bytes. Default 1 MiB. */
  receiveBuffer?: number;
}

/** A netlink socket whose datagrams arrive on the event loop of the thread that opened it. */
export class NetlinkSocket {
  private constructor();
  readonly fd: number;
  /** nl_pid the kernel gave us. */
  readonly portId: number;
  /** Sends one datagram to the kernel. */
  send(datagram: Uint8Array): void;
  /** Let the process end while this is open; ref() undoes it. */
  unref(): this;
  ref(): this;
  /** No onMessage or onError is called after this returns. */
  close(): void;
}
export function openNetlink(options: NetlinkOptions): NetlinkSocket;

/** A TUN device: packets without Ethernet header; use readDescriptor() and writeDescriptor(). */
export class TunDevice {
  private constructor();
  readonly fd: number;
  readonly name: string;
  close(): void;
}
/** @param name such as 'wvs0', or 'wvs%d' to let the kernel number it (default 'tun%d'). */
export function openTun(name?: string): TunDevice;

// ---------------------------------------------------------------------------------------------
// The process

/**
 * Sends `text`, such as 'READY=1', to the datagram socket of a service manager: $NOTIFY_SOCKET of
 * sd_notify(3). A path that starts with '@' is an abstract name.
 */
export function notifyServiceManager(path: string, text: string): void;

export type Capability =
  | 'CAP_NET_ADMIN'
  | 'CAP_NET_RAW'
  | 'CAP_IPC_LOCK'
  | 'CAP_SYS_ADMIN'
  | 'CAP_PERFMON'
  | 'CAP_BPF';

/**
 * Takes all other capabilities away from every thread of the process, for good; from the bounding
 * set too where CAP_SETPCAP allows, so that no child process gets them back. The process should
 * not change its user or start threads in other ways at that moment.
 * @returns the number of threads
 */
export function keepCapabilities(capabilities: readonly Capability[]): number;
