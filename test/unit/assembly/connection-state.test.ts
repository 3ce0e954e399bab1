/**
 * The state machines of TCP, SCTP and UDP connections against tables that can be read, cell by cell,
 * and along random walks: next state, timeout, the destination's counts, and what the first answer
 * changes.
 */

import { describe, expect, test } from 'vitest';
import * as layout from '../../../assembly/shared/layout.ts';
import { checkMemory } from '../../support/check-bed.ts';
import {
  type BedServer,
  BUILDS,
  type Build,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
  SERVER_PORT_MAC,
} from '../../support/director-bed.ts';
import * as states from '../../support/ipvs-states.ts';
import * as build from '../../support/packet-builder.ts';
import { Random, seedFromEnvironment } from '../../support/random.ts';

const SEED = seedFromEnvironment(3317);
const CLIENT = '198.51.100.1';
const VIP = '192.0.2.80';
const SERVER = '10.0.0.11';
const TICKS = 100;

/** SCTP's chunks by their type, and the event each one is. */
const CHUNK_EVENTS: readonly string[] = [
  'data',
  'init',
  'init-ack',
  'data',
  'data',
  'data',
  'abort',
  'shutdown',
  'shutdown-ack',
  'error',
  'cookie-echo',
  'cookie-ack',
  'data',
  'data',
  'shutdown-complete',
];
const FLAGS = ['S', 'SA', 'A', 'PA', 'FA', 'F', 'R', 'RA', 'SF', 'P', ''] as const;

type Method = BedServer['method'];

/** One connection, made by a packet of its protocol, and the words of its entry. */
class OneConnection {
  readonly bed: DirectorBed;
  readonly #protocol: 'tcp' | 'udp' | 'sctp';
  readonly #method: Method;
  index = 0;

  constructor(on: Build, protocol: 'tcp' | 'udp' | 'sctp', method: Method, secure: boolean) {
    this.#protocol = protocol;
    this.#method = method;
    this.bed = createBed({
      build: on,
      services: [{ at: `${protocol} ${VIP}:80`, servers: [{ at: `${SERVER}:80`, method }] }],
      sysctls: { secure_tcp: secure ? '3' : '0', sloppy_tcp: '1', sloppy_sctp: '1' },
    });
  }

  begin(kind: string | number): void {
    this.send('in', kind);
    const [entry] = this.bed.control.connections();
    this.index = entry.index;
  }

  /** A packet of TCP flags, or an SCTP chunk, from the client or from the server. */
  send(direction: 'in' | 'out', kind: string | number): void {
    const inward = direction === 'in';
    // A direct-route server answers from the virtual address.
    const from = inward ? CLIENT : this.#method === 'nat' ? SERVER : VIP;
    const ports = inward
      ? { sourcePort: 4000, destinationPort: 80 }
      : { sourcePort: 80, destinationPort: 4000 };
    const upper =
      this.#protocol === 'tcp'
        ? [build.tcp({ ...ports, flags: String(kind) })]
        : this.#protocol === 'udp'
          ? [build.udp(ports)]
          : [build.sctp(ports), build.chunk({ type: Number(kind) })];
    const frame = build.packet(
      build.ethernet({ destination: inward ? CLIENT_PORT_MAC : SERVER_PORT_MAC }),
      build.ipv4({ source: from, destination: inward ? VIP : CLIENT }),
      ...upper,
    );
    this.bed.send(inward ? 'client' : 'server', frame);
  }

  get word(): number {
    return this.bed.memory.u32[(this.#hot + layout.CONNECTION_STATE) >>> 2];
  }

  get timeout(): number {
    return this.bed.memory.u32[(this.#hot + layout.CONNECTION_TIMEOUT) >>> 2] / TICKS;
  }

  get counts(): [active: number, inactive: number] {
    const [{ activeConnections, inactiveConnections }] = this.bed.control.destinations({
      family: 4,
      protocol: this.#protocol,
      address: VIP,
      port: 80,
    });
    return [activeConnections, inactiveConnections];
  }

  /** Puts the connection into a state, counts included. */
  force(code: number, isActive: boolean, noOutput: boolean): void {
    const { u32 } = this.bed.memory;
    const at = (this.#hot + layout.CONNECTION_STATE) >>> 2;
    const cleared = u32[at] & ~(layout.STATE_MASK | layout.STATE_INACTIVE | layout.STATE_NO_OUTPUT);
    const inactive = isActive ? 0 : layout.STATE_INACTIVE;
    u32[at] = (cleared | code | inactive | (noOutput ? layout.STATE_NO_OUTPUT : 0)) >>> 0;
    const id = u32[(this.#hot + layout.CONNECTION_DESTINATION_ID) >>> 2];
    const counts = this.bed.memory.destinationState(id);
    u32[(counts + layout.DESTINATION_STATE_ACTIVE) >>> 2] = isActive ? 1 : 0;
    u32[(counts + layout.DESTINATION_STATE_INACTIVE) >>> 2] = isActive ? 0 : 1;
  }

  get #hot(): number {
    return this.bed.memory.hot(this.index);
  }
}

describe.each(BUILDS)('%s', (on) => {
  test.each([
    ['TCP', states.TCP_MACHINE, false],
    ['TCP while secure_tcp is active', states.TCP_SECURE_MACHINE, true],
  ])('%s: every state, every set of flags, every direction', (_, machine, secure) => {
    for (const method of ['nat', 'direct-route'] as const) {
      const one = new OneConnection(on, 'tcp', method, secure);
      one.bed.control.setSysctl('conn_reuse_mode', '0');
      one.begin('A');
      for (const [code, before] of machine.states.entries()) {
        for (const flags of FLAGS) {
          for (const direction of ['in', 'out'] as const) {
            const noOutput = method !== 'nat';
            one.force(code, states.TCP_ACTIVE.includes(before), noOutput);
            one.send(direction, flags);
            const row = direction === 'in' && noOutput ? 'in-only' : direction;
            const event = states.tcpEvent(flags);
            const next = event === undefined ? 'CL' : machine.next(row, event, before);
            const active = states.TCP_ACTIVE.includes(next);
            const found = [
              machine.states[one.word & layout.STATE_MASK],
              one.timeout,
              one.counts.join(),
              (one.word & layout.STATE_NO_OUTPUT) !== 0,
            ];
            expect(found, `${row} ${flags} in ${before}`).toEqual([
              next,
              states.TCP_SECONDS[next],
              active ? '1,0' : '0,1',
              noOutput && direction === 'in',
            ]);
          }
        }
      }
      checkMemory(one.bed.memory);
      one.bed.close();
    }
  });

  test('SCTP: every state, every chunk, every direction', () => {
    const machine = states.SCTP_MACHINE;
    for (const method of ['nat', 'direct-route'] as const) {
      const one = new OneConnection(on, 'sctp', method, false);
      one.bed.control.setSysctl('conn_reuse_mode', '0');
      one.begin(1);
      for (const [code, before] of machine.states.entries()) {
        for (const [type, event] of [...CHUNK_EVENTS.entries(), [200, 'data'] as const]) {
          for (const direction of ['in', 'out'] as const) {
            const noOutput = method !== 'nat';
            one.force(code, before === 'ES', noOutput);
            one.send(direction, type);
            const row = direction === 'in' && noOutput ? 'in-only' : direction;
            const next = machine.next(row, event, before);
            const found = [
              machine.states[one.word & layout.STATE_MASK],
              one.timeout,
              one.counts.join(),
            ];
            expect(found, `${row} ${event} in ${before}`).toEqual([
              next,
              states.SCTP_SECONDS[next] ?? states.SCTP_SECONDS_OTHERWISE,
              next === 'ES' ? '1,0' : '0,1',
            ]);
          }
        }
      }
      checkMemory(one.bed.memory);
      one.bed.close();
    }
  });

  test('UDP is inactive whatever comes, and lasts 300 seconds', () => {
    const one = new OneConnection(on, 'udp', 'nat', false);
    one.begin(0);
    for (const direction of ['in', 'out', 'in'] as const) {
      one.send(direction, 0);
      expect([one.word & layout.STATE_MASK, one.timeout]).toEqual([0, states.UDP_SECONDS]);
      expect(one.counts).toEqual([0, 1]);
    }
    one.bed.close();
  });

  test(`random walks: state, timeout and expiry, seed ${SEED}`, () => {
    const random = new Random(SEED);
    for (let walk = 0; walk < 25; walk++) {
      const one = new OneConnection(on, 'tcp', random.pick(['nat', 'direct-route']), false);
      one.bed.control.setSysctl('conn_reuse_mode', '0');
      one.begin('S');
      let noOutput = (one.word & layout.STATE_NO_OUTPUT) !== 0;
      let state = 'SR';
      let seen = one.bed.tick;
      for (let step = 0; step < 12; step++) {
        one.bed.advance(random.below(900));
        const direction = random.pick(['in', 'out'] as const);
        const flags = random.pick(['S', 'A', 'A', 'FA', 'SA', 'R']);
        one.send(direction, flags);
        if (direction === 'out') noOutput = false;
        const row = direction === 'in' && noOutput ? 'in-only' : direction;
        state = states.TCP_MACHINE.next(row, states.tcpEvent(flags) ?? '', state);
        seen = one.bed.tick;
        expect(states.TCP_MACHINE.states[one.word & layout.STATE_MASK]).toBe(state);
      }
      const end = states.linuxTick(seen, states.TCP_SECONDS[state] * TICKS);
      one.bed.advance(end - 1 - seen, random.between(1, 9) * 1000);
      expect(one.bed.control.connections(), `${state} lasts`).toHaveLength(1);
      one.bed.advance(1);
      expect(one.bed.control.connections(), `${state} ends`).toHaveLength(0);
      one.bed.close();
    }
  });

  test('a timeout that is made shorter counts from the next packet on', () => {
    const one = new OneConnection(on, 'udp', 'nat', false);
    one.begin(0);
    one.bed.control.setTimeouts({ tcp: 0, tcpFin: 0, udp: 5 });
    one.bed.advance(2000);
    expect(one.bed.control.connections()).toHaveLength(1);
    one.send('in', 0);
    const seen = one.bed.tick;
    const end = states.linuxTick(seen, 5 * TICKS);
    one.bed.advance(end - seen - 1);
    expect(one.bed.control.connections()).toHaveLength(1);
    one.bed.advance(1);
    expect(one.bed.control.connections()).toHaveLength(0);
    one.bed.close();
  });
});
