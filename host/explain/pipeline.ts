// The packet's way up to its connection: assembly/pipeline.ts, reading only.

import {
  DESTINATION_AVAILABLE,
  FORWARD_BYPASS,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  SCTP_CLOSED,
  TCP_CLOSE,
  TCP_FIN_WAIT,
  TCP_TIME_WAIT,
} from '../../assembly/shared/codes.ts';
import {
  DROP_DESTINATION_UNAVAILABLE,
  DROP_NO_DESTINATION,
  DROP_NO_EXCEPTION_PATH,
} from '../../assembly/shared/counters.ts';
import {
  COLD_CONTROLLER,
  CONNECTION_DESTINATION_ID,
  CONNECTION_PROTOCOL,
  CONNECTION_STATE,
  DESTINATION_SERVICE,
  DESTINATION_STATE_FLAGS,
  DESTINATION_WEIGHT,
  LOCAL_POOL,
  LOCAL_VIRTUAL,
  STATE_MASK,
  STATE_NO_OUTPUT,
  SYSCTL_BACKUP_ONLY,
  SYSCTL_CACHE_BYPASS,
  SYSCTL_CONN_REUSE_MODE,
  SYSCTL_EXPIRE_NODEST_CONN,
  SYSCTL_NAT_ICMP_SEND,
  WORKER_EXCEPTION_LINK,
} from '../../assembly/shared/layout.ts';
import { connectionAt } from '../ipvs/connections.ts';
import { NO_LINK } from '../memory/data-plane-memory.ts';
import type { Decision, Inquiry } from './explain.ts';
import { forwardOut, forwardRouted, forwardToServer } from './forwarding.ts';
import { FTP_PORT } from './published.ts';
import { endText } from './question.ts';
import { type NoServer, scheduleNew } from './schedule.ts';

/** Leads a packet through the steps (decide() of the data plane). */
export function decide(inquiry: Inquiry): Decision {
  const { published, question, lookup, note } = inquiry;
  const local = noteLocalAddress(inquiry);
  const mark = noteMark(inquiry);
  const toLocal = local !== undefined || mark !== 0;
  if (!published.isEnabled) {
    note('service', 'there are no services', { found: false });
    return leave(inquiry, toLocal);
  }
  const isAnswerOnly = ((local?.flags ?? 0) & (LOCAL_POOL | LOCAL_VIRTUAL)) === LOCAL_POOL;
  const isBackup = published.word(SYSCTL_BACKUP_ONLY) !== 0;
  if (toLocal && !isAnswerOnly && !isBackup) {
    const index = lookup.fromClient(question);
    if (index !== 0) return handleIn(inquiry, index, mark);
  }
  const answered = lookup.fromServer(question);
  if (answered !== 0) {
    noteConnection(inquiry, answered, 'an answer of a real server');
    return forwardOut(inquiry, answered);
  }
  note('connection', 'none between these ends', { found: false });
  if (published.word(SYSCTL_NAT_ICMP_SEND) !== 0 && isUnknownAnswer(inquiry)) {
    return drop(
      DROP_NO_DESTINATION,
      'it comes from a real server and belongs to no connection: nat_icmp_send has it refused ' +
        'with "port unreachable"',
    );
  }
  if (toLocal && !isBackup) return handleNew(inquiry, mark);
  if (isBackup) note('service', 'backup_only is set: nothing is scheduled', { found: false });
  return leave(inquiry, toLocal);
}

function noteLocalAddress({ published, question, control, note }: Inquiry) {
  const { address, bytes } = question.destination;
  const local = published.local(bytes);
  if (local === undefined) {
    note('local address', `${address} is not the director's`, { local: false });
    return undefined;
  }
  const isVirtual = (local.flags & LOCAL_VIRTUAL) !== 0;
  const isPool = (local.flags & LOCAL_POOL) !== 0;
  const port = control.tables.world.ports.find(({ index }) => index === local.port)?.name;
  const what = [
    isVirtual ? "a virtual service's" : '',
    isPool ? 'in the full-nat pool' : '',
    port === undefined ? '' : `on port ${port}`,
  ].filter((part) => part !== '');
  const detail = what.length === 0 ? '' : `: ${what.join(', ')}`;
  note('local address', `${address} is the director's${detail}`, {
    local: true,
    virtual: isVirtual,
    pool: isPool,
    ...(port !== undefined && { port }),
  });
  return local;
}

function noteMark({ published, question, note }: Inquiry): number {
  const { markRules: rules } = published;
  if (rules === 0) return 0;
  const found = published.mark(question);
  if (found === undefined)
    note('mark', `no mark: ${rules} rules, none matches`, { mark: 0, rules });
  else note('mark', `mark ${found.mark}, by rule ${found.rule} of ${rules}`, { ...found, rules });
  return found?.mark ?? 0;
}

function noteConnection(inquiry: Inquiry, index: number, what: string): void {
  const { memory, now, note } = inquiry;
  const entry = connectionAt(memory, index, now);
  const { state, expiresSeconds, destinationAddress, destinationPort } = entry;
  const server = endText({ address: destinationAddress, port: destinationPort });
  const client = endText({ address: entry.clientAddress, port: entry.clientPort });
  note(
    'connection',
    `${what}: ${client} with ${server}, ${state}, expires in ${expiresSeconds} s if nothing comes`,
    { found: true, client, server, state, expiresSeconds },
  );
}

/** A packet from a client whose connection is known. */
function handleIn(inquiry: Inquiry, index: number, mark: number): Decision {
  const { question, published, memory, note } = inquiry;
  noteConnection(inquiry, index, 'there is one');
  const rescheduled = whyRescheduled(inquiry, index);
  if (rescheduled !== undefined) {
    const first = question.isFirst === true;
    const what = first ? 'this is its first packet' : `a new ${opener(question.protocol)} would`;
    const result = first
      ? `${what} and begins anew: ${rescheduled}`
      : `${what} begin anew: ${rescheduled}`;
    note('reuse', result, { begins: first });
    if (first) return handleNew(inquiry, mark);
  }
  const id = memory.u32[(memory.hot(index) + CONNECTION_DESTINATION_ID) >>> 2];
  if (id !== 0 && !isAvailable(inquiry, id)) {
    if (published.word(SYSCTL_EXPIRE_NODEST_CONN) === 0) {
      return drop(
        DROP_DESTINATION_UNAVAILABLE,
        "the connection's server was removed, and expire_nodest_conn is 0",
      );
    }
    note('reuse', 'its server was removed: the connection expires (expire_nodest_conn)', {
      begins: question.isFirst === true,
    });
    const later = { ...question, isFirst: question.isFirst ?? false };
    return handleNew({ ...inquiry, question: later }, mark);
  }
  return forwardToServer(inquiry, { connection: index });
}

function opener(protocol: string): string {
  return protocol === 'sctp' ? 'INIT' : 'SYN';
}

/** Why a packet that begins a connection must not use the old one it found. */
function whyRescheduled(inquiry: Inquiry, index: number): string | undefined {
  const { memory, published, question } = inquiry;
  if (question.protocol === 'udp') return undefined;
  const id = memory.u32[(memory.hot(index) + CONNECTION_DESTINATION_ID) >>> 2];
  const weight = memory.i32[(memory.destination(published.bank, id) + DESTINATION_WEIGHT) >>> 2];
  if (published.word(SYSCTL_EXPIRE_NODEST_CONN) !== 0 && id !== 0 && weight === 0) {
    return "its server's weight is 0 (expire_nodest_conn)";
  }
  const mode = published.word(SYSCTL_CONN_REUSE_MODE);
  if (mode === 0 || !isOver(inquiry, index, mode)) return undefined;
  return `the connection is over (conn_reuse_mode ${mode})`;
}

function isOver({ memory }: Inquiry, index: number, mode: number): boolean {
  if (memory.u32[(memory.cold(index) + COLD_CONTROLLER) >>> 2] !== 0) return false;
  const hot = memory.hot(index);
  const word = memory.u32[(hot + CONNECTION_STATE) >>> 2];
  const state = word & STATE_MASK;
  const protocol = memory.u8[hot + CONNECTION_PROTOCOL];
  if (protocol === PROTOCOL_SCTP) return state === SCTP_CLOSED;
  if (protocol !== PROTOCOL_TCP) return false;
  if (state === TCP_TIME_WAIT || state === TCP_CLOSE) return true;
  return (mode & 2) !== 0 && state === TCP_FIN_WAIT && (word & STATE_NO_OUTPUT) !== 0;
}

/** Whether a service lists the destination. */
function isAvailable({ memory }: Inquiry, id: number): boolean {
  const flags = memory.u32[(memory.destinationState(id) + DESTINATION_STATE_FLAGS) >>> 2];
  return (flags & DESTINATION_AVAILABLE) !== 0;
}

/** A packet from a client that has no connection, or none that it may use. */
function handleNew(inquiry: Inquiry, mark: number): Decision {
  const scheduled = scheduleNew(inquiry, mark);
  switch (scheduled.kind) {
    case 'pass':
      return pass(inquiry, scheduled.why, scheduled.service);
    case 'leave':
      return withoutServer(inquiry, scheduled);
    case 'decided':
      return scheduled.decision;
    case 'scheduled':
      return forwardToServer(inquiry, scheduled);
  }
}

/** No destination for a new connection: bypass, the stack, or "port unreachable" (ip_vs_leave). */
function withoutServer(inquiry: Inquiry, { service, why }: NoServer): Decision {
  const { published, question, control, note } = inquiry;
  const key = control.serviceById(service)?.key;
  const byMark = key !== undefined && 'mark' in key;
  const isLocal = published.local(question.destination.bytes) !== undefined;
  if (published.word(SYSCTL_CACHE_BYPASS) !== 0 && byMark && !isLocal) {
    note('forwarding', 'cache_bypass: straight to where the packet wants to go', {
      method: 'bypass',
    });
    return { ...forwardRouted(inquiry, FORWARD_BYPASS), service };
  }
  const isFtp = key !== undefined && 'port' in key && key.port === FTP_PORT;
  if (isFtp && question.destination.port !== FTP_PORT) {
    return pass(
      inquiry,
      `${why}; data connections of FTP nobody announced are the stack's`,
      service,
    );
  }
  return {
    ...drop(DROP_NO_DESTINATION, `${why}: the client is told "port unreachable"`),
    service,
  };
}

/** Not IPVS's business: to the director's own stack, or routed on. */
function leave(inquiry: Inquiry, toLocal: boolean): Decision {
  if (toLocal) return pass(inquiry, 'no service takes it');
  return forwardRouted(inquiry);
}

/** To the director's own stack; without a way there, the data plane answers in its place. */
function pass({ memory, question }: Inquiry, why: string, service = 0): Decision {
  const none = { service, destination: 0 };
  if (memory.u8[memory.worker(0) + WORKER_EXCEPTION_LINK] !== NO_LINK) {
    return { outcome: 'local', verdict: `to the director's own stack: ${why}`, reason: 0, ...none };
  }
  const answer = question.protocol === 'tcp' ? 'a reset' : '"port unreachable"';
  const verdict = `${why}: answered with ${answer}, as a port where nobody listens would`;
  return { ...drop(DROP_NO_EXCEPTION_PATH, verdict), ...none };
}

/** A drop and why. */
function drop(reason: number, verdict: string): Decision {
  return { outcome: 'drop', verdict: `dropped: ${verdict}`, reason, service: 0, destination: 0 };
}

/** nat_icmp_send: a real server's packet without a connection. */
function isUnknownAnswer({ published, question }: Inquiry): boolean {
  return published.natDestination(question) !== 0;
}

/** Id of the service that lists a destination, 0 for one in the trash. */
export function serviceOf({ memory, published }: Inquiry, destination: number): number {
  if (destination === 0) return 0;
  const at = memory.destination(published.bank, destination);
  return memory.u32[(at + DESTINATION_SERVICE) >>> 2];
}
