// A director in memory: linear memory, published tables, one service with its servers, connections.
// The code is the live director's; only the ports are the bench's own.
//
//   clients 16.0.0.0/8 ── gateway 192.0.2.254 ── wan │ director │ lan ── servers 10.0.1.1 ...

import { adviseHugePages } from 'af-xdp-socket';
import {
  FORWARD_DIRECT_ROUTE,
  FORWARD_FULL_NAT,
  FORWARD_NAT,
  FORWARD_TUNNEL,
  TCP_STATES,
  TUNNEL_IPIP,
} from '../../assembly/shared/codes.ts';
import { WORKER_WHEEL_CLOCK } from '../../assembly/shared/layout.ts';
import { BURST_MAX } from '../../assembly/shared/limits.ts';
import { Control } from '../../host/ipvs/control.ts';
import type { DestinationOptions, ServiceKey, ServiceOptions } from '../../host/ipvs/types.ts';
import { DataPlaneMemory } from '../../host/memory/data-plane-memory.ts';
import { schedulerByName } from '../../host/scheduler/registry.ts';
import { PublishedTables } from '../../host/tables/publish.ts';
import { DEFAULT_LOCAL_POOL, type World } from '../../host/tables/world.ts';
import { createSchedule } from '../../host/worker/schedule.ts';
import { type DataPlane, instantiateWasm } from '../../host/worker/wasm.ts';
import {
  type Direction,
  type Family,
  type FrameShape,
  FrameWriter,
  smallestFrame,
  TCP_ACK,
  type Transport,
} from './flows.ts';
import { layOutRings, PORT_LAN, PORT_WAN, type WorkerRings } from './rings.ts';

/** Names as the configuration has them. */
export type Method = 'nat' | 'direct-route' | 'tunnel' | 'full-nat';

const FORWARDING: Readonly<Record<Method, number>> = {
  nat: FORWARD_NAT,
  'direct-route': FORWARD_DIRECT_ROUTE,
  tunnel: FORWARD_TUNNEL,
  'full-nat': FORWARD_FULL_NAT,
};

/** What a rig is made for. */
export interface RigOptions {
  readonly module: WebAssembly.Module;
  /** Records of the connection table. */
  readonly connections: number;
  readonly family?: Family;
  readonly protocol?: Transport;
  readonly method?: Method;
  readonly scheduler?: string;
  readonly servers?: number;
  readonly workers?: number;
  /** Entries of a ring, and frames in circulation: a power of two. */
  readonly frames?: number;
  readonly hugePages?: boolean;
}

/** Options with nothing left open. */
export type RigPlan = Required<RigOptions>;

export const DEFAULT_FRAMES = 4096;
const DEFAULT_SERVERS = 16;

/** The clock starts here, and stands still unless a bench moves it. */
export const START_TICK = 1000;
export const TICK_MS = 10;
const SEEDS = { hashSeed: 0x2545f491, randomSeed: 1 };

const MAC_WAN = Uint8Array.of(2, 0, 0, 0, 0, 1);
const MAC_LAN = Uint8Array.of(2, 0, 0, 0, 0, 2);
const MAC_GATEWAY = Uint8Array.of(2, 0, 0, 0, 0, 3);
/** Full-nat's addresses: each gives 37,279 ports to a server. */
const POOL_ADDRESSES = 64;

interface Plan {
  readonly virtual: string;
  readonly gateway: string;
  readonly clients: readonly [string, number];
  readonly wan: readonly [string, number];
  readonly lan: readonly [string, number];
  server(index: number): string;
  pool(index: number): string;
}

const PLANS: Readonly<Record<Family, Plan>> = {
  4: {
    virtual: '192.0.2.80',
    gateway: '192.0.2.254',
    clients: ['16.0.0.0', 8],
    wan: ['192.0.2.1', 24],
    lan: ['10.0.0.1', 16],
    server: (index) => `10.0.${1 + (index >> 8)}.${index & 255}`,
    pool: (index) => `10.0.200.${index + 1}`,
  },
  6: {
    virtual: '2001:db8:2::80',
    gateway: '2001:db8:2::fe',
    clients: ['2001:db8:16::', 48],
    wan: ['2001:db8:2::1', 64],
    lan: ['2001:db8:10::1', 64],
    server: (index) => `2001:db8:10::1:${(index + 1).toString(16)}`,
    pool: (index) => `2001:db8:10::200:${(index + 1).toString(16)}`,
  },
};

export const VIRTUAL_PORT = 80;
export const SERVER_PORT = 8080;

/** What a destination of a method is asked for with. */
export function destinationOptions(method: Method, weight = 1): DestinationOptions {
  return {
    forwarding: FORWARDING[method],
    weight,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType: TUNNEL_IPIP,
    tunnelPort: 0,
    tunnelFlags: 0,
  };
}

/** A director's memory and control core, with one service, and an instance for every worker. */
export class Rig {
  readonly plan: RigPlan;
  readonly memory: DataPlaneMemory;
  readonly tables: PublishedTables;
  readonly control: Control;
  readonly rings: readonly WorkerRings[];
  readonly dataPlanes: readonly DataPlane[];
  readonly service: ServiceKey;
  tick = START_TICK;

  constructor(options: RigOptions) {
    this.plan = completePlan(options);
    const { workers, hugePages } = this.plan;
    this.memory = DataPlaneMemory.reserve(sizesOf(this.plan));
    if (hugePages) adviseHugePages(this.memory.u8);
    this.memory.initialise(SEEDS);
    this.rings = Array.from({ length: workers }, (_, worker) => layOutRings(this.memory, worker));
    this.tables = new PublishedTables(this.memory, { wakeWorkers: () => this.idle() });
    this.dataPlanes = this.rings.map(({ worker }) => this.instantiate(options.module, worker));
    this.control = new Control({
      tables: this.tables,
      schedulerByName,
      startMs: START_TICK * TICK_MS,
      availablePages: () => Number.MAX_SAFE_INTEGER,
    });
    this.service = this.#setUpTables();
    this.idle();
  }

  /** An instance of a build for a worker; several builds can take turns on one worker. */
  instantiate(module: WebAssembly.Module, worker: number): DataPlane {
    const { memory } = this;
    memory.u32[(memory.worker(worker) + WORKER_WHEEL_CLOCK) >>> 2] = this.tick;
    const dataPlane = instantiateWasm(module, memory.memory, createSchedule(memory, worker));
    dataPlane.initialise(worker);
    return dataPlane;
  }

  /** A turn of every worker without frames: new tables are adopted. */
  idle(): void {
    for (const dataPlane of this.dataPlanes ?? []) {
      dataPlane.turn(this.tick, this.tick * TICK_MS);
    }
  }

  /** Lets the workers sleep, so that other threads can play them. */
  rest(): void {
    for (const dataPlane of this.dataPlanes) dataPlane.rest();
  }

  /** Connections in the table. */
  get connectionCount(): number {
    return this.memory.connectionCount();
  }

  #setUpTables(): ServiceKey {
    const { family, protocol, scheduler, servers, method } = this.plan;
    const plan = PLANS[family];
    const { control } = this;
    const key = { family, protocol, address: plan.virtual, port: VIRTUAL_PORT };
    control.batch(() => {
      control.setWorld(worldOf(family));
      const { portRanges } = DEFAULT_LOCAL_POOL;
      const addresses = Array.from({ length: POOL_ADDRESSES }, (_, index) => {
        return { family, address: plan.pool(index) };
      });
      if (method === 'full-nat') control.setLocalPool({ addresses, portRanges });
      control.addService(key, serviceOptions(scheduler, family));
      for (let index = 0; index < servers; index++) {
        const address = plan.server(index);
        const port = method === 'direct-route' || method === 'tunnel' ? VIRTUAL_PORT : SERVER_PORT;
        control.addDestination(key, { family, address, port }, destinationOptions(method));
      }
    });
    const gateway = { family, address: plan.gateway, state: 'reachable' } as const;
    this.tables.nextHops.set({ ...gateway, port: PORT_WAN, mac: MAC_GATEWAY });
    for (let index = 0; index < servers; index++) {
      const mac = Uint8Array.of(2, 0, 0, 1, index >> 8, index & 255);
      const address = plan.server(index);
      this.tables.nextHops.set({ port: PORT_LAN, family, address, state: 'reachable', mac });
    }
    return key;
  }

  /** Timeouts of all states, in ticks. */
  setTimeouts(ticks: number): void {
    const tcp = new Array<number>(TCP_STATES).fill(ticks);
    this.tables.setTimeouts({ tcp, sctp: [], udp: ticks });
    this.tables.publish();
  }

  /** What the frames of one direction have in common. */
  frameShape(direction: Direction, options: Partial<FrameShape> = {}): FrameShape {
    const { family, protocol } = this.plan;
    return {
      family,
      protocol,
      direction,
      size: smallestFrame(family, protocol),
      tcpFlags: TCP_ACK,
      destinationMac: direction === 'in' ? MAC_WAN : MAC_LAN,
      sourceMac: direction === 'in' ? MAC_GATEWAY : Uint8Array.of(2, 0, 0, 1, 0, 0),
      address: direction === 'in' ? PLANS[family].virtual : PLANS[family].server(0),
      port: VIRTUAL_PORT,
      ...options,
    };
  }

  /**
   * Makes the connections of so many flows, established, through the data plane itself.
   * @returns milliseconds that the turns took
   * @throws Error when one is not there afterwards
   */
  connect(count: number, firstFlow = 0): number {
    const before = this.connectionCount;
    // One ACK is enough then for a connection that is established at once.
    this.control.setSysctl('sloppy_tcp', '1');
    const [rings] = this.rings;
    const [dataPlane] = this.dataPlanes;
    const shape = this.frameShape('in');
    const writer = new FrameWriter(this.memory.memory.buffer, shape);
    rings.setLength(shape.size);
    let spent = 0;
    const end = firstFlow + count;
    for (let flow = firstFlow; flow < end; ) {
      const batch = Math.min(rings.frames, end - flow);
      const first = rings.position(PORT_WAN);
      for (let index = 0; index < batch; index++) {
        writer.fromClient(rings.chunk((first + index) % rings.frames), flow++);
      }
      const before = performance.now();
      for (let left = batch; left > 0; ) {
        const burst = Math.min(left, BURST_MAX);
        rings.receive(PORT_WAN, burst);
        dataPlane.turn(this.tick, this.tick * TICK_MS);
        rings.send();
        left -= burst;
      }
      spent += performance.now() - before;
    }
    this.control.setSysctl('sloppy_tcp', '0');
    const made = this.connectionCount - before;
    if (made !== count) throw new Error(`${made} connections of ${count} were made`);
    return spent;
  }
}

function completePlan(options: RigOptions): RigPlan {
  return {
    family: 4,
    protocol: 'tcp',
    method: 'nat',
    scheduler: 'rr',
    servers: DEFAULT_SERVERS,
    workers: 1,
    frames: DEFAULT_FRAMES,
    hugePages: true,
    ...options,
  };
}

function sizesOf({ connections, workers, frames }: RigPlan) {
  return {
    connections,
    services: 64,
    destinations: 4096,
    workers,
    links: 2,
    ringEntries: frames,
    // Both fill rings full, and what the data plane keeps for packets of its own.
    framesPerWorker: 2 * frames + 64,
    schedulerTableBytes: 1024 * 1024,
  };
}

/** What a service is asked for with. */
export function serviceOptions(scheduler: string, family: Family): ServiceOptions {
  return {
    scheduler,
    flags: 0,
    persistenceSeconds: 0,
    persistenceMask: family === 4 ? '255.255.255.255' : '128',
    engine: '',
  };
}

/** Ports, addresses and routes. */
export function worldOf(family: Family): World {
  const plan = PLANS[family];
  const port = { mtu: 1500, up: true };
  const addresses = ([PORT_WAN, PORT_LAN] as const).map((index) => {
    const [address, prefixLength] = index === PORT_WAN ? plan.wan : plan.lan;
    return { family, address, prefixLength, port: index };
  });
  const own = (index: number) =>
    family === 4 ? { ipv4: addresses[index].address } : { ipv6: addresses[index].address };
  const onLink = addresses.map(({ address, prefixLength, port: index }) => {
    return { family, prefix: address, prefixLength, port: index, kind: 'on-link' } as const;
  });
  const [prefix, prefixLength] = plan.clients;
  const via = { family, prefix, prefixLength, port: PORT_WAN, via: plan.gateway };
  return {
    ports: [
      { ...port, index: PORT_WAN, name: 'wan', ifindex: 1, mac: MAC_WAN, ...own(PORT_WAN) },
      { ...port, index: PORT_LAN, name: 'lan', ifindex: 2, mac: MAC_LAN, ...own(PORT_LAN) },
    ],
    addresses,
    routes: [...onLink, { ...via, kind: 'via' }],
  };
}
