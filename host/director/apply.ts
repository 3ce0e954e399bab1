// Carries changes of the configuration out on the control core. What the file says wins over what
// ipvsadm did to the file's services meanwhile: a service that is gone comes back, one that is there
// is edited.

import type { Change } from '../config/diff.ts';
import { sysctlSchema } from '../config/schema.ts';
import type {
  Config,
  DestinationConfig,
  DirectorConfig,
  ServiceConfig,
  Timeouts,
} from '../config/types.ts';
import type { Control } from '../ipvs/control.ts';
import type { PortRange } from '../tables/world.ts';
import {
  destinationKeyOf,
  destinationOptionsOf,
  localPoolOf,
  markRulesOf,
  serviceKeyOf,
  serviceOptionsOf,
} from './rules.ts';

/** What applying needs beside the configuration. */
export interface ApplyContext {
  readonly control: Control;
  /** net.ipv4.ip_local_port_range */
  readonly ephemeralPorts: PortRange;
}

/** Puts a whole configuration into a control core that has none. */
export function applyConfig(config: Config, context: ApplyContext): void {
  const { control } = context;
  control.batch(() => {
    applySysctls(config.director, sysctlSchema.parse({}), control);
    applyTimeouts(config.director.timeouts, control);
    control.setLocalPool(localPoolOf(config.director, context.ephemeralPorts));
    control.setMarks(markRulesOf(config.marks));
    for (const service of config.services) putService(service, control);
  });
}

/** Carries out what diffConfigs() found; the order is the one it gives. */
export function applyChanges(changes: readonly Change[], context: ApplyContext): void {
  context.control.batch(() => {
    for (const change of changes) applyChange(change, context);
  });
}

function applyChange(change: Change, context: ApplyContext): void {
  const { control } = context;
  switch (change.kind) {
    case 'director-changed':
      applyDirector(change, context);
      return;
    case 'marks-changed':
      control.setMarks(markRulesOf(change.after));
      return;
    case 'service-removed':
      removeService(change.service, control);
      return;
    case 'service-added':
      putService(change.service, control);
      return;
    case 'service-edited':
      putServiceItself(change.after, control);
      return;
    case 'destination-removed':
      removeDestination(change.service, change.destination, control);
      return;
    case 'destination-added':
      putDestination(change.service, change.destination, control);
      return;
    case 'destination-edited':
      putDestination(change.service, change.after, control);
      return;
  }
}

function applyDirector(
  { key, before, after }: Change & { readonly kind: 'director-changed' },
  { control, ephemeralPorts }: ApplyContext,
): void {
  if (key === 'sysctl') applySysctls(after, before.sysctl, control);
  if (key === 'timeouts') applyTimeouts(after.timeouts, control);
  if (key === 'localAddresses' || key === 'localPorts') {
    control.setLocalPool(localPoolOf(after, ephemeralPorts));
  }
}

/** Writes the settings that differ from what was there: only these are the file's business. */
function applySysctls(
  { sysctl }: DirectorConfig,
  before: DirectorConfig['sysctl'],
  control: Control,
): void {
  for (const [name, value] of Object.entries(sysctl)) {
    if (Reflect.get(before, name) !== value) control.setSysctl(name, String(value));
  }
}

function applyTimeouts({ tcp, tcpfin, udp }: Timeouts, control: Control): void {
  control.setTimeouts({ tcp: tcp / 1000, tcpFin: tcpfin / 1000, udp: udp / 1000 });
}

function putService(service: ServiceConfig, control: Control): void {
  putServiceItself(service, control);
  for (const server of service.servers) putDestination(service, server, control);
}

function putServiceItself(service: ServiceConfig, control: Control): void {
  const key = serviceKeyOf(service.listen);
  const options = serviceOptionsOf(service);
  if (control.service(key) === undefined) control.addService(key, options);
  else control.editService(key, options);
}

function removeService(service: ServiceConfig, control: Control): void {
  const key = serviceKeyOf(service.listen);
  if (control.service(key) !== undefined) control.deleteService(key);
}

function putDestination(
  service: ServiceConfig,
  destination: DestinationConfig,
  control: Control,
): void {
  const serviceKey = serviceKeyOf(service.listen);
  if (control.service(serviceKey) === undefined) putServiceItself(service, control);
  const key = destinationKeyOf(destination);
  const options = destinationOptionsOf(destination);
  if (hasDestination(service, destination, control)) {
    control.editDestination(serviceKey, key, options);
  } else {
    control.addDestination(serviceKey, key, options);
  }
}

function removeDestination(
  service: ServiceConfig,
  destination: DestinationConfig,
  control: Control,
): void {
  if (!hasDestination(service, destination, control)) return;
  control.deleteDestination(serviceKeyOf(service.listen), destinationKeyOf(destination));
}

function hasDestination(
  service: ServiceConfig,
  { address, port }: DestinationConfig,
  control: Control,
): boolean {
  const key = serviceKeyOf(service.listen);
  if (control.service(key) === undefined) return false;
  return control
    .destinations(key)
    .some((entry) => entry.key.address === address && entry.key.port === port);
}
