// The kernel's ports, addresses, routes and neighbours, followed live.
//
// An announcement of a link, address or route is only taken as a reason to ask again: the kernel
// takes routes away with a link or an address without saying so, and replaces one route of several
// without saying which. Neighbours are many and simple, so what is announced is taken as it is.

import { type NetlinkSocket, openNetlink, type SystemError } from 'af-xdp-socket';
import type { World, WorldNeighbour } from '../tables/world.ts';
import {
  type NetlinkMessage,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  parseMessages,
} from './netlink-message.ts';
import {
  encodeNeighbourUse,
  FOLLOWED_GROUPS,
  type LinkCounts,
  type LinkMessage,
  type NeighbourMessage,
  NUD_INCOMPLETE,
  parseAddressMessage,
  parseLink,
  parseNeighbour,
  parseRoute,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from './rtnetlink.ts';
import { RtnetlinkChannel } from './rtnetlink-channel.ts';
import { buildNeighbour, buildWorld, type KernelSnapshot, type PortInterface } from './snapshot.ts';

/** Announcements come in groups; asking again waits this long for the rest of the group. */
const SETTLE_MS = 20;
/** Wait before a failed question is repeated. */
const RETRY_MS = 1000;

const WORLD_MESSAGES: ReadonlySet<number> = new Set([
  RTM_NEWLINK,
  RTM_DELLINK,
  RTM_NEWADDR,
  RTM_DELADDR,
  RTM_NEWROUTE,
  RTM_DELROUTE,
]);

/** Who is told what. */
export interface KernelWorldOptions {
  /** In the order of their numbers, which stay the same when setPorts() replaces them. */
  readonly ports: readonly PortInterface[];
  /** Called with every new state, the first before open() resolves. */
  readonly onWorld: (world: World) => void;
  readonly onNeighbour: (neighbour: WorldNeighbour) => void;
  /** Told what went wrong and is tried again. */
  readonly onError: (error: Error) => void;
}

/** The world behind the director's ports. */
export class KernelWorld {
  readonly #options: KernelWorldOptions;
  readonly #channel: RtnetlinkChannel;
  readonly #events: NetlinkSocket;
  #ports: readonly PortInterface[];
  #timer: NodeJS.Timeout | undefined;
  #isReading = false;
  #isStale = false;
  #neighboursAreStale = false;
  #closed = false;

  private constructor(options: KernelWorldOptions) {
    this.#options = options;
    this.#ports = options.ports;
    this.#channel = new RtnetlinkChannel();
    this.#events = openNetlink({
      groups: FOLLOWED_GROUPS,
      onMessage: (datagram) => this.#onEvents(datagram),
      onError: (error) => this.#onEventsLost(error),
    });
  }

  /**
   * Reads the world and starts to follow it.
   * @throws RtnetlinkError
   */
  static async open(options: KernelWorldOptions): Promise<KernelWorld> {
    const world = new KernelWorld(options);
    try {
      await world.#readWorld();
      await world.#readNeighbours();
    } catch (error) {
      world.close();
      throw error;
    }
    return world;
  }

  /** Replaces what is known of the ports beforehand. */
  async setPorts(ports: readonly PortInterface[]): Promise<void> {
    this.#ports = ports;
    await this.#readWorld();
  }

  /** Makes the kernel resolve a neighbour, or confirm that it is still there. */
  useNeighbour(port: number, address: Uint8Array): void {
    const { ifindex } = this.#ports[port];
    const payload = encodeNeighbourUse(ifindex, address);
    try {
      this.#channel.send(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, payload);
    } catch (error) {
      this.#options.onError(error as Error);
    }
  }

  /** What each port has carried, by its number; a port whose interface is gone has no counts. */
  async linkCounts(): Promise<(LinkCounts | undefined)[]> {
    const links = await this.#readLinks();
    return this.#ports.map(({ ifindex }) => links.find((link) => link.ifindex === ifindex)?.counts);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#events.close();
    this.#channel.close();
  }

  async #readWorld(): Promise<void> {
    const snapshot: KernelSnapshot = {
      links: await this.#readLinks(),
      addresses: present(
        (await this.#channel.dump(RTM_GETADDR)).map(readWith(parseAddressMessage)),
      ),
      routes: present((await this.#channel.dump(RTM_GETROUTE)).map(readWith(parseRoute))),
    };
    if (!this.#closed) this.#options.onWorld(buildWorld(snapshot, this.#ports));
  }

  async #readLinks(): Promise<readonly LinkMessage[]> {
    return (await this.#channel.dump(RTM_GETLINK)).map(readWith(parseLink));
  }

  async #readNeighbours(): Promise<void> {
    const messages = await this.#channel.dump(RTM_GETNEIGH);
    if (this.#closed) return;
    for (const neighbour of present(messages.map(readWith(parseNeighbour)))) this.#tell(neighbour);
  }

  #onEvents(datagram: Uint8Array): void {
    try {
      for (const message of parseMessages(datagram)) this.#onEvent(message);
    } catch (error) {
      this.#options.onError(error as Error);
      this.#readAgain({ neighbours: true });
    }
  }

  #onEvent({ type, payload }: NetlinkMessage): void {
    if (WORLD_MESSAGES.has(type)) {
      this.#readAgain({ neighbours: false });
      return;
    }
    if (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH) return;
    const neighbour = parseNeighbour(payload);
    if (neighbour === undefined) return;
    // Forgotten is not failed: nothing is known, as before it was ever asked for.
    this.#tell(type === RTM_DELNEIGH ? { ...neighbour, state: NUD_INCOMPLETE } : neighbour);
  }

  #tell(message: NeighbourMessage): void {
    const neighbour = buildNeighbour(message, this.#ports);
    if (neighbour !== undefined) this.#options.onNeighbour(neighbour);
  }

  #onEventsLost(error: SystemError): void {
    this.#options.onError(error);
    this.#readAgain({ neighbours: true });
  }

  #readAgain({ neighbours, after = SETTLE_MS }: { neighbours: boolean; after?: number }): void {
    this.#isStale = true;
    this.#neighboursAreStale ||= neighbours;
    if (this.#closed || this.#isReading || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#catchUp();
    }, after);
  }

  async #catchUp(): Promise<void> {
    const neighbours = this.#neighboursAreStale;
    this.#isReading = true;
    this.#isStale = false;
    this.#neighboursAreStale = false;
    let after = SETTLE_MS;
    try {
      await this.#readWorld();
      if (neighbours) await this.#readNeighbours();
    } catch (error) {
      if (this.#closed) return;
      this.#options.onError(error as Error);
      this.#isStale = true;
      this.#neighboursAreStale ||= neighbours;
      after = RETRY_MS;
    } finally {
      this.#isReading = false;
    }
    // What was announced while it was read may have come too late for it.
    if (this.#isStale) this.#readAgain({ neighbours: this.#neighboursAreStale, after });
  }
}

function readWith<Value>(
  parse: (payload: Uint8Array) => Value,
): (message: NetlinkMessage) => Value {
  return ({ payload }) => parse(payload);
}

function present<Value>(values: readonly (Value | undefined)[]): Value[] {
  return values.filter((value) => value !== undefined);
}
