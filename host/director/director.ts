// A running director: everything put together in the order in which it is started, and taken apart
// in the reverse one.
//
//   memory -> tables and control core -> control socket -> the kernel's world -> configuration
//   -> steering program attached -> sockets -> workers -> traffic is steered to the sockets: ready

import { Captures } from '../capture/captures.ts';
import { readVersion } from '../cli/version.ts';
import { formatProblem } from '../config/problems.ts';
import { ReloadLoader } from '../config/reload-loader.ts';
import type { Config, ConfigProblem, EndpointConfig } from '../config/types.ts';
import { ConfigWatcher } from '../config/watch.ts';
import type {
  DirectorStatus,
  IpvsadmRequest,
  IpvsadmResult,
  PortStatus,
  ReloadResult,
} from '../control/api.ts';
import { ControlError } from '../control/handlers.ts';
import { createControlServer } from '../control/server.ts';
import { Explainer } from '../explain/explain.ts';
import { VipWays } from '../health/vip-ways.ts';
import { Control, type ControlChange } from '../ipvs/control.ts';
import { type ProcSource, procText } from '../ipvs/proc.ts';
import { TICK_MS } from '../ipvs/timers.ts';
import { ipvsadmWithNames, systemLookups } from '../ipvsadm/names.ts';
import type { Logger } from '../log.ts';
import type { DataPlaneMemory } from '../memory/data-plane-memory.ts';
import { MetricsListener } from '../metrics/listener.ts';
import { schedulerByName } from '../scheduler/registry.ts';
import { PublishedTables } from '../tables/publish.ts';
import type { World, WorldNeighbour } from '../tables/world.ts';
import { createClock, monotonicMs } from '../worker/clock.ts';
import { WorkerPool } from '../worker/pool.ts';
import { compileWasm } from '../worker/wasm.ts';
import { ephemeralPorts } from '../world/kernel-ports.ts';
import { KernelWorld, type KernelWorldOptions } from '../world/kernel-world.ts';
import { NeighbourKeeper } from '../world/neighbour-keeper.ts';
import { ChangeLog, logPortChanges, NeighbourEvents } from './events.ts';
import { Links } from './links.ts';
import { chooseSizes, createMemory } from './memory.ts';
import { nextHopTargets } from './next-hop-targets.ts';
import { countWorkers, dealQueues, type LinkPlan, type Port, resolvePorts } from './ports.ts';
import { checkPrivileges, dropPrivileges } from './privileges.ts';
import { PortProbePaths } from './probe-paths.ts';
import { RunningConfig } from './reload.ts';
import { StartError, sentenceOf } from './start-error.ts';
import { nonZeroCounters, RateMeter, workerPackets } from './status.ts';
import { serviceStatuses } from './status-services.ts';
import { PortSteering } from './steering.ts';
import { SteeringOrder } from './steering-order.ts';
import { type SteeringSurroundings, steeringTables } from './steering-tables.ts';
import { kernelWarnings } from './warnings.ts';

/** The control core's timers are asked this often: estimator, defence, trash. */
const CONTROL_TICK_MS = 100;
/** Neighbours that workers want are looked for this often. */
const WANTED_CHECK_MS = 20;
const CONFIRM_CHECK_MS = 1000;
const MEASURE_MS = 2000;
/** What drains is looked at this often. */
const DRAIN_TICK_MS = 250;

/** A director that runs. */
export class Director {
  readonly #log: Logger;
  readonly #startedAt = performance.now();
  readonly #epoch = monotonicMs();
  readonly #clock = createClock(this.#epoch);
  readonly #rates = new RateMeter(performance.now());
  /** What stop() undoes, the last first. */
  readonly #closers: (() => void | Promise<void>)[] = [];
  readonly #ports: readonly Port[];
  readonly #plans: readonly (readonly LinkPlan[])[];
  readonly #memory: DataPlaneMemory;
  readonly #control: Control;
  readonly #running: RunningConfig;
  readonly #keeper: NeighbourKeeper;
  readonly #neighbourEvents: NeighbourEvents;
  readonly #changeLog: ChangeLog;
  readonly #loader: ReloadLoader;
  readonly #explainer: Explainer;
  readonly #captures: Captures;
  readonly #metrics: MetricsListener;
  #world: KernelWorld | undefined;
  #steering: PortSteering | undefined;
  readonly #steeringOrder = new SteeringOrder({
    waysOf: (key) => this.#control.waysOf(key),
    surroundings: () => this.#steeringSurroundings(),
    publish: (changes) => this.#steering?.publish(changes) === true,
  });
  #links: Links | undefined;
  #pool: WorkerPool | undefined;
  #watcher: ConfigWatcher | undefined;
  #watchedFile: string | undefined;
  /** Warnings that have been logged and still hold. */
  #warned: ReadonlySet<string> = new Set();
  #steeringIsStale = false;
  #isReady = false;
  #stopping: Promise<void> | undefined;

  private constructor(config: Config, log: Logger, loader: ReloadLoader) {
    this.#log = log;
    this.#loader = loader;
    this.#closers.push(() => loader.close());
    checkPrivileges();
    this.#ports = resolvePorts(config.director);
    const workers = countWorkers(config.director, this.#ports);
    this.#plans = dealQueues(this.#ports, workers);
    const links = Math.max(...this.#plans.map(({ length }) => length));
    const { memory, file } = createMemory(chooseSizes(config, { workers, links }), log);
    this.#closers.push(() => file.close());
    this.#memory = memory;
    const tables = new PublishedTables(memory, { wakeWorkers: () => this.#pool?.wake() });
    this.#control = new Control({
      tables,
      schedulerByName,
      startMs: this.#clock(),
      onChange: (change) => this.#onControlChange(change),
      onSteeringInput: () => this.#steeringChanged(),
      onPublish: () => this.#steerNewServers(),
    });
    const probePaths = new PortProbePaths(this.#ports);
    this.#closers.push(() => probePaths.close());
    const vipWays = new VipWays(probePaths);
    this.#closers.push(() => vipWays.close());
    this.#running = new RunningConfig(config, {
      context: { control: this.#control, ephemeralPorts: ephemeralPorts() },
      log,
      load: (file) => this.#loader.load(file),
      warnings: (next) => this.#warnings(next),
      health: { vipWays },
    });
    this.#changeLog = new ChangeLog(log);
    this.#neighbourEvents = new NeighbourEvents(log);
    this.#explainer = new Explainer({
      memory,
      control: this.#control,
      now: () => Math.floor(this.#clock() / TICK_MS),
      steering: () =>
        steeringTables({ services: this.#control.ways(), ...this.#steeringSurroundings() }),
    });
    this.#metrics = new MetricsListener({
      memory,
      log,
      isReady: () => this.#isReady,
      status: () => this.status(),
      workers: () => this.#pool?.reports() ?? [],
      steering: () => this.#steering?.counters() ?? {},
    });
    this.#captures = new Captures({
      memory,
      control: this.#control,
      names: () => new Map(this.#running.config.services.map(({ key, name }) => [key, name])),
      ports: this.#ports.map((port) => port.config.name),
      startedAt: Date.now() - this.#clock(),
    });
    this.#keeper = new NeighbourKeeper({
      nextHops: tables.nextHops,
      use: (port, address) => this.#world?.useNeighbour(port, address),
      mtu: (port) => tables.world.ports[port]?.mtu ?? 0,
      onFull: (error) => log.error({ event: 'neighbours-full', reason: error.message }),
    });
  }

  /**
   * Starts a director and resolves when packets flow.
   * @param loader remembers the configuration it has loaded; ends with the director
   * @throws StartError and others; nothing stays attached then
   */
  static async start(
    config: Config,
    log: Logger,
    loader: ReloadLoader = new ReloadLoader(),
  ): Promise<Director> {
    const director = new Director(config, log, loader);
    try {
      await director.#start(config);
      return director;
    } catch (error) {
      await director.stop();
      throw error;
    }
  }

  async #start(config: Config): Promise<void> {
    await this.#openControlSocket(config.director.control);
    await this.#openMetrics(config.director.metrics);
    await this.#openWorld();
    this.#applyConfig();
    const steering = new PortSteering(config, this.#log);
    this.#closers.push(() => steering.close());
    this.#steering = steering;
    this.#steeringOrder.after();
    for (const port of this.#ports) steering.attach(port);
    await this.#world!.setPorts(this.#portInterfaces());
    const links = Links.open(this.#memory, this.#plans);
    this.#closers.push(() => links.close());
    this.#links = links;
    this.#warnAboutQueues();
    await this.#startWorkers(config, links);
    steering.setSockets(links.all);
    dropPrivileges(this.#log);
    this.#startTimers();
    this.#isReady = true;
    this.#logReady(config);
    this.#logWarnings(this.#warnings(config));
    this.#running.health.start();
    this.#closers.push(() => this.#running.health.stop());
    this.#closers.push(() => this.#watcher?.close());
    await this.#watchFile();
  }

  /** First of all, for it also makes sure that no other director uses the same one. */
  async #openControlSocket(path: string): Promise<void> {
    const handle = <Result>(act: () => Result): Result => {
      if (this.#isReady) return act();
      throw new ControlError('not-ready', 'the director is starting');
    };
    const server = await createControlServer({
      path,
      handlers: {
        status: () => handle(() => this.status()),
        ipvsadm: (request) => handle(() => this.ipvsadm(request)),
        reload: ({ config }) => handle(() => this.reload(config)),
        plan: ({ config }) => handle(() => this.#running.plan(config)),
        explain: (request) => handle(() => this.#explainer.explain(request)),
        proc: ({ file }) => handle(() => ({ text: procText(this.#procSource, file) })),
        capture: (request) => handle(() => this.#captures.handle(request)),
      },
      onError: (error, route) => {
        this.#log.error({ event: 'control-request-failed', route, reason: sentenceOf(error) });
      },
    });
    this.#closers.push(() => server.close());
  }

  /** Open before packets flow: who waits for the director asks there. */
  async #openMetrics(endpoint: EndpointConfig | undefined): Promise<void> {
    this.#closers.push(() => this.#metrics.close());
    try {
      await this.#metrics.listen(endpoint);
    } catch (error) {
      throw new StartError(`director.metrics: ${sentenceOf(error)}`, { cause: error });
    }
  }

  async #openWorld(): Promise<void> {
    this.#world = await openKernelWorld({
      ports: this.#portInterfaces(),
      onWorld: (next) => this.#onWorld(next),
      onNeighbour: (neighbour) => {
        this.#onNeighbour(neighbour);
      },
      onError: (error) => this.#log.warn({ event: 'rtnetlink-failed', reason: sentenceOf(error) }),
    });
    this.#closers.push(() => this.#world?.close());
  }

  /** A virtual interface's peer leaves checksums to it, and so may whoever is behind generic XDP. */
  #portInterfaces() {
    return this.#ports.map(({ config, info }) => ({
      name: config.name,
      ifindex: info.index,
      partialChecksums: info.kind !== null || this.#steering?.mode(info.index) === 'generic',
    }));
  }

  #applyConfig(): void {
    try {
      this.#running.applyAll();
    } catch (error) {
      throw new StartError(`the configuration cannot be applied: ${sentenceOf(error)}`, {
        cause: error,
      });
    }
  }

  async #startWorkers(config: Config, links: Links): Promise<void> {
    const build = process.env.WVS_WASM === 'debug' ? 'debug' : 'release';
    const pool = await WorkerPool.start({
      memory: this.#memory,
      module: await compileWasm(build),
      epoch: this.#epoch,
      links: links.descriptors(),
      busyPoll: config.director.busyPoll,
      isZeroCopy: links.isZeroCopy,
      log: this.#log,
    });
    this.#closers.push(() => pool.stop());
    this.#pool = pool;
  }

  #startTimers(): void {
    const every = (milliseconds: number, act: () => void) => {
      const timer = setInterval(act, milliseconds);
      this.#closers.push(() => clearInterval(timer));
    };
    every(CONTROL_TICK_MS, () => this.#guard(() => this.#control.tick(this.#clock())));
    every(WANTED_CHECK_MS, () => this.#keeper.drainWanted());
    every(CONFIRM_CHECK_MS, () => this.#keeper.confirm());
    every(DRAIN_TICK_MS, () => this.#guard(() => this.#running.tick()));
    every(MEASURE_MS, () => void this.#measure());
    void this.#measure();
    this.#updateTargets();
  }

  /** A worker that does not adopt tables in time is restarted by the pool; until then we go on. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#log.error({ event: 'publish-failed', reason: sentenceOf(error) });
    }
  }

  #onControlChange(change: ControlChange): void {
    this.#running.noteChange(change);
    const { origin } = this.#running;
    if (origin !== 'start') this.#changeLog.add(change, origin);
    if (!changesSteering(change)) return;
    this.#steeringOrder.note(change.service);
    this.#steeringChanged();
  }

  #steeringChanged(): void {
    if (this.#steeringIsStale) return;
    this.#steeringIsStale = true;
    // One publication for all changes of a batch, and after the workers have got them.
    setImmediate(() => this.#bringSteeringUpToDate());
  }

  #bringSteeringUpToDate(): void {
    if (!this.#steeringIsStale) return;
    this.#steeringIsStale = false;
    this.#steeringOrder.after();
    this.#updateTargets();
  }

  #onWorld(world: World): void {
    const before = this.#control.tables.world;
    const adopt = () => this.#control.setWorld(world);
    // What does not fit at the start is no start; later the world before it stays.
    if (this.#isReady) this.#guard(adopt);
    else adopt();
    for (const port of logPortChanges(this.#log, before, world)) this.#steering?.refresh(port);
    this.#steeringOrder.after();
    this.#updateTargets();
  }

  #onNeighbour(neighbour: WorldNeighbour): void {
    const { port, address } = neighbour;
    this.#keeper.onNeighbour(neighbour);
    // Packets may wait for this one, and their worker asleep.
    if (neighbour.state === 'reachable') this.#pool?.wake();
    const isTarget = this.#keeper.isTarget(port, address);
    this.#neighbourEvents.onNeighbour(neighbour, this.#ports[port].config.name, isTarget);
  }

  /** The workers are about to get new tables. */
  #steerNewServers(): void {
    if (this.#steeringIsStale) this.#steeringOrder.before();
  }

  #steeringSurroundings(): SteeringSurroundings {
    const { marks, pool, world } = this.#control.tables;
    return { marks, pool, addresses: world.addresses };
  }

  get #procSource(): ProcSource {
    const control = this.#control;
    return { control, workerCounts: () => control.workerCounts() };
  }

  #updateTargets(): void {
    if (this.#world === undefined) return;
    const control = this.#control;
    const servers = control.destinationAddresses();
    this.#keeper.setTargets(nextHopTargets(this.#memory, control.tables.world, servers));
  }

  async #measure(): Promise<void> {
    if (this.#world === undefined || this.#pool === undefined) return;
    try {
      const counts = await this.#world.linkCounts();
      this.#rates.measure(performance.now(), counts, this.#pool.reports());
    } catch (error) {
      this.#log.debug({ event: 'ports-not-measured', reason: sentenceOf(error) });
    }
  }

  /** Whether any worker still works; the pool starts those again that do not. */
  isAlive(): boolean {
    return this.#pool?.reports().some(({ state }) => state !== 'failed') ?? false;
  }

  /** What `wvs status` shows. */
  async status(): Promise<DirectorStatus> {
    const { config, loadedAt } = this.#running;
    return {
      version: readVersion(),
      pid: process.pid,
      uptime: Math.floor((performance.now() - this.#startedAt) / 1000),
      config: {
        file: config.file,
        loadedAt: loadedAt.toISOString(),
        generation: this.#memory.generation(),
      },
      connections: {
        used: this.#memory.connectionCount(),
        capacity: this.#memory.map.sizes.connections,
      },
      workers: (this.#pool?.reports() ?? []).map((report) => ({
        ...this.#rates.worker(report),
        ...workerPackets(this.#memory, report.id),
      })),
      ports: await this.#portStatuses(),
      services: this.#control.live(() => serviceStatuses(this.#control, this.#running)),
      counters: nonZeroCounters(this.#memory, this.#steering?.counters() ?? {}),
    };
  }

  async #portStatuses(): Promise<PortStatus[]> {
    const counts = (await this.#world?.linkCounts()) ?? [];
    return this.#ports.map(({ index, config, info, queues }) => {
      const isUp = this.#control.tables.world.ports[index]?.up === true;
      const link = this.#links?.all.find(({ port }) => port.index === index);
      const copying = link?.socket.zeroCopy === true ? 'zero-copy' : 'copy';
      return {
        name: config.name,
        interface: info.name,
        link: isUp ? 'up' : 'down',
        mode: `${this.#steering?.mode(info.index) ?? 'detached'}, ${copying}`,
        queues,
        ...this.#rates.port(index, counts[index]),
      };
    });
  }

  /** Runs one command line of ipvsadm. */
  async ipvsadm(request: IpvsadmRequest): Promise<IpvsadmResult> {
    const run = await this.#inForce(() =>
      ipvsadmWithNames(request.arguments, this.#control, request.stdin ?? '', systemLookups()),
    );
    const { code, stdout, stderr } = run;
    return { code, stdout, stderr };
  }

  /** Takes a configuration over, all of it or nothing. */
  async reload(file?: string): Promise<ReloadResult> {
    const reloaded = this.#inForce(() => this.#running.reload(file));
    const result = await this.#metrics.countReload(reloaded);
    await this.#metrics.follow(this.#running.config.director.metrics);
    await this.#watchFile();
    this.#logWarnings(result.warnings);
    const changes = result.changes.length;
    const milliseconds = Math.round(this.#running.takeOverMs);
    this.#log.info(
      { event: 'reloaded', file: result.file, changes, milliseconds },
      `configuration ${result.file} taken over, ${changes} changes`,
    );
    return result;
  }

  /** Takes the running file over as it is now; what is wrong with it goes into the log. */
  async reloadAndLog(): Promise<void> {
    try {
      await this.reload();
    } catch (error) {
      this.#log.error(
        { event: 'reload-refused', reason: sentenceOf(error) },
        `the configuration was not taken over: ${sentenceOf(error)}`,
      );
      if (!(error instanceof ControlError)) return;
      for (const problem of error.problems) {
        this.#log.error({ event: 'config-problem', ...problem }, formatProblem(problem));
      }
    }
  }

  /** Watches the running file, whichever that is now. */
  async #watchFile(): Promise<void> {
    const { file, director } = this.#running.config;
    const wanted = director.watch ? file : undefined;
    if (wanted === this.#watchedFile) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watchedFile = wanted;
    if (wanted === undefined) return;
    const watcher = await ConfigWatcher.start({
      file: wanted,
      onChange: () => void this.reloadAndLog(),
      onError: (error) => this.#log.warn({ event: 'watch-failed', reason: sentenceOf(error) }),
    });
    if (this.#isReady && this.#watchedFile === wanted) this.#watcher = watcher;
    else watcher.close();
  }

  /** What is odd about a configuration on this machine as it is now. */
  #warnings(config: Config): ConfigProblem[] {
    return kernelWarnings(config, {
      world: this.#control.tables.world,
      memory: this.#memory,
      interfaces: this.#ports.map(({ info }) => info.name),
    });
  }

  #logWarnings(warnings: readonly ConfigProblem[]): void {
    const texts = new Set(warnings.map(({ message }) => message));
    for (const warning of warnings) {
      if (this.#warned.has(warning.message)) continue;
      this.#log.warn({ event: 'config-warning', ...warning }, formatProblem(warning));
    }
    this.#warned = texts;
  }

  /** Whoever asked for the change gets the answer when it is in force everywhere. */
  async #inForce<Result>(act: () => Promise<Result>): Promise<Result> {
    try {
      return await act();
    } finally {
      this.#bringSteeringUpToDate();
    }
  }

  #warnAboutQueues(): void {
    for (const { config, info, queues } of this.#ports) {
      const available = Math.min(info.rxQueues, info.txQueues);
      if (queues === available) continue;
      this.#log.warn(
        { event: 'queues-unused', port: config.name, queues, available },
        `port ${config.name} uses ${queues} of ${available} queues: packets on the others pass ` +
          `to the kernel; run ethtool -L ${info.name} combined ${queues}`,
      );
    }
  }

  #logReady(config: Config): void {
    const servers = config.services.reduce((sum, service) => sum + service.servers.length, 0);
    this.#log.info(
      {
        event: 'ready',
        workers: this.#plans.length,
        ports: this.#ports.map(({ config: { name } }) => name),
        services: config.services.length,
        servers,
        connections: config.director.connections,
        control: config.director.control,
      },
      'ready',
    );
  }

  /** Takes everything down; packets of the services are the kernel's again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#takeDown();
    return this.#stopping;
  }

  async #takeDown(): Promise<void> {
    this.#isReady = false;
    this.#captures.close();
    // Detached first: what comes while the rest closes must not go into rings nobody reads.
    this.#steering?.close();
    for (const close of this.#closers.reverse()) {
      try {
        await close();
      } catch (error) {
        this.#log.error({ event: 'stop-failed', reason: sentenceOf(error) });
      }
    }
  }
}

/** Whether other packets than before are the data plane's after a change. */
function changesSteering({ kind, isRerouted }: ControlChange): boolean {
  switch (kind) {
    case 'destination-forgotten':
    case 'destination-draining':
    case 'service-edited':
      return false;
    case 'destination-edited':
      return isRerouted === true;
    default:
      return true;
  }
}

/** @throws StartError */
async function openKernelWorld(options: KernelWorldOptions): Promise<KernelWorld> {
  try {
    return await KernelWorld.open(options);
  } catch (error) {
    throw new StartError(`the kernel's addresses and routes: ${sentenceOf(error)}`, {
      cause: error,
    });
  }
}
