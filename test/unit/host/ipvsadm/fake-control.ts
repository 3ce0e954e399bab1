import type {
  ConnectionEntry,
  DestinationEntry,
  DestinationKey,
  ServiceEntry,
  ServiceKey,
} from '../../../../host/ipvs/types.ts';
import { IpvsError } from '../../../../host/ipvs/types.ts';
import type { FullNatControl } from '../../../../host/ipvsadm/full-nat-control.ts';
import { RehearsalControl } from '../../../../host/ipvsadm/rehearsal-control.ts';

/** No services, and the answers a director gives when nothing was set. */
const EMPTY_DIRECTOR: FullNatControl = {
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
  timeouts: () => ({ tcp: 900, tcpFin: 120, udp: 300 }),
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

/**
 * A director in memory: the rules of a rehearsal, kept. A test may say what listings show besides,
 * and which server the director has no memory for.
 */
export class FakeControl extends RehearsalControl {
  connectionEntries: readonly ConnectionEntry[] = [];
  serviceView: (entry: ServiceEntry) => ServiceEntry = (entry) => entry;
  serverView: (entry: DestinationEntry) => DestinationEntry = (entry) => entry;
  /** Adding a server of this address fails. */
  unwantedServer = '';
  batches = 0;

  constructor() {
    super(EMPTY_DIRECTOR);
  }

  override connections(): readonly ConnectionEntry[] {
    return this.connectionEntries;
  }

  override services(): readonly ServiceEntry[] {
    return super.services().map((entry) => this.serviceView(entry));
  }

  override destinations(service: ServiceKey): readonly DestinationEntry[] {
    return super.destinations(service).map((entry) => this.serverView(entry));
  }

  override addDestination(
    service: ServiceKey,
    key: DestinationKey,
    options: Parameters<FullNatControl['addDestination']>[2],
  ): void {
    if (key.address === this.unwantedServer) throw new IpvsError('ENOMEM', 'no memory');
    super.addDestination(service, key, options);
  }

  override batch<T>(changes: () => T): T {
    this.batches += 1;
    return changes();
  }
}
