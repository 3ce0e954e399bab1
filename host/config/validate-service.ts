/** The rules about one service and its servers. */

import { parseAddress } from './address.ts';
import type { Finding, Problems } from './problems.ts';
import { SCHEDULER_FLAGS, THRESHOLD_MAX } from './schema.ts';
import type {
  CheckConfig,
  DestinationConfig,
  DirectorConfig,
  SchedulerFlag,
  ServiceConfig,
  TunnelConfig,
} from './types.ts';
import { findViaVip } from './via-vip.ts';
import type { Path } from './yaml-source.ts';

/** Where a service is, and what it is part of. */
export interface ServiceContext {
  readonly index: number;
  /** undefined when the director's own part is wrong. */
  readonly director: DirectorConfig | undefined;
  readonly problems: Problems;
}

/** Applies every rule about one service. */
export function validateService(service: ServiceConfig, context: ServiceContext): void {
  const { director } = context;
  const path: Path = ['services', context.index];
  const report = reporter([path, ['defaults']], context.problems);
  validateListen(service, report);
  validateScheduler(service, report);
  validateQuorum(service, context);
  findDuplicateServers(service, report);
  for (const [index, server] of service.servers.entries()) {
    const owners: Path[] = [[...path, 'servers', index], path, ['defaults']];
    const report = reporter(owners, context.problems);
    const warn = (finding: Finding) => {
      context.problems.warning({ ...finding, path: [...owners[0]!, ...finding.path] });
    };
    validateServer(server, { service, director, report, warn });
  }
  if (service.sorryServer !== undefined) {
    const owners: Path[] = [[...path, 'sorryServer'], path, ['defaults']];
    const atSorryServer = reporter(owners, context.problems);
    const server = service.sorryServer;
    validateServer(server, { service, director, report: atSorryServer, warn: atSorryServer });
  }
}

type Report = (finding: Finding) => void;

/** What a server or a service takes from further out when it does not say so itself. */
const INHERITED: ReadonlySet<PropertyKey> = new Set([
  'tunnel',
  'check',
  'schedulerFlags',
  'forwarding',
]);

/**
 * Reports findings about the first of `owners`. One about a key that it only inherits is
 * reported where that key is written.
 */
function reporter(owners: readonly Path[], problems: Problems): Report {
  return (finding) => {
    const key = finding.path[0]!;
    const isWrittenAt = (owner: Path) => problems.has([...owner, key]);
    const writer = INHERITED.has(key) ? owners.find(isWrittenAt) : undefined;
    problems.error({ ...finding, path: writtenPath(writer ?? owners[0]!, finding.path, problems) });
  };
}

/** What may be a list of one is mostly written without the list. */
function writtenPath(owner: Path, [key, index, ...rest]: Path, problems: Problems): Path {
  const path = [...owner, key!];
  if (index === undefined) return path;
  const isLeftOut = typeof index === 'number' && !problems.has([...path, index]);
  return isLeftOut ? [...path, ...rest] : [...path, index, ...rest];
}

function validateListen({ listen, persistence, onePacket }: ServiceConfig, report: Report): void {
  if (listen.kind === 'mark') return;
  const path = ['listen'];
  const unusable = unusableAs('virtual address', listen.address);
  if (unusable !== undefined) report({ path, code: 'unusable-address', message: unusable });
  if (listen.port === 0 && persistence === undefined) {
    const message = 'port 0 (every port) needs persistence: add `persistence: { timeout: 300s }`';
    report({ path, code: 'port-0-without-persistence', message });
  }
  if (onePacket && listen.protocol !== 'udp') {
    const message =
      `onePacket is for udp and mark services, not for ${listen.protocol}: ` +
      'leave it out, or listen on udp';
    report({ path: ['onePacket'], code: 'one-packet-not-udp', message });
  }
  if (persistence?.engine === 'sip' && listen.protocol !== 'udp') {
    const message =
      `the engine sip is for udp and mark services, not for ${listen.protocol}: ` +
      'leave it out, or listen on udp';
    report({ path: ['persistence', 'engine'], code: 'engine-not-udp', message });
  }
}

function validateScheduler(service: ServiceConfig, report: Report): void {
  for (const flag of service.schedulerFlags) {
    if (schedulerOf(flag) === service.scheduler) continue;
    const message =
      `"${flag}" is a flag of the scheduler ${schedulerOf(flag)}, ` +
      `but this service's scheduler is ${service.scheduler}, which has ${flagsOf(service)}`;
    report({ path: ['schedulerFlags'], code: 'flag-of-other-scheduler', message });
  }
}

function flagsOf({ scheduler }: ServiceConfig): string {
  const flags = SCHEDULER_FLAGS.filter((flag) => schedulerOf(flag) === scheduler);
  return flags.length === 0 ? 'none' : flags.join(' and ');
}

function schedulerOf(flag: SchedulerFlag): string {
  return flag.slice(0, flag.indexOf('-'));
}

function validateQuorum(service: ServiceConfig, { index, problems }: ServiceContext): void {
  const { quorum, hysteresis, servers } = service;
  if (hysteresis >= quorum && hysteresis > 0) {
    const most = quorum - 1;
    const message = `expected at most ${most}, less than the quorum, got ${hysteresis}`;
    const path = ['services', index, 'hysteresis'];
    problems.error({ path, code: 'hysteresis-not-below-quorum', message });
  }
  // keepalived's quorum counts weights, so only a sum below it can never be reached.
  const total = servers.reduce((sum, server) => sum + server.weight, 0);
  if (quorum > 1 && total < quorum) {
    const message = `never reached: the weights of all servers add up to ${total}`;
    const path = ['services', index, 'quorum'];
    problems.warning({ path, code: 'quorum-never-reached', message });
  }
}

function findDuplicateServers({ servers }: ServiceConfig, report: Report): void {
  const seen = new Map<string, DestinationConfig>();
  for (const [index, server] of servers.entries()) {
    const first = seen.get(server.key);
    if (first === undefined) {
      seen.set(server.key, server);
      continue;
    }
    const line = first.position === undefined ? '' : `, at line ${first.position.line}`;
    const message = `${server.key} is a server of this service already${line}`;
    report({ path: ['servers', index, 'address'], code: 'duplicate-server', message });
  }
}

interface ServerContext {
  readonly service: ServiceConfig;
  readonly director: DirectorConfig | undefined;
  readonly report: Report;
  readonly warn: Report;
}

function validateServer(server: DestinationConfig, context: ServerContext): void {
  validateServerAddress(server, context);
  validateServerPort(server, context);
  validateFullNat(server, context);
  if (server.tunnel !== undefined) validateTunnel(server.tunnel, context.report);
  for (const [index, check] of server.checks.entries()) {
    validateCheck(check, ['check', index], { ...context, server });
  }
  if (server.lowerThreshold > server.upperThreshold) {
    const { lowerThreshold: lower, upperThreshold: upper } = server;
    const message =
      upper === 0
        ? `expected an upper threshold as well: add \`upperThreshold: ${upperFor(lower)}\``
        : `expected at most the upper threshold, ${upper}, got ${lower}`;
    const code = 'lower-threshold-above-upper';
    context.report({ path: ['lowerThreshold'], code, message });
  }
}

/** Of which a lower threshold would be the default. */
function upperFor(lower: number): number {
  return Math.min(THRESHOLD_MAX, Math.ceil((lower * 4) / 3));
}

function validateServerAddress(
  { family, address, forwarding }: DestinationConfig,
  { service, report }: ServerContext,
): void {
  const path = ['address'];
  const unusable = unusableAs('server', address);
  if (unusable !== undefined) report({ path, code: 'unusable-address', message: unusable });
  // Only a tunnel's outer header may be of the other IP version.
  if (family === service.listen.family || forwarding === 'tunnel') return;
  const mark = service.listen.kind === 'mark' && family === 6 ? '; for IPv6, `mark N/ipv6`' : '';
  const message =
    `${forwarding} cannot send IPv${service.listen.family} packets ` +
    `to an IPv${family} server; only tunnel can${mark}`;
  report({ path, code: 'family-mismatch', message });
}

function validateServerPort(
  { port, forwarding }: DestinationConfig,
  { service, report, warn }: ServerContext,
): void {
  const { listen } = service;
  if (listen.kind === 'mark' || listen.port === 0 || port === listen.port) return;
  const path = ['address'];
  if (port === 0) {
    const message = `expected a port from 1 to 65535, or none for the service's ${listen.port}`;
    report({ path, code: 'server-port-0', message });
    return;
  }
  if (mapsPorts(forwarding)) return;
  const message =
    `${forwarding} cannot change the port: expected ${listen.port}, the service's, ` +
    `got ${port}; only nat and full-nat can`;
  // Beside servers that map ports, one that cannot gets the service's port, as ipvsadm does it: the
  // list of addresses is meant for all of them. Without such servers the port must be a mistake.
  const isMixed = service.servers.some((server) => mapsPorts(server.forwarding));
  if (isMixed) warn({ path, code: 'port-mapping', message: `${message}; ${listen.port} is used` });
  else report({ path, code: 'port-mapping', message });
}

function mapsPorts(forwarding: DestinationConfig['forwarding']): boolean {
  return forwarding === 'nat' || forwarding === 'full-nat';
}

function validateFullNat(
  { family, forwarding }: DestinationConfig,
  { director, report }: ServerContext,
): void {
  if (forwarding !== 'full-nat' || director === undefined) return;
  if (director.localAddresses.some((local) => local.family === family)) return;
  const example = family === 4 ? '192.0.2.10' : "'2001:db8::10'";
  const message =
    `full-nat needs an IPv${family} address that servers answer to: ` +
    `add one of the director's own as \`localAddresses: [${example}]\` under \`director\``;
  report({ path: ['forwarding'], code: 'full-nat-without-local-address', message });
}

/** Which checksums each type of tunnel can carry. */
const TUNNEL_CHECKSUMS: Readonly<Record<TunnelConfig['type'], readonly string[]>> = {
  ipip: ['none'],
  gre: ['none', 'csum'],
  gue: ['none', 'csum', 'remcsum'],
};

function validateTunnel({ type, port, checksum }: TunnelConfig, report: Report): void {
  if (type === 'gue' && port === 0) {
    const message = 'a gue tunnel needs a port: add `port: 6080`';
    report({ path: ['tunnel'], code: 'tunnel-without-port', message });
  }
  if (type !== 'gue' && port !== 0) {
    const message = `only a gue tunnel has a port, not ${type}: leave it out, or say \`type: gue\``;
    report({ path: ['tunnel', 'port'], code: 'tunnel-port', message });
  }
  if (!TUNNEL_CHECKSUMS[type].includes(checksum)) {
    const possible = TUNNEL_CHECKSUMS[type].join(', ');
    const message = `expected one of ${possible} for a tunnel of type ${type}, got "${checksum}"`;
    report({ path: ['tunnel', 'checksum'], code: 'tunnel-checksum', message });
  }
}

function validateCheck(
  check: CheckConfig,
  path: Path,
  { server, service, report }: ServerContext & { readonly server: DestinationConfig },
): void {
  const viaVip = findViaVip(check, server, service);
  if (viaVip !== undefined) report({ ...viaVip, path: [...path, ...viaVip.path] });
  if (check.type === 'udp' && check.send !== undefined && check.sendHex !== undefined) {
    const message = 'expected either send or sendHex, got both';
    report({ path: [...path, 'sendHex'], code: 'check-sends-two-things', message });
  }
}

/** Why `address` cannot be used as a `role`, or undefined when it can. */
function unusableAs(role: string, address: string): string | undefined {
  const kind = kindOf(address);
  if (kind === undefined) return undefined;
  if (kind === 'link-local' && role !== 'server') return undefined;
  return `${address} is ${ARTICLES[kind]} address and cannot be a ${role}`;
}

const ARTICLES = {
  unspecified: 'the unspecified',
  multicast: 'a multicast',
  broadcast: 'the broadcast',
  'link-local': 'a link-local',
} as const;

function kindOf(address: string): keyof typeof ARTICLES | undefined {
  if (address === '0.0.0.0' || address === '::') return 'unspecified';
  if (address === '255.255.255.255') return 'broadcast';
  if (parseAddress(address)?.family === 6) {
    if (address.startsWith('ff')) return /^ff[0-9a-f]{2}:/.test(address) ? 'multicast' : undefined;
    return /^fe[89ab][0-9a-f]:/.test(address) ? 'link-local' : undefined;
  }
  const first = Number(address.slice(0, address.indexOf('.')));
  return first >= 224 && first <= 239 ? 'multicast' : undefined;
}
