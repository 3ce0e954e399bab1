// What a service makes of its servers' health: which of them take new connections, whether the
// quorum is there, whether the sorry server stands in. Pure: the same inputs give the same outputs.
//
// The result is the service as it should be in the tables, a ServiceConfig like any other. What has
// to be added, removed or edited is then the difference between two of them (config/diff.ts), the
// same way in which a reload finds its changes, and both can be one.
//
// Available? As keepalived: a server nothing is known about counts as up, unless it is in alpha
// mode.
//
//   state       alpha   available
//   unchecked   -       yes
//   unknown     no      yes
//   unknown     yes     no
//   up          -       yes
//   down        -       no
//
// In the tables, by whether the server is available, the sorry server is in, and
// inhibit_on_failure:
//
//   available   sorry in   inhibit   place
//   yes         no         -         with its weight
//   yes         yes        no        none
//   yes         yes        yes       with weight 0
//   no          -          no        none
//   no          -          yes       with weight 0
//
// Quorum, by the weights W of the available servers, the quorum Q and the hysteresis H:
//
//   was    W                   is
//   down   < Q + H             down
//   down   >= Q + H            up      the sorry server goes, available servers come
//   up     >= Q - H, not 0     up
//   up     < Q - H, or 0       down    available servers go, the sorry server comes
//
// Without a sorry server a lost quorum is news (quorumDown), but the servers that are left stay.

import { type Change, diffServices } from '../config/diff.ts';
import type { DestinationConfig, ServiceConfig } from '../config/types.ts';
import type { CheckerState } from './checker-state.ts';

/** What is known of a server. */
export interface ServerInput {
  readonly state: CheckerState | 'unchecked';
  readonly alpha: boolean;
  /** The weight its checks make of the configured one. */
  readonly weight: number | undefined;
  /** An operator wants no new connections on it. */
  readonly isDrained: boolean;
}

/** A server within its service. */
export interface ServerStanding {
  readonly destination: DestinationConfig;
  readonly state: ServerInput['state'];
  readonly isAvailable: boolean;
  /** The weight it has when it takes connections. */
  readonly weight: number;
}

/** A service at one moment. */
export interface ServiceState {
  readonly service: ServiceConfig;
  readonly isQuorumUp: boolean;
  /** Of the available servers. */
  readonly weight: number;
  readonly servers: ReadonlyMap<string, ServerStanding>;
  /** The service as it should be in the tables. */
  readonly effective: ServiceConfig;
}

/** Why a server came or went. */
export type ServerEventCause = 'check' | 'reload' | 'stop';

/** Something that happened to a service. */
export type ServiceEvent =
  | {
      /** For notify commands; also when the first probe of a server in alpha mode fails. */
      readonly kind: 'server-available' | 'server-unavailable';
      readonly server: DestinationConfig;
      readonly cause: ServerEventCause;
    }
  | {
      readonly kind: 'server-weight';
      readonly server: DestinationConfig;
      readonly before: number;
      readonly after: number;
    }
  | {
      readonly kind: 'quorum-up' | 'quorum-down';
      readonly weight: number;
      /** What the weight was compared with. */
      readonly threshold: number;
      /** The state the service starts with. */
      readonly isInitial: boolean;
      /** As keepalived: a start without quorum and without sorry server notifies nobody. */
      readonly notifies: boolean;
    }
  | { readonly kind: 'sorry-server-in' | 'sorry-server-out'; readonly server: DestinationConfig };

/** A step from one state to the next. */
export interface ServiceStep {
  readonly state: ServiceState;
  /** In the order in which they happened: servers, sorry server, quorum. */
  readonly events: readonly ServiceEvent[];
}

/** What the servers' health makes of a service; `before` is its last state, also across reloads. */
export function stepService(
  before: ServiceState | undefined,
  service: ServiceConfig,
  inputOf: (server: DestinationConfig) => ServerInput,
): ServiceStep {
  const servers = new Map<string, ServerStanding>();
  let weight = 0;
  for (const destination of service.servers) {
    const server = standing(destination, inputOf(destination));
    servers.set(destination.key, server);
    if (server.isAvailable) weight += server.weight;
  }
  const wasUp = before?.isQuorumUp === true;
  const threshold = service.quorum + (wasUp ? -service.hysteresis : service.hysteresis);
  const isQuorumUp = weight > 0 && weight >= threshold;
  const isSorryIn = service.sorryServer !== undefined && !isQuorumUp;
  const effective = effectiveService(service, servers, isSorryIn);
  const state: ServiceState = { service, isQuorumUp, weight, servers, effective };
  const events = [
    ...serverEvents(before, state),
    ...sorryServerEvents(before, state),
    ...quorumEvents(before, state, threshold),
  ];
  return { state, events };
}

/** How to get from one state of a service to another in the tables. */
export function serviceChanges(before: ServiceState, after: ServiceState): Change[] {
  if (before.effective === after.effective) return [];
  return diffServices([before.effective], [after.effective]);
}

/**
 * What happens when a service ends: by a reload its servers and its quorum go down; when the
 * director stops only in omega mode, for then it is the director that ends, not they.
 */
export function closingEvents(state: ServiceState, cause: 'reload' | 'stop'): ServiceEvent[] {
  if (cause === 'stop' && !state.service.omega) return [];
  const events: ServiceEvent[] = [];
  for (const { destination, isAvailable } of state.servers.values()) {
    if (isAvailable) events.push({ kind: 'server-unavailable', server: destination, cause });
  }
  if (state.isQuorumUp) {
    const threshold = state.service.quorum - state.service.hysteresis;
    const common = { weight: 0, threshold, isInitial: false, notifies: true };
    events.push({ kind: 'quorum-down', ...common });
  }
  return events;
}

/** Whether the sorry server stands in. */
export function isSorryServerIn({ service, isQuorumUp }: ServiceState): boolean {
  return service.sorryServer !== undefined && !isQuorumUp;
}

function standing(destination: DestinationConfig, input: ServerInput): ServerStanding {
  const { state, alpha, isDrained } = input;
  const isAvailable = state === 'unknown' ? !alpha : state !== 'down';
  const weight = isDrained ? 0 : (input.weight ?? destination.weight);
  return { destination, state, isAvailable, weight };
}

function effectiveService(
  service: ServiceConfig,
  standings: ReadonlyMap<string, ServerStanding>,
  isSorryIn: boolean,
): ServiceConfig {
  const { sorryServer } = service;
  const servers: DestinationConfig[] = [];
  for (const { destination, isAvailable, weight } of standings.values()) {
    // The sorry server may be one of the servers: then it has one place only.
    if (isSorryIn && destination.key === sorryServer?.key) continue;
    const takesConnections = isAvailable && !isSorryIn;
    const isInhibited = destination.inhibitOnFailure ?? service.inhibitOnFailure;
    if (!takesConnections && !isInhibited) continue;
    servers.push(withWeight(destination, takesConnections ? weight : 0));
  }
  if (sorryServer !== undefined) {
    const isPlaced = servers.some(({ key }) => key === sorryServer.key);
    if (isSorryIn) servers.push(sorryServer);
    else if (service.sorryServerInhibit && !isPlaced) {
      servers.push(withWeight(sorryServer, 0));
    }
  }
  const isAsConfigured =
    servers.length === service.servers.length &&
    servers.every((server, index) => server === service.servers[index]);
  return isAsConfigured ? service : { ...service, servers };
}

function withWeight(destination: DestinationConfig, weight: number): DestinationConfig {
  return destination.weight === weight ? destination : { ...destination, weight };
}

/**
 *   was           is            event
 *   (no server)   anything      none
 *   unavailable   available     server-available
 *   available     unavailable   server-unavailable
 *   available     (no server)   server-unavailable
 *   unknown       down          server-unavailable, in alpha mode too, where it was none before
 */
function serverEvents(before: ServiceState | undefined, after: ServiceState): ServiceEvent[] {
  const events: ServiceEvent[] = [];
  if (before === undefined) return events;
  for (const [key, old] of before.servers) {
    const now = after.servers.get(key);
    if (now === undefined) {
      const { destination: server } = old;
      if (old.isAvailable) events.push({ kind: 'server-unavailable', server, cause: 'reload' });
      continue;
    }
    const { destination: server } = now;
    const isFirstFailure = old.state === 'unknown' && now.state === 'down';
    if (old.isAvailable !== now.isAvailable || isFirstFailure) {
      const kind = now.isAvailable ? 'server-available' : 'server-unavailable';
      events.push({ kind, server, cause: 'check' });
    } else if (now.isAvailable && old.weight !== now.weight && !isEdited(old, now)) {
      events.push({ kind: 'server-weight', server, before: old.weight, after: now.weight });
    }
  }
  return events;
}

/** What the configuration says is no news. */
function isEdited(before: ServerStanding, after: ServerStanding): boolean {
  return before.destination.weight !== after.destination.weight;
}

function sorryServerEvents(before: ServiceState | undefined, after: ServiceState): ServiceEvent[] {
  const wasIn = before !== undefined && isSorryServerIn(before);
  const isIn = isSorryServerIn(after);
  if (wasIn === isIn) return [];
  const server = (isIn ? after : before!).service.sorryServer!;
  return [{ kind: isIn ? 'sorry-server-in' : 'sorry-server-out', server }];
}

function quorumEvents(
  before: ServiceState | undefined,
  { service, isQuorumUp, weight }: ServiceState,
  threshold: number,
): ServiceEvent[] {
  if (before?.isQuorumUp === isQuorumUp) return [];
  const isInitial = before === undefined;
  const notifies = isQuorumUp || !isInitial || service.sorryServer !== undefined;
  const kind = isQuorumUp ? 'quorum-up' : 'quorum-down';
  return [{ kind, weight, threshold, isInitial, notifies }];
}
