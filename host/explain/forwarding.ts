// What becomes of a packet whose connection is known or would be made: method, next hop, MTU. The
// steps of assembly/forward.ts and assembly/hops.ts, reading only.

import {
  FORWARD_BYPASS,
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_LOCAL,
  FORWARD_NAT,
  FORWARD_TUNNEL,
} from '../../assembly/shared/codes.ts';
import {
  DROP_LOCAL_POOL_EXHAUSTED,
  DROP_NEIGHBOUR_UNRESOLVED,
  DROP_NO_EXCEPTION_PATH,
  DROP_NO_ROUTE,
  DROP_PACKET_TOO_BIG,
} from '../../assembly/shared/counters.ts';
import {
  BANK_DIRECTOR_POOL,
  BANK_LOCAL_PORTS,
  CONNECTION_DESTINATION_ID,
  CONNECTION_LOCAL,
  CONNECTION_LOCAL_PORT,
  DESTINATION_FORWARDING,
  DESTINATION_STATE_POOL_CURSOR,
  POOL_ADDRESS,
  POOL_SIZE,
  SERVICE_POOL_FIRST,
  WAITING_MAX,
  WIDE_LOCAL,
  WORKER_EXCEPTION_LINK,
  WORKER_WAITING_COUNT,
} from '../../assembly/shared/layout.ts';
import { addressBytes, formatEndpoint } from '../config/address.ts';
import { connectionAt } from '../ipvs/connections.ts';
import { NO_LINK } from '../memory/data-plane-memory.ts';
import { formatAddress } from '../tables/address-text.ts';
import { GOLDEN, swapPort } from '../tables/hash.ts';
import type { Decision, Inquiry } from './explain.ts';
import { mtuConsequences, tunnelOf } from './mtu.ts';
import { isLoopback, type Way } from './next-hop.ts';
import { serviceOf } from './pipeline.ts';
import type { NewConnection } from './schedule.ts';

/** How long an answer waits for its client's neighbour entry (assembly/neighbour-queue.ts). */
const WAIT_SECONDS = 3;

/** The connection a packet belongs to: there already, or to be made. */
type Target = { readonly connection: number } | NewConnection;

/** Who gets the packet, and how. */
interface Forwarding {
  readonly method: number;
  readonly service: number;
  readonly destination: number;
  readonly address: string;
  readonly port: number;
  /** Full-nat: where the packet will seem to come from. */
  readonly local: string | undefined;
}

const METHOD_NAMES: ReadonlyMap<number, string> = new Map([
  [FORWARD_NAT, 'nat'],
  [FORWARD_LOCAL, 'local'],
  [FORWARD_TUNNEL, 'tunnel'],
  [FORWARD_DIRECT_ROUTE, 'direct-route'],
  [FORWARD_BYPASS, 'bypass'],
  [FORWARD_FULL_NAT, 'full-nat'],
]);

/** Client to server, by the connection's forwarding method. */
export function forwardToServer(inquiry: Inquiry, target: Target): Decision {
  const forwarding =
    'connection' in target ? known(inquiry, target.connection) : planned(inquiry, target);
  const { method, service, destination } = forwarding;
  if (method === FORWARD_FULL_NAT && forwarding.local === undefined) {
    const verdict =
      'dropped: no full-nat source address (of the service, or director.localAddresses)';
    const reason = DROP_LOCAL_POOL_EXHAUSTED;
    return { outcome: 'drop', verdict, reason, service, destination: 0 };
  }
  noteMethod(inquiry, forwarding);
  const bytes =
    method === FORWARD_BYPASS
      ? inquiry.question.destination.bytes
      : addressBytes(forwarding.address);
  const way: Way = method === FORWARD_LOCAL ? { kind: 'local' } : inquiry.ways.to(bytes);
  const obstacle = noteWay(inquiry, way, bytes);
  if (way.kind === 'local') return deliverLocally(inquiry, forwarding, bytes);
  if (obstacle !== undefined) return { ...obstacle, service, destination };
  return arrive(inquiry, forwarding, way);
}

function arrive(inquiry: Inquiry, forwarding: Forwarding, way: Way): Decision {
  const { method, service, destination, address, port } = forwarding;
  if (way.kind !== 'neighbour') throw new Error('a packet without a way cannot arrive');
  const fits = mtuConsequences(inquiry, { way, destination, isTunnel: method === FORWARD_TUNNEL });
  if (!fits) {
    const verdict = `dropped: the tunnel would leave less than the least MTU of port ${way.port}`;
    return { outcome: 'drop', verdict, reason: DROP_PACKET_TOO_BIG, service, destination };
  }
  const server = formatEndpoint(address, port);
  const name = METHOD_NAMES.get(method) ?? 'nat';
  const verdict = `to ${server} by ${name}, out of port ${way.port} to ${way.mac ?? '?'}`;
  return { outcome: 'forward', verdict, reason: 0, service, destination };
}

/** An existing connection's server and method. */
function known(inquiry: Inquiry, index: number): Forwarding {
  const { memory, lookup, now } = inquiry;
  const entry = connectionAt(memory, index, now);
  const hot = memory.hot(index);
  const destination = memory.u32[(hot + CONNECTION_DESTINATION_ID) >>> 2];
  const method = lookup.forwarding(index);
  const localPort = swapPort(memory.u16[(hot + CONNECTION_LOCAL_PORT) >>> 1]);
  const localAddress =
    entry.family === 4
      ? formatAddress(memory.u8, hot + CONNECTION_LOCAL, 4)
      : formatAddress(memory.u8, memory.wide(index) + WIDE_LOCAL, 16);
  return {
    method,
    service: serviceOf(inquiry, destination),
    destination,
    address: entry.destinationAddress,
    port: entry.destinationPort,
    local: method === FORWARD_FULL_NAT ? formatEndpoint(localAddress, localPort) : undefined,
  };
}

/** A server just chosen. */
function planned(inquiry: Inquiry, { service, destination, port }: NewConnection): Forwarding {
  const { memory, published, control } = inquiry;
  const at = memory.destination(published.bank, destination);
  const method = memory.u8[at + DESTINATION_FORWARDING];
  return {
    method,
    service,
    destination,
    address: control.destinationById(destination)?.key.address ?? '',
    port,
    local: method === FORWARD_FULL_NAT ? nextLocalEnd(inquiry, service, destination) : undefined,
  };
}

/** The full-nat source that is tried first, or undefined when there is none of the family. */
function nextLocalEnd(
  { memory, published, question }: Inquiry,
  service: number,
  destination: number,
): string | undefined {
  const bytes = question.family === 4 ? 4 : 16;
  const own = memory.service(published.bank, service) + SERVICE_POOL_FIRST;
  const shared = published.bank + BANK_DIRECTOR_POOL + (question.family === 4 ? 0 : 8);
  const run = (memory.u32[(own + 4) >>> 2] > 0 ? own : shared) >>> 2;
  const [start, count] = memory.u32.subarray(run, run + 2);
  const addresses = Array.from({ length: count }, (_, index) => {
    const at = published.bank + memory.map.bank.localPool + (start + index) * POOL_SIZE;
    return formatAddress(memory.u8, at + POOL_ADDRESS, bytes);
  });
  const first = [published.word(BANK_LOCAL_PORTS), published.word(BANK_LOCAL_PORTS + 8)];
  const last = [published.word(BANK_LOCAL_PORTS + 4), published.word(BANK_LOCAL_PORTS + 12)];
  const ports = first.map((from, range) => {
    const to = last[range];
    return to >= from && to !== 0 ? to - from + 1 : 0;
  });
  const ends = addresses.length * (ports[0] + ports[1]);
  if (ends === 0) return undefined;
  const cursor = memory.destinationState(destination) + DESTINATION_STATE_POOL_CURSOR;
  const ticket = Atomics.load(memory.u32, cursor >>> 2);
  const next = ((ticket + firstEnd(destination, ends)) >>> 0) % ends;
  const portNumber = Math.floor(next / addresses.length);
  const port = portNumber < ports[0] ? first[0] + portNumber : first[1] + portNumber - ports[0];
  return formatEndpoint(addresses[next % addresses.length], port);
}

/** firstEnd() of assembly/forward/full-nat.ts. */
function firstEnd(destination: number, ends: number): number {
  const fraction = BigInt(Math.imul(destination - 1, GOLDEN) >>> 0);
  return Number((fraction * BigInt(ends)) >> 32n);
}

function noteMethod(inquiry: Inquiry, forwarding: Forwarding): void {
  const { question, note } = inquiry;
  const { method, address, port, local, destination } = forwarding;
  const server = formatEndpoint(address, port);
  const name = METHOD_NAMES.get(method) ?? 'nat';
  const tunnel = method === FORWARD_TUNNEL ? tunnelOf(inquiry, destination) : undefined;
  note(
    'forwarding',
    `${name}: ${methodText(forwarding, question.destination.address, tunnel?.text)}`,
    {
      method: name,
      server,
      ...(local !== undefined && { local }),
      ...(tunnel && { tunnel: tunnel.type }),
    },
  );
}

function methodText(
  { method, address, port, local }: Forwarding,
  vip: string,
  tunnel: string | undefined,
): string {
  const server = formatEndpoint(address, port);
  switch (method) {
    case FORWARD_NAT:
      return `the destination becomes ${server}; its answers must come back through the director`;
    case FORWARD_FULL_NAT:
      return `to ${server} from ${local}, or the next free end after it`;
    case FORWARD_TUNNEL:
      return `${tunnel} to ${address}, which must have ${vip} as an address of its own`;
    case FORWARD_DIRECT_ROUTE:
      return `unchanged to ${address}, which must have ${vip} as an address of its own`;
    case FORWARD_BYPASS:
      return `straight to ${vip}`;
    default:
      return 'the server is the director itself';
  }
}

/** Notes the way. @returns what becomes of the packet when it leads nowhere */
function noteWay({ note }: Inquiry, way: Way, bytes: Uint8Array): Decision | undefined {
  const none = { service: 0, destination: 0 };
  const target = formatAddress(bytes, 0, bytes.length === 4 ? 4 : 16);
  if (way.kind === 'local') {
    note('next hop', `${target} is the director itself`, { local: true });
    return undefined;
  }
  if (way.kind === 'none') {
    note('next hop', `${target}: ${way.route}`, { route: way.route });
    const verdict = `dropped: ${way.route} to ${target}; the client is told "host unreachable"`;
    return { outcome: 'drop', verdict, reason: DROP_NO_ROUTE, ...none };
  }
  const { route, neighbour, isGateway, state, mac, port, mtu } = way;
  const via = isGateway ? `via gateway ${neighbour}` : 'on the network';
  const at = mac === undefined ? `its MAC address is not known (${state})` : `at ${mac}`;
  const down = way.isUp ? '' : ', and the port is down';
  note('next hop', `${target} ${via} of port ${port} (route ${route}), ${at}${down}`, {
    route,
    neighbour,
    state,
    port,
    mtu,
    ...(mac !== undefined && { mac }),
  });
  if (state !== 'reachable') {
    const verdict = `dropped: ${neighbour} on port ${port} does not answer (${state}); asked again`;
    return { outcome: 'drop', verdict, reason: DROP_NEIGHBOUR_UNRESOLVED, ...none };
  }
  return undefined;
}

/** The destination is the director itself: its stack gets the packet, if there is a way to it. */
function deliverLocally(inquiry: Inquiry, forwarding: Forwarding, bytes: Uint8Array): Decision {
  const { memory } = inquiry;
  const { method, service, destination, address, port } = forwarding;
  if (method === FORWARD_NAT && isLoopback(bytes)) {
    const verdict = 'dropped: what comes from outside must not reach a loopback address';
    return { outcome: 'drop', verdict, reason: DROP_NO_ROUTE, service, destination };
  }
  if (memory.u8[memory.worker(0) + WORKER_EXCEPTION_LINK] !== NO_LINK) {
    const verdict = `to the director's own stack, as ${formatEndpoint(address, port)}`;
    return { outcome: 'local', verdict, reason: 0, service, destination };
  }
  const verdict = 'dropped: the server is the director itself, and there is no way to its stack';
  return { outcome: 'drop', verdict, reason: DROP_NO_EXCEPTION_PATH, service, destination };
}

/** Server to client: nat's answers get the virtual address, others pass as they are. */
export function forwardOut(inquiry: Inquiry, index: number): Decision {
  const { memory, lookup, now, note, ways } = inquiry;
  const entry = connectionAt(memory, index, now);
  const destination = memory.u32[(memory.hot(index) + CONNECTION_DESTINATION_ID) >>> 2];
  const ids = { service: serviceOf(inquiry, destination), destination };
  const method = METHOD_NAMES.get(lookup.forwarding(index)) ?? 'nat';
  const virtual = formatEndpoint(entry.virtualAddress, entry.virtualPort);
  const client = formatEndpoint(entry.clientAddress, entry.clientPort);
  const change = method === 'nat' || method === 'full-nat' ? `as from ${virtual}` : 'unchanged';
  note('forwarding', `${method}, on its way back: to ${client}, ${change}`, {
    method,
    client,
    virtual,
  });
  const bytes = addressBytes(entry.clientAddress);
  const way = ways.to(bytes);
  const obstacle = noteWay(inquiry, way, bytes);
  if (obstacle?.reason === DROP_NEIGHBOUR_UNRESOLVED && hasRoomToWait(inquiry)) {
    const verdict = `it waits up to ${WAIT_SECONDS} s for the client's MAC address`;
    return { outcome: 'wait', verdict, reason: 0, ...ids };
  }
  if (obstacle !== undefined) return { ...obstacle, ...ids };
  if (way.kind !== 'neighbour') {
    const verdict = "dropped: the client's address is the director's own";
    return { outcome: 'drop', verdict, reason: DROP_NO_ROUTE, ...ids };
  }
  mtuConsequences(inquiry, { way, destination, isTunnel: false });
  const verdict = `back to the client ${client}, out of port ${way.port} to ${way.mac ?? '?'}`;
  return { outcome: 'answer', verdict, reason: 0, ...ids };
}

/** Whether some worker can keep an answer until its client is resolved. */
function hasRoomToWait({ memory }: Inquiry): boolean {
  for (let worker = 0; worker < memory.map.sizes.workers; worker++) {
    const count = (memory.worker(worker) + WORKER_WAITING_COUNT) >>> 2;
    if (memory.u32[count] < WAITING_MAX) return true;
  }
  return false;
}

/** A packet that belongs to no connection, sent on by the router that the director is. */
export function forwardRouted(inquiry: Inquiry, method = -1): Decision {
  const { question, ways } = inquiry;
  const { bytes, address } = question.destination;
  const way = ways.to(bytes);
  const obstacle = noteWay(inquiry, way, bytes);
  if (obstacle !== undefined) return obstacle;
  const none = { service: 0, destination: 0, reason: 0 };
  if (way.kind !== 'neighbour') {
    return { outcome: 'local', verdict: `${address} is the director itself`, ...none };
  }
  mtuConsequences(inquiry, { way, destination: 0, isTunnel: false });
  const how = method === FORWARD_BYPASS ? 'past the service' : 'as a router does';
  const verdict = `on to ${address} ${how}, out of port ${way.port} to ${way.mac ?? '?'}`;
  return { outcome: 'route', verdict, ...none };
}
