/**
 * The vocabulary of the golden packets: addresses and headers that read the same in both families,
 * and the comparison of a row with what the data plane did.
 */

import { expect } from 'vitest';
import { formatEndpoint } from '../../host/config/address.ts';
import {
  type BedOptions,
  type BedServer,
  type Build,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
  NEIGHBOUR_MACS,
  type Outcome,
  SERVER_PORT_MAC,
  type Verdict,
} from '../support/director-bed.ts';
import * as build from '../support/packet-builder.ts';

export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];
export type Transport = 'tcp' | 'udp' | 'sctp';
export const TRANSPORTS: readonly Transport[] = ['tcp', 'udp', 'sctp'];

/** The hosts by family. `local` is the only address of the full-nat pool. */
export const HOSTS = {
  4: {
    client: '198.51.100.1',
    stranger: '198.51.100.2',
    vip: '192.0.2.80',
    server: '10.0.0.11',
    other: '10.0.0.12',
    unknown: '10.0.0.99',
    unrouted: '172.31.0.1',
    local: '10.0.0.200',
    clientPort: '198.51.100.254',
    serverPort: '10.0.0.254',
  },
  6: {
    client: '2001:db8:ffff::1',
    stranger: '2001:db8:ffff::2',
    vip: '2001:db8:1::80',
    server: '2001:db8:10::11',
    other: '2001:db8:10::12',
    unknown: '2001:db8:10::99',
    unrouted: '2001:db8:aaaa::1',
    local: '2001:db8:10::200',
    clientPort: '2001:db8:ffff::fe',
    serverPort: '2001:db8:10::fe',
  },
} as const satisfies Record<Family, Record<string, string>>;

/** Ports of the full-nat pool, in the order they are given out. */
export const LOCAL_PORTS = [5000, 5001, 5002, 5003] as const;
export const POOL: NonNullable<BedOptions['pool']> = {
  addresses: [
    { family: 4, address: HOSTS[4].local },
    { family: 6, address: HOSTS[6].local },
  ],
  portRanges: [
    [LOCAL_PORTS[0], LOCAL_PORTS[3]],
    [1, 0],
  ],
};

/** A service of one server, on the VIP's port 80 unless said otherwise. */
export function service(
  transport: Transport,
  family: Family,
  server: Omit<BedServer, 'at'> & { port?: number; address?: string },
): NonNullable<BedOptions['services']> {
  const { port = 80, address = HOSTS[family].server, ...rest } = server;
  const at = `${transport} ${formatEndpoint(HOSTS[family].vip, 80)}`;
  return [{ at, servers: [{ at: formatEndpoint(address, port), ...rest }] }];
}

/** What an IP header says in either family; `hops` is 64 unless given. */
export interface IpFields {
  readonly from: string;
  readonly to: string;
  readonly hops?: number;
  readonly dontFragment?: boolean;
  readonly identification?: number;
  /** Type of service or traffic class. */
  readonly service?: number;
}

/** An IP header of the addresses' family. */
export function ip(fields: IpFields): build.Layer {
  const { from, to, hops = 64, service: typeOfService = 0 } = fields;
  if (from.includes(':')) {
    return build.ipv6({
      source: from,
      destination: to,
      hopLimit: hops,
      trafficClass: typeOfService,
    });
  }
  return build.ipv4({
    source: from,
    destination: to,
    timeToLive: hops,
    typeOfService,
    dontFragment: fields.dontFragment ?? false,
    identification: fields.identification ?? 1,
  });
}

/** A transport header that begins a connection: SYN, INIT, or any datagram. */
export function opening(transport: Transport, from: number, to: number): build.Layer[] {
  return segment(transport, from, to, 'S', 1);
}

/** One that goes on in a connection. */
export function segment(
  transport: Transport,
  from: number,
  to: number,
  flags = 'A',
  chunkType = 0,
): build.Layer[] {
  const ports = { sourcePort: from, destinationPort: to };
  if (transport === 'tcp') return [build.tcp({ ...ports, flags })];
  if (transport === 'udp') return [build.udp(ports)];
  return [build.sctp(ports), build.chunk({ type: chunkType, value: new Uint8Array(12) })];
}

/** Ethernet headers by who sends to whom; the director's ports are on its two arms. */
export function fromClient(family: Family): build.Layer {
  return build.ethernet({ destination: CLIENT_PORT_MAC, source: macOf(HOSTS[family].client) });
}
export function toClient(family: Family): build.Layer {
  return build.ethernet({ destination: macOf(HOSTS[family].client), source: CLIENT_PORT_MAC });
}
export function fromServer(family: Family): build.Layer {
  return build.ethernet({ destination: SERVER_PORT_MAC, source: macOf(HOSTS[family].server) });
}
export function toServer(family: Family): build.Layer {
  return build.ethernet({ destination: macOf(HOSTS[family].server), source: SERVER_PORT_MAC });
}

function macOf(address: string): string {
  const mac = NEIGHBOUR_MACS[address];
  if (mac === undefined) throw new Error(`no neighbour ${address}`);
  return mac;
}

/** The IP packet of a frame. */
export function ipOf(frame: Uint8Array): Uint8Array {
  return frame.subarray(14);
}

/** Bytes of an ICMP error's quote at most: an error has 576 bytes, in IPv6 1280. */
export function quote(family: Family, packet: Uint8Array): build.Layer {
  return build.payload(packet.subarray(0, family === 4 ? 576 - 28 : 1280 - 48));
}

/** The ICMP errors by their names in either family. */
const ERRORS = {
  portUnreachable: { 4: [3, 3], 6: [1, 4] },
  hostUnreachable: { 4: [3, 1], 6: [1, 3] },
  timeExceeded: { 4: [11, 0], 6: [3, 0] },
  tooBig: { 4: [3, 4], 6: [2, 0] },
} as const satisfies Record<string, Record<Family, readonly [number, number]>>;

/** An ICMP error. */
export function icmpError(family: Family, name: keyof typeof ERRORS, rest = 0): build.Layer {
  const [type, code] = ERRORS[name][family];
  return family === 4 ? build.icmp({ type, code, rest }) : build.icmpv6({ type, code, rest });
}

/** The IP header of an error that the director makes itself, the first one after its start. */
export function ownIp(family: Family, from: string, to: string): build.Layer {
  // The first identification is 0xc001, stored as it is; an IPv4 error has precedence 6.
  return ip({ from, to, service: family === 4 ? 0xc0 : 0, identification: 0x01c0 });
}

/** One row: a packet comes in, and this is all that happens. */
export interface Golden {
  readonly description: string;
  readonly bed: BedOptions;
  /** Frames that come before, whatever becomes of them. */
  readonly before?: readonly (readonly [port: string, frame: Uint8Array])[];
  readonly port: string;
  readonly packet: Uint8Array;
  readonly verdict: Verdict;
  readonly reason?: string;
  readonly out: readonly (readonly [port: string, frame: Uint8Array])[];
  /** Counters that change, and by how much, beside RECEIVED and CONNECTIONS_CREATED. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Runs a row and compares all of it. @returns the bed, for what else a test wants to see */
export function runGolden(row: Golden, on: Build): DirectorBed {
  const bed = createBed({ build: on, ...row.bed });
  for (const [port, frame] of row.before ?? []) bed.send(port, frame);
  compare(row, bed.send(row.port, row.packet));
  return bed;
}

function compare(row: Golden, outcome: Outcome): void {
  expect({
    verdict: outcome.verdict,
    reason: outcome.reason,
    out: outcome.out.map(({ port, frame }) => `${port} ${build.toHex(frame)}`),
    counters: outcome.counters,
  }).toEqual({
    verdict: row.verdict,
    reason: row.reason,
    out: row.out.map(([port, frame]) => `${port} ${build.toHex(frame)}`),
    counters: row.counters,
  });
}
