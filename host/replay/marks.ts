// Which firewall mark a packet gets, for the simulated host: the data plane works it out by itself.

import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP } from '../../assembly/shared/codes.ts';
import { addressBytes } from '../config/address.ts';
import type { MarkRule } from '../tables/world.ts';
import { packetPorts } from './describe.ts';
import { type IpHeader, readIpHeader, sharesPrefix } from './wire.ts';

/** The mark of the last rule that matches, 0 for none. */
export function markOfPacket(rules: readonly MarkRule[], packet: Uint8Array): number {
  const header = readIpHeader(packet);
  if (header === undefined) return 0;
  let mark = 0;
  for (const rule of rules) if (matches(rule, header, packet)) mark = rule.mark;
  return mark;
}

function matches(rule: MarkRule, header: IpHeader, packet: Uint8Array): boolean {
  if (rule.family !== header.family) return false;
  if (rule.protocol !== 0 && rule.protocol !== header.protocol) return false;
  const { source, destination, ports } = rule;
  if (source && !sharesPrefix(addressBytes(source.address), header.source, source.prefixLength)) {
    return false;
  }
  if (destination) {
    const prefix = addressBytes(destination.address);
    if (!sharesPrefix(prefix, header.destination, destination.prefixLength)) return false;
  }
  if (ports.length === 0) return true;
  const hasPorts =
    header.fragmentOffset === 0 &&
    [PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP].includes(header.protocol);
  const [, port] = packetPorts(packet);
  return hasPorts && ports.some(([first, last]) => first <= port && port <= last);
}
