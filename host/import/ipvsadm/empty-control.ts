/** A director without anything, for rules to be tried on. */

import type { FullNatControl } from '../../ipvsadm/full-nat-control.ts';
import { RehearsalControl } from '../../ipvsadm/rehearsal-control.ts';
import { DEFAULT_TIMEOUTS_S } from './default-timeouts.ts';

/** What a director of its own says that nobody has told anything. It is only there to be copied. */
const EMPTY: FullNatControl = {
  tableSize: 4096,
  addService: refuse,
  editService: refuse,
  deleteService: refuse,
  flush: refuse,
  zero: refuse,
  addDestination: refuse,
  editDestination: refuse,
  deleteDestination: refuse,
  addLocalAddress: refuse,
  deleteLocalAddress: refuse,
  localAddresses: () => [],
  setTimeouts: refuse,
  timeouts: () => DEFAULT_TIMEOUTS_S,
  setSysctl: refuse,
  sysctl: refuse,
  sysctlNames: () => [],
  services: () => [],
  service: () => undefined,
  destinations: () => [],
  connections: () => [],
  totals: refuse,
  batch: (changes) => changes(),
};

function refuse(): never {
  throw new TypeError('the empty director is only there to be copied');
}

/** A control that refuses what the kernel refuses, and has no effect on anything. */
export function emptyControl(): FullNatControl {
  return new RehearsalControl(EMPTY);
}
