// The log lines of health checking. Each has a stable `event`; what it is about is in fields:
//
//   event                 level  fields
//   server-up             info   server, target, check, previous, reason, latencyMs, services
//   server-down           warn   the same and failures
//   check-up              info   the same as server-up; the server's other checks decide
//   check-down            info   the same as server-down
//   server-flapping       warn   server, target, heldMs, services
//   server-weight         info   service, server, before, after
//   server-drained        info   service, server
//   server-undrained      info   service, server
//   quorum-up             info   service, weight, threshold, initial
//   quorum-down           warn   the same
//   sorry-server-in       warn   service, server
//   sorry-server-out      info   service, server
//   probe-failed          debug  server, target, check, reason, failures
//   probe-not-possible    warn   server, target, check, reason
//   probes-late           warn   lateMs, inFlight, waiting
//   health-not-applied    error  reason, changes
//   check-via-vip         error  reason, services
//   notify-failed, notify-dropped   error  service, notifies, command, reason

import { formatEndpoint } from '../config/address.ts';
import type { ServiceConfig } from '../config/types.ts';
import type { Logger } from '../log.ts';
import type { Checker } from './checker.ts';
import type { CheckerUse } from './checker-pool.ts';
import type { CheckerRecord, CheckerState } from './checker-state.ts';
import { decidingChecker } from './server-health.ts';
import type { ServiceEvent } from './service-state.ts';

/** A line about a thousand services would be no line. */
const NAMES_MAX = 10;

/** What a result changed, said once for all services that share the checker. */
export function logResult(
  log: Logger,
  checker: Checker,
  before: CheckerRecord,
  usesOf: () => readonly CheckerUse[],
): void {
  const { record } = checker;
  const result = record.lastResult!;
  if (result.isOurs === true) {
    const isNews = before.lastResult?.isOurs !== true || before.lastResult.detail !== result.detail;
    if (isNews) logNotPossible(log, checker, usesOf());
    return;
  }
  if (record.state !== before.state) logStateChange(log, checker, before, usesOf());
  else if (!result.ok && log.isLevelEnabled('debug')) {
    const fields = fieldsOf(checker, usesOf());
    log.debug({ event: 'probe-failed', ...fields, failures: record.failures });
  }
  if (record.heldUntil !== undefined && record.heldUntil !== before.heldUntil) {
    logFlapping(log, checker, usesOf());
  }
}

/** A server of several checks changes with one of them only when the others let it. */
function logStateChange(
  log: Logger,
  checker: Checker,
  before: CheckerRecord,
  uses: readonly CheckerUse[],
): void {
  const { state } = checker.record;
  const changes = uses.map((use) => ({ use, previous: stateBefore(use, checker, before) }));
  const decided = changes.filter(({ use, previous }) => {
    return stateOf(use.checkers) === state && previous !== state;
  });
  const others = changes.filter((change) => !decided.includes(change));
  if (decided.length > 0) logServerChange(log, checker, decided);
  if (others.length > 0) logCheckChange(log, checker, before.state, others);
}

/** A use of a checker whose server had another state before. */
interface UseChange {
  readonly use: CheckerUse;
  readonly previous: CheckerState;
}

function stateBefore(use: CheckerUse, checker: Checker, before: CheckerRecord): CheckerState {
  const { check } = checker;
  return stateOf(use.checkers.map((one) => (one === checker ? { check, record: before } : one)));
}

function stateOf(checkers: Parameters<typeof decidingChecker>[0]): CheckerState {
  return decidingChecker(checkers)!.record.state;
}

function logServerChange(log: Logger, checker: Checker, changes: readonly UseChange[]): void {
  const { state, failures, lastResult } = checker.record;
  const result = lastResult!;
  const fields = fieldsOf(checker, usesOf(changes));
  const { server } = fields;
  const { previous } = changes[0]!;
  const change = { ...fields, previous, latencyMs: rounded(result.latencyMs) };
  if (state === 'up') {
    log.info({ event: 'server-up', ...change }, `server ${server} is up: ${result.detail}`);
  } else {
    log.warn(
      { event: 'server-down', ...change, failures },
      `server ${server} is down: ${result.detail}`,
    );
  }
}

function logCheckChange(
  log: Logger,
  checker: Checker,
  previous: CheckerState,
  changes: readonly UseChange[],
): void {
  const { state, lastResult } = checker.record;
  const result = lastResult!;
  const fields = fieldsOf(checker, usesOf(changes));
  const event = state === 'up' ? 'check-up' : 'check-down';
  const verb = state === 'up' ? 'succeeds' : 'fails';
  log.info(
    { event, ...fields, previous, latencyMs: rounded(result.latencyMs) },
    `check ${checker.check.type} of ${fields.server} ${verb}: ${result.detail}`,
  );
}

function usesOf(changes: readonly UseChange[]): CheckerUse[] {
  return changes.map(({ use }) => use);
}

function logFlapping(log: Logger, checker: Checker, uses: readonly CheckerUse[]): void {
  const { server, target, services } = fieldsOf(checker, uses);
  const heldMs = checker.check.damping?.hold;
  log.warn(
    { event: 'server-flapping', server, target, heldMs, services },
    `server ${server} goes up and down: held down`,
  );
}

function logNotPossible(log: Logger, checker: Checker, uses: readonly CheckerUse[]): void {
  const fields = fieldsOf(checker, uses);
  log.warn(
    { event: 'probe-not-possible', ...fields },
    `server ${fields.server} cannot be probed: ${fields.reason}`,
  );
}

function fieldsOf({ target, check, record }: Checker, uses: readonly CheckerUse[]) {
  const servers = [...new Set(uses.map(({ server }) => server.key))];
  const services = [...new Set(uses.map(({ service }) => service.name))];
  const { address, port } = target;
  const endpoint = port === 0 ? address : formatEndpoint(address, port);
  return {
    server: servers[0] ?? endpoint,
    ...(servers.length > 1 && { servers: servers.slice(0, NAMES_MAX) }),
    target: endpoint,
    check: check.type,
    reason: record.lastResult?.detail ?? '',
    services: services.slice(0, NAMES_MAX),
    ...(services.length > NAMES_MAX && { serviceCount: services.length }),
  };
}

/** What happened to a service. Servers that come and go have been reported by their checkers. */
export function logServiceEvent(log: Logger, service: ServiceConfig, event: ServiceEvent): void {
  const { name } = service;
  switch (event.kind) {
    case 'server-available':
    case 'server-unavailable':
      return;
    case 'server-weight': {
      const { before, after } = event;
      const server = event.server.key;
      log.info(
        { event: event.kind, service: name, server, before, after },
        `weight of ${server} of ${name}: ${before} -> ${after}`,
      );
      return;
    }
    case 'quorum-up':
    case 'quorum-down': {
      const { weight, threshold, isInitial: initial } = event;
      const level = event.kind === 'quorum-up' ? 'info' : 'warn';
      const sign = event.kind === 'quorum-up' ? '>=' : '<';
      log[level](
        { event: event.kind, service: name, weight, threshold, initial },
        `${event.kind.replace('-', ' ')}: ${name}, weight ${weight} ${sign} ${threshold}`,
      );
      return;
    }
    case 'sorry-server-in':
    case 'sorry-server-out': {
      const level = event.kind === 'sorry-server-in' ? 'warn' : 'info';
      const server = event.server.key;
      log[level](
        { event: event.kind, service: name, server },
        `${event.kind.replaceAll('-', ' ')}: ${server} of ${name}`,
      );
      return;
    }
  }
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
