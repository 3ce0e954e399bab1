// What the steering program does with a whole TCP, UDP or SCTP packet, from the tables it was
// given: decide_whole() of host/af-xdp-socket/bpf/steering.bpf.c. The program itself is not asked,
// because asking it counts.

import type {
  Address,
  PortRange,
  SteeredEndpoint,
  SteeringOutcome,
  SteeringTables,
} from 'af-xdp-socket';
import { addressBytes, inPrefix } from '../config/address.ts';
import type { End, Question } from './question.ts';

/** Which of the program's outcomes a packet meets. */
export function steeringOutcome(tables: SteeringTables, question: Question): SteeringOutcome {
  const { protocol, source, destination } = question;
  const { services = [], fullNat = [], realServers = [], localAddresses = [] } = tables;
  if (hasEndpoint(services, protocol, destination)) return 'steered-virtual-service';
  const isPooled = fullNat.some(({ address, ports }) => {
    return isSame(address, destination) && isWithin(ports, destination.port);
  });
  if (isPooled) return 'steered-full-nat-reply';
  if (isMarked(tables, question)) return 'steered-firewall-mark';
  const isOurs =
    localAddresses.some((address) => isSame(address, destination)) ||
    services.some(({ address }) => isSame(address, destination));
  if (isOurs) return 'passed-local-address';
  return hasEndpoint(realServers, protocol, source) ? 'steered-nat-reply' : 'passed-no-service';
}

/** Exact, any port of the protocol, or any protocol. */
function hasEndpoint(
  endpoints: readonly SteeredEndpoint[],
  protocol: Question['protocol'],
  end: End,
): boolean {
  return endpoints.some((endpoint) => {
    if (!isSame(endpoint.address, end)) return false;
    if (endpoint.protocol === 'any') return true;
    return endpoint.protocol === protocol && (endpoint.port === 0 || endpoint.port === end.port);
  });
}

function isMarked({ marks = [] }: SteeringTables, { protocol, destination }: Question): boolean {
  return marks.some((rule) => {
    if (rule.protocol !== 'any' && rule.protocol !== protocol) return false;
    if (rule.ports !== undefined && !isWithin(rule.ports, destination.port)) return false;
    const [text = '', length] = rule.destination.split('/');
    const prefix = addressBytes(text);
    if (prefix.length !== destination.bytes.length) return false;
    return inPrefix(destination.bytes, prefix, Number(length ?? prefix.length * 8));
  });
}

function isWithin(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(([first, last]) => port >= first && port <= last);
}

/** Text is canonical here, so no address needs to be parsed to be compared. */
function isSame(address: Address, end: End): boolean {
  if (typeof address === 'string') return address === end.address;
  return Buffer.from(address).equals(end.bytes);
}
