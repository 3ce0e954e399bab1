// Which checker a server of a service needs: the target and the check, in one word, so that servers
// with the same word share one.

import { createHash } from 'node:crypto';
import type { CheckConfig, DestinationConfig } from '../config/types.ts';
import type { ProbeTarget } from './probe.ts';

/** Types of checks that take no notice of a port. */
const PORTLESS: ReadonlySet<CheckConfig['type']> = new Set(['icmp', 'file']);

/** Where a check of a server goes: to the server, unless the check says otherwise. */
export function probeTarget(server: DestinationConfig, check: CheckConfig): ProbeTarget {
  const { family, address } = ('address' in check ? check.address : undefined) ?? server;
  const port = ('port' in check ? check.port : undefined) ?? server.port;
  return { family, address, port: PORTLESS.has(check.type) ? 0 : port };
}

/** Makes the keys of checkers. */
export class CheckerKeys {
  /** Servers of a service share the object of its check, which is looked at only once. */
  readonly #digests = new WeakMap<CheckConfig, string>();

  key({ address, port }: ProbeTarget, check: CheckConfig): string {
    let digest = this.#digests.get(check);
    if (digest === undefined) {
      const text = JSON.stringify(Object.entries(check).sort(([a], [b]) => (a < b ? -1 : 1)));
      // Short keys: there may be a hundred thousand of them in a reload.
      digest = createHash('sha256').update(text).digest('base64');
      this.#digests.set(check, digest);
    }
    return `${address} ${port} ${digest}`;
  }
}
