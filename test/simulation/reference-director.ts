/**
 * What a director must do, said as plainly as possible: connections in a list, one service lookup,
 * round robin, the state machine as a table, and the tick at which each connection ends. It knows
 * neither memory nor frames, and is as slow as it likes.
 */

import {
  linuxTick,
  TCP_ACTIVE,
  TCP_MACHINE,
  TCP_SECONDS,
  tcpEvent,
  UDP_SECONDS,
} from '../support/ipvs-states.ts';

export type Method = 'nat' | 'direct-route' | 'full-nat';

export interface ReferenceServer {
  readonly address: string;
  readonly port: number;
  readonly method: Method;
  weight: number;
}

export interface ReferenceService {
  readonly transport: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  /** Newest first. */
  servers: ReferenceServer[];
  /** The one chosen last. */
  cursor: ReferenceServer | undefined;
}

/** The four numbers that a packet and its connection are known by. */
export interface Flow {
  readonly transport: 'tcp' | 'udp';
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

export interface ReferenceConnection {
  readonly service: ReferenceService;
  readonly server: ReferenceServer;
  readonly client: Flow;
  /** The end that the server answers to. */
  readonly peer: string;
  readonly peerPort: number;
  state: string;
  timeout: number;
  seen: number;
  noOutput: boolean;
  /** To be gone at this tick unless a packet comes before. */
  expiring: number | undefined;
}

/** What becomes of a packet: where it goes and how it looks then. */
export type Decision =
  | {
      readonly kind: 'forward';
      readonly flow: Flow;
      readonly to: string;
      readonly server: ReferenceServer;
    }
  | { readonly kind: 'pass' | 'unreachable' | 'drop' | 'exhausted' };

const TICKS_PER_SECOND = 100;

/** Local ends of full-nat: ports of one address. */
export interface ReferencePool {
  readonly address: string;
  readonly ports: readonly number[];
  /** Which of them a server begins with. */
  firstOf(server: ReferenceServer): number;
}

export class ReferenceDirector {
  readonly services: ReferenceService[] = [];
  /** Newest first. */
  connections: ReferenceConnection[] = [];
  readonly #pool: ReferencePool;
  /** How many ends each server was offered so far. */
  readonly #cursors = new Map<ReferenceServer, number>();
  now: number;

  constructor(now: number, pool: ReferencePool) {
    this.now = now;
    this.#pool = pool;
  }

  /** Moves the clock: connections whose tick has come are gone. */
  advance(now: number): void {
    this.now = now;
    this.connections = this.connections.filter((connection) => {
      const due = connection.expiring ?? linuxTick(connection.seen, connection.timeout);
      return due > now;
    });
  }

  /** A packet to a virtual address. */
  fromClient(flow: Flow, flags: string): Decision {
    const found = this.connections.find((connection) => isSameFlow(connection.client, flow));
    if (found === undefined) return this.#schedule(flow, flags);
    const isOver = found.state === 'TW' || found.state === 'CL';
    if (flow.transport === 'tcp' && flags.includes('S') && isOver) {
      found.expiring = this.now + 1;
      return this.#schedule(flow, flags);
    }
    if (!found.service.servers.includes(found.server)) return { kind: 'drop' };
    this.#see(found, 'in', flags);
    return this.#towardsServer(found, flow);
  }

  /** A packet of a server. */
  fromServer(flow: Flow, flags: string): Decision | undefined {
    const found = this.connections.find(({ client, service, server, peer, peerPort }) => {
      const isRouted = server.method === 'direct-route';
      return (
        client.transport === flow.transport &&
        flow.destination === peer &&
        flow.destinationPort === peerPort &&
        flow.source === (isRouted ? service.address : server.address) &&
        flow.sourcePort === (isRouted ? service.port : server.port)
      );
    });
    if (found === undefined) return undefined;
    this.#see(found, 'out', flags);
    const { client } = found;
    return {
      kind: 'forward',
      server: found.server,
      to: client.source,
      flow: {
        transport: flow.transport,
        source: client.destination,
        sourcePort: client.destinationPort,
        destination: client.source,
        destinationPort: client.sourcePort,
      },
    };
  }

  /** A server was away for so long that it is a new one: its ends are given out from the first. */
  forget(server: ReferenceServer): void {
    this.#cursors.delete(server);
  }

  /** The server that answers a client from the virtual address, if it has a connection with one. */
  answererOf(flow: Flow): ReferenceServer | undefined {
    return this.connections.find(({ client, server }) => {
      return server.method === 'direct-route' && isSameFlow(client, flow);
    })?.server;
  }

  /** Active and inactive connections of a server. */
  counts(server: ReferenceServer): [active: number, inactive: number] {
    const own = this.connections.filter((connection) => connection.server === server);
    const active = own.filter(({ client, state }) => {
      return client.transport === 'tcp' && TCP_ACTIVE.includes(state);
    });
    return [active.length, own.length - active.length];
  }

  #schedule(flow: Flow, flags: string): Decision {
    const begins = flow.transport === 'udp' || (flags.includes('S') && !flags.includes('R'));
    const service = this.services.find((one) => {
      return (
        one.transport === flow.transport &&
        one.address === flow.destination &&
        one.port === flow.destinationPort
      );
    });
    if (!begins || service === undefined) return { kind: 'pass' };
    const server = nextServer(service);
    if (server === undefined) return { kind: 'unreachable' };
    const peer = this.#peerFor(server, flow);
    if (peer === undefined) return { kind: 'exhausted' };
    const made: ReferenceConnection = {
      service,
      server,
      client: flow,
      ...peer,
      state: 'NO',
      timeout: 3 * TICKS_PER_SECOND,
      seen: this.now,
      noOutput: server.method === 'direct-route',
      expiring: undefined,
    };
    this.connections.unshift(made);
    this.#see(made, 'in', flags);
    return this.#towardsServer(made, flow);
  }

  #peerFor(server: ReferenceServer, flow: Flow): { peer: string; peerPort: number } | undefined {
    if (server.method !== 'full-nat') return { peer: flow.source, peerPort: flow.sourcePort };
    const { address, ports, firstOf } = this.#pool;
    const first = firstOf(server);
    let cursor = this.#cursors.get(server) ?? 0;
    for (let tries = 0; tries < ports.length; tries++) {
      const port = ports[(first + cursor++) % ports.length];
      const isTaken = this.connections.some((other) => {
        return (
          other.server.method === 'full-nat' &&
          other.client.transport === flow.transport &&
          other.server.address === server.address &&
          other.server.port === server.port &&
          other.peerPort === port
        );
      });
      if (isTaken) continue;
      this.#cursors.set(server, cursor);
      return { peer: address, peerPort: port };
    }
    this.#cursors.set(server, cursor);
    return undefined;
  }

  #see(connection: ReferenceConnection, direction: 'in' | 'out', flags: string): void {
    if (direction === 'out') connection.noOutput = false;
    connection.seen = this.now;
    connection.expiring = undefined;
    if (connection.client.transport === 'udp') {
      connection.timeout = UDP_SECONDS * TICKS_PER_SECOND;
      return;
    }
    const row = direction === 'in' && connection.noOutput ? 'in-only' : direction;
    const event = tcpEvent(flags);
    connection.state = event === undefined ? 'CL' : TCP_MACHINE.next(row, event, connection.state);
    connection.timeout = TCP_SECONDS[connection.state] * TICKS_PER_SECOND;
  }

  #towardsServer({ server, peer, peerPort }: ReferenceConnection, flow: Flow): Decision {
    if (server.method === 'direct-route')
      return { kind: 'forward', server, flow, to: server.address };
    return {
      kind: 'forward',
      server,
      to: server.address,
      flow: {
        transport: flow.transport,
        source: peer,
        sourcePort: peerPort,
        destination: server.address,
        destinationPort: server.port,
      },
    };
  }
}

function isSameFlow(one: Flow, other: Flow): boolean {
  return (
    one.transport === other.transport &&
    one.source === other.source &&
    one.sourcePort === other.sourcePort &&
    one.destination === other.destination &&
    one.destinationPort === other.destinationPort
  );
}

/** Round robin: the next one with weight behind the one chosen last, the list's head at first. */
function nextServer(service: ReferenceService): ReferenceServer | undefined {
  const { servers, cursor } = service;
  const start = cursor === undefined ? 0 : servers.indexOf(cursor) + 1;
  for (let nth = 0; nth < servers.length; nth++) {
    const server = servers[(start + nth) % servers.length];
    if (server.weight === 0) continue;
    service.cursor = server;
    return server;
  }
  return undefined;
}
