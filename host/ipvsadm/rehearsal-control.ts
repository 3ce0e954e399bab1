import { parseIpv4, parseIpv6 } from '../config/address.ts';
import {
  type DestinationEntry,
  type DestinationKey,
  type DestinationOptions,
  IpvsError,
  type LocalAddress,
  type ServiceEntry,
  type ServiceKey,
  type ServiceOptions,
  type Statistics,
  type Timeouts,
} from '../ipvs/types.ts';
import type { FullNatControl } from './full-nat-control.ts';

const SCHEDULERS: ReadonlySet<string> = new Set([
  'rr',
  'wrr',
  'lc',
  'wlc',
  'lblc',
  'lblcr',
  'dh',
  'sh',
  'sed',
  'nq',
  'fo',
  'ovf',
  'mh',
  'twos',
]);
const ENGINES: ReadonlySet<string> = new Set(['', 'sip']);

const NO_STATISTICS: Statistics = {
  connections: 0n,
  inPackets: 0n,
  outPackets: 0n,
  inBytes: 0n,
  outBytes: 0n,
  connectionRate: 0,
  inPacketRate: 0,
  outPacketRate: 0,
  inByteRate: 0,
  outByteRate: 0,
};

interface RehearsedService {
  entry: ServiceEntry;
  /** Newest first; read from the director when they are needed. */
  servers: DestinationEntry[] | undefined;
  locals: LocalAddress[] | undefined;
}

/**
 * A copy of the services to try changes on, which refuses what the kernel refuses by their look
 * (net/netfilter/ipvs/ip_vs_ctl.c). It never changes the director it copies.
 */
export class RehearsalControl implements FullNatControl {
  readonly #director: FullNatControl;
  readonly #services = new Map<string, RehearsedService>();
  #timeouts: Timeouts;

  constructor(director: FullNatControl) {
    this.#director = director;
    this.#timeouts = director.timeouts();
    for (const entry of director.services()) {
      this.#services.set(keyText(entry.key), { entry, servers: undefined, locals: undefined });
    }
  }

  get tableSize(): number {
    return this.#director.tableSize;
  }

  addService(key: ServiceKey, options: ServiceOptions): void {
    if (this.#services.has(keyText(key))) throw refusal('EEXIST');
    checkService(key, options);
    const entry = { ...options, key, id: 0, destinationCount: 0, statistics: NO_STATISTICS };
    this.#services.set(keyText(key), { entry, servers: [], locals: [] });
  }

  editService(key: ServiceKey, options: ServiceOptions): void {
    const service = this.#find(key);
    checkService(key, options);
    service.entry = { ...service.entry, ...options };
  }

  deleteService(key: ServiceKey): void {
    this.#find(key);
    this.#services.delete(keyText(key));
  }

  flush(): void {
    this.#services.clear();
  }

  zero(key?: ServiceKey): void {
    if (key !== undefined) this.#find(key);
  }

  addDestination(service: ServiceKey, key: DestinationKey, options: DestinationOptions): void {
    const servers = this.#servers(this.#find(service));
    checkServer(options);
    if (indexOfServer(servers, key) >= 0) throw refusal('EEXIST');
    if (!isUnicast(key)) throw refusal('EINVAL');
    servers.unshift({
      ...options,
      key,
      id: 0,
      activeConnections: 0,
      inactiveConnections: 0,
      persistentConnections: 0,
      statistics: NO_STATISTICS,
    });
  }

  editDestination(service: ServiceKey, key: DestinationKey, options: DestinationOptions): void {
    const servers = this.#servers(this.#find(service));
    checkServer(options);
    const index = indexOfServer(servers, key);
    if (index < 0) throw refusal('ENOENT');
    servers[index] = { ...servers[index]!, ...options };
  }

  deleteDestination(service: ServiceKey, key: DestinationKey): void {
    const servers = this.#servers(this.#find(service));
    const index = indexOfServer(servers, key);
    if (index < 0) throw refusal('ENOENT');
    servers.splice(index, 1);
  }

  addLocalAddress(service: ServiceKey, local: LocalAddress): void {
    if (this.#director.addLocalAddress === undefined) throw refusal('EOPNOTSUPP');
    const locals = this.#locals(this.#find(service));
    if (locals.some(({ address }) => address === local.address)) throw refusal('EEXIST');
    locals.push(local);
  }

  deleteLocalAddress(service: ServiceKey, local: LocalAddress): void {
    if (this.#director.deleteLocalAddress === undefined) throw refusal('EOPNOTSUPP');
    const locals = this.#locals(this.#find(service));
    const index = locals.findIndex(({ address }) => address === local.address);
    if (index < 0) throw refusal('ENOENT');
    locals.splice(index, 1);
  }

  localAddresses(service: ServiceKey): readonly LocalAddress[] {
    return this.#locals(this.#find(service));
  }

  setTimeouts(timeouts: Timeouts): void {
    const { tcp, tcpFin, udp } = this.#timeouts;
    this.#timeouts = {
      tcp: timeouts.tcp || tcp,
      tcpFin: timeouts.tcpFin || tcpFin,
      udp: timeouts.udp || udp,
    };
  }

  timeouts(): Timeouts {
    return this.#timeouts;
  }

  setSysctl(): void {
    throw new TypeError('a rehearsal has no sysctls to set');
  }

  sysctl(name: string): string {
    return this.#director.sysctl(name);
  }

  sysctlNames(): readonly string[] {
    return this.#director.sysctlNames();
  }

  services(): readonly ServiceEntry[] {
    return [...this.#services.values()].map(({ entry }) => entry);
  }

  service(key: ServiceKey): ServiceEntry | undefined {
    return this.#services.get(keyText(key))?.entry;
  }

  destinations(service: ServiceKey): readonly DestinationEntry[] {
    return this.#servers(this.#find(service));
  }

  connections(): ReturnType<FullNatControl['connections']> {
    return this.#director.connections();
  }

  totals(): Statistics {
    return this.#director.totals();
  }

  batch<T>(changes: () => T): T {
    return changes();
  }

  #find(key: ServiceKey): RehearsedService {
    const service = this.#services.get(keyText(key));
    if (service === undefined) throw refusal('ESRCH');
    return service;
  }

  #servers(service: RehearsedService): DestinationEntry[] {
    service.servers ??= [...this.#director.destinations(service.entry.key)];
    return service.servers;
  }

  #locals(service: RehearsedService): LocalAddress[] {
    service.locals ??= [...(this.#director.localAddresses?.(service.entry.key) ?? [])];
    return service.locals;
  }
}

function keyText(key: ServiceKey): string {
  if ('mark' in key) return `mark ${key.family} ${key.mark}`;
  return `${key.protocol} ${key.address} ${key.port}`;
}

function indexOfServer(servers: readonly DestinationEntry[], key: DestinationKey): number {
  return servers.findIndex(
    (server) => server.key.address === key.address && server.key.port === key.port,
  );
}

function checkService({ family }: ServiceKey, options: ServiceOptions): void {
  const { scheduler, engine, persistenceMask } = options;
  if (scheduler !== 'none' && !SCHEDULERS.has(scheduler)) throw refusal('ENOENT');
  if (!ENGINES.has(engine)) throw refusal('ENOENT');
  const length = Number(persistenceMask);
  if (family === 6 && !(length >= 1 && length <= 128)) throw refusal('EINVAL');
}

function checkServer({ lowerThreshold, upperThreshold }: DestinationOptions): void {
  if (lowerThreshold > upperThreshold) throw refusal('ERANGE');
}

/** Whether packets could be sent there, as far as the address alone says it. */
function isUnicast({ address }: DestinationKey): boolean {
  const ipv4 = parseIpv4(address);
  if (ipv4 !== undefined) {
    const isThisNetwork = ipv4 >>> 24 === 0;
    return !isThisNetwork && ipv4 >>> 28 !== 0xe && ipv4 !== 0xffff_ffff;
  }
  const groups = parseIpv6(address) ?? [];
  const first = groups[0] ?? 0;
  const isLinkLocal = (first & 0xffc0) === 0xfe80;
  return first < 0xff00 && !isLinkLocal && groups.some((group) => group !== 0);
}

function refusal(code: IpvsError['code']): IpvsError {
  return new IpvsError(code, `the rehearsal refuses with ${code}`);
}
