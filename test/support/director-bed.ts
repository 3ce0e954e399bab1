/**
 * A whole director in a few lines: the control core, the data plane's real module and memory ports
 * under a clock that the test moves.
 *
 *     const bed = createBed({ services: [{ at: 'tcp 192.0.2.80:80', servers: [
 *       { at: '10.0.0.11:8080', method: 'nat' } ] }] });
 *     const { verdict, out } = bed.send('client', frame);
 *
 * The world is two-armed unless the test gives another: port 0 "client" with 198.51.100.0/24 and
 * 2001:db8:ffff::/64, port 1 "server" with 10.0.0.0/24 and 2001:db8:10::/64; all neighbours that
 * NEIGHBOURS names are known. checkBed() proves what must hold between two turns.
 */

import { readFileSync } from 'node:fs';
import * as codes from '../../assembly/shared/codes.ts';
import * as counters from '../../assembly/shared/counters.ts';
import {
  PACKET_REASON,
  PACKET_SIZE,
  PACKET_VERDICT,
  STATS_CONNECTIONS,
  STATS_IN_BYTES,
  STATS_IN_PACKETS,
  STATS_OUT_BYTES,
  STATS_OUT_PACKETS,
  WORKER_EXCEPTION_LINK,
  WORKER_PACKETS,
} from '../../assembly/shared/layout.ts';
import { Control, type ControlChange } from '../../host/ipvs/control.ts';
import type { DestinationOptions, ServiceKey, Timeouts } from '../../host/ipvs/types.ts';
import { DataPlaneMemory, NO_LINK } from '../../host/memory/data-plane-memory.ts';
import type { MemorySizes } from '../../host/memory/memory-map.ts';
import { type ChoiceHook, WasmWorker } from '../../host/replay/wasm-worker.ts';
import { schedulerByName } from '../../host/scheduler/registry.ts';
import { PublishedTables } from '../../host/tables/publish.ts';
import type {
  LocalPool,
  MarkRule,
  World,
  WorldNeighbour,
  WorldPort,
} from '../../host/tables/world.ts';
import { macBytes } from './packet-builder.ts';
import { freshBuild } from './wasm.ts';

/** The builds that every test of the pipeline runs on. */
export const BUILDS = ['debug', 'release'] as const;
export type Build = (typeof BUILDS)[number];

export type Method = 'nat' | 'direct-route' | 'tunnel' | 'full-nat';

const METHODS: Readonly<Record<Method, number>> = {
  nat: codes.FORWARD_NAT,
  'direct-route': codes.FORWARD_DIRECT_ROUTE,
  tunnel: codes.FORWARD_TUNNEL,
  'full-nat': codes.FORWARD_FULL_NAT,
};

const TUNNELS = { ipip: codes.TUNNEL_IPIP, gue: codes.TUNNEL_GUE, gre: codes.TUNNEL_GRE } as const;

/** A real server; `at` is "10.0.0.11:80" or "[2001:db8:10::11]:80". */
export interface BedServer {
  readonly at: string;
  readonly method: Method;
  readonly weight?: number;
  readonly upperThreshold?: number;
  readonly lowerThreshold?: number;
  readonly tunnel?: keyof typeof TUNNELS;
  /** TUNNEL_CHECKSUM and the like. */
  readonly tunnelFlags?: number;
}

/** A virtual service; `at` is "tcp 192.0.2.80:80", "mark 7" or "mark6 7". */
export interface BedService {
  readonly at: string;
  readonly scheduler?: string;
  /** SERVICE_* */
  readonly flags?: number;
  readonly persistenceSeconds?: number;
  readonly persistenceMask?: string;
  readonly engine?: 'sip';
  readonly servers: readonly BedServer[];
}

/** What a bed is made of. */
export interface BedOptions {
  readonly build?: Build;
  readonly services?: readonly BedService[];
  readonly world?: World;
  readonly neighbours?: readonly WorldNeighbour[];
  readonly pool?: LocalPool;
  readonly marks?: readonly MarkRule[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly timeouts?: Timeouts;
  readonly workers?: number;
  readonly sizes?: Partial<MemorySizes>;
  /** Whether there is a stack behind the director (as in replay) to which it can leave packets. */
  readonly hasHost?: boolean;
  readonly startTick?: number;
  readonly hashSeed?: number;
  readonly onChange?: (change: ControlChange) => void;
  /** Stands around every scheduler's choice, in the middle of a worker's turn. */
  readonly chooseBy?: ChoiceHook;
}

/** A frame that left: by a port's name, or "host" for the director's own stack. */
export interface SentFrame {
  readonly port: string;
  readonly frame: Uint8Array;
}

export type Verdict = 'drop' | 'transmit' | 'pass' | 'hold';
const VERDICTS: readonly Verdict[] = ['drop', 'transmit', 'pass', 'hold'];

/** What became of one frame. */
export interface Outcome {
  readonly verdict: Verdict;
  /** Name of the drop reason in assembly/shared/counters.ts, undefined when it was not dropped. */
  readonly reason: string | undefined;
  readonly out: readonly SentFrame[];
  /** The counters of counters.ts that changed, by name, and by how much; RECEIVED is left out. */
  readonly counters: Readonly<Record<string, number>>;
}

export const CLIENT_PORT_MAC = '02:00:00:00:0c:01';
export const SERVER_PORT_MAC = '02:00:00:00:05:01';
/** MAC addresses of the neighbours in both families; addresses ending in the same number share one. */
export const NEIGHBOUR_MACS: Readonly<Record<string, string>> = {
  '198.51.100.1': '02:00:00:00:0c:02',
  '2001:db8:ffff::1': '02:00:00:00:0c:02',
  '198.51.100.2': '02:00:00:00:0c:03',
  '2001:db8:ffff::2': '02:00:00:00:0c:03',
  '10.0.0.11': '02:00:00:00:05:11',
  '2001:db8:10::11': '02:00:00:00:05:11',
  '10.0.0.12': '02:00:00:00:05:12',
  '2001:db8:10::12': '02:00:00:00:05:12',
};

/** Ports of the default world; a test may change single fields. */
export function twoArmedPorts(change: Partial<WorldPort> = {}): WorldPort[] {
  return [
    {
      index: 0,
      name: 'client',
      ifindex: 2,
      mac: macBytes(CLIENT_PORT_MAC),
      mtu: 1500,
      up: true,
      ipv4: '198.51.100.254',
      ipv6: '2001:db8:ffff::fe',
      ...change,
    },
    {
      index: 1,
      name: 'server',
      ifindex: 3,
      mac: macBytes(SERVER_PORT_MAC),
      mtu: 1500,
      up: true,
      ipv4: '10.0.0.254',
      ipv6: '2001:db8:10::fe',
      ...change,
    },
  ];
}

/** The default world: see this file's head. */
export function twoArmedWorld(change: Partial<WorldPort> = {}): World {
  return {
    ports: twoArmedPorts(change),
    addresses: [
      { family: 4, address: '198.51.100.254', port: 0, prefixLength: 24 },
      { family: 6, address: '2001:db8:ffff::fe', port: 0, prefixLength: 64 },
      { family: 4, address: '10.0.0.254', port: 1, prefixLength: 24 },
      { family: 6, address: '2001:db8:10::fe', port: 1, prefixLength: 64 },
    ],
    routes: [
      { family: 4, prefix: '198.51.100.0', prefixLength: 24, port: 0, kind: 'on-link' },
      { family: 6, prefix: '2001:db8:ffff::', prefixLength: 64, port: 0, kind: 'on-link' },
      { family: 4, prefix: '10.0.0.0', prefixLength: 24, port: 1, kind: 'on-link' },
      { family: 6, prefix: '2001:db8:10::', prefixLength: 64, port: 1, kind: 'on-link' },
    ],
  };
}

/** The same networks, all of them behind port 0. */
export function oneArmedWorld(): World {
  const world = twoArmedWorld();
  return {
    ports: world.ports.slice(0, 1),
    addresses: world.addresses.map((address) => ({ ...address, port: 0 })),
    routes: world.routes.map((route) => ({ ...route, port: 0 })),
  };
}

/** The known neighbours of a world, each on the port whose route leads there. */
export function knownNeighbours(world: World): WorldNeighbour[] {
  return Object.entries(NEIGHBOUR_MACS).map(([address, mac]) => {
    const family = address.includes(':') ? 6 : 4;
    const isClient = address.startsWith('198.') || address.startsWith('2001:db8:ffff');
    const index = isClient ? 0 : world.ports.length - 1;
    return { family, address, mac: macBytes(mac), port: index, state: 'reachable' };
  });
}

const SIZES: Partial<MemorySizes> = {
  connections: 1024,
  services: 32,
  destinations: 128,
  framesPerWorker: 512,
  ringEntries: 64,
  schedulerTableBytes: 64 * 1024,
};
const START_TICK = 1000;
const TICK_MS = 10;

const modules = new Map<Build, WebAssembly.Module>();

function moduleOf(build: Build): WebAssembly.Module {
  const known = modules.get(build);
  if (known !== undefined) return known;
  const compiled = new WebAssembly.Module(readFileSync(freshBuild(build)));
  modules.set(build, compiled);
  return compiled;
}

/** Memories of beds that were closed, zeroed when they are used again. */
const memories = new Map<string, DataPlaneMemory[]>();

function takeMemory(sizes: Partial<MemorySizes>, hashSeed: number): DataPlaneMemory {
  const options = { hashSeed, randomSeed: 0x5eed };
  const free = memories.get(JSON.stringify(sizes))?.pop();
  if (free === undefined) return DataPlaneMemory.create(sizes, options);
  free.u8.fill(0);
  free.initialise(options);
  return free;
}

/** Splits "10.0.0.1:80" or "[::1]:80". */
export function splitEndpoint(text: string): { family: 4 | 6; address: string; port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  if (found === null) throw new Error(`no endpoint: ${text}`);
  const [, address6, address4 = '', port] = found;
  if (address6 !== undefined) return { family: 6, address: address6, port: Number(port) };
  return { family: 4, address: address4, port: Number(port) };
}

/** Reads a service's `at`. */
export function serviceKey(at: string): ServiceKey {
  const [kind = '', where = ''] = at.split(' ');
  if (kind === 'mark') return { family: 4, mark: Number(where) };
  if (kind === 'mark6') return { family: 6, mark: Number(where) };
  if (kind !== 'tcp' && kind !== 'udp' && kind !== 'sctp') throw new Error(`no protocol: ${at}`);
  return { protocol: kind, ...splitEndpoint(where) };
}

/** The options that a server stands for. */
export function destinationOptions(server: BedServer): DestinationOptions {
  return {
    forwarding: METHODS[server.method],
    weight: server.weight ?? 1,
    upperThreshold: server.upperThreshold ?? 0,
    lowerThreshold: server.lowerThreshold ?? 0,
    tunnelType: TUNNELS[server.tunnel ?? 'ipip'],
    tunnelPort: server.tunnel === 'gue' ? 6080 : 0,
    tunnelFlags: server.tunnelFlags ?? 0,
  };
}

/** Name of a counter without its prefix, by index. */
const COUNTER_NAMES: readonly string[] = counterNames();

function counterNames(): string[] {
  const names: string[] = [];
  for (const [name, index] of Object.entries(counters)) {
    if (name === 'DROP_FIRST' || name === 'COUNTERS_END') continue;
    names[index] = name.replace(/^COUNTER_/, '');
  }
  return names;
}

export function createBed(options: BedOptions = {}): DirectorBed {
  return new DirectorBed(options);
}

/** A director, and what the test does to it. */
export class DirectorBed {
  readonly memory: DataPlaneMemory;
  readonly tables: PublishedTables;
  readonly control: Control;
  readonly workers: readonly WasmWorker[];
  readonly world: World;
  readonly #sizes: Partial<MemorySizes>;
  #tick: number;

  constructor(options: BedOptions) {
    const { build = 'debug', workers = 1, hasHost = true, startTick = START_TICK } = options;
    this.world = options.world ?? twoArmedWorld();
    const ports = this.world.ports.length;
    this.#sizes = { ...SIZES, workers, links: ports + 1, ...options.sizes };
    this.#tick = startTick;
    this.memory = takeMemory(this.#sizes, options.hashSeed ?? 0x5eed);
    const { memory } = this;
    const adopt = () => {
      for (const worker of this.workers ?? []) worker.idle(this.#tick, this.milliseconds);
    };
    this.tables = new PublishedTables(memory, { wakeWorkers: adopt });
    const module = moduleOf(build);
    this.workers = Array.from({ length: workers }, (_, worker) => {
      const hook = options.chooseBy ? { chooseBy: options.chooseBy } : {};
      return new WasmWorker({ memory, module, worker, ports, tick: startTick, ...hook });
    });
    if (!hasHost) {
      for (const { block } of this.workers) {
        memory.u32[(block + WORKER_EXCEPTION_LINK) >>> 2] = NO_LINK;
      }
    }
    this.control = new Control({
      tables: this.tables,
      schedulerByName,
      startMs: startTick * TICK_MS,
      availablePages: () => Number.MAX_SAFE_INTEGER,
      ...(options.onChange ? { onChange: options.onChange } : {}),
    });
    this.#configure(options);
  }

  #configure(options: BedOptions): void {
    const { control } = this;
    control.batch(() => {
      control.setWorld(this.world);
      if (options.pool) control.setLocalPool(options.pool);
      if (options.marks) control.setMarks(options.marks);
      if (options.timeouts) control.setTimeouts(options.timeouts);
      for (const [name, value] of Object.entries(options.sysctls ?? {})) {
        control.setSysctl(name, value);
      }
      for (const service of options.services ?? []) this.addService(service);
    });
    const neighbours = options.neighbours ?? knownNeighbours(this.world);
    for (const neighbour of neighbours) this.tables.nextHops.set(neighbour);
  }

  /** Gives the memory back: another bed may use it. */
  close(): void {
    const key = JSON.stringify(this.#sizes);
    memories.set(key, [...(memories.get(key) ?? []), this.memory]);
  }

  get tick(): number {
    return this.#tick;
  }

  get milliseconds(): number {
    return (this.#tick * TICK_MS) >>> 0;
  }

  addService(service: BedService): void {
    const key = serviceKey(service.at);
    const persistenceSeconds = service.persistenceSeconds ?? 0;
    const persistent = persistenceSeconds > 0 ? codes.SERVICE_PERSISTENT : 0;
    this.control.addService(key, {
      scheduler: service.scheduler ?? 'rr',
      flags: (service.flags ?? 0) | persistent,
      persistenceSeconds,
      persistenceMask: service.persistenceMask ?? (key.family === 4 ? '255.255.255.255' : '128'),
      engine: service.engine ?? '',
    });
    for (const server of service.servers) this.addServer(service.at, server);
  }

  addServer(service: string, server: BedServer): void {
    const at = splitEndpoint(server.at);
    this.control.addDestination(serviceKey(service), at, destinationOptions(server));
  }

  editServer(service: string, server: BedServer): void {
    const at = splitEndpoint(server.at);
    this.control.editDestination(serviceKey(service), at, destinationOptions(server));
  }

  deleteServer(service: string, at: string): void {
    this.control.deleteDestination(serviceKey(service), splitEndpoint(at));
  }

  /**
   * Moves the clock, in one jump or in steps of so many ticks. The control core's own timers run at
   * the end of each step.
   */
  advance(ticks: number, step = ticks): void {
    const end = this.#tick + ticks;
    while (this.#tick < end) {
      this.#tick = Math.min(this.#tick + step, end);
      for (const worker of this.workers) worker.idle(this.#tick, this.milliseconds);
      this.control.tick(this.#tick * TICK_MS);
    }
  }

  /** Puts a frame into a port's rings without a turn. @returns false: no free chunk */
  put(port: string, frame: Uint8Array, worker = 0): boolean {
    const number = this.world.ports.findIndex(({ name }) => name === port);
    return this.workers[worker].ports[number].receive(frame);
  }

  /** Turns of one worker until it has received all. */
  turn(worker = 0): void {
    this.workers[worker].work(this.#tick, this.milliseconds);
  }

  /** Takes what left since it was last asked, the ports' frames first. */
  take(): SentFrame[] {
    const sent: SentFrame[] = [];
    for (const worker of this.workers) {
      for (const [number, port] of worker.ports.entries()) {
        const { name } = this.world.ports[number];
        for (const { frame } of port.transmit()) sent.push({ port: name, frame });
      }
      for (const { frame } of worker.takePassed()) sent.push({ port: 'host', frame });
    }
    return sent;
  }

  /** Receives one frame and tells what became of it. */
  send(port: string, frame: Uint8Array, worker = 0): Outcome {
    const before = this.counters();
    const packet = this.workers[worker].block + WORKER_PACKETS;
    this.memory.u8.fill(0, packet, packet + PACKET_SIZE);
    if (!this.put(port, frame, worker)) throw new Error(`port ${port} has no free frame`);
    this.turn(worker);
    const { u8 } = this.memory;
    const verdict = VERDICTS[u8[packet + PACKET_VERDICT]] ?? 'drop';
    const reason = u8[packet + PACKET_REASON];
    return {
      verdict,
      reason: verdict === 'drop' ? COUNTER_NAMES[reason] : undefined,
      out: this.take(),
      counters: this.changes(before),
    };
  }

  /** All counters of all workers, by name. */
  counters(): Map<string, number> {
    const values = new Map<string, number>();
    for (const [index, name] of COUNTER_NAMES.entries()) {
      if (name === undefined) continue;
      let sum = 0n;
      for (let worker = 0; worker < this.workers.length; worker++) {
        sum += this.memory.u64[(this.memory.counters(worker) >>> 3) + index];
      }
      values.set(name, Number(sum));
    }
    return values;
  }

  /** What changed since `before`; RECEIVED and CONNECTIONS_CREATED are not worth a mention. */
  changes(before: ReadonlyMap<string, number>): Record<string, number> {
    const changes: Record<string, number> = {};
    for (const [name, value] of this.counters()) {
      const change = value - (before.get(name) ?? 0);
      if (change === 0 || name === 'RECEIVED' || name === 'CONNECTIONS_CREATED') continue;
      changes[name] = change;
    }
    return changes;
  }

  /** One counter, all workers together. */
  counter(name: string): number {
    const value = this.counters().get(name);
    if (value === undefined) throw new Error(`no counter ${name}`);
    return value;
  }

  /** connections, packets and bytes in and out: of the total, a service's or a destination's record. */
  statistics(place: (worker: number) => number): readonly number[] {
    const fields = [
      STATS_CONNECTIONS,
      STATS_IN_PACKETS,
      STATS_OUT_PACKETS,
      STATS_IN_BYTES,
      STATS_OUT_BYTES,
    ];
    return fields.map((field) => {
      let sum = 0n;
      for (let worker = 0; worker < this.workers.length; worker++) {
        sum += this.memory.u64[(place(worker) + field) >>> 3];
      }
      return Number(sum);
    });
  }
}
