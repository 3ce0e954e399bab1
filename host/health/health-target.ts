// What health checking needs from the rest of the director: somebody who carries out changes.

import type { Change } from '../config/diff.ts';

/**
 * Carries out changes of services and their destinations, in this order and in one publication to
 * the workers. The changes come from config/diff.ts; only those of services and destinations do.
 * @throws when it cannot; it will be asked again for the difference a second later
 */
export interface HealthTarget {
  apply(changes: readonly Change[]): void;
}
