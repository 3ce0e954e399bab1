import {
  PROTOCOL_ANY,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../../assembly/shared/codes.ts';
import type { ConnectionEntry, ServiceProtocol } from '../ipvs/types.ts';
import { endpointName, type Format } from './format.ts';
import type { ListContext } from './list-services.ts';

const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [PROTOCOL_ANY, 'IP'],
  [PROTOCOL_TCP, 'TCP'],
  [PROTOCOL_UDP, 'UDP'],
  [PROTOCOL_SCTP, 'SCTP'],
  [PROTOCOL_ICMP, 'ICMP'],
  [PROTOCOL_ICMPV6, 'ICMPv6'],
]);
/** The protocols whose ports have names. */
const NAMED_PROTOCOLS: ReadonlyMap<number, ServiceProtocol> = new Map([
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_SCTP, 'sctp'],
]);

/** Lists the connections and persistence templates: -L -c. */
export function listConnections(context: ListContext, format: Format): void {
  const { control, output } = context;
  const hasEngines = format.columns === 'persistent-conn';
  output.print('IPVS connection entries\n');
  output.print(
    hasEngines
      ? 'pro expire state       source             virtual            ' +
          'destination        pe name          pe_data\n'
      : 'pro expire state       source             virtual            destination\n',
  );
  for (const entry of control.connections()) {
    output.print(`${connectionLine(entry, hasEngines, format, context)}\n`);
  }
}

function connectionLine(
  entry: ConnectionEntry,
  hasEngines: boolean,
  { isNumeric }: Format,
  { resolver }: ListContext,
): string {
  const protocol = NAMED_PROTOCOLS.get(entry.protocol);
  const name = (address: string, port: number) =>
    endpointName({ address, port }, protocol, isNumeric, resolver);
  const start = [
    protocolName(entry.protocol).padEnd(3),
    expiry(entry.expiresSeconds).padEnd(6),
    entry.state.padEnd(11),
    name(entry.clientAddress, entry.clientPort).padEnd(18),
    name(entry.virtualAddress, entry.virtualPort).padEnd(18),
  ].join(' ');
  const destination = name(entry.destinationAddress, entry.destinationPort);
  // ipvsadm reads a line of words: data that holds a blank shows up to there.
  const data = entry.engineData.split(/\s/).find((word) => word !== '');
  if (!hasEngines || entry.engine === '' || data === undefined) return `${start} ${destination}`;
  return `${start} ${destination.padEnd(16)} ${entry.engine.padEnd(18)} ${data}`;
}

function protocolName(protocol: number): string {
  return PROTOCOL_NAMES.get(protocol) ?? `IP_${protocol}`;
}

/** Minutes and seconds. */
function expiry(seconds: number): string {
  const twoDigits = (value: number) => String(value).padStart(2, '0');
  return `${twoDigits(Math.floor(seconds / 60))}:${twoDigits(seconds % 60)}`;
}
