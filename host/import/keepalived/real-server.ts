/** The block real_server. */

import { formatEndpoint, type ParsedAddress } from '../../config/address.ts';
import { THRESHOLD_MAX, WEIGHT_MAX } from '../../config/schema.ts';
import { CHECKS_PER_SERVER_MAX } from '../../config/schema-checks.ts';
import type { CheckDraft, ForwardingDraft, ServerDraft } from '../model.ts';
import type { Statement } from './blocks.ts';
import { CHECKERS, type CheckPlan, readChecker } from './checkers.ts';
import { readForwarding } from './forwarding.ts';
import { readScript } from './scripts.ts';
import { type CheckTimes, timeHandlers } from './times.ts';
import type { TlsFiles } from './tls-files.ts';
import type { TrackFile } from './track-files.ts';
import { type Handlers, readBlock, type Values } from './values.ts';

/** A command with the statement it is from. */
export interface ScriptDraft {
  readonly statement: Statement;
  readonly command: readonly string[];
}

/** A real server as its block says; what it does not say comes from the virtual server. */
export interface RealServer {
  readonly statement: Statement;
  readonly target: ParsedAddress;
  /** 0: none was given. */
  readonly port: number;
  readonly checkers: Statement[];
  readonly times: CheckTimes;
  weight?: number | undefined;
  forwarding?: ForwardingDraft | undefined;
  upperThreshold: number;
  lowerThreshold: number;
  inhibitOnFailure?: boolean | undefined;
  virtualhost?: string | undefined;
  notifyUp?: ScriptDraft | undefined;
  notifyDown?: ScriptDraft | undefined;
}

/** Reads the block; undefined when it is not clear which server it is about. */
export function readRealServer(statement: Statement, values: Values): RealServer | undefined {
  const target = values.address(statement, statement.args[0]);
  const port = values.port(statement, statement.args[1]);
  if (target === undefined || port === undefined) return undefined;
  const server: RealServer = {
    statement,
    target,
    port,
    checkers: [],
    times: {},
    upperThreshold: 0,
    lowerThreshold: 0,
  };
  const checkers = [...CHECKERS].map(
    (name) =>
      [
        name,
        (child: Statement) => {
          server.checkers.push(child);
        },
      ] as const,
  );
  readBlock(statement, {
    handlers: {
      ...serverHandlers(server, values),
      ...timeHandlers(server.times, values),
      ...Object.fromEntries(checkers),
    },
    unexpressed: {
      snmp_name: 'WVS has no names for servers',
      smtp_alert: 'WVS sends no mail; `notify` can',
    },
    values,
  });
  return server;
}

function serverHandlers(server: RealServer, values: Values): Handlers {
  const threshold = (statement: Statement) =>
    values.number(statement, { min: 0, max: THRESHOLD_MAX }) ?? 0;
  const forwarding = (statement: Statement) => {
    server.forwarding = readForwarding(statement, values) ?? server.forwarding;
  };
  return {
    weight: (statement) => {
      server.weight = readWeight(statement, values) ?? server.weight;
    },
    lvs_method: forwarding,
    lb_kind: forwarding,
    uthreshold: (statement) => {
      server.upperThreshold = threshold(statement);
    },
    lthreshold: (statement) => {
      server.lowerThreshold = threshold(statement);
    },
    inhibit_on_failure: (statement) => {
      server.inhibitOnFailure = values.flag(statement) ?? server.inhibitOnFailure;
    },
    virtualhost: (statement) => {
      server.virtualhost = values.text(statement) ?? server.virtualhost;
    },
    notify_up: (statement) => {
      server.notifyUp ??= scriptDraft(statement, values);
    },
    notify_down: (statement) => {
      server.notifyDown ??= scriptDraft(statement, values);
    },
  };
}

/** A command with its statement. */
export function scriptDraft(statement: Statement, values: Values): ScriptDraft | undefined {
  const command = readScript(statement, values);
  return command === undefined ? undefined : { statement, command };
}

/** keepalived and the kernel take more than WVS does. */
export function readWeight(statement: Statement, values: Values): number | undefined {
  const weight = values.number(statement, { min: 0, max: THRESHOLD_MAX });
  if (weight === undefined || weight <= WEIGHT_MAX) return weight;
  values.lost(statement, `weight is ${WEIGHT_MAX}, the most that WVS has`);
  return WEIGHT_MAX;
}

/** What of a virtual server its real servers depend on. */
export interface ServerSurroundings {
  readonly values: Values;
  readonly forwarding: ForwardingDraft;
  readonly weight: number;
  readonly virtualhost: string | undefined;
  readonly times: CheckTimes;
  readonly trackFiles: ReadonlyMap<string, TrackFile>;
  readonly tls: TlsFiles;
}

/** The checks of the server's checkers, those left out that WVS has nothing for. */
export function planChecks(
  server: RealServer,
  { values, times, virtualhost, trackFiles, tls }: ServerSurroundings,
): readonly CheckPlan[] {
  const context = {
    values,
    address: server.target.address,
    virtualhost: server.virtualhost ?? virtualhost,
    outerTimes: [server.times, times],
    trackFiles,
    tls,
  };
  const plans = server.checkers.flatMap((statement) => readChecker(statement, context));
  for (const { statement } of plans.slice(CHECKS_PER_SERVER_MAX)) {
    const message = `${statement.keyword} is left out: a server has at most ${CHECKS_PER_SERVER_MAX} checks`;
    values.lost(statement, message);
  }
  return plans.slice(0, CHECKS_PER_SERVER_MAX);
}

/** Where a service listens, as far as its servers care. */
export interface ServiceTarget {
  /** 0 for all ports. */
  readonly port: number;
  readonly isMark: boolean;
}

/** The server as one service uses it. */
export function serverDraft(
  server: RealServer,
  plans: readonly CheckPlan[],
  target: ServiceTarget,
  surroundings: ServerSurroundings,
): ServerDraft {
  const { values } = surroundings;
  const forwarding = server.forwarding ?? surroundings.forwarding;
  const { statement } = server;
  const lower = server.lowerThreshold <= server.upperThreshold ? server.lowerThreshold : 0;
  if (lower !== server.lowerThreshold) {
    values.lost(statement, 'lthreshold is left out: IPVS refuses one that is above uthreshold');
  }
  const { address, port } = placeOf(server, forwarding, target, values);
  return {
    origin: statement.origin,
    address,
    weight: server.weight ?? surroundings.weight,
    upperThreshold: server.upperThreshold,
    lowerThreshold: lower,
    forwarding,
    checks: plans.flatMap((plan) => checkDraft(plan, { server, port, values }) ?? []),
  };
}

/**
 * The address as it is written, and the port it means. Without NAT nobody changes the port of a
 * packet, whatever the block says.
 */
export function placeOf(
  { statement, target, port }: Pick<RealServer, 'statement' | 'target' | 'port'>,
  { method }: ForwardingDraft,
  service: ServiceTarget,
  values: Values,
): { address: string; port: number } {
  const { address } = target;
  const isKept = method !== 'nat';
  if (port === 0) return { address, port: service.port };
  if (!isKept) return { address: formatEndpoint(address, port), port };
  if (port !== service.port) {
    const kept = service.port === 0 ? "the packet's" : `the service's, ${service.port}`;
    values.lost(
      statement,
      `port ${port} is left out: without NAT a packet keeps its port, ${kept}`,
    );
  }
  return { address, port: service.port };
}

interface CheckedServer {
  readonly server: RealServer;
  /** The port that the server has in the service. */
  readonly port: number;
  readonly values: Values;
}

function checkDraft(
  { statement, fields, timing, needsPort, connectPort }: CheckPlan,
  { server, port, values }: CheckedServer,
): CheckDraft | undefined {
  const { origin } = statement;
  const { type, ...rest } = fields;
  if (!needsPort) return { origin, fields: { type, ...rest, ...timing } };
  const wanted = connectPort ?? (server.port === 0 ? port : server.port);
  if (wanted === 0) {
    const message = `${statement.keyword} is left out: no connect_port says where to probe`;
    values.lost(statement, message);
    return undefined;
  }
  const other = wanted === port ? undefined : wanted;
  return { origin, fields: { type, port: other, ...rest, ...timing } };
}
