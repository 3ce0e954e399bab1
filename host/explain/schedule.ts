// Choosing a server for a packet without a connection: assembly/schedule.ts, reading only.

import {
  DESTINATION_AVAILABLE,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  SCHEDULE_NONE,
  SERVICE_ENGINE_SIP,
  SERVICE_PERSISTENT,
} from '../../assembly/shared/codes.ts';
import { DROP_CONNECTION_TABLE_FULL, DROP_DEFENCE } from '../../assembly/shared/counters.ts';
import {
  CONNECTION_DESTINATION_ID,
  CONTROL_DROP_COUNTER,
  CONTROL_DROP_RATE,
  DESTINATION_PORT,
  DESTINATION_STATE_FLAGS,
  DESTINATION_WEIGHT,
  SERVICE_FLAGS,
  SERVICE_MARK,
  SERVICE_PERSISTENCE_MASK,
  SERVICE_PORT,
  SYSCTL_EXPIRE_QUIESCENT_TEMPLATE,
  SYSCTL_SLOPPY_SCTP,
  SYSCTL_SLOPPY_TCP,
} from '../../assembly/shared/layout.ts';
import { formatEndpoint } from '../config/address.ts';
import { connectionAt } from '../ipvs/connections.ts';
import { swapPort } from '../tables/hash.ts';
import type { TemplateKey } from './connection-lookup.ts';
import { type Decision, type Inquiry, isTableFull, serviceText } from './explain.ts';
import { type FoundBy, FTP_DATA_PORT, FTP_PORT } from './published.ts';

/** A server was chosen for a connection to be made. */
export interface NewConnection {
  readonly service: number;
  readonly destination: number;
  /** Port that the server gets the packet on, host order. */
  readonly port: number;
}

/** A service has none. */
export interface NoServer {
  readonly service: number;
  readonly why: string;
}

/** What scheduling comes to. */
export type Scheduled =
  | ({ readonly kind: 'scheduled' } & NewConnection)
  | ({ readonly kind: 'leave' } & NoServer)
  | { readonly kind: 'pass'; readonly why: string; readonly service: number }
  | { readonly kind: 'decided'; readonly decision: Decision };

const FOUND_BY: Readonly<Record<FoundBy, string>> = {
  mark: "by the packet's mark",
  address: 'by its address and port',
  ftp: 'as data connection of the FTP service at this address',
  'any-port': 'as the service for every port of this address',
};

/** Schedules a packet that has no connection (tryToSchedule() of the data plane). */
export function scheduleNew(inquiry: Inquiry, mark: number): Scheduled {
  const { published, question, control, memory, note } = inquiry;
  if (!mayBegin(inquiry)) {
    const why = 'it is not the first packet of a connection, and there is no connection';
    note('service', `not looked for: ${why}`, { found: false });
    return { kind: 'pass', why, service: 0 };
  }
  const found = published.service(question, mark);
  if (found === undefined) {
    note('service', 'none for this address, port and protocol', { found: false });
    return { kind: 'pass', why: 'no service takes it', service: 0 };
  }
  const { id, by } = found;
  const entry = control.serviceById(id);
  const key = entry === undefined ? `service ${id}` : serviceText(entry.key);
  note('service', `${key}, found ${FOUND_BY[by]}`, { found: true, service: key, by });
  const defended = defence(inquiry, id);
  if (defended !== undefined) return defended;
  if (question.source.port === FTP_DATA_PORT) {
    return { kind: 'pass', why: "it comes from FTP's data port", service: id };
  }
  const at = memory.service(published.bank, id);
  const flags = memory.u32[(at + SERVICE_FLAGS) >>> 2];
  if ((flags & SERVICE_PERSISTENT) !== 0) return schedulePersistent(inquiry, id, flags);
  const servicePort = swapPort(memory.u16[(at + SERVICE_PORT) >>> 1]);
  const isMark = memory.u32[(at + SERVICE_MARK) >>> 2] !== 0;
  if (!isMark && question.destination.port !== servicePort) {
    const why = 'without persistence such a service takes its own port only';
    note('scheduler', `not asked: ${why}`, { chosen: false });
    return { kind: 'leave', service: id, why };
  }
  const chosen = choose(inquiry, id);
  if (chosen === SCHEDULE_NONE) return noServer(id);
  return connect(inquiry, { service: id, destination: chosen });
}

/** Whether a packet of its protocol may begin a connection. */
function mayBegin({ published, question }: Inquiry): boolean {
  // Unless told otherwise, a packet without a connection is taken for a first one.
  if (question.isFirst !== false) return true;
  if (question.protocolNumber === PROTOCOL_TCP) return published.word(SYSCTL_SLOPPY_TCP) !== 0;
  if (question.protocolNumber === PROTOCOL_SCTP) return published.word(SYSCTL_SLOPPY_SCTP) !== 0;
  return true;
}

/** drop_packet: every so-many-th new connection's packet is dropped. */
function defence({ memory, note }: Inquiry, service: number): Scheduled | undefined {
  const rate = Atomics.load(memory.u32, CONTROL_DROP_RATE >>> 2);
  if (rate === 0) return undefined;
  const left = (Atomics.load(memory.i32, CONTROL_DROP_COUNTER >>> 2) - 1) | 0;
  const isNext = left <= 0;
  const when = isNext ? 'this one would be it' : `not this one`;
  note('defence', `drop_packet drops one new connection in ${rate}: ${when}`, {
    rate,
    drops: isNext,
  });
  if (!isNext) return undefined;
  const verdict = 'dropped: drop_packet defends the director while memory is short';
  const reason = DROP_DEFENCE;
  const decision: Decision = { outcome: 'drop', verdict, reason, service, destination: 0 };
  return { kind: 'decided', decision };
}

/** Asks the scheduler, on a copy. */
function choose(inquiry: Inquiry, service: number): number {
  const { control, peek, question, note } = inquiry;
  const chosen = peek.choose(service, question);
  const scheduler = control.serviceById(service)?.scheduler ?? 'none';
  if (chosen === SCHEDULE_NONE) {
    const count = control.serviceById(service)?.destinationCount ?? 0;
    const none =
      count === 0 ? 'there are no servers' : `none of ${count} servers takes connections`;
    note('scheduler', `${scheduler}: ${none}`, { scheduler, chosen: false });
    return SCHEDULE_NONE;
  }
  const entry = control.destinationById(chosen);
  const server = serverText(inquiry, chosen);
  const load =
    entry === undefined
      ? ''
      : ` (weight ${entry.weight}, ${entry.activeConnections} active and ` +
        `${entry.inactiveConnections} inactive connections)`;
  const chance = scheduler === 'twos' ? ', by chance: each worker draws numbers of its own' : '';
  note('scheduler', `${scheduler} would choose ${server}${load}${chance}`, {
    scheduler,
    chosen: true,
    server,
  });
  return chosen;
}

function noServer(service: number): Scheduled {
  return { kind: 'leave', service, why: 'the service has no server for it' };
}

/** `10.0.0.11:80` of a destination. */
export function serverText({ control }: Inquiry, id: number): string {
  const key = control.destinationById(id)?.key;
  return key === undefined ? `destination ${id}` : formatEndpoint(key.address, key.port);
}

/** The port the server gets: its own, or without one the packet's. */
function connect(
  inquiry: Inquiry,
  { service, destination, port }: { service: number; destination: number; port?: number },
): Scheduled {
  const { question } = inquiry;
  if (isTableFull(inquiry)) {
    const verdict = 'dropped: the connection table is full';
    const reason = DROP_CONNECTION_TABLE_FULL;
    const decision: Decision = { outcome: 'drop', verdict, reason, service, destination: 0 };
    return { kind: 'decided', decision };
  }
  const own = ownPort(inquiry, destination);
  const target = port ?? (own === 0 ? question.destination.port : own);
  return { kind: 'scheduled', service, destination, port: target };
}

function ownPort({ memory, published }: Inquiry, destination: number): number {
  const at = memory.destination(published.bank, destination);
  return swapPort(memory.u16[(at + DESTINATION_PORT) >>> 1]);
}

/** Persistent services: the client's template chooses, or is made. */
function schedulePersistent(inquiry: Inquiry, service: number, flags: number): Scheduled {
  const { lookup, note } = inquiry;
  if ((flags & SERVICE_ENGINE_SIP) !== 0) {
    note('template', 'persistence goes by the SIP Call-ID in the packet', { engine: 'sip' });
    const verdict =
      'it depends on the Call-ID in the packet: a known one goes to its server, a new one where ' +
      'the scheduler says, a packet without is dropped';
    const decision = { outcome: 'depends', verdict, service, destination: 0, reason: 0 } as const;
    return { kind: 'decided', decision };
  }
  const key = templateKey(inquiry, service);
  const template = lookup.template(key);
  let destination = template === 0 ? 0 : usableDestination(inquiry, template);
  if (destination === 0) {
    if (template === 0)
      note('template', 'none for this client: one will be made', { found: false });
    destination = choose(inquiry, service);
    if (destination === SCHEDULE_NONE) return noServer(service);
  }
  const { question, published, memory } = inquiry;
  const at = memory.service(published.bank, service);
  const isServicePort =
    question.destination.port === swapPort(memory.u16[(at + SERVICE_PORT) >>> 1]);
  const own = ownPort(inquiry, destination);
  const port = isServicePort && own !== 0 ? own : question.destination.port;
  return connect(inquiry, { service, destination, port });
}

/** The template's destination, or 0 when it may not be used any more. */
function usableDestination(inquiry: Inquiry, template: number): number {
  const { memory, published, now, note } = inquiry;
  const id = memory.u32[(memory.hot(template) + CONNECTION_DESTINATION_ID) >>> 2];
  const entry = connectionAt(memory, template, now);
  const server = id === 0 ? 'no server' : serverText(inquiry, id);
  const flags = memory.u32[(memory.destinationState(id) + DESTINATION_STATE_FLAGS) >>> 2];
  const isAvailable = id !== 0 && (flags & DESTINATION_AVAILABLE) !== 0;
  const weight = memory.i32[(memory.destination(published.bank, id) + DESTINATION_WEIGHT) >>> 2];
  const isQuiescent = published.word(SYSCTL_EXPIRE_QUIESCENT_TEMPLATE) !== 0 && weight === 0;
  const isUsable = isAvailable && !isQuiescent;
  const why = isAvailable ? 'has weight 0 (expire_quiescent_template)' : 'is gone';
  const fate = isUsable ? '' : `, which ${why}: a new one will be made`;
  note(
    'template',
    `${entry.clientAddress} keeps to ${server} (expires in ${entry.expiresSeconds} s)${fate}`,
    { found: true, server, expiresSeconds: entry.expiresSeconds, usable: isUsable },
  );
  return isUsable ? id : 0;
}

/**
 * Templates are found by protocol, masked client, virtual address and port; by address alone for
 * FTP and for services of any port; by the mark for services by mark.
 */
function templateKey({ memory, published, question }: Inquiry, service: number): TemplateKey {
  const { family, source, destination, protocolNumber } = question;
  const at = memory.service(published.bank, service);
  const servicePort = swapPort(memory.u16[(at + SERVICE_PORT) >>> 1]);
  const mark = memory.u32[(at + SERVICE_MARK) >>> 2];
  const client = maskClient(source.bytes, memory.u32[(at + SERVICE_PERSISTENCE_MASK) >>> 2]);
  if (destination.port === servicePort) {
    const virtualPort = servicePort === FTP_PORT ? 0 : servicePort;
    const virtual = destination.bytes;
    return { family, protocol: protocolNumber, client, virtual, virtualPort };
  }
  if (mark === 0) {
    const virtual = destination.bytes;
    return { family, protocol: protocolNumber, client, virtual, virtualPort: 0 };
  }
  const virtual = new Uint8Array(4);
  new DataView(virtual.buffer).setUint32(0, mark);
  return { family, protocol: 0, client, virtual, virtualPort: 0 };
}

/** IPv4: the mask as it is loaded, in network order. IPv6: a prefix length. */
function maskClient(address: Uint8Array, mask: number): Uint8Array {
  return Uint8Array.from(address, (byte, index) => {
    if (address.length === 4) return byte & (mask >>> (8 * index));
    const bits = Math.min(8, Math.max(0, mask - 8 * index));
    return byte & (0xff00 >>> bits);
  });
}
