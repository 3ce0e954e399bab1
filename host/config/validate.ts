/**
 * The rules that concern more than one key. Each is a small function that looks at one part of
 * the configuration; parts that are wrong in themselves are left out and arrive as undefined.
 *
 * The rules about a service live in validate-service.ts.
 */

import type { Problems } from './problems.ts';
import type { DirectorConfig, MarkRule, ServiceConfig } from './types.ts';
import { validateMarkRanges } from './validate-marks.ts';
import { validateService } from './validate-service.ts';

/** A configuration in which parts may be missing because they are wrong in themselves. */
export interface PartialConfig {
  readonly director: DirectorConfig | undefined;
  readonly marks: readonly (MarkRule | undefined)[];
  readonly services: readonly (ServiceConfig | undefined)[];
}

/** Applies every rule. */
export function validateConfig(config: PartialConfig, problems: Problems): void {
  validateAllButServices(config, problems);
  for (const [index, service] of config.services.entries()) {
    if (service !== undefined) {
      validateService(service, { index, director: config.director, problems });
    }
  }
}

/** Applies every rule but those that look at one service alone. */
export function validateAllButServices(config: PartialConfig, problems: Problems): void {
  if (config.director !== undefined) validateDirector(config.director, problems);
  for (const [index, rule] of config.marks.entries()) {
    if (rule !== undefined) validateMarkRule(rule, index, problems);
  }
  validateMarkRanges(config.marks, problems);
  findDuplicateServices(config.services, problems);
  findUnusedMarks(config, problems);
}

function validateDirector(director: DirectorConfig, problems: Problems): void {
  findDuplicatePorts(director, problems);
  validateWorkers(director, problems);
  validateWorld(director, problems);
}

function findDuplicatePorts({ ports }: DirectorConfig, problems: Problems): void {
  const names = new Set<string>();
  const interfaces = new Map<string, string>();
  for (const [index, port] of ports.entries()) {
    const path = ['director', 'ports', index];
    if (names.has(port.name)) {
      const message = `there is a port "${port.name}" already`;
      problems.error({ path: [...path, 'name'], code: 'duplicate-port', message });
      continue;
    }
    names.add(port.name);
    const other = interfaces.get(port.interface);
    if (other !== undefined) {
      const message = `interface "${port.interface}" belongs to port "${other}" already`;
      problems.error({ path: [...path, 'interface'], code: 'duplicate-interface', message });
    }
    interfaces.set(port.interface, port.name);
  }
}

function validateWorkers({ workers, ports }: DirectorConfig, problems: Problems): void {
  const queues = ports.map((port) => port.queues);
  // Where a port does not say, only the driver knows how many queues there are.
  if (workers === 'auto' || queues.includes(undefined)) return;
  const most = Math.max(...queues.map((number) => number ?? 0));
  if (workers <= most) return;
  const message =
    `expected at most ${most}, the largest number of queues of a port, got ${workers}: ` +
    'a worker without a queue has nothing to do';
  problems.error({ path: ['director', 'workers'], code: 'more-workers-than-queues', message });
}

function validateWorld({ world, ports }: DirectorConfig, problems: Problems): void {
  if (world === undefined) return;
  const names = ports.map((port) => port.name);
  const check = (name: string, path: readonly PropertyKey[], atKey: boolean) => {
    if (names.includes(name)) return;
    const message = `there is no port "${name}"; the ports are ${names.join(', ')}`;
    problems.error({ path, code: 'unknown-port', message, atKey });
  };
  const base = ['director', 'world'];
  for (const { name } of world.ports) check(name, [...base, 'ports', name], true);
  for (const [index, { port }] of world.neighbours.entries()) {
    check(port, [...base, 'neighbours', index, 'port'], false);
  }
  for (const [index, { port, to, via }] of world.routes.entries()) {
    check(port, [...base, 'routes', index, 'port'], false);
    if (via !== undefined && via.family !== to.family) {
      const message = `an IPv${to.family} route cannot go via an IPv${via.family} address`;
      problems.error({ path: [...base, 'routes', index, 'via'], code: 'family-mismatch', message });
    }
  }
}

function validateMarkRule(rule: MarkRule, index: number, problems: Problems): void {
  if (rule.ports.length === 0 || rule.protocol !== undefined) return;
  const message = 'ports need a protocol: add `protocol: tcp`, udp or sctp';
  problems.error({ path: ['marks', index, 'ports'], code: 'ports-without-protocol', message });
}

function findDuplicateServices(
  services: readonly (ServiceConfig | undefined)[],
  problems: Problems,
): void {
  const byKey = new Map<string, ServiceConfig>();
  const byName = new Map<string, ServiceConfig>();
  for (const [index, service] of services.entries()) {
    if (service === undefined) continue;
    const sameKey = byKey.get(service.key);
    if (sameKey !== undefined) {
      const message = `${service.key} is a service already${atLine(sameKey)}`;
      const path = ['services', index, 'listen'];
      problems.error({ path, code: 'duplicate-service', message });
      continue;
    }
    byKey.set(service.key, service);
    const sameName = byName.get(service.name);
    if (sameName !== undefined) {
      const message = `there is a service named "${service.name}" already${atLine(sameName)}`;
      const path = ['services', index, 'name'];
      problems.error({ path, code: 'duplicate-service-name', message });
    }
    byName.set(service.name, service);
  }
}

function atLine({ position }: ServiceConfig): string {
  return position === undefined ? '' : `, at line ${position.line}`;
}

/** A mark without a rule is not an error: rules may come through `wvs ipvsadm` one day. */
function findUnusedMarks(config: PartialConfig, problems: Problems): void {
  // With a rule left out, every answer to "is there a rule" would be a guess.
  if (config.marks.includes(undefined) || config.services.includes(undefined)) return;
  const given = new Set(
    config.marks.map((rule) => rule && `${rule.mark} IPv${rule.destination.family}`),
  );
  const used = new Set<string>();
  for (const [index, service] of config.services.entries()) {
    if (service?.listen.kind !== 'mark') continue;
    const { mark, family } = service.listen;
    used.add(`${mark} IPv${family}`);
    if (given.has(`${mark} IPv${family}`)) continue;
    const message = `no rule under \`marks\` gives IPv${family} packets the mark ${mark}`;
    problems.warning({ path: ['services', index, 'listen'], code: 'mark-never-set', message });
  }
  for (const [index, rule] of config.marks.entries()) {
    if (rule === undefined || used.has(`${rule.mark} IPv${rule.destination.family}`)) continue;
    const listen = rule.destination.family === 6 ? `mark ${rule.mark}/ipv6` : `mark ${rule.mark}`;
    const message = `no service listens on \`${listen}\``;
    problems.warning({ path: ['marks', index, 'mark'], code: 'mark-never-used', message });
  }
}
