import { ServiceNames, type ServiceTransport, wellKnownServices } from './services.ts';

/** Names for addresses and ports, and back. It answers at once: ipvsadm itself never waits. */
export interface Resolver {
  /** The IPv4 address of a host, dotted. */
  addressOfHost(name: string): string | undefined;
  /** The name of an address in canonical spelling. */
  hostOfAddress(address: string): string | undefined;
  portOfService(name: string, protocol: ServiceTransport): number | undefined;
  serviceOfPort(port: number, protocol: ServiceTransport): string | undefined;
}

const HOST_ADDRESSES = new Map([
  ['localhost', '127.0.0.1'],
  ['ip6-localhost', '127.0.0.1'],
  ['ip6-loopback', '127.0.0.1'],
]);
const HOST_NAMES = new Map([
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost'],
  ['ff02::1', 'ip6-allnodes'],
  ['ff02::2', 'ip6-allrouters'],
]);

/**
 * The names of a machine without DNS: Debian's /etc/hosts and the services that are shipped. It
 * gives the same answers everywhere, as a replay needs.
 */
export class OfflineResolver implements Resolver {
  readonly #services = new ServiceNames(wellKnownServices());

  addressOfHost(name: string): string | undefined {
    return HOST_ADDRESSES.get(name.toLowerCase());
  }

  hostOfAddress(address: string): string | undefined {
    return HOST_NAMES.get(address);
  }

  portOfService(name: string, protocol: ServiceTransport): number | undefined {
    return this.#services.port(name, protocol);
  }

  serviceOfPort(port: number, protocol: ServiceTransport): string | undefined {
    return this.#services.name(port, protocol);
  }
}
