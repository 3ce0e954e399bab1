/** Tests that cannot run on this machine are skipped, and say why. */

import { beforeEach } from 'vitest';

/**
 * Skips every test of the file, or of the describe() this is called in, when there is a reason by
 * the time the test would run.
 */
export function skipWhere(whyNot: () => string | undefined): void {
  beforeEach((context) => {
    const reason = whyNot();
    if (reason !== undefined) context.skip(reason);
  });
}
