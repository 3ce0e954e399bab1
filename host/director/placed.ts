// What is in the tables on the file's behalf: the services as health wants them, and what drains.
// Pure; to get from one state to another is the difference between the two (config/diff.ts).

import type { DestinationConfig, ServiceConfig } from '../config/types.ts';
import type { Drain, Drains } from './drains.ts';

/** A destination in the tables. */
export interface PlacedDestination extends DestinationConfig {
  /** It is no longer in the file, and waits for its connections to end. */
  readonly isDraining?: true;
}

/** Services by key. */
export type Services = ReadonlyMap<string, ServiceConfig>;

/** Services by key, in the order of the list. */
export function byKey(services: readonly ServiceConfig[]): Map<string, ServiceConfig> {
  return new Map(services.map((service) => [service.key, service]));
}

/** What the tables should have for a service, or undefined when it should not be there. */
export function placedService(
  key: string,
  effective: Services,
  drains: Drains,
): ServiceConfig | undefined {
  const service = effective.get(key);
  const draining = drains.get(key);
  if (draining === undefined) return service;
  const basis = service ?? { ...draining.service, servers: [] };
  const taken = new Set(basis.servers.map((server) => server.key));
  const servers = [...draining.servers.values()]
    .filter(({ destination }) => !taken.has(destination.key))
    .map(drained);
  return { ...basis, servers: [...basis.servers, ...servers] };
}

/** Puts services as the tables should have them, or takes out those that should not be there. */
export function placeServices(
  placed: Map<string, ServiceConfig>,
  keys: Iterable<string>,
  { effective, drains }: { readonly effective: Services; readonly drains: Drains },
): void {
  for (const key of keys) put(placed, key, placedService(key, effective, drains));
}

/** Some of the services. */
export function only(services: Services, keys: Iterable<string>): Map<string, ServiceConfig> {
  const chosen = new Map<string, ServiceConfig>();
  for (const key of keys) put(chosen, key, services.get(key));
  return chosen;
}

/** Brings some of the services to what others say of them, or takes them out. */
export function replaceServices(
  services: Map<string, ServiceConfig>,
  keys: Iterable<string>,
  by: Services,
): void {
  for (const key of keys) put(services, key, by.get(key));
}

function put(
  services: Map<string, ServiceConfig>,
  key: string,
  service: ServiceConfig | undefined,
): void {
  if (service === undefined) services.delete(key);
  else services.set(key, service);
}

function drained({ destination }: Drain): PlacedDestination {
  return { ...destination, weight: 0, isDraining: true };
}
