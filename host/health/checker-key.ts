// Which checker a server of a service needs: the target and the check, in one word, so that servers
// with the same word share one.

import { createHash } from 'node:crypto';
import type {
  CheckConfig,
  DestinationConfig,
  EndpointConfig,
  ServiceConfig,
} from '../config/types.ts';
import { wantsVip } from '../config/via-vip.ts';
import type { ProbeTarget, VirtualTarget } from './probe.ts';

/** Types of checks that take no notice of a port. */
const PORTLESS: ReadonlySet<CheckConfig['type']> = new Set(['icmp', 'file']);

/** Where a check of a service's server goes: to the server, unless the check says otherwise. */
export function probeTarget(
  { listen }: Pick<ServiceConfig, 'listen'>,
  server: DestinationConfig,
  check: CheckConfig,
): ProbeTarget {
  if (wantsVip(check) && listen.kind === 'address') return virtualTarget(listen, server, check);
  const { family, address } = ('address' in check ? check.address : undefined) ?? server;
  const port = ('port' in check ? check.port : undefined) ?? server.port;
  return { family, address, port: PORTLESS.has(check.type) ? 0 : port };
}

/** Neither direct routing nor a tunnel changes the port, so it is the service's. */
function virtualTarget(
  listen: EndpointConfig,
  { family, address, port: serverPort, tunnel }: DestinationConfig,
  check: CheckConfig,
): ProbeTarget {
  const servicePort = listen.port === 0 ? serverPort : listen.port;
  const port = ('port' in check ? check.port : undefined) ?? servicePort;
  return { family, address, port, virtual: { address: listen.address, tunnel } };
}

/** Makes the keys of checkers. */
export class CheckerKeys {
  /** Servers of a service share the object of its check, which is looked at only once. */
  readonly #digests = new WeakMap<CheckConfig, string>();

  key({ address, port, virtual }: ProbeTarget, check: CheckConfig): string {
    let digest = this.#digests.get(check);
    if (digest === undefined) {
      const text = JSON.stringify(Object.entries(check).sort(([a], [b]) => (a < b ? -1 : 1)));
      // Short keys: there may be a hundred thousand of them in a reload.
      digest = createHash('sha256').update(text).digest('base64');
      this.#digests.set(check, digest);
    }
    const key = `${address} ${port} ${digest}`;
    return virtual === undefined ? key : `${key} ${virtualWord(virtual)}`;
  }
}

function virtualWord({ address, tunnel }: VirtualTarget): string {
  if (tunnel === undefined) return address;
  return `${address} ${tunnel.type} ${tunnel.port}`;
}
