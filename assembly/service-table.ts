// Finding the virtual service of a packet that has no connection (ip_vs_service_find): by its mark,
// then exactly, then an FTP service of the address for a data connection, then a service for any
// port. The index is written by the host (host/tables).

import { PROTOCOL_TCP } from './shared/codes.ts';
import {
  BANK_ANY_PORT_SERVICES,
  BANK_FTP_SERVICES,
  BANK_MARK_COUNT,
  BANK_MARK_SERVICES,
  MARK_ADDRESS,
  MARK_FAMILY,
  MARK_PORTS,
  MARK_PORT_COUNT,
  MARK_PREFIX,
  MARK_PROTOCOL,
  MARK_SIZE,
  MARK_SOURCE,
  MARK_SOURCE_PREFIX,
  MARK_VALUE,
  PACKET_DESTINATION,
  PACKET_DESTINATION_PORT,
  PACKET_FAMILY,
  PACKET_MARK,
  PACKET_PROTOCOL,
  PACKET_SOURCE,
  SERVICE_ADDRESS,
  SERVICE_FAMILY,
  SERVICE_MARK,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SYSCTL_UNPRIVILEGED_PORT,
} from './shared/layout.ts';
import { hashAddress, mix, sameAddress } from './hash.ts';
import { bank, marks, service, serviceIndex, serviceIndexMask } from './instance.ts';

/** Ports of FTP in network order, as a little-endian load sees them. */
export const FTP_PORT_BE: u32 = 0x1500;
export const FTP_DATA_PORT_BE: u32 = 0x1400;

function findExact(family: u32, protocol: u32, address: usize, portBe: u32): u32 {
  let slot = mix(hashAddress(family, address), protocol | (portBe << 16)) & serviceIndexMask;
  while (true) {
    const id = load<u32>(serviceIndex + (<usize>slot << 2));
    if (!id) return 0;
    const at = service(id);
    if (
      <u32>load<u16>(at, SERVICE_PORT) == portBe &&
      <u32>load<u8>(at, SERVICE_PROTOCOL) == protocol &&
      <u32>load<u8>(at, SERVICE_FAMILY) == family &&
      sameAddress(family, at + SERVICE_ADDRESS, address)
    ) {
      return id;
    }
    slot = (slot + 1) & serviceIndexMask;
  }
}

function findMark(family: u32, mark: u32): u32 {
  let slot = mix(mix(0, mark), 0xffff0000 | family) & serviceIndexMask;
  while (true) {
    const id = load<u32>(serviceIndex + (<usize>slot << 2));
    if (!id) return 0;
    const at = service(id);
    if (
      load<u32>(at, SERVICE_MARK) == mark &&
      load<u8>(at, SERVICE_PROTOCOL) == 0 &&
      <u32>load<u8>(at, SERVICE_FAMILY) == family
    ) {
      return id;
    }
    slot = (slot + 1) & serviceIndexMask;
  }
}

/** Whether an address lies in a prefix. */
function inPrefix(family: u32, address: usize, prefix: usize, length: u32): bool {
  const bytes = length >> 3;
  for (let i: u32 = 0; i < bytes; i++) {
    if (load<u8>(address + i) != load<u8>(prefix + i)) return false;
  }
  const rest = length & 7;
  if (!rest) return true;
  const mask: u32 = (0xff00 >> rest) & 0xff;
  return ((<u32>load<u8>(address + bytes) ^ <u32>load<u8>(prefix + bytes)) & mask) == 0;
}

function portMatches(rule: usize, portBe: u32): bool {
  const ranges = <u32>load<u8>(rule, MARK_PORT_COUNT);
  if (!ranges) return true;
  const wanted = <u32>bswap<u16>(<u16>portBe);
  for (let i: u32 = 0; i < ranges; i++) {
    const at = rule + MARK_PORTS + (i << 2);
    if (wanted >= <u32>load<u16>(at) && wanted <= <u32>load<u16>(at, 2)) return true;
  }
  return false;
}

/** The firewall mark of a packet: the last rule that matches gives it, as with iptables -j MARK. */
export function markOf(packet: usize): u32 {
  let mark: u32 = 0;
  const rules = load<u32>(bank, BANK_MARK_COUNT);
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  for (let i: u32 = 0; i < rules; i++) {
    const rule = marks + <usize>i * MARK_SIZE;
    if (<u32>load<u8>(rule, MARK_FAMILY) != family) continue;
    const wanted = <u32>load<u8>(rule, MARK_PROTOCOL);
    if (wanted && wanted != protocol) continue;
    if (
      inPrefix(family, packet + PACKET_DESTINATION, rule + MARK_ADDRESS, load<u8>(rule, MARK_PREFIX)) &&
      inPrefix(family, packet + PACKET_SOURCE, rule + MARK_SOURCE, load<u8>(rule, MARK_SOURCE_PREFIX)) &&
      portMatches(rule, load<u16>(packet, PACKET_DESTINATION_PORT))
    ) {
      mark = load<u32>(rule, MARK_VALUE);
    }
  }
  return mark;
}

/** The service a packet's destination belongs to, or 0. PACKET_MARK is set. */
export function findService(packet: usize): u32 {
  const family = <u32>load<u8>(packet, PACKET_FAMILY);
  const protocol = <u32>load<u8>(packet, PACKET_PROTOCOL);
  const address = packet + PACKET_DESTINATION;
  const portBe = <u32>load<u16>(packet, PACKET_DESTINATION_PORT);
  const mark = load<u32>(packet, PACKET_MARK);
  if (mark && load<u32>(bank, BANK_MARK_SERVICES)) {
    const id = findMark(family, mark);
    if (id) return id;
  }
  const exact = findExact(family, protocol, address, portBe);
  if (exact) return exact;
  if (protocol == PROTOCOL_TCP && load<u32>(bank, BANK_FTP_SERVICES)) {
    const port = <u32>bswap<u16>(<u16>portBe);
    if (portBe == FTP_DATA_PORT_BE || port >= load<u32>(bank, SYSCTL_UNPRIVILEGED_PORT)) {
      const id = findExact(family, protocol, address, FTP_PORT_BE);
      if (id) return id;
    }
  }
  if (!load<u32>(bank, BANK_ANY_PORT_SERVICES)) return 0;
  return findExact(family, protocol, address, 0);
}
