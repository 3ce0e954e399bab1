/** keepalived's checkers as checks of WVS. */

import type { PlainMapping } from '../model.ts';
import type { Statement } from './blocks.ts';
import { HttpCheck } from './http-check.ts';
import { readScript } from './scripts.ts';
import { type CheckDefaults, type CheckTimes, timeHandlers, timingOf } from './times.ts';
import type { TlsFiles } from './tls-files.ts';
import { readTrackWeight, type TrackFile, type TrackWeight } from './track-files.ts';
import { emptyUdpDraft, udpFields, udpHandlers } from './udp-check.ts';
import { type Handlers, readBlock, type Unexpressed, type Values } from './values.ts';

/** What a checker takes from around it. */
export interface CheckerContext {
  readonly values: Values;
  /** The address of the real server. */
  readonly address: string;
  readonly virtualhost: string | undefined;
  /** Of the real server and of the virtual server. */
  readonly outerTimes: readonly CheckTimes[];
  readonly trackFiles: ReadonlyMap<string, TrackFile>;
  readonly tls: TlsFiles;
}

/** A check that does not know yet which port the server will have. */
export interface CheckPlan {
  readonly statement: Statement;
  readonly fields: PlainMapping;
  readonly timing: PlainMapping;
  /** It goes to a port; `connectPort` is which one, if not the server's. */
  readonly needsPort: boolean;
  readonly connectPort: number | undefined;
}

/** The names of all checkers. */
export const CHECKERS: ReadonlySet<string> = new Set([
  'HTTP_GET',
  'SSL_GET',
  'TCP_CHECK',
  'SMTP_CHECK',
  'DNS_CHECK',
  'MISC_CHECK',
  'BFD_CHECK',
  'UDP_CHECK',
  'PING_CHECK',
  'FILE_CHECK',
]);

const SECOND = 1_000;
const PROMPT: CheckDefaults = { retry: 1, delayBeforeRetry: SECOND };
const DEFAULTS: Readonly<Record<string, CheckDefaults>> = {
  HTTP_GET: { retry: 1, delayBeforeRetry: 3 * SECOND },
  SSL_GET: { retry: 1, delayBeforeRetry: 3 * SECOND },
  DNS_CHECK: { retry: 3, delayBeforeRetry: undefined },
  MISC_CHECK: { retry: 0, delayBeforeRetry: SECOND },
};

/** The name that keepalived gives itself before a mail server. */
const DEFAULT_HELO = 'smtpchecker.keepalived.org';

/**
 * Reads a checker: one check of WVS, or one for each of its urls or hosts; none, and a report, when
 * WVS has nothing like it.
 */
export function readChecker(statement: Statement, context: CheckerContext): readonly CheckPlan[] {
  switch (statement.keyword) {
    case 'BFD_CHECK':
      context.values.lost(statement, 'BFD_CHECK is left out: WVS has no BFD');
      return [];
    case 'FILE_CHECK':
      return readFileCheck(statement, context);
    case 'MISC_CHECK':
      return readMiscCheck(statement, context);
    default:
      return readNetworkChecker(statement, context);
  }
}

/** What the keywords for connections say. */
interface Connection {
  /** undefined: the server's. */
  address?: string | undefined;
  port?: number | undefined;
  source?: string | undefined;
}

function otherThan(address: string, other: string): string | undefined {
  return address === other ? undefined : other;
}

/** The keywords of every checker that goes over the network. */
function connectionHandlers(connection: Connection, context: CheckerContext): Handlers {
  const { values, address } = context;
  return {
    connect_ip: (statement) => {
      const target = values.address(statement, statement.args[0]);
      if (target !== undefined) connection.address = otherThan(address, target.address);
    },
    connect_port: (statement) => {
      connection.port = values.number(statement, { min: 1, max: 65_535 }) ?? connection.port;
    },
    bindto: (statement) => {
      const source = values.address(statement, statement.args[0]);
      if (source === undefined) return;
      const isSameFamily = source.address.includes(':') === address.includes(':');
      if (isSameFamily) connection.source = source.address;
      else values.lost(statement, `bindto is left out: no packet goes from there to ${address}`);
    },
  };
}

const CONNECTION_UNEXPRESSED: Unexpressed = {
  bind_if: 'probes leave by the interface that the route has',
  bind_port: 'probes leave from any port',
  fwmark: 'probes have no mark',
};

const COMMON_UNEXPRESSED: Unexpressed = {
  log_all_failures: 'WVS logs changes of state',
};

function readNetworkChecker(statement: Statement, context: CheckerContext): readonly CheckPlan[] {
  const { values } = context;
  const times: CheckTimes = {};
  const connection: Connection = {};
  const specific = specificOf(statement, { connection, context });
  readBlock(statement, {
    handlers: {
      ...connectionHandlers(connection, context),
      ...timeHandlers(times, values),
      ...specific.handlers(times),
    },
    unexpressed: { ...CONNECTION_UNEXPRESSED, ...COMMON_UNEXPRESSED, ...specific.unexpressed },
    values,
  });
  const needsPort = statement.keyword !== 'PING_CHECK';
  if (!needsPort && connection.address !== undefined) {
    values.lost(statement, `connect_ip is left out: WVS asks ${context.address} itself`);
  }
  return specific.checks().map(({ fields, to }) => ({
    statement,
    fields: { ...fields, address: needsPort ? to.address : undefined, source: to.source },
    timing: timing(statement, context, times),
    needsPort,
    connectPort: needsPort ? to.port : undefined,
  }));
}

function timing(
  statement: Statement,
  { values, outerTimes }: CheckerContext,
  times: CheckTimes,
): PlainMapping {
  const defaults = DEFAULTS[statement.keyword] ?? PROMPT;
  return timingOf({ blocks: [times, ...outerTimes], defaults, statement }, values);
}

/** What one type of checker has besides the others. */
interface SpecificChecker {
  readonly handlers: (times: CheckTimes) => Handlers;
  readonly unexpressed?: Unexpressed;
  readonly checks: () => readonly ConnectedCheck[];
}

/** A check and where it goes. */
interface ConnectedCheck {
  readonly fields: PlainMapping;
  readonly to: Connection;
}

interface SpecificContext {
  readonly connection: Connection;
  readonly context: CheckerContext;
}

function specificOf(
  statement: Statement,
  { connection, context }: SpecificContext,
): SpecificChecker {
  const { values, virtualhost } = context;
  switch (statement.keyword) {
    case 'HTTP_GET':
    case 'SSL_GET': {
      const check = new HttpCheck(statement, values);
      return {
        handlers: (times) => ({
          ...check.handlers,
          nb_get_retry: timeHandlers(times, values).retry,
        }),
        unexpressed: {
          enable_sni: 'there is no TLS in HTTP_GET',
        },
        checks: () => {
          return check
            .checks(virtualhost, context.tls)
            .map((fields) => ({ fields, to: connection }));
        },
      };
    }
    case 'SMTP_CHECK': {
      const draft: SmtpDraft = { helo: DEFAULT_HELO, hosts: [] };
      return {
        handlers: (times) => smtpHandlers(draft, times, context),
        checks: () => {
          const hosts = draft.hosts.length > 0 ? draft.hosts : [connection];
          return hosts.map((to) => ({ fields: { type: 'smtp', helo: draft.helo }, to }));
        },
      };
    }
    case 'DNS_CHECK': {
      const fields: Record<string, string> = { name: '.', record: 'SOA' };
      return {
        handlers: () => dnsHandlers(fields, values),
        checks: () => [{ fields: { type: 'dns', ...fields }, to: connection }],
      };
    }
    case 'UDP_CHECK': {
      const draft = emptyUdpDraft();
      return {
        handlers: () => udpHandlers(draft, values),
        checks: () => [{ fields: udpFields(draft), to: connection }],
      };
    }
    default: {
      const type = statement.keyword === 'PING_CHECK' ? 'icmp' : 'tcp';
      return { handlers: () => ({}), checks: () => [{ fields: { type }, to: connection }] };
    }
  }
}

interface SmtpDraft {
  helo: string;
  readonly hosts: Connection[];
}

function smtpHandlers(draft: SmtpDraft, times: CheckTimes, context: CheckerContext): Handlers {
  const { values } = context;
  return {
    helo_name: (statement) => {
      const [name] = values.escaped(statement) ?? [];
      if (name === undefined) values.lost(statement, 'helo_name has no value');
      else draft.helo = name;
    },
    // An older way to write connect_ip and its like, and to ask several servers for one.
    host: (statement) => {
      const connection: Connection = {};
      draft.hosts.push(connection);
      readBlock(statement, {
        handlers: { ...connectionHandlers(connection, context), ...timeHandlers(times, values) },
        unexpressed: { ...CONNECTION_UNEXPRESSED, ...COMMON_UNEXPRESSED },
        values,
      });
    },
  };
}

const DNS_RECORDS: ReadonlySet<string> = new Set(['A', 'NS', 'CNAME', 'SOA', 'MX', 'TXT', 'AAAA']);

function dnsHandlers(fields: Record<string, string>, values: Values): Handlers {
  return {
    type: (statement) => {
      const record = values.text(statement)?.toUpperCase();
      if (record === undefined) return;
      if (DNS_RECORDS.has(record)) fields.record = record;
      else values.lost(statement, `type: WVS asks for ${fields.record}, not for "${record}"`);
    },
    name: (statement) => {
      fields.name = values.text(statement) ?? fields.name!;
    },
  };
}

function readMiscCheck(statement: Statement, context: CheckerContext): readonly CheckPlan[] {
  const { values, outerTimes } = context;
  const times: CheckTimes = {};
  let command: readonly string[] | undefined;
  let timeout: number | undefined;
  let isDynamic = false;
  readBlock(statement, {
    handlers: {
      ...timeHandlers(times, values),
      connect_timeout: undefined,
      misc_path: (child) => {
        command = readScript(child, values);
      },
      misc_timeout: (child) => {
        // 0 is keepalived's word for the default.
        timeout = values.time(child, { min: 0, max: Number.MAX_SAFE_INTEGER }) || undefined;
      },
      misc_dynamic: () => {
        isDynamic = true;
      },
    },
    unexpressed: { ...COMMON_UNEXPRESSED, user: 'WVS runs commands as the user it runs as' },
    values,
  });
  if (command === undefined) {
    values.lost(statement, 'MISC_CHECK is left out: it has no misc_path');
    return [];
  }
  const blocks = [times, ...outerTimes];
  const delayLoop = blocks.find((block) => block.delayLoop !== undefined)?.delayLoop;
  const input = { blocks, defaults: DEFAULTS.MISC_CHECK!, statement };
  const fields = { type: 'command', command, weightFromExitCode: isDynamic ? true : undefined };
  const timing = timingOf({ ...input, timeout: timeout ?? delayLoop ?? 60 * SECOND }, values);
  return [portlessPlan(statement, fields, timing)];
}

function portlessPlan(statement: Statement, fields: PlainMapping, timing: PlainMapping): CheckPlan {
  return { statement, fields, timing, needsPort: false, connectPort: undefined };
}

/** keepalived is told of a change by the kernel; this is soon enough for an eye. */
const FILE_TIMING: PlainMapping = {
  interval: '1s',
  rise: 1,
  fall: 1,
  retryDelay: '1s',
  jitter: '0s',
  warmUp: '0s',
};

/** The number in the file, times a weight, is added to the server's; with the weight 0 it is a state. */
function readFileCheck(statement: Statement, context: CheckerContext): readonly CheckPlan[] {
  const { values, trackFiles } = context;
  let file: TrackFile | undefined;
  let own: TrackWeight | undefined;
  readBlock(statement, {
    handlers: {
      track_file: (child) => {
        const name = values.text(child);
        file = name === undefined ? undefined : trackFiles.get(name);
        if (name !== undefined && file === undefined) {
          values.lost(child, `there is no track_file block "${name}" with a file`);
        }
      },
      // Described in the manual, unknown to the program: the weight is always dynamic.
      dynamic: () => undefined,
      weight: (child) => {
        own = readTrackWeight(child, values) ?? own;
      },
    },
    unexpressed: {},
    values,
  });
  if (file === undefined) {
    values.lost(statement, 'FILE_CHECK is left out: it has no file');
    return [];
  }
  const { path } = file;
  const { weight, isReversed } = own ?? file.weight;
  const factor = isReversed ? -weight : weight;
  const means = weight !== 0 ? 'addition' : isReversed ? 'success' : 'failure';
  const isFactorSaid = weight !== 0 && factor !== 1;
  const fields = { type: 'file', path, means, factor: isFactorSaid ? factor : undefined };
  return [portlessPlan(statement, fields, FILE_TIMING)];
}
