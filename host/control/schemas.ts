/**
 * What travels over the control socket, as schemas: the server checks requests with them, and the
 * OpenAPI document is made from them (openapi.ts). Each is tied to its type in api.ts, so that
 * neither can say what the other does not.
 */

import { z } from 'zod';
import { PROC_FILES } from '../ipvs/proc.ts';
import type {
  CapturedPacket,
  CaptureRequest,
  CaptureResult,
  ChangeReport,
  CheckStatus,
  ConfigStatus,
  DirectorStatus,
  ErrorBody,
  ExplainRequest,
  ExplainResult,
  ExplainStep,
  IpvsadmRequest,
  IpvsadmResult,
  LoadStatus,
  PortStatus,
  ProcRequest,
  ProcResult,
  ReloadRequest,
  ReloadResult,
  ServerStatus,
  ServiceStatus,
  TrafficStatus,
  WorkerStatus,
} from './api.ts';

const ARGUMENTS_MAX = 1_000;
const ARGUMENT_LENGTH_MAX = 4_096;
const PATH_LENGTH_MAX = 4_096;
const ENDPOINT_LENGTH_MAX = 64;
const SERVICE_LENGTH_MAX = 256;
const SNAP_LENGTH_MAX = 65_535;

// --- requests: what is not named is refused ------------------------------------------------------

export const ipvsadmRequest = z.strictObject({
  arguments: z
    .array(z.string().max(ARGUMENT_LENGTH_MAX))
    .max(ARGUMENTS_MAX)
    .describe("The arguments after the command's name."),
  stdin: z.exactOptional(z.string()).describe('What -R reads.'),
}) satisfies z.ZodType<IpvsadmRequest>;

export const reloadRequest = z.strictObject({
  // The director's working directory is not the client's.
  config: z
    .exactOptional(z.string().max(PATH_LENGTH_MAX).regex(/^\//))
    .describe('Absolute path of the file; default: the file that runs.'),
}) satisfies z.ZodType<ReloadRequest>;

export const explainRequest = z.strictObject({
  protocol: z.enum(['tcp', 'udp', 'sctp']),
  client: z.string().max(ENDPOINT_LENGTH_MAX).describe('ADDRESS:PORT the packet comes from.'),
  virtual: z.string().max(ENDPOINT_LENGTH_MAX).describe('ADDRESS:PORT the packet is sent to.'),
  first: z
    .exactOptional(z.boolean())
    .describe('The first packet of a new connection, even if there is one between these ends.'),
}) satisfies z.ZodType<ExplainRequest>;

export const procRequest = z.strictObject({
  file: z.enum(PROC_FILES).describe('Name of a file of /proc/net.'),
}) satisfies z.ZodType<ProcRequest>;

export const captureRequest = z.strictObject({
  session: z
    .exactOptional(z.int().min(1))
    .describe(
      'Of the answer before; without it a capture begins, of which there is one at a time.',
    ),
  stop: z.exactOptional(z.boolean()).describe('Ends it; so do five seconds without a request.'),
  service: z
    .exactOptional(z.string().max(SERVICE_LENGTH_MAX))
    .describe('Name or key of a service; default: packets of all services and of none.'),
  direction: z
    .exactOptional(z.enum(['in', 'out', 'both']))
    .describe('From the client, to it, or both (the default).'),
  snapLength: z
    .exactOptional(z.int().min(1).max(SNAP_LENGTH_MAX))
    .describe('Bytes kept of each frame; default: all.'),
}) satisfies z.ZodType<CaptureRequest>;

// --- answers: what is not named may come with a later version ------------------------------------

const count = z.number().min(0);

const traffic = z
  .object({ packets: count, bytes: count, packetsPerSecond: count, bytesPerSecond: count })
  .meta({ description: 'Packets one way.' }) satisfies z.ZodType<TrafficStatus>;

const load = z
  .object({
    connections: count,
    connectionsPerSecond: count,
    incoming: traffic.describe('From the clients.'),
    outgoing: traffic.describe('To the clients; only nat and full-nat see these.'),
  })
  .meta({ description: 'Connections and packets.' }) satisfies z.ZodType<LoadStatus>;

const configStatus = z.object({
  file: z.string(),
  loadedAt: z.string().describe('When it was taken over, ISO 8601.'),
  generation: count.describe('Goes up with every set of tables the workers were given.'),
}) satisfies z.ZodType<ConfigStatus>;

const worker = z.object({
  id: count,
  state: z.enum(['starting', 'running', 'stopped', 'failed']),
  busy: z.number().min(0).max(1).describe('Share of time spent on packets.'),
  packetsPerBurst: count,
  restarts: count,
  received: count.describe('Packets since the start.'),
  transmitted: count,
  dropped: count,
}) satisfies z.ZodType<WorkerStatus>;

const port = z.object({
  name: z.string(),
  interface: z.string(),
  link: z.enum(['up', 'down']),
  mode: z.string().describe('How XDP is attached and whether the driver copies.'),
  queues: count,
  receive: traffic,
  transmit: traffic,
}) satisfies z.ZodType<PortStatus>;

const source = z.enum(['file', 'ipvsadm']);

const check = z.object({
  type: z.string(),
  state: z.enum(['unknown', 'up', 'down']),
  reason: z.exactOptional(z.string()).describe('What its last probe failed with.'),
}) satisfies z.ZodType<CheckStatus>;

const server = z.object({
  key: z.string().describe('ADDRESS:PORT'),
  forwarding: z.string(),
  weight: count,
  health: z.enum(['unchecked', 'unknown', 'up', 'down', 'drained']),
  reason: z.exactOptional(z.string()).describe('Why it is down.'),
  checks: z
    .exactOptional(z.array(check))
    .describe('Of a server with more than one check, all of them.'),
  activeConnections: count,
  inactiveConnections: count,
  load,
  source: z.exactOptional(source).describe("Default: the service's."),
  drain: z
    .exactOptional(z.object({ open: count, elapsed: count, remaining: count }))
    .describe('It was taken out of the file and waits for its connections to end; seconds.'),
}) satisfies z.ZodType<ServerStatus>;

const service = z.object({
  key: z.string().describe('`tcp 192.0.2.80:80` or `mark 6666`.'),
  name: z.string(),
  source: source.describe("A reload changes only the file's."),
  scheduler: z.string(),
  load,
  servers: z.array(server),
  isDraining: z.exactOptional(z.boolean()).describe('It goes with the last of its servers.'),
  quorum: z.exactOptional(z.enum(['up', 'down'])),
  sorryServer: z.exactOptional(z.enum(['in', 'out'])),
}) satisfies z.ZodType<ServiceStatus>;

export const directorStatus = z.object({
  version: z.string(),
  pid: count,
  uptime: count.describe('Seconds.'),
  config: configStatus,
  connections: z.object({ used: count, capacity: count }),
  workers: z.array(worker),
  ports: z.array(port),
  services: z.array(service),
  counters: z.record(z.string(), count).describe('Every counter that is not zero.'),
}) satisfies z.ZodType<DirectorStatus>;

export const ipvsadmResult = z.object({
  code: z.number(),
  stdout: z.string(),
  stderr: z.string(),
}) satisfies z.ZodType<IpvsadmResult>;

const problem = z.object({
  file: z.string(),
  line: count,
  column: count,
  path: z.string(),
  code: z.string(),
  message: z.string(),
});

const change = z.object({
  kind: z.string(),
  text: z.string(),
  connections: z.exactOptional(count).describe('Connections that have to move or end.'),
}) satisfies z.ZodType<ChangeReport>;

const affected = z.object({
  service: z.string(),
  server: z.string(),
  active: count,
  inactive: count,
  fate: z.enum(['drain', 'end']),
});

export const reloadResult = z.object({
  file: z.string(),
  changes: z.array(change),
  affected: z.array(affected).describe('Servers with connections that lose their place.'),
  warnings: z.array(problem),
}) satisfies z.ZodType<ReloadResult>;

const explainStep = z.object({
  step: z.string(),
  result: z.string(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
}) satisfies z.ZodType<ExplainStep>;

export const explainResult = z.object({
  protocol: z.string(),
  client: z.string(),
  virtual: z.string(),
  steps: z.array(explainStep),
  outcome: z.enum(['kernel', 'forward', 'answer', 'wait', 'route', 'local', 'drop', 'depends']),
  verdict: z.string().describe('The outcome as a sentence.'),
  service: z.exactOptional(z.string()),
  server: z.exactOptional(z.string()),
  reason: z.exactOptional(z.string()).describe('The counter that a drop raises.'),
}) satisfies z.ZodType<ExplainResult>;

export const procResult = z.object({ text: z.string() }) satisfies z.ZodType<ProcResult>;

const capturedPacket = z.object({
  packet: count.describe('The same for a packet and all that left because of it.'),
  kind: z.enum(['before', 'after']),
  time: z.number().describe('Seconds since 1970.'),
  port: z.int().describe('Index into `ports`.'),
  direction: z.enum(['in', 'out']).describe('From the client, or to it.'),
  verdict: z.enum(['transmit', 'drop', 'pass', 'hold']),
  reason: z.exactOptional(z.string()).describe('Name of the counter that a drop raised.'),
  service: z.exactOptional(z.string()),
  server: z.exactOptional(z.string()),
  length: z.int().describe('Bytes the frame had; `frame` may hold fewer.'),
  frame: z.string().describe('Base64.'),
}) satisfies z.ZodType<CapturedPacket>;

export const captureResult = z.object({
  session: z.int(),
  ports: z.array(z.string()).describe("The ports' names, by their numbers."),
  packets: z.array(capturedPacket),
  lost: z.int().describe('Packets so far that came faster than they could be copied.'),
}) satisfies z.ZodType<CaptureResult>;

export const errorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    problems: z.exactOptional(z.array(problem)),
  }),
}) satisfies z.ZodType<ErrorBody>;

/** The shared parts that the OpenAPI document names. */
export const SHARED_SCHEMAS = {
  Change: change,
  ExplainStep: explainStep,
  Load: load,
  Port: port,
  Problem: problem,
  Server: server,
  Service: service,
  Traffic: traffic,
  Worker: worker,
} as const;
