/** A virtual server as services of WVS: one for each place where it listens. */

import { type AddressFamily, formatEndpoint } from '../../config/address.ts';
import type { Protocol, SchedulerFlag } from '../../config/types.ts';
import type {
  ForwardingDraft,
  PersistenceDraft,
  ServiceDraft,
  SorryServerDraft,
} from '../model.ts';
import { placeOf, planChecks, type ServerSurroundings, serverDraft } from './real-server.ts';
import type { TlsFiles } from './tls-files.ts';
import type { TrackFile } from './track-files.ts';
import type { Values } from './values.ts';
import { DEFAULT_PERSISTENCE_S, type VirtualServer } from './virtual-server.ts';
import type { Target } from './virtual-server-group.ts';

/** What a virtual server's services are made with. */
export interface ServicesInput {
  readonly server: VirtualServer;
  readonly targets: readonly Target[];
  /** The name of the group that the targets are from. */
  readonly group: string | undefined;
  readonly trackFiles: ReadonlyMap<string, TrackFile>;
  readonly tls: TlsFiles;
}

/** Makes the services; none, and a report, where keepalived has none either. */
export function servicesOf(input: ServicesInput, values: Values): ServiceDraft[] {
  const { server, targets, group } = input;
  const { statement } = server;
  if (targets.length === 0) return [];
  if (server.realServers.length === 0) {
    values.lost(statement, 'virtual_server is left out, as keepalived does: no real_server');
    return [];
  }
  const surroundings: ServerSurroundings = {
    values,
    forwarding: server.forwarding,
    weight: server.weight,
    virtualhost: server.virtualhost,
    times: server.times,
    trackFiles: input.trackFiles,
    tls: input.tls,
  };
  const plans = server.realServers.map((real) => planChecks(real, surroundings));
  const common = commonParts(server, targets, values);
  return targets.map((target) => {
    const isMark = target.kind === 'mark';
    const place = { isMark, port: isMark ? 0 : target.port };
    const family = target.family ?? familyOf(server);
    const listen = listenOf(target, family, common.protocol);
    const isFamilyOfMask = server.granularity === undefined || server.granularity.family === family;
    if (!isFamilyOfMask) {
      const message = `the mask is left out: it is not one of IPv${family}`;
      values.lost(server.granularity!.statement, message);
    }
    const mask = isFamilyOfMask ? server.granularity?.mask : undefined;
    return {
      origin: group === undefined ? statement.origin : target.origin,
      name: nameOf(server, group, listen),
      listen,
      scheduler: server.scheduler,
      schedulerFlags: common.flags,
      forwarding: server.forwarding,
      persistence: persistenceOf(server, common.persistence, mask),
      onePacket: common.onePacket && (isMark || common.protocol === 'udp'),
      quorum: common.quorum,
      hysteresis: common.hysteresis,
      inhibitOnFailure: common.inhibitOnFailure,
      omega: server.omega,
      notify: common.notify,
      sorryServer: sorryServerOf(server, place, values),
      servers: server.realServers.map((real, index) => ({
        ...serverDraft(real, plans[index]!, place, surroundings),
        ...common.own[index],
      })),
      group: group === undefined ? undefined : `${group} ${statement.origin.line}`,
    };
  });
}

interface CommonParts {
  readonly protocol: Protocol;
  readonly flags: readonly SchedulerFlag[];
  readonly persistence: number | undefined;
  readonly onePacket: boolean;
  readonly quorum: number;
  readonly hysteresis: number;
  readonly inhibitOnFailure: boolean;
  readonly notify: ServiceDraft['notify'];
  /** Of each real server, where they differ. */
  readonly own: readonly OwnSettings[];
}

function commonParts(
  server: VirtualServer,
  targets: readonly Target[],
  values: Values,
): CommonParts {
  const { statement } = server;
  const isByAddress = targets.some(({ kind }) => kind === 'address');
  if (server.protocol === undefined && isByAddress) {
    values.lost(statement, 'there is no protocol: it is UDP, which keepalived takes then');
  }
  const protocol = server.protocol ?? 'udp';
  if (server.onePacket !== undefined && isByAddress && protocol !== 'udp') {
    values.lost(server.onePacket, `ops is left out: it is for UDP, not for ${protocol}`);
  }
  let { persistence } = server;
  const hasPort0 = targets.some((target) => target.kind === 'address' && target.port === 0);
  if (hasPort0 && persistence === undefined) {
    const message = `there is no port: persistence_timeout is ${DEFAULT_PERSISTENCE_S}, as in keepalived`;
    values.lost(statement, message);
    persistence = DEFAULT_PERSISTENCE_S;
  }
  const { common, own } = serverSettings(server);
  return {
    protocol,
    flags: schedulerFlagsOf(server, values),
    persistence,
    onePacket: server.onePacket !== undefined,
    ...quorumOf(server, values),
    inhibitOnFailure: common.inhibitOnFailure ?? false,
    notify: given({
      ...common.notify,
      quorumUp: server.quorumUp?.command,
      quorumDown: server.quorumDown?.command,
    }),
    own,
  };
}

/** The numbered flags by the names they have for each scheduler. */
function schedulerFlagsOf(
  { flags, scheduler }: VirtualServer,
  values: Values,
): readonly SchedulerFlag[] {
  const known = new Set<SchedulerFlag>();
  const own = scheduler === 'sh' || scheduler === 'mh' ? scheduler : undefined;
  for (const statement of flags) {
    const { keyword } = statement;
    const purpose = keyword === 'flag-1' ? 'fallback' : keyword === 'flag-2' ? 'port' : undefined;
    const kind = purpose ?? /^[sm]h-(port|fallback)$/.exec(keyword)?.[1];
    const isOwn = purpose !== undefined || keyword.startsWith(`${scheduler}-`);
    if (own !== undefined && isOwn && (kind === 'port' || kind === 'fallback')) {
      known.add(`${own}-${kind}`);
    } else values.lost(statement, `${keyword} is left out: it says nothing to ${scheduler}`);
  }
  return [...known];
}

/** Corrected as keepalived corrects them. */
function quorumOf(server: VirtualServer, values: Values): { quorum: number; hysteresis: number } {
  const { statement, realServers } = server;
  const total = realServers.reduce((sum, real) => sum + (real.weight ?? server.weight), 0);
  let { quorum, hysteresis } = server;
  if (quorum > Math.max(1, total)) {
    quorum = Math.max(1, total);
    values.lost(statement, `quorum is ${quorum}, the weight of all servers, as in keepalived`);
  }
  if (hysteresis >= quorum && hysteresis > 0) {
    hysteresis = quorum - 1;
    values.lost(statement, `hysteresis is ${hysteresis}, less than the quorum, as in keepalived`);
  }
  return { quorum, hysteresis };
}

/** What real servers say for themselves: once for the service if all say the same. */
function serverSettings(server: VirtualServer): {
  readonly common: OwnSettings;
  readonly own: readonly OwnSettings[];
} {
  const { realServers, inhibitOnFailure } = server;
  const isInhibited = realServers.map((real) => real.inhibitOnFailure ?? inhibitOnFailure);
  const serverUp = realServers.map(({ notifyUp }) => notifyUp?.command);
  const serverDown = realServers.map(({ notifyDown }) => notifyDown?.command);
  const common = {
    inhibitOnFailure: commonOf(isInhibited),
    notify: given({ serverUp: commonOf(serverUp), serverDown: commonOf(serverDown) }),
  };
  const own = realServers.map((_, index) => ({
    // Those who want it say so; the service does not.
    inhibitOnFailure:
      common.inhibitOnFailure === undefined && isInhibited[index] ? true : undefined,
    notify: given({
      serverUp: common.notify?.serverUp === undefined ? serverUp[index] : undefined,
      serverDown: common.notify?.serverDown === undefined ? serverDown[index] : undefined,
    }),
  }));
  return { common, own };
}

interface OwnSettings {
  readonly inhibitOnFailure: boolean | undefined;
  readonly notify: ServiceDraft['notify'];
}

/** The one value that all have. */
function commonOf<Value>([first, ...others]: readonly Value[]): Value | undefined {
  const text = JSON.stringify(first);
  return others.every((other) => JSON.stringify(other) === text) ? first : undefined;
}

function given(
  commands: Readonly<Record<string, readonly string[] | undefined>>,
): ServiceDraft['notify'] {
  const entries = Object.entries(commands).filter(
    (entry): entry is [string, readonly string[]] => entry[1] !== undefined,
  );
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function persistenceOf(
  { engine }: VirtualServer,
  seconds: number | undefined,
  mask: string | number | undefined,
): PersistenceDraft | undefined {
  return seconds === undefined ? undefined : { timeout: `${seconds}s`, mask, engine };
}

function sorryServerOf(
  { sorryServer, sorryInhibit, sorryForwarding, forwarding }: VirtualServer,
  place: { isMark: boolean; port: number },
  values: Values,
): SorryServerDraft | undefined {
  if (sorryServer === undefined) return undefined;
  const own = sorryForwarding ?? forwarding;
  const { address } = placeOf(sorryServer, own, place, values);
  return {
    origin: sorryServer.statement.origin,
    address,
    forwarding: own,
    inhibit: sorryInhibit,
  };
}

function listenOf(target: Target, family: AddressFamily, protocol: Protocol): string {
  if (target.kind === 'mark')
    return family === 6 ? `mark ${target.mark}/ipv6` : `mark ${target.mark}`;
  return `${formatEndpoint(target.address, target.port)}/${protocol}`;
}

function nameOf(
  { name }: VirtualServer,
  group: string | undefined,
  listen: string,
): string | undefined {
  return group === undefined ? name : `${name ?? group} ${listen}`;
}

/**
 * The IP version of a mark, which nothing says: that of the servers, where those behind a tunnel
 * only count when there are no others.
 */
function familyOf(server: VirtualServer): AddressFamily {
  if (server.family !== undefined) return server.family;
  if (server.granularity !== undefined) return server.granularity.family;
  const isTunnel = (own: ForwardingDraft | undefined) =>
    (own ?? server.forwarding).method === 'tunnel';
  const families = server.realServers.map(({ target, forwarding }) => ({
    family: target.family,
    isTunnel: isTunnel(forwarding),
  }));
  if (server.sorryServer !== undefined) {
    const { family } = server.sorryServer.target;
    families.push({ family, isTunnel: isTunnel(server.sorryForwarding) });
  }
  const bare = families.find((entry) => !entry.isTunnel);
  if (bare !== undefined) return bare.family;
  return families.every(({ family }) => family === 6) ? 6 : 4;
}
