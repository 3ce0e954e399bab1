/**
 * What travels over the control socket: one request and one answer for each route. All of it
 * is JSON; durations are seconds, as people read them.
 */

import type { ConfigProblem } from '../config/types.ts';
import type { ProcFile } from '../ipvs/proc.ts';

/** Where the director listens when nothing else is said. */
export const DEFAULT_SOCKET = '/run/wvs/wvs.sock';

/** The routes, by the name of what they do. */
export const ROUTES = {
  status: '/v1/status',
  ipvsadm: '/v1/ipvsadm',
  reload: '/v1/reload',
  plan: '/v1/plan',
  explain: '/v1/explain',
  proc: '/v1/proc',
  capture: '/v1/capture',
  openapi: '/v1/openapi.json',
} as const;

/** A name of something the control socket can do. */
export type RouteName = keyof typeof ROUTES;

/** The running director, as `wvs status --json` prints it. */
export interface DirectorStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptime: number;
  readonly config: ConfigStatus;
  readonly connections: { readonly used: number; readonly capacity: number };
  readonly workers: readonly WorkerStatus[];
  readonly ports: readonly PortStatus[];
  readonly services: readonly ServiceStatus[];
  /** Every counter that is not zero, by its name: drops with their reasons among them. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Which configuration runs. */
export interface ConfigStatus {
  readonly file: string;
  /** When it was taken over, as ISO 8601. */
  readonly loadedAt: string;
  /** Goes up with every set of tables the workers were given. */
  readonly generation: number;
}

/** One worker. */
export interface WorkerStatus {
  readonly id: number;
  readonly state: 'starting' | 'running' | 'stopped' | 'failed';
  /** Share of time spent on packets, from 0 to 1. */
  readonly busy: number;
  readonly packetsPerBurst: number;
  readonly restarts: number;
  /** Packets since the start: received by it, sent by it, dropped by it for whatever reason. */
  readonly received: number;
  readonly transmitted: number;
  readonly dropped: number;
}

/** One port. */
export interface PortStatus {
  readonly name: string;
  readonly interface: string;
  readonly link: 'up' | 'down';
  /** How XDP is attached and whether the driver copies: `native, zero-copy`. */
  readonly mode: string;
  readonly queues: number;
  readonly receive: TrafficStatus;
  readonly transmit: TrafficStatus;
}

/** Packets one way. */
export interface TrafficStatus {
  readonly packets: number;
  readonly bytes: number;
  readonly packetsPerSecond: number;
  readonly bytesPerSecond: number;
}

/** Connections and packets of a service or a server. */
export interface LoadStatus {
  readonly connections: number;
  readonly connectionsPerSecond: number;
  /** From the clients. */
  readonly incoming: TrafficStatus;
  /** To the clients; only nat and full-nat see these. */
  readonly outgoing: TrafficStatus;
}

/** Where a service comes from: a reload changes only what is the file's. */
export type ServiceSource = 'file' | 'ipvsadm';

/** One virtual service. */
export interface ServiceStatus {
  /** `tcp 192.0.2.80:80` or `mark 6666`. */
  readonly key: string;
  readonly name: string;
  readonly source: ServiceSource;
  /** It is out of the file and goes with the last of its servers. */
  readonly isDraining?: boolean;
  /** Of a service of the file: whether enough of its servers are up, and its sorry server. */
  readonly quorum?: 'up' | 'down';
  readonly sorryServer?: 'in' | 'out';
  readonly scheduler: string;
  readonly load: LoadStatus;
  readonly servers: readonly ServerStatus[];
}

/** What health checks say about a server; `unchecked` ones count as up. */
export type HealthState = 'unchecked' | 'unknown' | 'up' | 'down' | 'drained';

/** Whether a server counts as one that takes connections. */
export function isUp({ health }: { readonly health: HealthState }): boolean {
  return health === 'up' || health === 'unchecked';
}

/** One real server of a service. */
export interface ServerStatus {
  /** `10.0.0.11:80`. */
  readonly key: string;
  readonly forwarding: string;
  readonly weight: number;
  readonly health: HealthState;
  /** `ipvsadm`: added to a service of the file. Absent: the service's. */
  readonly source?: ServiceSource;
  /** Why it is down, or nothing. */
  readonly reason?: string;
  /** Of a server with more than one check, all of them. */
  readonly checks?: readonly CheckStatus[];
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly load: LoadStatus;
  /** It was taken out of the file and waits for its connections to end. */
  readonly drain?: DrainStatus;
}

/** One check of a server that has several. */
export interface CheckStatus {
  /** `tcp`, `http`, ... */
  readonly type: string;
  readonly state: 'unknown' | 'up' | 'down';
  /** What its last probe failed with. */
  readonly reason?: string;
}

/** How far a server has drained; seconds. */
export interface DrainStatus {
  /** Connections that are not over, those that only wait for their timeout aside. */
  readonly open: number;
  readonly elapsed: number;
  /** Until what is left is cut off. */
  readonly remaining: number;
}

/** `wvs ipvsadm`: the arguments after the command's name, and what -R reads. */
export interface IpvsadmRequest {
  readonly arguments: readonly string[];
  readonly stdin?: string;
}

/** What the command prints, and its exit code. */
export interface IpvsadmResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Which file to load; without one, that of the running configuration. */
export interface ReloadRequest {
  readonly config?: string;
}

/** One difference, as a line for people and a kind for programs. */
export interface ChangeReport {
  readonly kind: string;
  readonly text: string;
  /** Connections that will have to move or end because of it. */
  readonly connections?: number;
}

/** A server that loses its place because of a reload, with the connections it has now. */
export interface AffectedServer {
  readonly service: string;
  readonly server: string;
  readonly active: number;
  readonly inactive: number;
  /** `drain`: they may go on for a while; `end`: they are cut off. */
  readonly fate: 'drain' | 'end';
}

/** What a reload changed, or for a plan would change. */
export interface ReloadResult {
  readonly file: string;
  readonly changes: readonly ChangeReport[];
  /** Only servers that have connections. */
  readonly affected?: readonly AffectedServer[];
  readonly warnings: readonly ConfigProblem[];
}

/** `wvs explain PROTO CLIENT:PORT VIP:PORT`. */
export interface ExplainRequest {
  readonly protocol: string;
  readonly client: string;
  readonly virtual: string;
  /** Explain the first packet of a new connection, even if there is one between these ends. */
  readonly first?: boolean;
}

/**
 * What becomes of a packet: the kernel keeps it, it goes to a server, back to a client, waits until
 * the client's MAC address is known, goes on as any router would send it, to the director's own
 * stack, nowhere, or more must be known of it.
 */
export type ExplainOutcome =
  | 'kernel'
  | 'forward'
  | 'answer'
  | 'wait'
  | 'route'
  | 'local'
  | 'drop'
  | 'depends';

/** One step of a decision: a stable name, a sentence for people, and the same for programs. */
export interface ExplainStep {
  readonly step: string;
  readonly result: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** The decision, step by step. */
export interface ExplainResult {
  /** In canonical spelling. */
  readonly protocol: string;
  readonly client: string;
  readonly virtual: string;
  readonly steps: readonly ExplainStep[];
  readonly outcome: ExplainOutcome;
  /** The outcome as a sentence. */
  readonly verdict: string;
  /** The service's key, when one had to do with it. */
  readonly service?: string;
  /** The real server's address and port. */
  readonly server?: string;
  /** The name of the counter that a drop raises. */
  readonly reason?: string;
}

/** `wvs proc FILE`: which file of /proc/net. */
export interface ProcRequest {
  readonly file: ProcFile;
}

/** What the kernel's file of that name would contain. */
export interface ProcResult {
  readonly text: string;
}

/** `wvs capture`: without a session this begins one; with it, asks for more, or ends it. */
export interface CaptureRequest {
  readonly session?: number;
  readonly stop?: boolean;
  /** Name or key of a service; default: packets of all services and of none. */
  readonly service?: string;
  /** From the client, to it, or both. */
  readonly direction?: 'in' | 'out' | 'both';
  /** Bytes kept of each frame. */
  readonly snapLength?: number;
}

/** What has come since the last request, after half a second at the latest. */
export interface CaptureResult {
  readonly session: number;
  /** The ports' names, by their numbers. */
  readonly ports: readonly string[];
  readonly packets: readonly CapturedPacket[];
  /** Packets so far that came faster than they could be copied. */
  readonly lost: number;
}

/** One frame: a packet as it came, or as it left. */
export interface CapturedPacket {
  /** The same for a packet and all that left because of it; rises as packets are handled. */
  readonly packet: number;
  readonly kind: 'before' | 'after';
  /** Seconds since 1970. */
  readonly time: number;
  /** Index into `ports`. */
  readonly port: number;
  readonly direction: 'in' | 'out';
  readonly verdict: 'transmit' | 'drop' | 'pass' | 'hold';
  /** The name of the counter that a drop raised. */
  readonly reason?: string;
  readonly service?: string;
  readonly server?: string;
  /** Bytes the frame had; `frame` may hold fewer. */
  readonly length: number;
  /** Base64. */
  readonly frame: string;
}

/** The body of every answer that is not a success. */
export interface ErrorBody {
  readonly error: {
    readonly code: string;
    readonly message: string;
    /** For a configuration that cannot be used: all that is wrong with it. */
    readonly problems?: readonly ConfigProblem[];
  };
}
