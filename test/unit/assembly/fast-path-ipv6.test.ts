// IPv6 clients whose addresses are equal once they are folded into a word, so that nothing but the
// rest of the address, which stands in the hot half too, tells them apart. The table is so small
// that they are in the same few chains.

import { describe, expect, test } from 'vitest';
import { CONNECTION_STATE, STATE_CLIENT_WHOLE } from '../../../assembly/shared/layout.ts';
import {
  BUILDS,
  CLIENT_PORT_MAC,
  createBed,
  type DirectorBed,
  SERVER_PORT_MAC,
  twoArmedWorld,
} from '../../support/director-bed.ts';
import * as build from '../../support/packet-builder.ts';

const VIP = '2001:db8:1::80';
const SERVER = '2001:db8:10::11';
const KNOWN = 8;
const CLIENTS = 200;
const PORT = 1000;

/** The exclusive or of the third word and the fourth is the same for all. */
function clientOf(n: number): string {
  return `2001:db8:fffe:0:0:${n.toString(16)}:0:${(n ^ 0x1ff).toString(16)}`;
}

function request(client: string, port = 53): Uint8Array {
  return build.packet(
    build.ethernet({ destination: CLIENT_PORT_MAC }),
    build.ipv6({ source: client, destination: VIP }),
    build.udp({ sourcePort: PORT, destinationPort: port }),
    build.payload(4),
  );
}

function answer(client: string): Uint8Array {
  return build.packet(
    build.ethernet({ destination: SERVER_PORT_MAC }),
    build.ipv6({ source: SERVER, destination: client }),
    build.udp({ sourcePort: 5353, destinationPort: PORT }),
    build.payload(4),
  );
}

/** Plays frames in one burst. @returns the frames that left */
function play(bed: DirectorBed, port: string, frames: readonly Uint8Array[]): Uint8Array[] {
  for (const frame of frames) bed.put(port, frame);
  bed.turn();
  return bed.take().map(({ frame }) => frame);
}

function create(on: (typeof BUILDS)[number]): DirectorBed {
  const world = twoArmedWorld();
  const via = '2001:db8:ffff::1';
  const route = { family: 6, prefix: '2001:db8:fffe::', prefixLength: 48, port: 0, via } as const;
  return createBed({
    build: on,
    world: { ...world, routes: [...world.routes, { ...route, kind: 'via' }] },
    services: [{ at: `udp [${VIP}]:53`, servers: [{ at: `[${SERVER}]:5353`, method: 'nat' }] }],
    sizes: { connections: KNOWN, ringEntries: 256, framesPerWorker: 1024 },
  });
}

const addresses = Array.from({ length: CLIENTS }, (_, n) => clientOf(n));

test('the addresses are different, and fold to the same word', () => {
  const words = addresses.map((address) => {
    const view = new DataView(Uint8Array.from(build.addressBytes(address)).buffer);
    return [0, 4, 8, 12].reduce((folded, at) => folded ^ view.getUint32(at), 0);
  });
  expect(new Set(addresses).size).toBe(CLIENTS);
  expect(new Set(words).size).toBe(1);
});

describe.each(BUILDS)('%s', (on) => {
  test('a full table: requests of known clients are forwarded, those of others dropped', () => {
    const bed = create(on);
    const known = addresses.slice(0, KNOWN);
    expect(
      play(
        bed,
        'client',
        known.map((client) => request(client)),
      ),
    ).toHaveLength(KNOWN);
    const sent = play(
      bed,
      'client',
      known.map((client) => request(client)),
    );
    expect(sent).toHaveLength(KNOWN);
    for (let first = KNOWN; first < CLIENTS; first += 48) {
      const others = addresses.slice(first, first + 48);
      expect(
        play(
          bed,
          'client',
          others.map((client) => request(client)),
        ),
      ).toEqual([]);
    }
    bed.close();
  });

  test('answers to known clients come from the virtual address, those to others do not', () => {
    const bed = create(on);
    const known = addresses.slice(0, KNOWN);
    play(
      bed,
      'client',
      known.map((client) => request(client)),
    );
    const virtual = build.toHex(build.addressBytes(VIP));
    const fromVirtual = (frame: Uint8Array) => build.toHex(frame.subarray(22, 38)) === virtual;
    const answered = play(bed, 'server', known.map(answer));
    expect(answered.filter(fromVirtual)).toHaveLength(KNOWN);
    for (let first = KNOWN; first < CLIENTS; first += 48) {
      const sent = play(bed, 'server', addresses.slice(first, first + 48).map(answer));
      expect(sent.filter(fromVirtual)).toEqual([]);
    }
    bed.close();
  });

  test('the clients stand whole in the hot halves', () => {
    const bed = create(on);
    play(
      bed,
      'client',
      addresses.slice(0, KNOWN).map((client) => request(client)),
    );
    for (let index = 1; index <= KNOWN; index++) {
      const state = bed.memory.u32[(bed.memory.hot(index) + CONNECTION_STATE) >>> 2]!;
      expect(state & STATE_CLIENT_WHOLE).not.toBe(0);
    }
    bed.close();
  });
});
