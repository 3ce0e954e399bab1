// The control core: services, destinations, sysctls, timeouts, statistics; what ip_vs_ctl.c does in the
// kernel, with the kernel's errors. The configuration and ipvsadm both act on this. Every change is
// published to the workers before the call returns, unless it runs inside batch().

import { freemem } from 'node:os';
import {
  FORWARD_TUNNEL,
  SERVICE_ENGINE_SIP,
  SERVICE_HASHED,
  TUNNEL_GUE,
} from '../../assembly/shared/codes.ts';
import {
  CONTROL_DROP_COUNTER,
  CONTROL_DROP_RATE,
  CONTROL_REQUESTS,
  REQUEST_DROP_ENTRIES,
  REQUEST_EXPIRE_UNAVAILABLE,
  SERVICE_STATE_SIZE,
  STATS_CONNECTIONS,
  STATS_IN_BYTES,
  STATS_IN_PACKETS,
  STATS_OUT_BYTES,
  STATS_OUT_PACKETS,
  SYSCTL_SECURE_TCP,
  SYSCTL_UNPRIVILEGED_PORT,
} from '../../assembly/shared/layout.ts';
import { TICKS_PER_SECOND } from '../../assembly/shared/limits.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { Ids } from '../tables/ids.ts';
import type { PublishedTables } from '../tables/publish.ts';
import { type DestinationRow, type ServiceRow, TableFullError } from '../tables/rows.ts';
import type { LocalPool, MarkRule, World } from '../tables/world.ts';
import { type IndexedConnection, listConnections } from './connections.ts';
import { updateDefence } from './defence.ts';
import { ESTIMATOR_TICKS, Estimator, readU64 } from './estimator.ts';
import {
  isUsableDestination,
  type ResolvedDestination,
  type ResolvedService,
  resolveDestination,
  resolveMask,
  resolveService,
} from './keys.ts';
import { LocalPools } from './local-pools.ts';
import {
  type Destination,
  DestinationStates,
  destinationName,
  type Service,
  serviceName,
} from './model.ts';
import type { RawCounts } from './proc.ts';
import {
  type DestinationChange,
  listedDestination,
  Scheduling,
  scheduledDestinations,
} from './scheduling.ts';
import { Sysctls } from './sysctls.ts';
import { ProtocolTimeouts } from './timeouts.ts';
import { TICK_MS, type TimerPrecision, Timers } from './timers.ts';
import { TRASH_PERIOD_TICKS, Trash } from './trash.ts';
import {
  type DestinationEntry,
  type DestinationKey,
  type DestinationOptions,
  type IpvsControl,
  IpvsError,
  type LocalAddress,
  type ServiceEntry,
  type ServiceKey,
  type ServiceOptions,
  type Statistics,
  type Timeouts,
} from './types.ts';

/** Size of the connection hash table that ipvsadm prints: CONFIG_IP_VS_TAB_BITS is 12. */
export const DEFAULT_TABLE_SIZE = 4096;

/** Bytes of a page of memory, the unit of the defence. */
const PAGE_BYTES = 4096;
/** Buckets of the kernel's service table. */
const SERVICE_BUCKETS = 256;
const INT_MAX = 2 ** 31 - 1;
const U32_MAX = 2 ** 32 - 1;
/** The name that stands for a service without a scheduler. */
const NO_SCHEDULER = 'none';
/** The only persistence engine. */
const ENGINE_SIP = 'sip';
/** net.ipv4.ip_unprivileged_port_start. */
const UNPRIVILEGED_PORT = 1024;

/** Something that changed, for logs. */
export interface ControlChange {
  readonly kind:
    | 'service-added'
    | 'service-edited'
    | 'service-deleted'
    | 'destination-added'
    | 'destination-restored'
    | 'destination-edited'
    | 'destination-draining'
    | 'destination-deleted'
    | 'destination-forgotten'
    | 'local-address-added'
    | 'local-address-deleted';
  readonly service: ServiceKey;
  readonly destination?: DestinationKey;
  readonly localAddress?: string;
  /** Of an edit: packets get to the destination in another way. */
  readonly isRerouted?: boolean;
}

/** A service with the ways to its destinations. */
export interface ServiceWays {
  readonly service: { readonly key: ServiceKey };
  readonly destinations: readonly DestinationWay[];
}

/** Where a destination is and how packets get there. */
export type DestinationWay = Pick<
  DestinationEntry,
  'key' | 'forwarding' | 'tunnelType' | 'tunnelPort'
>;

/** How many connections a destination has. */
export interface ConnectionCounts {
  readonly id: number;
  readonly active: number;
  readonly inactive: number;
}

/** What the core works with. */
export interface ControlOptions {
  readonly tables: PublishedTables;
  readonly schedulerByName: (name: string) => Scheduler | undefined;
  /**
   * The clock at start, in milliseconds: the data plane's tick times 10, give or take multiples of
   * 2^32 ticks. To be late just when Linux is, a replay starts it at boot with Linux's first jiffies.
   */
  readonly startMs?: number;
  /** "wheel" makes the core's own timers as late as Linux's, for replays. */
  readonly timerPrecision?: TimerPrecision;
  /** Free memory in pages of 4 KiB. */
  readonly availablePages?: () => number;
  readonly tableSize?: number;
  readonly unprivilegedPort?: number;
  readonly onChange?: (change: ControlChange) => void;
  /**
   * What is to be steered has changed, other than by what onChange() tells: the marks' rules; other
   * addresses or ports are full-nat's now, or those it no longer has are not used any more.
   */
  readonly onSteeringInput?: () => void;
  /** The workers are about to get all changes that onChange() has told of. */
  readonly onPublish?: () => void;
}

/** The control core. */
export class Control implements IpvsControl {
  readonly tables: PublishedTables;
  readonly tableSize: number;
  readonly #memory: DataPlaneMemory;
  readonly #options: ControlOptions;
  readonly #timers: Timers;
  readonly #estimator: Estimator;
  readonly #states: DestinationStates;
  readonly #scheduling: Scheduling;
  readonly #sysctls = new Sysctls();
  readonly #timeouts = new ProtocolTimeouts();
  readonly #trash = new Trash();
  readonly #pools: LocalPools;
  readonly #serviceIds: Ids;
  readonly #destinationIds: Ids;
  /** By serviceName(), oldest first. */
  readonly #services = new Map<string, Service>();
  readonly #servicesById = new Map<number, Service>();
  readonly #destinationsById = new Map<number, Destination>();
  /** Services whose rows are not in the tables yet. */
  readonly #unwritten = new Set<Service>();
  #batchDepth = 0;
  #showsLiveCounters = false;
  #securesTcp = false;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.tables = options.tables;
    this.tableSize = options.tableSize ?? DEFAULT_TABLE_SIZE;
    const { memory } = options.tables;
    this.#memory = memory;
    this.#timers = new Timers(toTicks(options.startMs ?? 0), options.timerPrecision ?? 'exact');
    this.#estimator = new Estimator(memory);
    this.#pools = new LocalPools({
      tables: options.tables,
      timers: this.#timers,
      onChange: () => options.onSteeringInput?.(),
    });
    this.#states = new DestinationStates(memory);
    this.#scheduling = new Scheduling(memory);
    this.#serviceIds = new Ids('services', memory.map.serviceRecords);
    this.#destinationIds = new Ids('destinations', memory.map.destinationRecords);
    this.#setEstimatorTimer();
    this.#setDefenceTimer();
    this.tables.setTimeouts(this.#timeouts.tables());
    this.#writeSysctls();
    this.#commit();
  }

  // --- time ------------------------------------------------------------------------------------

  /** Moves the clock: `nowMs` is the data plane's, in milliseconds, and never goes back. */
  tick(nowMs: number): void {
    this.batch(() => this.#timers.run(toTicks(nowMs)));
  }

  #setEstimatorTimer(): void {
    this.#timers.set('estimator', ESTIMATOR_TICKS, () => {
      if (this.#sysctls.number('run_estimation') !== 0) this.#estimator.estimate();
      this.#setEstimatorTimer();
    });
  }

  #setDefenceTimer(): void {
    this.#timers.set('defence', TICKS_PER_SECOND, () => {
      if (this.#updateDefence()) this.#request(REQUEST_DROP_ENTRIES);
      this.#setDefenceTimer();
    });
  }

  #setTrashTimer(): void {
    this.#timers.set('trash', TRASH_PERIOD_TICKS, () => {
      const gone = this.#trash.expire(this.#timers.now, ({ id }) => this.#states.references(id));
      for (const destination of gone) this.#forget(destination);
      if (this.#trash.size > 0) this.#setTrashTimer();
    });
  }

  /** A destination left the trash for good. */
  #forget(destination: Destination): void {
    this.tables.removeDestination(destination.id);
    this.#destinationIds.release(destination.id);
    this.#destinationsById.delete(destination.id);
    this.#emit('destination-forgotten', destination.service, destination);
  }

  /** Asks worker 0 for work on the connection table (REQUEST_*). */
  #request(work: number): void {
    Atomics.or(this.#memory.u32, CONTROL_REQUESTS >>> 2, work);
  }

  /** Returns whether entries are to be dropped at random. */
  #updateDefence(): boolean {
    const { availablePages } = this.#options;
    const modesBefore = this.#defenceModes();
    const isIdle = modesBefore === '0 0 0';
    // Asking the system costs more than all the rest, so it is asked only when it matters.
    const pages = isIdle ? Infinity : (availablePages ?? freePages)();
    const state = updateDefence(this.#sysctls, pages);
    const { u32 } = this.#memory;
    Atomics.store(u32, CONTROL_DROP_RATE >>> 2, state.dropRate);
    if (state.restartsCounter) Atomics.store(u32, CONTROL_DROP_COUNTER >>> 2, state.dropRate);
    if (state.securesTcp !== this.#securesTcp || this.#defenceModes() !== modesBefore) {
      this.#securesTcp = state.securesTcp;
      this.#writeSysctls();
    }
    return state.dropsEntries;
  }

  #defenceModes(): string {
    const names = ['drop_entry', 'drop_packet', 'secure_tcp'];
    return names.map((name) => this.#sysctls.number(name)).join(' ');
  }

  // --- publishing ------------------------------------------------------------------------------

  batch<T>(changes: () => T): T {
    this.#batchDepth++;
    try {
      return changes();
    } finally {
      this.#batchDepth--;
      this.#commit();
    }
  }

  /** Publishes what changed, unless a batch is open. */
  #commit(): void {
    if (this.#batchDepth > 0) return;
    for (const service of this.#scheduling.runDeferred()) this.#unwritten.add(service);
    let failure: unknown;
    for (const service of this.#unwritten) {
      try {
        this.#writeService(service);
      } catch (error) {
        // The others must not wait for one that has no place.
        failure ??= error;
      }
    }
    this.#unwritten.clear();
    if (this.tables.isChanged) this.#publish();
    if (failure !== undefined) throw failure;
  }

  #publish(): void {
    this.tables.waitForAdoption();
    this.#serviceIds.onAdopted();
    this.#destinationIds.onAdopted();
    this.#options.onPublish?.();
    this.tables.publish();
    this.#serviceIds.onPublished();
    this.#destinationIds.onPublished();
  }

  #writeService(service: Service): void {
    try {
      this.tables.setService(serviceRow(service));
    } catch (error) {
      if (!(error instanceof TableFullError)) throw error;
      // Without its table the scheduler finds no destination, as if it could not be bound.
      this.tables.setService({ ...serviceRow(service), schedulerTable: undefined });
      throw new IpvsError('ENOMEM', error.message);
    }
  }

  #writeDestination(destination: Destination): void {
    this.tables.setDestination(destinationRow(destination));
  }

  #writeSysctls(): void {
    const words = this.#sysctls.words();
    const mode = this.#sysctls.number('secure_tcp');
    words.set(SYSCTL_SECURE_TCP, mode >= 2 ? mode : 0);
    words.set(SYSCTL_UNPRIVILEGED_PORT, this.#options.unprivilegedPort ?? UNPRIVILEGED_PORT);
    this.tables.setSysctls(words);
  }

  /** An unused id; frees of the open batch are published first when there is no other. */
  #takeId(ids: Ids): number {
    if (!ids.available) {
      this.#publish();
      this.tables.waitForAdoption();
      ids.onAdopted();
    }
    try {
      return ids.take();
    } catch (error) {
      if (error instanceof TableFullError) throw new IpvsError('ENOMEM', error.message);
      throw error;
    }
  }

  /** Replaces ports, addresses and routes. */
  setWorld(world: World): void {
    this.tables.setWorld(world);
    this.#commit();
  }

  /** Replaces the firewall mark rules. */
  setMarks(rules: readonly MarkRule[]): void {
    this.tables.setMarks(rules);
    this.#options.onSteeringInput?.();
    this.#commit();
  }

  /** Replaces the full-nat source pool of the services that have no addresses of their own. */
  setLocalPool(pool: LocalPool): void {
    this.#pools.setDirector(pool);
    this.#commit();
  }

  /** Gives a service an address of its own for its full-nat connections (ipvsadm --add-laddr). */
  addLocalAddress(key: ServiceKey, local: LocalAddress): void {
    const service = this.#requireService(key);
    this.#pools.add(service, local);
    this.#emitLocalAddress('local-address-added', service, local);
    this.#commit();
  }

  /** Takes such an address away; connections that have it go on. */
  deleteLocalAddress(key: ServiceKey, local: LocalAddress): void {
    const service = this.#requireService(key);
    this.#pools.delete(service, local);
    this.#emitLocalAddress('local-address-deleted', service, local);
    this.#commit();
  }

  /** A service's own addresses in the order they were added. */
  localAddresses(key: ServiceKey): readonly LocalAddress[] {
    return this.#pools.of(this.#requireService(key));
  }

  // --- services --------------------------------------------------------------------------------

  addService(key: ServiceKey, options: ServiceOptions): void {
    const resolved = resolveService(key);
    const name = serviceName(resolved.key);
    if (this.#services.has(name)) throw new IpvsError('EEXIST', `service ${name} exists`);
    const scheduler = this.#findScheduler(options.scheduler);
    checkEngine(options.engine);
    const mask = resolveMask(resolved.family, options.persistenceMask);
    const id = this.#takeId(this.#serviceIds);
    const service = this.#createService(id, resolved, options, mask);
    try {
      if (scheduler !== undefined) this.#scheduling.bind(service, scheduler);
      this.#writeService(service);
    } catch (error) {
      this.#scheduling.unbind(service);
      this.tables.removeService(id);
      this.#serviceIds.release(id);
      throw asIpvsError(error);
    }
    this.#estimator.start(service.statistics);
    this.#services.set(name, service);
    this.#servicesById.set(id, service);
    this.#emit('service-added', service);
    this.#commit();
  }

  #createService(
    id: number,
    resolved: ResolvedService,
    options: ServiceOptions,
    mask: { readonly text: string; readonly word: number },
  ): Service {
    const at = this.#memory.serviceState(id);
    this.#memory.u8.fill(0, at, at + SERVICE_STATE_SIZE);
    return {
      id,
      ...resolved,
      statistics: this.#estimator.forService(id),
      options: settledOptions(options, mask.text),
      mask: mask.word,
      scheduler: undefined,
      schedulerTable: undefined,
      destinations: [],
      destinationsByName: new Map(),
    };
  }

  editService(key: ServiceKey, options: ServiceOptions): void {
    const service = this.#requireService(key);
    const scheduler = this.#findScheduler(options.scheduler);
    checkEngine(options.engine);
    const mask = resolveMask(service.family, options.persistenceMask);
    if (scheduler !== service.scheduler) this.#changeScheduler(service, scheduler);
    service.options = settledOptions(options, mask.text);
    service.mask = mask.word;
    this.#unwritten.add(service);
    this.#emit('service-edited', service);
    this.#commit();
  }

  #changeScheduler(service: Service, scheduler: Scheduler | undefined): void {
    const before = service.scheduler;
    this.#scheduling.unbind(service);
    if (scheduler === undefined) return;
    try {
      this.#scheduling.bind(service, scheduler);
    } catch (error) {
      if (before !== undefined) this.#scheduling.bind(service, before);
      throw asIpvsError(error);
    }
  }

  deleteService(key: ServiceKey): void {
    this.#removeService(this.#requireService(key));
    this.#commit();
  }

  flush(): void {
    this.batch(() => {
      for (const service of [...this.#services.values()]) this.#removeService(service);
    });
  }

  #removeService(service: Service): void {
    this.#estimator.stop(service.statistics);
    this.#scheduling.unbind(service);
    for (const destination of service.destinations) {
      destination.isListed = false;
      this.#discard(destination);
    }
    service.destinations.length = 0;
    service.destinationsByName.clear();
    this.#unwritten.delete(service);
    this.#services.delete(serviceName(service.key));
    this.#servicesById.delete(service.id);
    this.tables.removeService(service.id);
    this.#pools.forget(service);
    this.#serviceIds.release(service.id);
    this.#emit('service-deleted', service);
  }

  #findScheduler(name: string): Scheduler | undefined {
    if (name === NO_SCHEDULER) return undefined;
    const scheduler = this.#options.schedulerByName(name);
    if (scheduler === undefined) throw new IpvsError('ENOENT', `no scheduler ${name}`);
    return scheduler;
  }

  #findService(key: ServiceKey): Service | undefined {
    return this.#services.get(serviceName(resolveService(key).key));
  }

  #requireService(key: ServiceKey): Service {
    const service = this.#findService(key);
    if (service !== undefined) return service;
    throw new IpvsError('ESRCH', `no service ${serviceName(resolveService(key).key)}`);
  }

  // --- destinations ----------------------------------------------------------------------------

  addDestination(key: ServiceKey, at: DestinationKey, options: DestinationOptions): void {
    const service = this.#requireService(key);
    const resolved = resolveDestination(at);
    checkFamilies(service, at, options);
    checkDestinationOptions(options);
    const name = destinationName(resolved.key.address, resolved.key.port);
    if (service.destinationsByName.has(name)) {
      throw new IpvsError('EEXIST', `destination ${name} exists`);
    }
    const restored = this.#trash.take(service, resolved.key.address, resolved.key.port);
    const destination = restored ?? this.#createDestination(service, resolved, options);
    if (destination.service !== service) destination.statistics.zero();
    destination.service = service;
    destination.lastWeight = options.weight;
    this.#settle(destination, options);
    destination.isListed = true;
    destination.isDraining = false;
    this.#estimator.start(destination.statistics);
    service.destinations.unshift(destination);
    service.destinationsByName.set(name, destination);
    this.#listChanged(service, { kind: 'add', destination, position: 0 });
    this.#emit(
      restored === undefined ? 'destination-added' : 'destination-restored',
      service,
      destination,
    );
    this.#commit();
  }

  #createDestination(
    service: Service,
    resolved: ResolvedDestination,
    options: DestinationOptions,
  ): Destination {
    const { locals, world } = this.tables;
    if (!isUsableDestination(resolved.address, locals, world)) {
      throw new IpvsError('EINVAL', `${resolved.key.address} cannot be a destination`);
    }
    const id = this.#takeId(this.#destinationIds);
    this.#states.clear(id);
    const { key, address } = resolved;
    const lastWeight = options.weight;
    const destination: Destination = {
      id,
      key,
      address,
      protocol: service.protocol,
      mark: service.mark,
      virtualPort: service.port,
      virtualAddress: service.address,
      statistics: this.#estimator.forDestination(id),
      options,
      lastWeight,
      service,
      isListed: false,
      isDraining: false,
      idleSince: undefined,
      listed: listedDestination({ id, key, address, options, lastWeight }),
    };
    this.#destinationsById.set(id, destination);
    return destination;
  }

  editDestination(key: ServiceKey, at: DestinationKey, options: DestinationOptions): void {
    const service = this.#requireService(key);
    const found = findDestination(service, at);
    checkFamilies(service, at, options);
    checkDestinationOptions(options);
    const destination = found ?? missingDestination(at);
    if (options.weight !== 0) destination.lastWeight = options.weight;
    const kind = destination.isDraining ? 'add' : 'update';
    const isRerouted = !isSameWay(destination.options, options);
    destination.isDraining = false;
    this.#settle(destination, options);
    this.#listChanged(service, { kind, destination, position: 0 });
    this.#options.onChange?.({
      kind: 'destination-edited',
      service: service.key,
      destination: destination.key,
      isRerouted,
    });
    this.#commit();
  }

  /**
   * Takes a destination away from its scheduler, which a weight of 0 alone does not do: the tables
   * of sh, dh and mh would go on sending clients there, only to be refused. Listings show the
   * weight 0; connections and templates go on. An edit of the destination takes this back.
   */
  drainDestination(key: ServiceKey, at: DestinationKey): void {
    const service = this.#requireService(key);
    const destination = findDestination(service, at) ?? missingDestination(at);
    if (destination.isDraining) return;
    const position = scheduledDestinations(service).indexOf(destination);
    destination.isDraining = true;
    destination.options = { ...destination.options, weight: 0 };
    destination.listed = listedDestination(destination);
    this.#writeDestination(destination);
    this.#listChanged(service, { kind: 'delete', destination, position });
    this.#emit('destination-draining', service, destination);
    this.#commit();
  }

  /**
   * Lists a service's destinations as if those of `keys` had been added in this order, and all
   * others later. Counters, connections and a scheduler's cursor stay with their destinations.
   */
  orderDestinations(key: ServiceKey, keys: readonly DestinationKey[]): void {
    const service = this.#requireService(key);
    const ranks = new Map(
      keys.map(({ address, port }, index) => [destinationName(address, port), index]),
    );
    const rankOf = ({ key: { address, port } }: Destination) =>
      ranks.get(destinationName(address, port)) ?? keys.length;
    const ordered = service.destinations.toSorted((a, b) => rankOf(b) - rankOf(a));
    if (ordered.every((destination, index) => destination === service.destinations[index])) return;
    service.destinations.splice(0, ordered.length, ...ordered);
    const [destination] = scheduledDestinations(service);
    if (destination !== undefined) {
      this.#listChanged(service, { kind: 'add', destination, position: 0 });
    }
    this.#unwritten.add(service);
    this.#commit();
  }

  deleteDestination(key: ServiceKey, at: DestinationKey): void {
    const service = this.#requireService(key);
    const destination = findDestination(service, at) ?? missingDestination(at);
    const { isDraining } = destination;
    const position = scheduledDestinations(service).indexOf(destination);
    service.destinations.splice(service.destinations.indexOf(destination), 1);
    service.destinationsByName.delete(
      destinationName(destination.key.address, destination.key.port),
    );
    destination.isListed = false;
    this.#states.clearAvailable(destination.id);
    // The scheduler of a drained one has not known it for long.
    if (!isDraining) this.#listChanged(service, { kind: 'delete', destination, position });
    this.#discard(destination);
    this.#emit('destination-deleted', service, destination);
    this.#commit();
  }

  /** What an add and an edit have in common (__ip_vs_update_dest()). */
  #settle(destination: Destination, options: DestinationOptions): void {
    const { id } = destination;
    const { upperThreshold } = options;
    const raised = upperThreshold === 0 || upperThreshold > destination.options.upperThreshold;
    this.#states.setAvailable(id);
    if (raised) this.#states.clearOverload(id);
    this.#states.forgetNextHop(id);
    destination.options = options;
    destination.listed = listedDestination(destination);
  }

  /** Puts a destination that is out of its list into the trash. */
  #discard(destination: Destination): void {
    this.#states.clearAvailable(destination.id);
    this.#estimator.stop(destination.statistics);
    if (this.#trash.size === 0) this.#setTrashTimer();
    this.#trash.add(destination);
    this.#writeDestination(destination);
    if (this.#sysctls.number('expire_nodest_conn') === 0) return;
    this.#timers.set('expire-connections', 1, () => this.#request(REQUEST_EXPIRE_UNAVAILABLE));
  }

  #listChanged(service: Service, change: DestinationChange): void {
    this.#scheduling.change(service, change, this.#batchDepth > 0);
    if (change.kind !== 'delete') this.#writeDestination(change.destination);
    this.#unwritten.add(service);
  }

  // --- timeouts and sysctls --------------------------------------------------------------------

  setTimeouts(timeouts: Timeouts): void {
    this.#timeouts.write(timeouts);
    this.tables.setTimeouts(this.#timeouts.tables());
    this.#commit();
  }

  timeouts(): Timeouts {
    return this.#timeouts.read();
  }

  setSysctl(name: string, value: string): void {
    const modes = this.#defenceModes();
    if (!this.#sysctls.write(name, value)) return;
    this.#writeSysctls();
    if (this.#defenceModes() !== modes) this.#updateDefence();
    this.#commit();
  }

  sysctl(name: string): string {
    return this.#sysctls.text(name);
  }

  sysctlNames(): readonly string[] {
    return Sysctls.names();
  }

  // --- statistics and listings -----------------------------------------------------------------

  zero(key?: ServiceKey): void {
    if (key !== undefined) {
      zeroService(this.#requireService(key));
      return;
    }
    for (const service of this.#services.values()) zeroService(service);
    this.#estimator.totals.zero();
  }

  /** What is listed inside has the counters of this moment, not those of the last estimation. */
  live<Result>(list: () => Result): Result {
    this.#showsLiveCounters = true;
    try {
      return list();
    } finally {
      this.#showsLiveCounters = false;
    }
  }

  totals(): Statistics {
    return this.#estimator.totals.read();
  }

  /** Counters of each worker at this moment, all services together. */
  workerCounts(): readonly RawCounts[] {
    const counts: RawCounts[] = [];
    for (let worker = 0; worker < this.#memory.map.sizes.workers; worker++) {
      const at = this.#memory.totalStatistics(worker);
      const read = (field: number) => readU64(this.#memory, at + field);
      const packets = [read(STATS_IN_PACKETS), read(STATS_OUT_PACKETS)] as const;
      const bytes = [read(STATS_IN_BYTES), read(STATS_OUT_BYTES)] as const;
      counts.push([read(STATS_CONNECTIONS), ...packets, ...bytes]);
    }
    return counts;
  }

  services(): readonly ServiceEntry[] {
    const newestFirst = [...this.#services.values()].reverse();
    newestFirst.sort((a, b) => bucketOf(a) - bucketOf(b));
    return newestFirst.map((service) => serviceEntry(service, this.#showsLiveCounters));
  }

  service(key: ServiceKey): ServiceEntry | undefined {
    const service = this.#findService(key);
    return service && serviceEntry(service, this.#showsLiveCounters);
  }

  /** The service of an id, for those who read the data plane's records. */
  serviceById(id: number): ServiceEntry | undefined {
    const service = this.#servicesById.get(id);
    return service && serviceEntry(service, this.#showsLiveCounters);
  }

  destinations(key: ServiceKey): readonly DestinationEntry[] {
    const service = this.#requireService(key);
    return service.destinations.map((destination) => this.#destinationEntry(destination));
  }

  /** Whether there is a service; cheaper than service(), which reads its counters. */
  hasService(key: ServiceKey): boolean {
    return this.#findService(key) !== undefined;
  }

  /** Whether a service has a destination; the same for destinations(). */
  hasDestination(key: ServiceKey, { address, port }: DestinationKey): boolean {
    const service = this.#findService(key);
    return service?.destinationsByName.has(destinationName(address, port)) === true;
  }

  /** Every service with its destinations; cheaper than services() and destinations(). */
  ways(): ServiceWays[] {
    return Array.from(this.#services.values(), serviceWays);
  }

  /** The same of one service, undefined without it. */
  waysOf(key: ServiceKey): ServiceWays | undefined {
    const service = this.#findService(key);
    return service && serviceWays(service);
  }

  /** The addresses of all destinations, each once. */
  destinationAddresses(): Set<string> {
    const addresses = new Set<string>();
    for (const { destinations } of this.#services.values()) {
      for (const { key } of destinations) addresses.add(key.address);
    }
    return addresses;
  }

  /** Connections of a destination that are in the table now, undefined without the destination. */
  connectionCounts(key: ServiceKey, at: DestinationKey): ConnectionCounts | undefined {
    const service = this.#findService(key);
    const destination = service && findDestination(service, at);
    if (destination === undefined) return undefined;
    const { id } = destination;
    return { id, active: this.#states.active(id), inactive: this.#states.inactive(id) };
  }

  /** The destination of an id, listed or in the trash. */
  destinationById(id: number): DestinationEntry | undefined {
    const destination = this.#destinationsById.get(id);
    return destination && this.#destinationEntry(destination);
  }

  connections(): readonly IndexedConnection[] {
    return [...listConnections(this.#memory, this.#timers.now)];
  }

  #destinationEntry(destination: Destination): DestinationEntry {
    const { id, key, options, statistics } = destination;
    return {
      ...options,
      key,
      id,
      activeConnections: this.#states.active(id),
      inactiveConnections: this.#states.inactive(id),
      persistentConnections: this.#states.persistent(id),
      statistics: statistics.read(this.#showsLiveCounters),
    };
  }

  #emit(kind: ControlChange['kind'], service: Service, destination?: Destination): void {
    const { onChange } = this.#options;
    if (onChange === undefined) return;
    if (destination === undefined) onChange({ kind, service: service.key });
    else onChange({ kind, service: service.key, destination: destination.key });
  }

  #emitLocalAddress(
    kind: ControlChange['kind'],
    { key: service }: Service,
    { address: localAddress }: LocalAddress,
  ): void {
    this.#options.onChange?.({ kind, service, localAddress });
  }
}

function toTicks(milliseconds: number): number {
  return Math.floor(milliseconds / TICK_MS);
}

function freePages(): number {
  return Math.floor(freemem() / PAGE_BYTES);
}

function asIpvsError(error: unknown): unknown {
  return error instanceof TableFullError ? new IpvsError('ENOMEM', error.message) : error;
}

function checkEngine(engine: string): void {
  if (engine === '' || engine === ENGINE_SIP) return;
  throw new IpvsError('ENOENT', `no persistence engine ${engine}`);
}

/** Only tunnels lead from one address family to the other. */
function checkFamilies(
  service: Service,
  { family }: DestinationKey,
  options: DestinationOptions,
): void {
  if (family === service.family) return;
  if (options.forwarding === FORWARD_TUNNEL) return;
  throw new IpvsError('EINVAL', 'only a tunnel leads to a destination of the other family');
}

function checkDestinationOptions(options: DestinationOptions): void {
  const { weight, upperThreshold, lowerThreshold } = options;
  if (!isWhole(weight, INT_MAX)) throw new IpvsError('ERANGE', `weight ${weight}`);
  if (!isWhole(upperThreshold, U32_MAX) || !isWhole(lowerThreshold, U32_MAX)) {
    throw new IpvsError('ERANGE', `thresholds ${upperThreshold} and ${lowerThreshold}`);
  }
  if (lowerThreshold > upperThreshold) {
    throw new IpvsError('ERANGE', 'the lower threshold is higher than the upper threshold');
  }
  if (options.tunnelType === TUNNEL_GUE && options.tunnelPort === 0) {
    throw new IpvsError('EINVAL', 'a gue tunnel needs a port');
  }
}

function isSameWay(before: DestinationOptions, after: DestinationOptions): boolean {
  return (
    before.forwarding === after.forwarding &&
    before.tunnelType === after.tunnelType &&
    before.tunnelPort === after.tunnelPort
  );
}

function isWhole(value: number, greatest: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= greatest;
}

/** A service's destination. Most are asked for as they are listed, and nothing has to be parsed. */
function findDestination(service: Service, at: DestinationKey): Destination | undefined {
  const listed = service.destinationsByName.get(destinationName(at.address, at.port));
  if (listed?.key.family === at.family) return listed;
  const { address, port } = resolveDestination(at).key;
  return service.destinationsByName.get(destinationName(address, port));
}

function missingDestination({ address, port }: DestinationKey): never {
  throw new IpvsError('ENOENT', `no destination ${destinationName(address, port)}`);
}

function zeroService(service: Service): void {
  for (const destination of service.destinations) destination.statistics.zero();
  service.statistics.zero();
}

/** Options as they are kept: the mask spelled one way, no bits of ours among the flags. */
function settledOptions(options: ServiceOptions, persistenceMask: string): ServiceOptions {
  const flags = options.flags & ~(SERVICE_HASHED | SERVICE_ENGINE_SIP);
  return { ...options, flags, persistenceMask };
}

/** ip_vs_svc_hashkey(), less the address of the namespace; marks are in a table behind it. */
function bucketOf(service: Service): number {
  if (service.mark !== 0) return SERVICE_BUCKETS + (service.mark % SERVICE_BUCKETS);
  let fold = 0;
  // Only the lowest byte of the address, in host order, is left of the sum.
  for (let index = 3; index < service.address.length; index += 4) fold ^= service.address[index];
  return (service.protocol ^ fold ^ (service.port >>> 8) ^ service.port) & (SERVICE_BUCKETS - 1);
}

function serviceEntry(service: Service, isLive: boolean): ServiceEntry {
  return {
    ...service.options,
    key: service.key,
    id: service.id,
    destinationCount: service.destinations.length,
    statistics: service.statistics.read(isLive),
  };
}

function serviceWays({ key, destinations }: Service): ServiceWays {
  return {
    service: { key },
    destinations: destinations.map((destination) => {
      const { forwarding, tunnelType, tunnelPort } = destination.options;
      return { key: destination.key, forwarding, tunnelType, tunnelPort };
    }),
  };
}

function serviceRow(service: Service): ServiceRow {
  const { id, family, port, mark, address, options } = service;
  return {
    id,
    family,
    protocol: mark === 0 ? service.protocol : 0,
    port,
    mark,
    address,
    scheduler: service.scheduler?.code ?? 0,
    flags: options.flags | (options.engine === ENGINE_SIP ? SERVICE_ENGINE_SIP : 0),
    persistenceTicks: options.persistenceSeconds * TICKS_PER_SECOND,
    persistenceMask: service.mask,
    destinations: scheduledDestinations(service).map((destination) => destination.id),
    schedulerTable: service.schedulerTable,
  };
}

function destinationRow(destination: Destination): DestinationRow {
  const { id, key, address, options, lastWeight } = destination;
  return {
    id,
    family: key.family,
    forwarding: options.forwarding,
    tunnelType: options.tunnelType,
    tunnelFlags: options.tunnelFlags,
    tunnelPort: options.tunnelPort,
    port: key.port,
    weight: options.weight,
    lastWeight,
    upperThreshold: options.upperThreshold,
    lowerThreshold: options.lowerThreshold,
    serviceId: destination.isListed ? destination.service.id : 0,
    protocol: destination.mark === 0 ? destination.protocol : 0,
    virtualPort: destination.virtualPort,
    virtualAddress: destination.virtualAddress,
    address,
  };
}
