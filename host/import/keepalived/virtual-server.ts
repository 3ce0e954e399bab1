/** The block virtual_server, as it is read; services.ts makes services of it. */

import { type AddressFamily, type parseAddress, parseIpv4 } from '../../config/address.ts';
import { QUORUM_MAX, SCHEDULERS } from '../../config/schema.ts';
import type { Protocol, SchedulerName } from '../../config/types.ts';
import type { ForwardingDraft } from '../model.ts';
import type { Statement } from './blocks.ts';
import { readForwarding } from './forwarding.ts';
import {
  type RealServer,
  readRealServer,
  readWeight,
  type ScriptDraft,
  scriptDraft,
} from './real-server.ts';
import { type CheckTimes, timeHandlers } from './times.ts';
import { type Handlers, readBlock, type Values } from './values.ts';

/** The sorry server. */
export interface SorryServer {
  readonly statement: Statement;
  readonly target: NonNullable<ReturnType<typeof parseAddress>>;
  readonly port: number;
}

/** A virtual server as its block says, defaults filled in where they depend on nothing. */
export interface VirtualServer {
  readonly statement: Statement;
  readonly flags: Statement[];
  readonly realServers: RealServer[];
  readonly times: CheckTimes;
  scheduler: SchedulerName;
  forwarding: ForwardingDraft;
  protocol?: Protocol | undefined;
  family?: AddressFamily | undefined;
  /** In seconds. */
  persistence?: number | undefined;
  granularity?: Granularity | undefined;
  engine?: string | undefined;
  onePacket?: Statement | undefined;
  quorum: number;
  hysteresis: number;
  inhibitOnFailure: boolean;
  weight: number;
  virtualhost?: string | undefined;
  name?: string | undefined;
  quorumUp?: ScriptDraft | undefined;
  quorumDown?: ScriptDraft | undefined;
  sorryServer?: SorryServer | undefined;
  sorryForwarding?: ForwardingDraft | undefined;
  sorryInhibit: boolean;
  omega: boolean;
}

/** Which bits of a client's address count: a mask of IPv4, or a number of bits of IPv6. */
export interface Granularity {
  readonly statement: Statement;
  readonly family: AddressFamily;
  readonly mask: string | number;
}

/** keepalived's persistence timeout, where ipvsadm's is 300 s. */
export const DEFAULT_PERSISTENCE_S = 360;
const PERSISTENCE_MAX_S = 31 * 86_400;

/** Reads the block. */
export function readVirtualServer(statement: Statement, values: Values): VirtualServer {
  const server: VirtualServer = {
    statement,
    flags: [],
    realServers: [],
    times: {},
    scheduler: 'wlc',
    forwarding: { method: 'nat' },
    quorum: 1,
    hysteresis: 0,
    inhibitOnFailure: false,
    weight: 1,
    sorryInhibit: false,
    omega: false,
  };
  readBlock(statement, {
    handlers: {
      ...balancingHandlers(server, values),
      ...persistenceHandlers(server, values),
      ...poolHandlers(server, values),
      ...timeHandlers(server.times, values),
      alpha: (child) => {
        server.times.alpha = values.on(child);
      },
    },
    unexpressed: {
      ha_suspend: 'WVS probes servers whether or not it has the virtual address',
      smtp_alert: 'WVS sends no mail; `notify` can',
    },
    values,
  });
  return server;
}

const PROTOCOLS: Readonly<Record<string, Protocol>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

function balancingHandlers(server: VirtualServer, values: Values): Handlers {
  const scheduler = (statement: Statement) => {
    const text = values.text(statement);
    const known = SCHEDULERS.find((name) => name === text);
    if (known !== undefined) server.scheduler = known;
    else if (text !== undefined) {
      const message = `${statement.keyword}: expected one of ${SCHEDULERS.join(', ')}, got "${text}"`;
      values.lost(statement, message);
    }
  };
  const forwarding = (statement: Statement) => {
    server.forwarding = readForwarding(statement, values) ?? server.forwarding;
  };
  const flag = (statement: Statement) => {
    server.flags.push(statement);
  };
  return {
    lvs_sched: scheduler,
    lb_algo: scheduler,
    lvs_method: forwarding,
    lb_kind: forwarding,
    'flag-1': flag,
    'flag-2': flag,
    'flag-3': flag,
    'sh-port': flag,
    'sh-fallback': flag,
    'mh-port': flag,
    'mh-fallback': flag,
    // Every service of IPVS is, once it is found by its address.
    hashed: () => undefined,
    ops: (statement) => {
      server.onePacket = statement;
    },
    protocol: (statement) => {
      const text = values.text(statement);
      const known = PROTOCOLS[text?.toUpperCase() ?? ''];
      if (known !== undefined) server.protocol = known;
      else if (text !== undefined) {
        values.lost(statement, `protocol: expected TCP, UDP or SCTP, got "${text}"`);
      }
    },
    ip_family: (statement) => {
      const text = values.text(statement);
      if (text === 'inet' || text === 'inet6') server.family = text === 'inet' ? 4 : 6;
      else if (text !== undefined) {
        values.lost(statement, `ip_family: expected inet or inet6, got "${text}"`);
      }
    },
    snmp_name: (statement) => {
      server.name = values.text(statement) ?? server.name;
    },
  };
}

function persistenceHandlers(server: VirtualServer, values: Values): Handlers {
  return {
    persistence_timeout: (statement) => {
      if (statement.args.length === 0) server.persistence = DEFAULT_PERSISTENCE_S;
      else {
        const limits = { min: 1, max: PERSISTENCE_MAX_S };
        server.persistence = values.number(statement, limits) ?? server.persistence;
      }
    },
    persistence_granularity: (statement) => {
      const granularity = readGranularity(statement, values);
      if (granularity === undefined) return;
      server.granularity = granularity;
      server.persistence ??= DEFAULT_PERSISTENCE_S;
    },
    persistence_engine: (statement) => {
      const text = values.text(statement);
      if (text === 'sip') {
        server.engine = text;
        // The kernel takes an engine only together with persistence.
        server.persistence ??= DEFAULT_PERSISTENCE_S;
      } else if (text !== undefined) {
        values.lost(statement, `persistence_engine: WVS has sip only, not "${text}"`);
      }
    },
  };
}

function readGranularity(statement: Statement, values: Values): Granularity | undefined {
  const text = values.text(statement);
  if (text === undefined) return undefined;
  const length = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (length >= 1 && length <= 128) return { statement, family: 6, mask: length };
  const mask = parseIpv4(text);
  // The ones of a mask come first.
  if (mask !== undefined && mask !== 0 && (~mask & (~mask + 1)) === 0) {
    return { statement, family: 4, mask: text };
  }
  const expected = 'expected a mask such as 255.255.255.0, or for IPv6 a number from 1 to 128';
  values.lost(statement, `persistence_granularity: ${expected}, got "${text}"`);
  return undefined;
}

function poolHandlers(server: VirtualServer, values: Values): Handlers {
  const count = { min: 0, max: QUORUM_MAX };
  return {
    quorum: (statement) => {
      server.quorum = values.number(statement, { ...count, min: 1 }) ?? server.quorum;
    },
    hysteresis: (statement) => {
      server.hysteresis = values.number(statement, count) ?? server.hysteresis;
    },
    omega: (statement) => {
      server.omega = values.on(statement);
    },
    quorum_up: (statement) => {
      server.quorumUp ??= scriptDraft(statement, values);
    },
    quorum_down: (statement) => {
      server.quorumDown ??= scriptDraft(statement, values);
    },
    inhibit_on_failure: (statement) => {
      server.inhibitOnFailure = values.on(statement);
    },
    virtualhost: (statement) => {
      server.virtualhost = values.text(statement) ?? server.virtualhost;
    },
    weight: (statement) => {
      server.weight = readWeight(statement, values) ?? server.weight;
    },
    sorry_server: (statement) => {
      const target = values.address(statement, statement.args[0]);
      const port = values.port(statement, statement.args[1]);
      if (target === undefined || port === undefined) return;
      server.sorryServer = { statement, target, port };
    },
    sorry_server_inhibit: (statement) => {
      server.sorryInhibit = values.on(statement);
      if (server.sorryServer !== undefined) return;
      values.lost(statement, 'sorry_server_inhibit is left out: it has no sorry_server before it');
      server.sorryInhibit = false;
    },
    sorry_server_lvs_method: (statement) => {
      server.sorryForwarding = readForwarding(statement, values) ?? server.sorryForwarding;
    },
    real_server: (statement) => {
      const real = readRealServer(statement, values);
      if (real !== undefined) server.realServers.push(real);
    },
  };
}
