/**
 * A burst finds its packets' connections first and forwards the packets then. In between, another
 * worker can end one of them, or say that it ends at its next timer unless a packet comes. The test
 * plays that worker from the middle of a turn: a scheduler's choice for a new connection stands
 * between two packets of a connection that is known.
 */

import { describe, expect, test } from 'vitest';
import * as layout from '../../../assembly/shared/layout.ts';
import { checkMemory } from '../../support/check-bed.ts';
import {
  BUILDS,
  type Build,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
} from '../../support/director-bed.ts';
import * as build from '../../support/packet-builder.ts';

const VIP = '192.0.2.80';
const SERVICE = `tcp ${VIP}:80`;
/** An established connection lasts so long. */
const TIMEOUT_SECONDS = 10;
const SECOND = 100;

function frame(sourcePort: number, flags: string): Uint8Array {
  return build.packet(
    build.ethernet({ destination: CLIENT_PORT_MAC }),
    build.ipv4({ source: '198.51.100.1', destination: VIP }),
    build.tcp({ sourcePort, destinationPort: 80, flags }),
  );
}

/** Two packets of the connection from port 1000, the first of another one in between. */
const BURST = [frame(1000, 'A'), frame(2000, 'S'), frame(1000, 'A')];

interface Scene {
  readonly bed: DirectorBed;
  /** What the other worker does while the burst's second packet is scheduled. */
  meanwhile: () => void;
  /** Plays the burst on worker 0. @returns frames sent to the server */
  burst(): number;
}

/** A connection, established by a packet to one of two workers. */
function playScene(on: Build, owner: number): Scene {
  const scene: Scene = {
    meanwhile: () => {},
    bed: createBed({
      build: on,
      workers: 2,
      services: [{ at: SERVICE, servers: [{ at: '10.0.0.11:8080', method: 'nat' }] }],
      timeouts: { tcp: TIMEOUT_SECONDS, tcpFin: TIMEOUT_SECONDS, udp: TIMEOUT_SECONDS },
      chooseBy: ({ pick }) => {
        scene.meanwhile();
        return pick();
      },
    }),
    burst() {
      for (const each of BURST) this.bed.put('client', each);
      this.bed.turn();
      return this.bed.take().filter(({ port }) => port === 'server').length;
    },
  };
  const { bed } = scene;
  bed.control.setSysctl('sloppy_tcp', '1');
  expect(bed.send('client', frame(1000, 'A'), owner).verdict).toBe('transmit');
  bed.control.setSysctl('sloppy_tcp', '0');
  return scene;
}

/** Word index of the state of the connection from a client's port. */
function stateOf({ memory }: DirectorBed, clientPort: number): number | undefined {
  const port = ((clientPort & 0xff) << 8) | (clientPort >> 8);
  const index = checkMemory(memory).live.find((each) => {
    return memory.u16[(memory.hot(each) + layout.CONNECTION_CLIENT_PORT) >>> 1] === port;
  });
  return index === undefined ? undefined : (memory.hot(index) + layout.CONNECTION_STATE) >>> 2;
}

describe.each(BUILDS)('%s', (on) => {
  test('a connection that is to expire gets a packet in the same burst: it goes on', () => {
    const scene = playScene(on, 0);
    const { bed } = scene;
    const state = stateOf(bed, 1000) ?? 0;
    let marked = 0;
    scene.meanwhile = () => {
      Atomics.or(bed.memory.u32, state, layout.STATE_EXPIRING);
      marked++;
    };
    bed.advance((TIMEOUT_SECONDS / 2) * SECOND, SECOND);
    expect(scene.burst()).toBe(3);
    expect(marked).toBe(1);
    expect(bed.memory.u32[state] & layout.STATE_EXPIRING).toBe(0);
    // Its first timer comes up; the last packet is younger than its timeout.
    bed.advance((TIMEOUT_SECONDS / 2 + 2) * SECOND, SECOND);
    expect(stateOf(bed, 1000)).toBe(state);
    bed.close();
  });

  test('a connection that is to expire and gets no packet any more: its timer ends it', () => {
    const scene = playScene(on, 0);
    const { bed } = scene;
    const state = stateOf(bed, 1000) ?? 0;
    bed.advance((TIMEOUT_SECONDS / 2) * SECOND, SECOND);
    expect(scene.burst()).toBe(3);
    Atomics.or(bed.memory.u32, state, layout.STATE_EXPIRING);
    bed.advance((TIMEOUT_SECONDS / 2 + 2) * SECOND, SECOND);
    expect(stateOf(bed, 1000)).toBeUndefined();
    bed.close();
  });

  test('another worker ends a connection in the middle of a burst: its next packet finds none', () => {
    const scene = playScene(on, 1);
    const { bed } = scene;
    const end = bed.tick + 2 * TIMEOUT_SECONDS * SECOND;
    scene.meanwhile = () => {
      bed.workers[1].idle(end, end * 10);
    };
    expect(stateOf(bed, 1000)).toBeDefined();
    expect(scene.burst()).toBe(2);
    expect(stateOf(bed, 1000)).toBeUndefined();
    expect(stateOf(bed, 2000)).toBeDefined();
    bed.close();
  });
});
