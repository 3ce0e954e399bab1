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
import type { PlacedDestination } from './placed.ts';
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

/** How to take what ipvsadm has done to the file's services meanwhile. */
export interface ApplyOptions {
  /** A service or server that is gone is made again; otherwise it stays away. Default true. */
  readonly restores?: boolean;
}

/**
 * Carries out what diffConfigs() found; the order is the one it gives. Afterwards the servers of
 * every service that got one are listed as if the whole list had been added at once.
 */
export function applyChanges(
  changes: readonly Change[],
  context: ApplyContext,
  { restores = true }: ApplyOptions = {},
): void {
  const { control } = context;
  control.batch(() => {
    const grown = new Map<string, ServiceConfig>();
    for (const change of changes) {
      if (!restores && isGone(change, control)) continue;
      applyChange(change, context);
      if (change.kind === 'destination-added' || change.kind === 'destinations-moved') {
        grown.set(change.service.key, change.service);
      }
    }
    for (const service of grown.values()) {
      const key = serviceKeyOf(service.listen);
      if (control.hasService(key)) {
        control.orderDestinations(key, service.servers.map(destinationKeyOf));
      }
    }
  });
}

/** Whether somebody else has removed what a change wants to edit. */
function isGone(change: Change, control: Control): boolean {
  switch (change.kind) {
    case 'destination-added':
      return !control.hasService(serviceKeyOf(change.service.listen));
    case 'destination-edited':
      return !hasDestination(change.service, change.after, control);
    case 'service-edited':
      return !control.hasService(serviceKeyOf(change.after.listen));
    default:
      return false;
  }
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
    case 'destinations-moved':
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
  if (control.hasService(key)) control.editService(key, options);
  else control.addService(key, options);
}

function removeService(service: ServiceConfig, control: Control): void {
  const key = serviceKeyOf(service.listen);
  if (control.hasService(key)) control.deleteService(key);
}

function putDestination(
  service: ServiceConfig,
  destination: PlacedDestination,
  control: Control,
): void {
  const serviceKey = serviceKeyOf(service.listen);
  if (!control.hasService(serviceKey)) putServiceItself(service, control);
  const key = destinationKeyOf(destination);
  const options = destinationOptionsOf(destination);
  const isThere = control.hasDestination(serviceKey, key);
  if (destination.isDraining === true) {
    if (isThere) control.drainDestination(serviceKey, key);
  } else if (isThere) control.editDestination(serviceKey, key, options);
  else control.addDestination(serviceKey, key, options);
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
  destination: DestinationConfig,
  control: Control,
): boolean {
  return control.hasDestination(serviceKeyOf(service.listen), destinationKeyOf(destination));
}
