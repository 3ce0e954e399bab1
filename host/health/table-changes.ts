// Which changes of a configuration are changes of the tables. The others (a check, a quorum, a
// name) are health checking's own business: to edit a destination or a service to what it is
// already would move its scheduler's cursor.

import type { Change } from '../config/diff.ts';
import type { DestinationConfig, ServiceConfig } from '../config/types.ts';

const SERVICE_FIELDS: ReadonlySet<string> = new Set<keyof ServiceConfig>([
  'scheduler',
  'schedulerFlags',
  'persistence',
  'onePacket',
]);

const DESTINATION_FIELDS: ReadonlySet<string> = new Set<keyof DestinationConfig>([
  'weight',
  'upperThreshold',
  'lowerThreshold',
  'forwarding',
  'tunnel',
]);

/** Whether something has to be done about a change outside of health checking. */
export function changesTables(change: Change): boolean {
  if (change.kind === 'service-edited') {
    return change.fields.some((field) => SERVICE_FIELDS.has(field));
  }
  if (change.kind === 'destination-edited') {
    return change.fields.some((field) => DESTINATION_FIELDS.has(field));
  }
  return true;
}
