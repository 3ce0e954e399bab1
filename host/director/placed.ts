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

function drained({ destination }: Drain): PlacedDestination {
  return { ...destination, weight: 0, isDraining: true };
}
