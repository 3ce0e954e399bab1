// The AF_XDP sockets of all workers: opened by the main thread, which keeps them, with their rings in
// linear memory, and described there for the data plane.

import { createUmem, type MappedRing, openSocket, type Umem, type XdpSocket } from 'af-xdp-socket';
import {
  LINK_FLAGS,
  LINK_PORT,
  LINK_QUEUE,
  RING_CONSUMER,
  RING_DESCRIPTORS,
  RING_FLAGS,
  RING_MASK,
  RING_PRODUCER,
  RING_RESERVED,
  WORKER_LINK_COUNT,
  WORKER_PORT_LINKS,
} from '../../assembly/shared/layout.ts';
import { FRAME_SIZE } from '../../assembly/shared/limits.ts';
import type { PortConfig } from '../config/types.ts';
import { type DataPlaneMemory, NO_LINK } from '../memory/data-plane-memory.ts';
import type { RingKind } from '../memory/memory-map.ts';
import type { LinkPlan } from './ports.ts';
import { StartError, sentenceOf } from './start-error.ts';

type SocketMode = 'auto' | 'copy' | 'zero-copy';

const MODES: Readonly<Record<PortConfig['zeroCopy'], SocketMode>> = {
  auto: 'auto',
  on: 'zero-copy',
  off: 'copy',
};

/** The addon's names of the rings. */
const SOCKET_RINGS = {
  receive: 'rx',
  transmit: 'tx',
  fill: 'fill',
  completion: 'completion',
} as const satisfies Record<RingKind, keyof XdpSocket['rings']>;

/** An open link. */
export interface Link extends LinkPlan {
  readonly worker: number;
  readonly socket: XdpSocket;
}

/** All links of all workers. */
export class Links {
  readonly #memory: DataPlaneMemory;
  readonly #links: Link[] = [];
  readonly #umems: Umem[] = [];

  private constructor(memory: DataPlaneMemory) {
    this.#memory = memory;
  }

  /**
   * Opens the sockets, as planned for each worker.
   * @throws StartError; nothing stays open then
   */
  static open(memory: DataPlaneMemory, plans: readonly (readonly LinkPlan[])[]): Links {
    const links = new Links(memory);
    try {
      for (const [worker, plan] of plans.entries()) links.#openWorker(worker, plan);
      return links;
    } catch (error) {
      links.close();
      throw error;
    }
  }

  get all(): readonly Link[] {
    return this.#links;
  }

  /** Whether any driver works without copying. */
  get isZeroCopy(): boolean {
    return this.#links.some(({ socket }) => socket.zeroCopy);
  }

  /** Descriptors by worker, in the order of the links. */
  descriptors(): number[][] {
    const descriptors: number[][] = this.#memory.map.sizes.workers
      ? Array.from({ length: this.#memory.map.sizes.workers }, () => [])
      : [];
    for (const { worker, socket } of this.#links) descriptors[worker].push(socket.fd);
    return descriptors;
  }

  close(): void {
    for (const { socket } of this.#links) socket.close();
    for (const umem of this.#umems) umem.close();
    this.#links.length = 0;
    this.#umems.length = 0;
  }

  #openWorker(worker: number, plan: readonly LinkPlan[]): void {
    const memory = this.#memory;
    const block = memory.worker(worker);
    const umems = new Map<SocketMode, Umem>();
    for (const [link, linkPlan] of plan.entries()) {
      const socket = this.#openLink({ worker, link, plan: linkPlan, umems });
      this.#links.push({ ...linkPlan, worker, socket });
      describeLink(memory, { worker, link, plan: linkPlan, socket });
      const portLink = block + WORKER_PORT_LINKS + linkPlan.port.index;
      if (memory.u8[portLink] === NO_LINK) memory.u8[portLink] = link;
    }
    memory.u32[(block + WORKER_LINK_COUNT) >>> 2] = plan.length;
  }

  /**
   * All links of a worker share one registration of its frames when they can. A port without
   * zero-copy beside one that has it needs another registration of the same frames.
   */
  #openLink(opening: Opening): XdpSocket {
    const { port, queue } = opening.plan;
    const mode = MODES[port.config.zeroCopy];
    try {
      try {
        return this.#tryOpen(opening, mode);
      } catch (error) {
        const isMixed = mode === 'auto' && (error as { code?: unknown }).code === 'EOPNOTSUPP';
        if (!isMixed || opening.umems.get('auto') === undefined) throw error;
        return this.#tryOpen(opening, 'copy');
      }
    } catch (error) {
      const what = `port ${port.config.name} (interface ${port.config.interface}), queue ${queue}`;
      throw new StartError(`${what}: ${sentenceOf(error)}`, { cause: error });
    }
  }

  #tryOpen({ worker, link, plan, umems }: Opening, mode: SocketMode): XdpSocket {
    const memory = this.#memory;
    const place = (kind: RingKind) => {
      const { offset, entries } = memory.ringArea(worker, link, kind);
      return { memory: memory.u8, byteOffset: offset, entries };
    };
    return openSocket({
      umem: umems.get(mode) ?? this.#createUmem(worker, mode, umems),
      interface: plan.port.info.index,
      queue: plan.queue,
      mode,
      rings: {
        fill: place('fill'),
        completion: place('completion'),
        rx: place('receive'),
        tx: place('transmit'),
      },
    });
  }

  #createUmem(worker: number, mode: SocketMode, umems: Map<SocketMode, Umem>): Umem {
    const memory = this.#memory;
    const start = memory.frames(worker);
    const frames = memory.u8.subarray(start, start + memory.map.sizes.framesPerWorker * FRAME_SIZE);
    const umem = createUmem({ memory: frames, frameSize: FRAME_SIZE as 2048 });
    this.#umems.push(umem);
    umems.set(mode, umem);
    return umem;
  }
}

interface Opening {
  readonly worker: number;
  readonly link: number;
  readonly plan: LinkPlan;
  /** The worker's registrations of its frames. */
  readonly umems: Map<SocketMode, Umem>;
}

/** Writes a link's record and those of its rings. */
function describeLink(
  memory: DataPlaneMemory,
  {
    worker,
    link,
    plan,
    socket,
  }: {
    readonly worker: number;
    readonly link: number;
    readonly plan: LinkPlan;
    readonly socket: XdpSocket;
  },
): void {
  const at = memory.link(worker, link);
  memory.u8[at + LINK_PORT] = plan.port.index;
  memory.u8[at + LINK_FLAGS] = 0;
  memory.u16[(at + LINK_QUEUE) >>> 1] = plan.queue;
  for (const [kind, name] of Object.entries(SOCKET_RINGS)) {
    const ring = socket.rings[name];
    if (ring !== undefined) describeRing(memory, memory.ring(worker, link, kind as RingKind), ring);
  }
}

function describeRing(memory: DataPlaneMemory, at: number, ring: MappedRing): void {
  const { u32 } = memory;
  u32[(at + RING_PRODUCER) >>> 2] = ring.byteOffset + ring.producer;
  u32[(at + RING_CONSUMER) >>> 2] = ring.byteOffset + ring.consumer;
  u32[(at + RING_DESCRIPTORS) >>> 2] = ring.byteOffset + ring.descriptors;
  u32[(at + RING_FLAGS) >>> 2] = ring.byteOffset + ring.flags;
  u32[(at + RING_MASK) >>> 2] = ring.entries - 1;
  u32[(at + RING_RESERVED) >>> 2] = 0;
}
