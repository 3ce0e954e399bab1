// Rows to bytes: each function writes one kind of record into a bank. What is where is said in
// assembly/shared/layout.ts; addresses and ports are stored in network order.

import { SERVICE_ENGINE_SIP } from '../../assembly/shared/codes.ts';
import {
  BANK_ANY_PORT_SERVICES,
  BANK_DIRECTOR_POOL,
  BANK_FLAG_SIP,
  BANK_FLAGS,
  BANK_FTP_SERVICES,
  BANK_LOCAL_POOL_COUNT,
  BANK_LOCAL_PORTS,
  BANK_MARK_COUNT,
  BANK_MARK_SERVICES,
  BANK_PORTS,
  BANK_SERVICE_COUNT,
  BANK_TIMEOUT_SCTP,
  BANK_TIMEOUT_TCP,
  BANK_TIMEOUT_UDP,
  DESTINATION_ADDRESS,
  DESTINATION_FAMILY,
  DESTINATION_FORWARDING,
  DESTINATION_LAST_WEIGHT,
  DESTINATION_LOWER_THRESHOLD,
  DESTINATION_PORT,
  DESTINATION_PROTOCOL,
  DESTINATION_SERVICE,
  DESTINATION_SIZE,
  DESTINATION_TUNNEL_FLAGS,
  DESTINATION_TUNNEL_PORT,
  DESTINATION_TUNNEL_TYPE,
  DESTINATION_UPPER_THRESHOLD,
  DESTINATION_VIRTUAL_ADDRESS,
  DESTINATION_VIRTUAL_PORT,
  DESTINATION_WEIGHT,
  MARK_ADDRESS,
  MARK_FAMILY,
  MARK_PORT_COUNT,
  MARK_PORTS,
  MARK_PREFIX,
  MARK_PROTOCOL,
  MARK_SIZE,
  MARK_SOURCE,
  MARK_SOURCE_PREFIX,
  MARK_VALUE,
  POOL_ADDRESS,
  POOL_FAMILY,
  POOL_SIZE,
  PORT_FLAGS,
  PORT_INTERFACE,
  PORT_IPV4,
  PORT_IPV6,
  PORT_MAC,
  PORT_MTU,
  PORT_PARTIAL_CHECKSUMS,
  PORT_SIZE,
  PORT_UP,
  SERVICE_ADDRESS,
  SERVICE_DESTINATION_COUNT,
  SERVICE_DESTINATION_LIST,
  SERVICE_FAMILY,
  SERVICE_FLAGS,
  SERVICE_MARK,
  SERVICE_PERSISTENCE_MASK,
  SERVICE_PERSISTENCE_TICKS,
  SERVICE_POOL_COUNT,
  SERVICE_POOL_FIRST,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SERVICE_SCHEDULER,
  SERVICE_SCHEDULER_SLOTS,
  SERVICE_SCHEDULER_TABLE,
  SERVICE_SIZE,
} from '../../assembly/shared/layout.ts';
import { PORTS_MAX } from '../../assembly/shared/limits.ts';
import { addressBytes, maskedPrefix } from '../config/address.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { swapPort } from './hash.ts';
import type { PoolRun, PoolRuns } from './pool-runs.ts';
import type { DestinationRow, ServiceRow } from './rows.ts';
import type { LocalPool, MarkRule, WorldPort } from './world.ts';

/** Where a service's list and scheduler table lie, as byte offsets inside the bank. */
export interface ServicePlaces {
  readonly list: number;
  readonly schedulerTable: number;
  readonly pool: PoolRun;
}

/** Timeouts of the protocols' states, in ticks. */
export interface TimeoutTables {
  readonly tcp: readonly number[];
  readonly sctp: readonly number[];
  readonly udp: number;
}

/** Counts of services that let the data plane skip a lookup. */
export interface ServiceCounts {
  readonly services: number;
  readonly ftp: number;
  readonly anyPort: number;
  readonly mark: number;
}

/** Writes a service's record, its destination list and its scheduler's table. */
export function encodeService(
  memory: DataPlaneMemory,
  bank: number,
  row: ServiceRow,
  places: ServicePlaces,
): void {
  const { u8, u16, u32 } = memory;
  const at = memory.service(bank, row.id);
  u8.fill(0, at, at + SERVICE_SIZE);
  u8[at + SERVICE_FAMILY] = row.family;
  u8[at + SERVICE_PROTOCOL] = row.protocol;
  u8[at + SERVICE_SCHEDULER] = row.scheduler;
  u16[(at + SERVICE_PORT) >>> 1] = swapPort(row.port);
  u32[(at + SERVICE_FLAGS) >>> 2] = row.flags;
  if ((row.flags & SERVICE_ENGINE_SIP) !== 0) u32[(bank + BANK_FLAGS) >>> 2] |= BANK_FLAG_SIP;
  u32[(at + SERVICE_MARK) >>> 2] = row.mark;
  u32[(at + SERVICE_PERSISTENCE_TICKS) >>> 2] = row.persistenceTicks;
  u32[(at + SERVICE_PERSISTENCE_MASK) >>> 2] = row.persistenceMask;
  u32[(at + SERVICE_DESTINATION_COUNT) >>> 2] = row.destinations.length;
  u32[(at + SERVICE_POOL_FIRST) >>> 2] = places.pool.first;
  u32[(at + SERVICE_POOL_COUNT) >>> 2] = places.pool.count;
  u32[(at + SERVICE_DESTINATION_LIST) >>> 2] = places.list;
  u8.set(row.address, at + SERVICE_ADDRESS);
  u32.set(row.destinations, (bank + places.list) >>> 2);
  if (row.schedulerTable === undefined) return;
  u32[(at + SERVICE_SCHEDULER_TABLE) >>> 2] = places.schedulerTable;
  u32[(at + SERVICE_SCHEDULER_SLOTS) >>> 2] = row.schedulerTable.length;
  u32.set(row.schedulerTable, (bank + places.schedulerTable) >>> 2);
}

/** Clears a service's record. */
export function clearService(memory: DataPlaneMemory, bank: number, id: number): void {
  const at = memory.service(bank, id);
  memory.u8.fill(0, at, at + SERVICE_SIZE);
}

/** Writes a destination's record. */
export function encodeDestination(
  memory: DataPlaneMemory,
  bank: number,
  row: DestinationRow,
): void {
  const { u8, u16, u32, i32 } = memory;
  const at = memory.destination(bank, row.id);
  u8.fill(0, at + DESTINATION_ADDRESS, at + DESTINATION_SIZE);
  u8[at + DESTINATION_FAMILY] = row.family;
  u8[at + DESTINATION_FORWARDING] = row.forwarding;
  u8[at + DESTINATION_TUNNEL_TYPE] = row.tunnelType;
  u8[at + DESTINATION_TUNNEL_FLAGS] = row.tunnelFlags;
  u16[(at + DESTINATION_TUNNEL_PORT) >>> 1] = swapPort(row.tunnelPort);
  u16[(at + DESTINATION_PORT) >>> 1] = swapPort(row.port);
  i32[(at + DESTINATION_WEIGHT) >>> 2] = row.weight;
  i32[(at + DESTINATION_LAST_WEIGHT) >>> 2] = row.lastWeight;
  u32[(at + DESTINATION_UPPER_THRESHOLD) >>> 2] = row.upperThreshold;
  u32[(at + DESTINATION_LOWER_THRESHOLD) >>> 2] = row.lowerThreshold;
  u32[(at + DESTINATION_SERVICE) >>> 2] = row.serviceId;
  u8[at + DESTINATION_PROTOCOL] = row.protocol;
  u16[(at + DESTINATION_VIRTUAL_PORT) >>> 1] = swapPort(row.virtualPort);
  u8.set(row.address, at + DESTINATION_ADDRESS);
  u8.set(row.virtualAddress, at + DESTINATION_VIRTUAL_ADDRESS);
}

/** Clears a destination's record. */
export function clearDestination(memory: DataPlaneMemory, bank: number, id: number): void {
  const at = memory.destination(bank, id);
  memory.u8.fill(0, at, at + DESTINATION_SIZE);
}

/** Writes the counts in a bank's header. */
export function encodeCounts(memory: DataPlaneMemory, bank: number, counts: ServiceCounts): void {
  const { u32 } = memory;
  u32[(bank + BANK_SERVICE_COUNT) >>> 2] = counts.services;
  u32[(bank + BANK_FTP_SERVICES) >>> 2] = counts.ftp;
  u32[(bank + BANK_ANY_PORT_SERVICES) >>> 2] = counts.anyPort;
  u32[(bank + BANK_MARK_SERVICES) >>> 2] = counts.mark;
}

/** Writes the protocols' timeouts. */
export function encodeTimeouts(memory: DataPlaneMemory, bank: number, tables: TimeoutTables): void {
  memory.u32.set(tables.tcp, (bank + BANK_TIMEOUT_TCP) >>> 2);
  memory.u32.set(tables.sctp, (bank + BANK_TIMEOUT_SCTP) >>> 2);
  memory.u32[(bank + BANK_TIMEOUT_UDP) >>> 2] = tables.udp;
}

/** Writes sysctl words, given by their SYSCTL_* offsets. */
export function encodeSysctls(
  memory: DataPlaneMemory,
  bank: number,
  words: ReadonlyMap<number, number>,
): void {
  for (const [offset, value] of words) memory.i32[(bank + offset) >>> 2] = value;
}

/** Writes the port records; ports that are not given are down. */
export function encodePorts(
  memory: DataPlaneMemory,
  bank: number,
  ports: readonly WorldPort[],
): void {
  const { u8, u32 } = memory;
  u8.fill(0, bank + BANK_PORTS, bank + BANK_PORTS + PORTS_MAX * PORT_SIZE);
  for (const port of ports) {
    const at = bank + BANK_PORTS + port.index * PORT_SIZE;
    const partial = port.partialChecksums === true ? PORT_PARTIAL_CHECKSUMS : 0;
    u32[(at + PORT_FLAGS) >>> 2] = partial | (port.up ? PORT_UP : 0);
    u8.set(port.mac, at + PORT_MAC);
    u32[(at + PORT_MTU) >>> 2] = port.mtu;
    if (port.ipv4 !== undefined) u8.set(addressBytes(port.ipv4), at + PORT_IPV4);
    if (port.ipv6 !== undefined) u8.set(addressBytes(port.ipv6), at + PORT_IPV6);
    u32[(at + PORT_INTERFACE) >>> 2] = port.ifindex;
  }
}

/** Writes the firewall mark rules, in their order. */
export function encodeMarks(
  memory: DataPlaneMemory,
  bank: number,
  rules: readonly MarkRule[],
): void {
  const { u8, u16, u32 } = memory;
  for (const [index, rule] of rules.entries()) {
    const at = bank + memory.map.bank.marks + index * MARK_SIZE;
    u8.fill(0, at, at + MARK_SIZE);
    u8[at + MARK_FAMILY] = rule.family;
    u8[at + MARK_PROTOCOL] = rule.protocol;
    u8[at + MARK_PREFIX] = rule.destination?.prefixLength ?? 0;
    u8[at + MARK_PORT_COUNT] = rule.ports.length;
    u32[(at + MARK_VALUE) >>> 2] = rule.mark;
    if (rule.destination !== undefined) {
      u8.set(maskedPrefix(rule.destination), at + MARK_ADDRESS);
    }
    u8[at + MARK_SOURCE_PREFIX] = rule.source?.prefixLength ?? 0;
    if (rule.source !== undefined) u8.set(maskedPrefix(rule.source), at + MARK_SOURCE);
    for (const [which, [first, last]] of rule.ports.entries()) {
      u16[(at + MARK_PORTS + which * 4) >>> 1] = first;
      u16[(at + MARK_PORTS + which * 4 + 2) >>> 1] = last;
    }
  }
  u32[(bank + BANK_MARK_COUNT) >>> 2] = rules.length;
}

/** Writes the full-nat source pool: its addresses, and its runs and port ranges in the header. */
export function encodeLocalPool(
  memory: DataPlaneMemory,
  bank: number,
  { records, ipv4, ipv6 }: PoolRuns,
  portRanges: LocalPool['portRanges'],
): void {
  const { u8, u32 } = memory;
  for (const [index, entry] of records.entries()) {
    const at = bank + memory.map.bank.localPool + index * POOL_SIZE;
    u8.fill(0, at, at + POOL_SIZE);
    u8[at + POOL_FAMILY] = entry.family;
    u8.set(addressBytes(entry.address), at + POOL_ADDRESS);
  }
  u32[(bank + BANK_LOCAL_POOL_COUNT) >>> 2] = records.length;
  const runs = [ipv4.first, ipv4.count, ipv6.first, ipv6.count];
  u32.set(runs, (bank + BANK_DIRECTOR_POOL) >>> 2);
  u32.set(portRanges.flat(), (bank + BANK_LOCAL_PORTS) >>> 2);
}
