/**
 * What a configuration file may contain: the one definition. The types of a parsed file are
 * inferred from it, the JSON Schema for editors is generated from it (write-schema.ts), and
 * parse.ts checks files with it. Rules that concern more than one key are in validate.ts.
 */

import { z } from 'zod';
import { MARK_RULES_MAX, WORKERS_MAX } from '../../assembly/shared/limits.ts';
import { type AddressFamily, parseEndpoint } from './address.ts';
import { checkSchema } from './schema-checks.ts';
import {
  address,
  aliasedChoice,
  choice,
  count,
  duration,
  endpoint,
  flag,
  fullEndpoint,
  integer,
  list,
  macAddress,
  mapping,
  matching,
  parsedText,
  portRange,
  prefix,
  scalar,
  text,
  wholeSeconds,
} from './schema-leaves.ts';

/** Limits of a configuration. They keep the tables that are made from it within bounds. */
export const SERVICES_MAX = 65_536;
export const SERVERS_PER_SERVICE_MAX = 4_096;
export const PORTS_MAX = 16;
export const QUEUES_MAX = 64;
export const CONNECTIONS_MIN = 1_024;
export const CONNECTIONS_MAX = 16_777_216;
export const WEIGHT_MAX = 65_535;
/** A quorum is counted in weights. */
export const QUORUM_MAX = SERVERS_PER_SERVICE_MAX * WEIGHT_MAX;
export const THRESHOLD_MAX = 0x7fffffff;
export const MARK_MAX = 0xffffffff;

/** The schedulers, by ipvsadm's names. */
export const SCHEDULERS = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'sed',
  'nq',
  'lblc',
  'lblcr',
  'dh',
  'sh',
  'mh',
  'fo',
  'ovf',
  'twos',
] as const;

/** The flags of the schedulers `sh` and `mh`. */
export const SCHEDULER_FLAGS = ['sh-fallback', 'sh-port', 'mh-fallback', 'mh-port'] as const;

/** Transport protocols of services. */
export const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/** How a packet travels to its server. */
export const FORWARDING_METHODS = ['nat', 'direct-route', 'tunnel', 'full-nat'] as const;

/** Every way to write a forwarding method: our words, ipvsadm's letters, keepalived's words. */
export const FORWARDING_SPELLINGS: Readonly<Record<string, (typeof FORWARDING_METHODS)[number]>> = {
  nat: 'nat',
  'direct-route': 'direct-route',
  tunnel: 'tunnel',
  'full-nat': 'full-nat',
  m: 'nat',
  masq: 'nat',
  NAT: 'nat',
  g: 'direct-route',
  dr: 'direct-route',
  DR: 'direct-route',
  i: 'tunnel',
  tun: 'tunnel',
  TUN: 'tunnel',
  b: 'full-nat',
  fullnat: 'full-nat',
};

/** Where a service listens. */
export type Listen =
  | {
      readonly kind: 'address';
      readonly protocol: (typeof PROTOCOLS)[number];
      readonly family: AddressFamily;
      readonly address: string;
      /** 0 stands for every port. */
      readonly port: number;
    }
  | { readonly kind: 'mark'; readonly mark: number; readonly family: AddressFamily };

/** Parses `ADDRESS:PORT/PROTOCOL`, `mark N` or `mark N/ipv6`. */
export function parseListen(value: string): Listen | undefined {
  const mark = /^mark\s+([1-9]\d{0,9})(\/ipv[46])?$/.exec(value);
  if (mark !== null) {
    const number = Number(mark[1]);
    if (number > MARK_MAX) return undefined;
    return { kind: 'mark', mark: number, family: mark[2] === '/ipv6' ? 6 : 4 };
  }
  const slash = value.lastIndexOf('/');
  const protocol = PROTOCOLS.find((candidate) => candidate === value.slice(slash + 1));
  const target = slash < 0 ? undefined : parseEndpoint(value.slice(0, slash));
  if (protocol === undefined || target?.port === undefined) return undefined;
  return {
    kind: 'address',
    protocol,
    family: target.family,
    address: target.address,
    port: target.port,
  };
}

const scheduler = choice(SCHEDULERS).meta({ id: 'scheduler' });
const schedulerFlags = list(choice(SCHEDULER_FLAGS));
const forwarding = aliasedChoice(FORWARDING_SPELLINGS).meta({ id: 'forwarding' });
const weight = integer(0, WEIGHT_MAX);
const threshold = integer(0, THRESHOLD_MAX);
const identifier = matching(
  'a name of up to 15 letters, digits, dots, dashes and underscores',
  /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/,
);

const listenExpected =
  "ADDRESS:PORT/PROTOCOL such as 192.0.2.80:80/tcp or '[2001:db8::80]:53/udp', or mark N";

const tunnelSchema = mapping({
  type: choice(['ipip', 'gue', 'gre']).describe('The outer header.'),
  port: integer(1, 65535).optional().describe('Destination port of GUE.'),
  checksum: choice(['none', 'csum', 'remcsum'])
    .optional()
    .describe('GUE and GRE: checksum of the outer header; remcsum: GUE only. Default none.'),
}).meta({ id: 'tunnel', description: 'The tunnel to a server whose forwarding is `tunnel`.' });

const persistenceSchema = mapping({
  timeout: wholeSeconds().optional().describe('Life of a template. Default 300s.'),
  mask: scalar(
    'an IPv4 mask such as 255.255.255.0 or a prefix length such as 64',
    /^(\d{1,3}(\.\d{1,3}){3}|\d{1,3})$/,
    parseMask,
  )
    .optional()
    .describe('Clients that are equal under this mask share a server. Default: each its own.'),
  engine: choice(['sip']).optional().describe('What tells clients apart beside the address.'),
}).describe("A client's connections go to one server.");

/** An IPv4 mask as a number, or a prefix length; which of them fits is known later. */
export type ParsedMask =
  | { readonly kind: 'dotted'; readonly netmask: number }
  | { readonly kind: 'length'; readonly prefixLength: number };

function parseMask(value: string): ParsedMask | undefined {
  if (/^\d+$/.test(value)) {
    const prefixLength = Number(value);
    return prefixLength >= 1 && prefixLength <= 128 ? { kind: 'length', prefixLength } : undefined;
  }
  const parsed = parseEndpoint(value);
  if (parsed?.family !== 4 || parsed.port !== undefined) return undefined;
  const netmask = parsed.address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
  return netmask === 0 ? undefined : { kind: 'dotted', netmask };
}

const command = list(z.string({ error: 'expected text' })).min(1, {
  error: 'expected a program and its arguments',
});

const serverNotify = {
  serverUp: command.optional(),
  serverDown: command.optional(),
};

const notifySchema = mapping({
  ...serverNotify,
  quorumUp: command.optional(),
  quorumDown: command.optional(),
}).describe('Programs (with arguments, no shell) to run when something changes.');

const serverSchema = mapping({
  address: endpoint().describe("ADDRESS:PORT; without a port the service's."),
  weight: weight.optional().describe('Share of new connections; 0 takes none. Default 1.'),
  upperThreshold: threshold.optional().describe('No more connections than this; 0: no limit.'),
  lowerThreshold: threshold.optional().describe('New ones again below this; 0: 3/4 of upper.'),
  forwarding: forwarding.optional().describe("Default: the service's."),
  tunnel: tunnelSchema.optional(),
  inhibitOnFailure: flag().optional().describe("Default: the service's."),
  notify: mapping(serverNotify)
    .optional()
    .describe("Programs for this server in place of the service's."),
  check: checkSchema.optional(),
}).meta({ id: 'server', description: 'A real server.' });

const sorryServerSchema = z
  .union(
    [
      endpoint(),
      mapping({
        address: endpoint(),
        forwarding: forwarding.optional(),
        tunnel: tunnelSchema.optional(),
        inhibit: flag()
          .optional()
          .describe('While it is not needed it keeps its place with weight 0. Default false.'),
      }),
    ],
    { error: 'expected ADDRESS:PORT such as 10.0.0.99:80, or a mapping with an address' },
  )
  .describe('Takes over when fewer servers than the quorum are up.');

/** How long a server may drain that has been taken out of the file, in milliseconds; 0: not at all. */
export const DEFAULT_DRAIN_TIMEOUT_MS = 300_000;
const DRAIN_TIMEOUT_MAX_MS = 7 * 86_400_000;

const drainSchema = z
  .union(
    [
      z.literal('off'),
      z.literal(false),
      mapping({
        timeout: duration(1_000, DRAIN_TIMEOUT_MAX_MS)
          .optional()
          .describe('After this time connections that are left are cut off. Default 300s.'),
      }),
    ],
    { error: 'expected off, or a mapping such as { timeout: 300s }' },
  )
  .transform((value) =>
    typeof value === 'object' ? (value.timeout ?? DEFAULT_DRAIN_TIMEOUT_MS) : 0,
  )
  .meta({
    id: 'drain',
    description:
      'A server taken out of the file gets no new connections, and is removed when it has none ' +
      'left; off: at once, as ipvsadm -d does it.',
  });

const serviceSchema = mapping({
  name: text('a name').optional().describe('Default: what `listen` says.'),
  listen: parsedText(listenExpected, parseListen).describe(listenExpected),
  scheduler: scheduler.optional().describe('Default wlc.'),
  schedulerFlags: schedulerFlags.optional(),
  forwarding: forwarding.optional().describe('Default direct-route.'),
  tunnel: tunnelSchema.optional(),
  persistence: persistenceSchema.optional(),
  onePacket: flag().optional().describe('UDP: every packet is scheduled by itself.'),
  quorum: integer(1, QUORUM_MAX)
    .optional()
    .describe('The least sum of weights of available servers. Default 1.'),
  hysteresis: integer(0, QUORUM_MAX)
    .optional()
    .describe('The quorum is lost below quorum - hysteresis, gained at quorum + hysteresis.'),
  sorryServer: sorryServerSchema.optional(),
  inhibitOnFailure: flag()
    .optional()
    .describe('A server that is down keeps its place with weight 0. Default false.'),
  alpha: flag()
    .optional()
    .describe('For the checks of all its servers: down until the first success. Default false.'),
  omega: flag()
    .optional()
    .describe('When the director stops, run `serverDown` and `quorumDown`. Default false.'),
  notify: notifySchema.optional(),
  drain: drainSchema.optional(),
  check: checkSchema.optional(),
  servers: list(serverSchema)
    .max(SERVERS_PER_SERVICE_MAX, { error: `expected at most ${SERVERS_PER_SERVICE_MAX} servers` })
    .optional(),
}).meta({ id: 'service', description: 'A virtual service.' });

const markSchema = mapping({
  mark: integer(1, MARK_MAX).describe('The mark the packets get.'),
  destination: prefix().describe('Address or prefix the packets are sent to.'),
  protocol: choice(PROTOCOLS).optional().describe('Default: all of them.'),
  ports: list(portRange()).optional().describe('Destination ports or ranges. Default: all.'),
}).describe('Packets that get a mark, as iptables -j MARK gives it for LVS.');

const portSchema = mapping({
  name: identifier.describe('What the rest of the configuration and the logs call it.'),
  interface: identifier.optional().describe('The network interface. Default: the name.'),
  queues: integer(1, QUEUES_MAX).optional().describe('Default: as many as the interface has.'),
  xdp: choice(['auto', 'native', 'generic']).optional().describe('Default auto.'),
  zeroCopy: z
    .union([choice(['auto', 'on', 'off']), z.boolean()], {
      error: 'expected one of auto, on, off',
    })
    .transform((value) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : value))
    .optional()
    .describe('Default auto.'),
}).describe('A network interface the director takes packets from and sends them to.');

/** One sysctl: its range is the kernel's, its default that of a kernel without configuration. */
function sysctl(initial: number, max = 0x7fffffff, min = 0) {
  return integer(min, max).default(initial);
}

/** The net.ipv4.vs.* settings by their names in /proc/sys, with the kernel's defaults. */
export const sysctlSchema = mapping({
  am_droprate: sysctl(10),
  amemthresh: sysctl(1024),
  backup_only: sysctl(0, 1),
  cache_bypass: sysctl(0, 1),
  conn_reuse_mode: sysctl(1, 3),
  conntrack: sysctl(0, 1),
  debug_level: sysctl(0, 12),
  drop_entry: sysctl(0, 3),
  drop_packet: sysctl(0, 3),
  expire_nodest_conn: sysctl(0, 1),
  expire_quiescent_template: sysctl(0, 1),
  ignore_tunneled: sysctl(0, 1),
  lblc_expiration: sysctl(86400),
  lblcr_expiration: sysctl(86400),
  nat_icmp_send: sysctl(0, 1),
  pmtu_disc: sysctl(1, 1),
  run_estimation: sysctl(1, 1),
  schedule_icmp: sysctl(0, 1),
  secure_tcp: sysctl(0, 3),
  sloppy_sctp: sysctl(0, 1),
  sloppy_tcp: sysctl(0, 1),
  snat_reroute: sysctl(1, 1),
  sync_persist_mode: sysctl(0, 1),
  sync_ports: sysctl(1, 64, 1),
  sync_qlen_max: sysctl(1895),
  sync_refresh_period: sysctl(0),
  sync_retries: sysctl(0, 8),
  sync_sock_size: sysctl(0),
  sync_threshold: matching('two numbers such as "3 50"', /^\d+\s+\d+$/).default('3 50'),
  sync_version: sysctl(1, 1),
}).describe('The net.ipv4.vs.* settings, without their prefix.');

/** Timeouts of connections, as `ipvsadm --set` takes them. */
export const timeoutsSchema = mapping({
  tcp: wholeSeconds().default(900_000).describe('Established TCP connections. Default 900s.'),
  tcpfin: wholeSeconds().default(120_000).describe('After a FIN. Default 120s.'),
  udp: wholeSeconds().default(300_000).describe('UDP. Default 300s.'),
});

const worldSchema = mapping({
  ports: z
    .record(
      z.string(),
      mapping({
        mac: macAddress(),
        mtu: integer(576, 9216).optional().describe('Default 1500.'),
        addresses: list(prefix()).optional(),
      }),
      { error: 'expected a mapping of port names' },
    )
    .optional(),
  neighbours: list(mapping({ port: identifier, address: address(), mac: macAddress() })).optional(),
  routes: list(
    mapping({
      to: z.union([z.literal('default'), prefix()], {
        error: 'expected default or a prefix such as 10.0.0.0/8',
      }),
      via: address().optional(),
      port: identifier,
    }),
  ).optional(),
}).describe('What `wvs replay` takes for the addresses, neighbours and routes of the kernel.');

const workersError = { error: `expected auto or a whole number from 1 to ${WORKERS_MAX}` };

const directorSchema = mapping({
  ports: list(portSchema)
    .min(1, { error: 'expected at least one port' })
    .max(PORTS_MAX, { error: `expected at most ${PORTS_MAX} ports` })
    .describe('One port for a one-armed director, more for others.'),
  workers: z
    .union(
      [z.literal('auto'), z.int(workersError).min(1, workersError).max(WORKERS_MAX, workersError)],
      workersError,
    )
    .optional()
    .describe('Threads that move packets. Default auto: one for each queue.'),
  connections: count(CONNECTIONS_MIN, CONNECTIONS_MAX)
    .optional()
    .describe('Size of the connection table, fixed at start. Default 1_000_000.'),
  localAddresses: list(address()).optional().describe('Source addresses for full-nat.'),
  localPorts: portRange().optional().describe('Source ports for full-nat. Default 1024-65535.'),
  control: matching('an absolute path', /^\/[^\0]{1,106}$/)
    .optional()
    .describe('The control socket. Default /run/wvs/wvs.sock.'),
  metrics: fullEndpoint().optional().describe('Where Prometheus may ask. Default: nowhere.'),
  busyPoll: flag().optional().describe('Never sleep: lowest latency, whole cores. Default false.'),
  hz: z
    .literal(100, {
      error: 'expected 100, or nothing: the timers of the data plane have this rate',
    })
    .optional()
    .describe('Timer ticks per second; there is only 100.'),
  drain: drainSchema.optional(),
  watch: flag()
    .optional()
    .describe('Take the file over when it changes, without being told. Default true.'),
  health: mapping({
    maxInFlight: integer(1, 65_536).optional().describe('Probes at the same time. Default 1024.'),
  }).optional(),
  sysctl: sysctlSchema.optional(),
  timeouts: timeoutsSchema.optional(),
  world: worldSchema.optional(),
}).meta({ id: 'director', description: 'The director itself. Most of it is fixed at start.' });

const defaultsSchema = mapping({
  scheduler: scheduler.optional(),
  schedulerFlags: schedulerFlags.optional(),
  forwarding: forwarding.optional(),
  tunnel: tunnelSchema.optional(),
  weight: weight.optional(),
  drain: drainSchema.optional(),
  check: checkSchema.optional(),
}).describe('What services and servers take when they do not say otherwise.');

/** The whole file. */
export const configSchema = mapping({
  version: z.literal(1, { error: 'expected 1, the version of this format' }),
  director: directorSchema,
  marks: list(markSchema)
    .max(MARK_RULES_MAX, { error: `expected at most ${MARK_RULES_MAX} rules` })
    .optional(),
  defaults: defaultsSchema.optional(),
  services: list(serviceSchema)
    .max(SERVICES_MAX, { error: `expected at most ${SERVICES_MAX} services` })
    .optional(),
}).meta({ title: 'WVS configuration', description: 'The WebAssembly Virtual Server.' });

/**
 * The parts of a file. parse.ts checks one after the other, so that a mistake in one service
 * does not keep it from checking the next one against its neighbours.
 */
export const sections = {
  frame: mapping({
    ...configSchema.shape,
    director: z.unknown().optional(),
    defaults: z.unknown().optional(),
    marks: list(z.unknown())
      .max(MARK_RULES_MAX, { error: `expected at most ${MARK_RULES_MAX} rules` })
      .optional(),
    services: list(z.unknown())
      .max(SERVICES_MAX, { error: `expected at most ${SERVICES_MAX} services` })
      .optional(),
  }),
  director: directorSchema,
  defaults: defaultsSchema,
  mark: markSchema,
  service: serviceSchema,
};

export type DirectorSection = z.output<typeof directorSchema>;
export type DefaultsSection = z.output<typeof defaultsSchema>;
export type MarkSection = z.output<typeof markSchema>;
export type ServiceSection = z.output<typeof serviceSchema>;
export type ServerSection = z.output<typeof serverSchema>;
export type TunnelSection = z.output<typeof tunnelSchema>;
export type SysctlSection = z.output<typeof sysctlSchema>;
export type TimeoutsSection = z.output<typeof timeoutsSchema>;
export type NotifySection = z.output<typeof notifySchema>;
