// What is noted of each packet of the burst while it goes through the passes, in the worker's
// block.

import { WORKER_BURST } from '../shared/layout.ts';
import { worker } from '../instance.ts';

/** Where the Ethernet frame begins. */
export const FRAME: u32 = 0;
/** Both ports as the packet has them. */
export const PORTS: u32 = 4;
/** Of an IPv6 packet that is ready: where the address stands that it gets, or that wraps it. */
export const NEW_ADDRESS: u32 = 4;
/**
 * Source and destination address as the packet has them, an IPv6 address folded as in a
 * connection's hot half. Once a packet is ready, its next hop's record stands here.
 */
export const ENDS: u32 = 8; // u64
export const WAY: u32 = 8; // u64
/** The node looked at next, then the entry. */
export const WHERE: u32 = 16;
/** As at CONNECTION_FAMILY: family and protocol; 0 for a packet that is not plain. */
export const KIND: u32 = 20; // u16
/** 1 for an answer. */
export const OUTWARDS: u32 = 22; // u8
/** FOUND_*, 0 when no connection was found. */
export const FOUND: u32 = 23; // u8
/** How a packet that is ready is forwarded: HOW_*. */
export const HOW: u32 = 24; // u8
/** Bytes of the header that was put in front of it. */
export const OUTER: u32 = 25; // u8
/** What KIND will be unless something is found that is not plain. */
export const SEEMS: u32 = 26; // u16
/** Of the IP packet. */
export const LENGTH: u32 = 28; // u16
export const FRAME_LENGTH: u32 = 30; // u16
/** Where the chain begins, and the first node that was found there. */
export const CHAIN: u32 = 32;
export const HEAD: u32 = 36;
export const NOTE_SIZE: u32 = 40;

/**
 * The connection was found by the client's end, or by the local one of full-nat: bit 0 in any case.
 */
export const FOUND_BY_CLIENT: u32 = 1;
export const FOUND_BY_LOCAL: u32 = 3;

/** HOW: the forwarding method in the low bits, then these. */
export const HOW_METHOD: u32 = 7;
export const HOW_OUTWARDS: u32 = 8;
export const HOW_IPV6: u32 = 16;
export const HOW_OUTWARDS_SHIFT: u32 = 3;

/**
 * How many notes a loop without branches takes at once; those behind the last packet are harmless.
 */
export const STEP: u32 = 4;

/** Notes of BURST_MAX packets, then a list of notes, then what is expected of connections. */
export const NOTES: u32 = WORKER_BURST;
export const OPEN_LIST: u32 = WORKER_BURST + 3072;
export const EXPECTATIONS: u32 = WORKER_BURST + 3584;
/** A line that nobody reads: it is touched where there is nothing to touch. */
export const NOTHING: u32 = WORKER_BURST + 3712;
/**
 * Source and destination address of each IPv6 packet. They are needed more than once, and the headers
 * of a burst's frames share few places of the first-level cache.
 */
const WHOLE_ENDS: u32 = WORKER_BURST + 4096;
export const WHOLE_ENDS_SIZE: u32 = 32;

/** The n-th packet's. */
// @ts-ignore: decorator
@inline
export function note(n: u32): usize {
  return worker + NOTES + <usize>n * NOTE_SIZE;
}

/** Where the n-th packet's IPv6 addresses stand. */
// @ts-ignore: decorator
@inline
export function wholeEnds(n: u32): usize {
  return worker + WHOLE_ENDS + <usize>n * WHOLE_ENDS_SIZE;
}
